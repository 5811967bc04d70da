"""Who gets a message: connections of the graph, in both spellings, with conversions, clones and explicit addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ten_runtime import AsyncExtension, AsyncExtensionTester, AudioFrame, Data, Loc, SendOptions, TenErrorCode

TESTER = {"type": "extension", "name": "ten:test_extension", "addon": "ten:test_extension"}


def graph(nodes: dict[str, str], connections: list[dict[str, Any]]) -> str:
    entries = [{"type": "extension", "name": name, "addon": addon} for name, addon in nodes.items()]
    return json.dumps({"nodes": [TESTER, *entries], "connections": connections})


class Forwarder(AsyncExtension):
    """Sends on what it gets under the name ``from_<node>``."""

    async def on_data(self, ten_env, data) -> None:
        out = Data.create(f"from_{self.name}")
        content = {"name": data.get_name(), "properties": json.loads(data.get_property_to_json()[0])}
        out.set_property_from_json(None, json.dumps(content))
        await ten_env.send_data(out)


class Sender(AsyncExtensionTester):
    """Sends ``to_send`` and stops once *expected* messages came back."""

    to_send: tuple[tuple[str, dict[str, Any]], ...] = (("ping", {}),)
    expected = 1

    def __init__(self) -> None:
        super().__init__()
        self.received: list[tuple[str, dict[str, Any]]] = []

    async def on_start(self, ten_env) -> None:
        for name, properties in self.to_send:
            data = Data.create(name)
            data.set_property_from_json(None, json.dumps(properties))
            await ten_env.send_data(data)

    async def on_data(self, ten_env, data) -> None:
        self.received.append((data.get_name(), json.loads(data.get_property_to_json()[0])))
        if len(self.received) == self.expected:
            ten_env.stop_test()


def run(tester: Sender, text: str) -> Sender:
    tester.set_test_mode_graph(text)
    tester.set_timeout(60_000_000)
    assert tester.run() is None
    return tester


BACK = {"extension": "a", "data": [{"name": "from_a", "dest": [{"extension": "ten:test_extension"}]}]}


def test_contract_dest_connections(register) -> None:
    there = {"extension": "ten:test_extension", "data": [{"name": "ping", "dest": [{"extension": "a"}]}]}
    tester = run(Sender(), graph({"a": register("fwd", Forwarder)}, [there, BACK]))
    assert tester.received == [("from_a", {"name": "ping", "properties": {}})]
    assert tester.dropped_messages == []


def test_contract_source_connections_and_names_lists(register) -> None:
    class Three(Sender):
        to_send = (("ping", {}), ("pong", {}), ("other", {}))
        expected = 2

    connections = [
        {"extension": "a", "data": [{"names": ["ping", "pong"], "source": [{"extension": "ten:test_extension"}]}]},
        {"extension": "ten:test_extension", "data": [{"name": "from_a", "source": [{"extension": "a"}]}]},
    ]
    tester = run(Three(), graph({"a": register("fwd", Forwarder)}, connections))
    assert [content["name"] for _, content in tester.received] == ["ping", "pong"]
    assert [(drop.name, drop.cause) for drop in tester.dropped_messages] == [("other", "not connected")]


def test_contract_several_receivers_get_clones_of_their_own(register) -> None:
    buffers: dict[str, Any] = {}

    class Scribbler(AsyncExtension):
        async def on_audio_frame(self, ten_env, audio_frame) -> None:
            before = (bytes(audio_frame.get_buf()), audio_frame.get_property_string("a")[0])
            view = audio_frame.lock_buf()
            view[:] = self.name.encode() * len(view)
            audio_frame.unlock_buf(view)
            audio_frame.set_property_string("a", self.name)
            buffers[self.name] = (before, bytes(audio_frame.get_buf()))
            done = Data.create("done")
            await ten_env.send_data(done)

    class Tester(Sender):
        expected = 3

        async def on_start(self, ten_env) -> None:
            frame = AudioFrame.create("pcm_frame")
            frame.alloc_buf(2)
            frame.set_property_string("a", "original")
            await ten_env.send_audio_frame(frame)

    name = register("scribbler", Scribbler)
    receivers = [{"extension": node} for node in "xyz"]
    connections = [
        {"extension": "ten:test_extension", "audio_frame": [{"name": "pcm_frame", "dest": receivers}]},
        {"extension": "ten:test_extension", "data": [{"name": "done", "source": receivers}]},
    ]
    run(Tester(), graph(dict.fromkeys("xyz", name), connections))
    assert buffers == {node: ((b"\0\0", "original"), node.encode() * 2) for node in "xyz"}


@pytest.mark.parametrize(
    ("conversion", "result"),
    [
        (
            {"rules": [{"path": "new.path", "conversion_mode": "from_original", "original_path": "old[1].x"}]},
            ("ping", {"new": {"path": 5}}),
        ),
        (
            {"keep_original": True, "rules": [{"path": "fixed", "conversion_mode": "fixed_value", "value": [1]}]},
            ("ping", {"old": [0, {"x": 5}], "fixed": [1]}),
        ),
        (
            {"rules": [{"path": "ten.name", "conversion_mode": "fixed_value", "value": "renamed"}]},
            ("renamed", {}),
        ),
        (
            {"rules": [{"path": "was", "conversion_mode": "from_original", "original_path": "ten.name"}]},
            ("ping", {"was": "ping"}),
        ),
        (
            {"rules": [{"path": "a", "conversion_mode": "from_original", "original_path": "not.there"}]},
            ("ping", {}),
        ),
    ],
)
def test_contract_msg_conversion(register, conversion, result) -> None:
    class Tester(Sender):
        to_send = (("ping", {"old": [0, {"x": 5}]}),)

    dest = {"extension": "a", "msg_conversion": {"type": "per_property", **conversion}}
    connections = [{"extension": "ten:test_extension", "data": [{"name": "ping", "dest": [dest]}]}, BACK]
    tester = run(Tester(), graph({"a": register("fwd", Forwarder)}, connections))
    name, properties = result
    assert tester.received == [("from_a", {"name": name, "properties": properties})]


def test_the_receivers_schema_is_applied_after_the_conversion(register) -> None:
    api = {"data_in": [{"name": "ping", "property": {"properties": {"n": {"type": "int64"}}}}]}
    rule = {"path": "n", "conversion_mode": "from_original", "original_path": "counted"}
    dest = {"extension": "a", "msg_conversion": {"type": "per_property", "rules": [rule]}}

    class Tester(Sender):
        to_send = (("ping", {"n": "no", "counted": 1}), ("ping", {"n": 1, "counted": "no"}), ("ping", {"counted": 2}))
        expected = 2

    connections = [{"extension": "ten:test_extension", "data": [{"name": "ping", "dest": [dest]}]}, BACK]
    tester = run(Tester(), graph({"a": register("fwd", Forwarder, api=api)}, connections))
    assert [content["properties"] for _, content in tester.received] == [{"n": 1}, {"n": 2}]
    assert [drop.reason for drop in tester.dropped_messages] == ["n must be int64, not string"]


def test_an_unconnected_message_is_an_error_only_for_those_who_wait(register, caplog) -> None:
    class Tester(Sender):
        async def on_start(self, ten_env) -> None:
            assert await ten_env.send_data(Data.create("nowhere")) is None
            error = await ten_env.send_data(Data.create("nowhere"), SendOptions(wait_for_result=True))
            assert error is not None and error.error_code() == TenErrorCode.ErrorCodeMsgNotConnected
            ten_env.stop_test()

    tester = run(Tester(), graph({"a": register("fwd", Forwarder)}, []))
    assert [drop.cause for drop in tester.dropped_messages] == ["not connected"] * 2
    warnings = [r for r in caplog.records if "not connected" in r.message and r.levelname == "WARNING"]
    assert len(warnings) == 1


def test_an_explicit_destination_goes_before_the_graph(register) -> None:
    class Tester(Sender):
        async def on_start(self, ten_env) -> None:
            data = Data.create("ping")
            data.set_dests([Loc("", None, "b")])
            await ten_env.send_data(data)
            lost = Data.create("ping")
            lost.set_dests([Loc("", None, "nobody")])
            error = await ten_env.send_data(lost, SendOptions(wait_for_result=True))
            assert error is not None and "nobody" in error.error_message()

    name = register("fwd", Forwarder)
    connections = [
        {"extension": "ten:test_extension", "data": [{"name": "ping", "dest": [{"extension": "a"}]}]},
        {"extension": "ten:test_extension", "data": [{"name": "from_b", "source": [{"extension": "b"}]}]},
        BACK,
    ]
    tester = run(Tester(), graph({"a": name, "b": name}, connections))
    assert [name for name, _ in tester.received] == ["from_b"]


def test_receivers_see_who_sent_a_message(register) -> None:
    sources: list[str | None] = []

    class Source(AsyncExtension):
        async def on_data(self, ten_env, data) -> None:
            sources.append(data.get_source().extension_name)
            await ten_env.send_data(Data.create("from_a"))

    there = {"extension": "ten:test_extension", "data": [{"name": "ping", "dest": [{"extension": "a"}]}]}
    run(Sender(), graph({"a": register("source", Source)}, [there, BACK]))
    assert sources == ["ten:test_extension"]


@pytest.mark.parametrize(
    ("nodes", "connections", "words"),
    [
        ([{"type": "subgraph", "name": "s", "graph": {}}], [], "only 'extension'"),
        ([{"type": "extension", "name": "a"}], [], "needs a addon"),
        ([TESTER, TESTER], [], "two nodes of one name"),
        ([], [{"extension": "ghost", "data": []}], "ghost"),
        ([], [{"extension": "ten:test_extension", "data": [{"name": "d", "dest": [{"extension": "x"}]}]}], "'x'"),
        ([], [{"extension": "ten:test_extension", "data": [{"name": "d"}]}], "exactly one of dest and source"),
        ([], [{"extension": "ten:test_extension", "data": [{"dest": []}]}], "name or names"),
    ],
)
def test_a_malformed_graph_is_refused_with_the_reason(nodes, connections, words) -> None:
    with pytest.raises(ValueError, match=words):
        AsyncExtensionTester().set_test_mode_graph(json.dumps({"nodes": [TESTER, *nodes], "connections": connections}))


def test_a_test_graph_needs_the_testers_node() -> None:
    with pytest.raises(ValueError, match="ten:test_extension"):
        AsyncExtensionTester().set_test_mode_graph('{"nodes": []}')
