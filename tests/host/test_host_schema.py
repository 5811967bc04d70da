"""Every message is held to the manifest of its sender and of its receiver; what does not fit is dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from enum import Enum
from typing import Any

import pytest
from ten_runtime import (
    AsyncExtension,
    AsyncExtensionTester,
    Cmd,
    CmdResult,
    Data,
    HostError,
    SendOptions,
    StatusCode,
    TenErrorCode,
)

FIELDS = {
    "text": {"type": "string"},
    "start_ms": {"type": "int64"},
    "small": {"type": "int8"},
    "unsigned": {"type": "uint16"},
    "score": {"type": "float64"},
    "final": {"type": "bool"},
    "words": {"type": "array", "items": {"type": "object", "properties": {"word": {"type": "string"}}}},
    "metadata": {"type": "object", "properties": {"session_id": {"type": "string"}}},
}

VALID = [
    {},
    {"undeclared": None, "other": {"x": [1.5]}},
    {"text": "", "start_ms": 2**63 - 1, "score": 0.0, "final": False, "words": [], "metadata": {}},
    {"small": -128, "unsigned": 65535},
    {"words": [{"word": "a", "extra": 1}, {}], "metadata": {"session_id": "s", "more": None}},
]

INVALID = [
    ({"start_ms": 1.0}, "start_ms must be int64, not float64"),
    ({"start_ms": "1"}, "start_ms must be int64, not string"),
    ({"start_ms": True}, "start_ms must be int64, not bool"),
    ({"start_ms": None}, "start_ms must be int64, not null"),
    ({"score": 1}, "score must be float64, not int64"),
    ({"final": 1}, "final must be bool, not int64"),
    ({"text": None}, "text must be string, not null"),
    ({"text": 5}, "text must be string, not int64"),
    ({"words": None}, "words must be array, not null"),
    ({"words": [{"word": "a"}, {"word": 1}]}, "words[1].word must be string, not int64"),
    ({"words": ["a"]}, "words[0] must be object, not string"),
    ({"metadata": None}, "metadata must be object, not null"),
    ({"metadata": {"session_id": 7}}, "metadata.session_id must be string, not int64"),
    ({"small": 128}, "small must be int8, and 128 does not fit"),
    ({"unsigned": -1}, "unsigned must be uint16, and -1 does not fit"),
]


def data_api(direction: str) -> dict[str, Any]:
    return {f"data_{direction}": [{"name": "d", "property": {"properties": FIELDS}}]}


def send_all(properties: Sequence[dict[str, Any]]) -> list[Data]:
    messages = []
    for item in properties:
        data = Data.create("d")
        assert data.set_property_from_json(None, json.dumps(item)) is None
        messages.append(data)
    end = Data.create("end")
    return [*messages, end]


class Collector(AsyncExtensionTester):
    """Receives until a message named ``end``."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[dict[str, Any]] = []

    async def on_data(self, ten_env, data) -> None:
        if data.get_name() == "end":
            ten_env.stop_test()
        else:
            self.received.append(json.loads(data.get_property_to_json()[0]))


class Emitter(AsyncExtension):
    """Sends what the test put into ``messages`` and keeps what the sends said."""

    messages: Sequence[dict[str, Any]]
    options: SendOptions | None = None

    async def on_start(self, ten_env) -> None:
        type(self).outcomes = [await ten_env.send_data(data, self.options) for data in send_all(self.messages)]


def test_contract_schema_drops_on_the_way_out(register, run_single, caplog) -> None:
    class Out(Emitter):
        messages = VALID + [bad for bad, _ in INVALID]

    tester = run_single(Collector, register("out", Out, api=data_api("out")))
    assert tester.received == VALID
    drops = tester.dropped_messages
    assert [drop.reason for drop in drops] == [reason for _, reason in INVALID]
    assert {(drop.name, drop.kind, drop.sender, drop.invalid_schema) for drop in drops} == {("d", "data", "out", True)}
    logged = [record.message for record in caplog.records if "invalid schema" in record.message]
    assert len(logged) == len(INVALID)
    assert all(reason in line for line, (_, reason) in zip(logged, INVALID, strict=True))


def test_contract_schema_drops_on_the_way_in(register, caplog) -> None:
    received: list[dict[str, Any]] = []

    class In(AsyncExtension):
        async def on_data(self, ten_env, data) -> None:
            if data.get_name() == "d":
                received.append(json.loads(data.get_property_to_json()[0]))
            else:
                await ten_env.send_data(data)

    class Tester(Collector):
        async def on_start(self, ten_env) -> None:
            for data in send_all(VALID + [bad for bad, _ in INVALID]):
                # The sender's side declares nothing, so even the awaited outcome of the send is good.
                assert await ten_env.send_data(data, SendOptions(wait_for_result=True)) is None

    tester = Tester()
    tester.set_test_mode_single(register("in", In, api=data_api("in")))
    assert tester.run() is None
    assert received == VALID
    assert [drop.reason for drop in tester.dropped_messages] == [reason for _, reason in INVALID]
    assert {drop.receiver for drop in tester.dropped_messages} == {"in"}
    assert sum("invalid schema" in record.message for record in caplog.records) == len(INVALID)


def test_enums_are_of_their_base_type(register, run_single) -> None:
    class Colour(str, Enum):
        RED = "red"

    class Out(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            data = Data.create("d")
            data.set_property_string("text", Colour.RED)
            data.set_property_int("small", StatusCode.ERROR)
            await ten_env.send_data(data)
            data = Data.create("d")
            data.set_property_string("start_ms", Colour.RED)
            await ten_env.send_data(data)
            await ten_env.send_data(Data.create("end"))

    tester = run_single(Collector, register("out", Out, api=data_api("out")))
    assert tester.received == [{"text": "red", "small": 1}]
    assert [drop.reason for drop in tester.dropped_messages] == ["start_ms must be int64, not string"]


def test_contract_fire_and_forget_sends_return_none(register, run_single) -> None:
    class Out(Emitter):
        messages = ({"start_ms": 1.5}, {"start_ms": 1})

    run_single(Collector, register("out", Out, api=data_api("out")))
    assert Out.outcomes == [None, None, None]


def test_contract_waiting_sends_return_the_outcome(register, run_single) -> None:
    class Out(Emitter):
        messages = ({"start_ms": 1.5}, {"start_ms": 1})
        options = SendOptions(wait_for_result=True)

    run_single(Collector, register("out", Out, api=data_api("out")))
    bad, good, end = Out.outcomes
    assert bad.error_code() == TenErrorCode.ErrorCodeGeneric and "invalid schema" in bad.error_message()
    assert good is None and end is None


def test_integers_are_widened_without_loss_only(register, run_single) -> None:
    """An int set as such passes for every integer type that holds it, and never for a float."""
    api = {
        "data_out": [
            {"name": "d", "property": {"properties": {"n": {"type": name}}}} if name == "int32" else {"name": name}
            for name in ("int32", "other")
        ]
    }

    class Out(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            for value in (5, 2**31 - 1, 2**31):
                data = Data.create("d")
                data.set_property_int("n", value)
                await ten_env.send_data(data)
            await ten_env.send_data(Data.create("end"))

    tester = run_single(Collector, register("out", Out, api=api))
    assert tester.received == [{"n": 5}, {"n": 2**31 - 1}]


def test_required_counts_inside_property_and_not_beside_the_name(register, run_single) -> None:
    api = {
        "data_out": [
            {"name": "inside", "property": {"properties": {"a": {"type": "string"}}, "required": ["a"]}},
            {"name": "beside", "property": {"properties": {"a": {"type": "string"}}}, "required": ["a"]},
        ]
    }

    class Out(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            for name in ("inside", "beside", "end"):
                await ten_env.send_data(Data.create(name))

    tester = run_single(Collector, register("out", Out, api=api))
    assert tester.received == [{}]
    assert [(drop.name, drop.reason) for drop in tester.dropped_messages] == [("inside", "a is required and missing")]


def test_an_invalid_incoming_command_is_answered_with_an_error(register, run_single) -> None:
    api = {"cmd_in": [{"name": "c", "property": {"properties": {"n": {"type": "int64"}}}}]}
    handled: list[str] = []

    class In(AsyncExtension):
        async def on_cmd(self, ten_env, cmd) -> None:
            handled.append(cmd.get_name())

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            cmd = Cmd.create("c")
            cmd.set_property_string("n", "1")
            result, error = await ten_env.send_cmd(cmd)
            assert error is None and result is not None
            assert result.get_status_code() == StatusCode.ERROR
            assert "n must be int64" in result.get_property_string("detail")[0]
            ten_env.stop_test()

    run_single(Tester, register("in", In, api=api))
    assert handled == []


RESULT = {"result": {"property": {"properties": {"code": {"type": "int64"}}}}}


def test_an_invalid_result_is_refused_at_its_sender(register, run_single) -> None:
    errors: list[str] = []

    class In(AsyncExtension):
        async def on_cmd(self, ten_env, cmd) -> None:
            bad = CmdResult.create(StatusCode.OK, cmd)
            bad.set_property_string("code", "0")
            error = await ten_env.return_result(bad, SendOptions(wait_for_result=True))
            errors.append(error.error_message())
            good = CmdResult.create(StatusCode.OK, cmd)
            good.set_property_int("code", 0)
            await ten_env.return_result(good)

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            result, _ = await ten_env.send_cmd(Cmd.create("c"))
            assert result.get_property_int("code") == (0, None)
            ten_env.stop_test()

    run_single(Tester, register("in", In, api={"cmd_in": [{"name": "c", **RESULT}]}))
    assert errors == ["invalid schema: code must be int64, not string"]


def test_an_invalid_incoming_result_arrives_as_an_error(register, run_single) -> None:
    statuses: list[StatusCode] = []

    class Out(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            result, _ = await ten_env.send_cmd(Cmd.create("c"))
            statuses.append(result.get_status_code())
            await ten_env.send_data(Data.create("end"))

    class Tester(Collector):
        async def on_cmd(self, ten_env, cmd) -> None:
            result = CmdResult.create(StatusCode.OK, cmd)
            result.set_property_string("code", "0")
            await ten_env.return_result(result)

    run_single(Tester, register("out", Out, api={"cmd_out": [{"name": "c", **RESULT}]}))
    assert statuses == [StatusCode.ERROR]


ASR_URI = "../../system/ten_ai_base/api/asr-interface.json"


def test_the_asr_interface_is_known_without_its_file(register, run_single) -> None:
    class Asr(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            for words in (None, []):
                data = Data.create("asr_result")
                data.set_property_from_json(None, json.dumps({"words": words}))
                await ten_env.send_data(data)
            await ten_env.send_data(Data.create("end"))

    tester = run_single(Collector, register("asr", Asr, api={"interface": [{"import_uri": ASR_URI}]}))
    assert tester.received == [{"words": []}]


def test_an_interface_file_on_disk_goes_before_the_embedded_one(register, run_single, tmp_path) -> None:
    folder = tmp_path / "system" / "ten_ai_base" / "api"
    folder.mkdir(parents=True)
    entry = {"name": "d", "property": {"properties": {"only_here": {"type": "string"}}}}
    (folder / "asr-interface.json").write_text(json.dumps({"data_out": [entry]}))

    class Out(Emitter):
        messages = ({"only_here": 1}, {"words": None})

    uri = str(folder / "asr-interface.json")
    tester = run_single(Collector, register("out", Out, api={"interface": [{"import_uri": uri}]}))
    assert tester.received == [{"words": None}]


@pytest.mark.parametrize(
    ("api", "words"),
    [
        ({"interface": [{"import_uri": "../nowhere.json"}]}, "nowhere.json"),
        ({"data_in": [{"name": "d", "property": {"properties": {"a": {"type": "array"}}}}]}, "items"),
        ({"data_in": [{"name": "d", "property": {"properties": {"a": {"type": "object"}}}}]}, "properties"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(register, api, words) -> None:
    tester = AsyncExtensionTester()
    tester.set_test_mode_single(register("broken", AsyncExtension, api=api))
    with pytest.raises(HostError, match=words):
        tester.run()


async def test_the_loop_of_this_test_is_left_alone() -> None:
    """Running a tester inside somebody's event loop must not disturb that loop."""
    tester = AsyncExtensionTester()
    tester.set_test_mode_single("missing_addon_for_this_test")
    with pytest.raises(HostError, match="missing_addon_for_this_test"):
        await asyncio.to_thread(tester.run)
    assert asyncio.get_running_loop().is_running()
