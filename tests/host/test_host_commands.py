"""Commands and their results."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ten_runtime import AsyncExtension, AsyncExtensionTester, Cmd, CmdResult, SendOptions, StatusCode, TenErrorCode

TESTER = {"type": "extension", "name": "ten:test_extension", "addon": "ten:test_extension"}


class Answering(AsyncExtension):
    """Answers OK with its name; node ``bad`` answers with an error."""

    async def on_cmd(self, ten_env, cmd) -> None:
        status = StatusCode.ERROR if self.name == "bad" else StatusCode.OK
        result = CmdResult.create(status, cmd)
        result.set_property_string("by", self.name)
        await ten_env.return_result(result)


def fan_out(addon: str, *nodes: str) -> str:
    entries = [TESTER, *({"type": "extension", "name": node, "addon": addon} for node in nodes)]
    cmd = {"name": "ask", "dest": [{"extension": node} for node in nodes]}
    return json.dumps({"nodes": entries, "connections": [{"extension": "ten:test_extension", "cmd": [cmd]}]})


def ask(graph: str, check: Any) -> None:
    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            await check(ten_env)
            ten_env.stop_test()

    tester = Tester()
    tester.set_test_mode_graph(graph)
    tester.set_timeout(60_000_000)
    assert tester.run() is None


def test_a_command_is_answered_with_its_final_result(register, run_single) -> None:
    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            result, error = await ten_env.send_cmd(Cmd.create("ask"))
            assert error is None and result is not None
            assert (result.get_status_code(), result.is_final(), result.is_completed()) == (StatusCode.OK, True, True)
            assert result.get_property_string("by") == ("answering", None)
            ten_env.stop_test()

    run_single(Tester, register("answering", Answering))


def test_of_several_receivers_the_last_ok_counts(register) -> None:
    async def check(ten_env: Any) -> None:
        result, _ = await ten_env.send_cmd(Cmd.create("ask"))
        assert result.get_property_string("by") == ("b", None)

    ask(fan_out(register("answering", Answering), "a", "b"), check)


def test_of_several_receivers_the_first_error_counts(register) -> None:
    async def check(ten_env: Any) -> None:
        result, _ = await ten_env.send_cmd(Cmd.create("ask"))
        assert result.get_status_code() == StatusCode.ERROR
        assert result.get_property_string("by") == ("bad", None)

    ask(fan_out(register("answering", Answering), "a", "bad", "b"), check)


def test_send_cmd_ex_yields_every_result_and_marks_the_last(register) -> None:
    async def check(ten_env: Any) -> None:
        results = [result async for result, _ in ten_env.send_cmd_ex(Cmd.create("ask"))]
        assert [result.get_property_string("by")[0] for result in results] == ["a", "bad", "b"]
        assert [result.is_completed() for result in results] == [False, False, True]

    ask(fan_out(register("answering", Answering), "a", "bad", "b"), check)


def test_results_that_are_not_final_reach_send_cmd_ex_only(register, run_single) -> None:
    class Streaming(AsyncExtension):
        async def on_cmd(self, ten_env, cmd) -> None:
            for number in range(3):
                result = CmdResult.create(StatusCode.OK, cmd)
                result.set_property_int("n", number)
                result.set_final(number == 2)
                await ten_env.return_result(result)

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            result, _ = await ten_env.send_cmd(Cmd.create("ask"))
            assert result.get_property_int("n") == (2, None)
            numbers = [result.get_property_int("n")[0] async for result, _ in ten_env.send_cmd_ex(Cmd.create("ask"))]
            assert numbers == [0, 1, 2]
            ten_env.stop_test()

    run_single(Tester, register("streaming", Streaming))


def test_an_unconnected_command_is_an_error_at_once(register) -> None:
    async def check(ten_env: Any) -> None:
        result, error = await ten_env.send_cmd(Cmd.create("unknown"))
        assert result is None and error.error_code() == TenErrorCode.ErrorCodeMsgNotConnected
        pairs = [pair async for pair in ten_env.send_cmd_ex(Cmd.create("unknown"))]
        assert len(pairs) == 1 and pairs[0][1].error_code() == TenErrorCode.ErrorCodeMsgNotConnected

    ask(fan_out(register("answering", Answering), "a"), check)


def test_a_second_final_result_is_refused(register, run_single) -> None:
    errors: list[Any] = []

    class Twice(AsyncExtension):
        async def on_cmd(self, ten_env, cmd) -> None:
            for _ in range(2):
                result = CmdResult.create(StatusCode.OK, cmd)
                errors.append(await ten_env.return_result(result, SendOptions(wait_for_result=True)))
            result = CmdResult.create(StatusCode.OK, Cmd.create("never_sent"))
            errors.append(await ten_env.return_result(result, SendOptions(wait_for_result=True)))
            ready.append(True)

    ready: list[bool] = []

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_cmd(Cmd.create("ask"))
            result, _ = await ten_env.send_cmd(Cmd.create("ask"))
            assert result.get_status_code() == StatusCode.OK
            ten_env.stop_test()

    run_single(Tester, register("twice", Twice))
    assert errors[0] is None
    assert "final result" in errors[1].error_message()
    assert "never delivered" in errors[2].error_message()


def test_a_receiver_that_ends_without_a_result_is_answered_for(register) -> None:
    statuses: list[Any] = []

    class Silent(AsyncExtension):
        async def on_cmd(self, ten_env, cmd) -> None:
            await ten_env.send_cmd(Cmd.create("heard"))

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            result, _ = await ten_env.send_cmd(Cmd.create("ask"))
            statuses.append((result.get_status_code(), result.get_property_string("detail")[0]))

        async def on_cmd(self, ten_env, cmd) -> None:
            ten_env.stop_test()

        async def on_stop(self, ten_env) -> None:
            while not statuses:
                await asyncio.sleep(0.001)

    tester = Tester()
    tester.set_test_mode_single(register("silent", Silent))
    assert tester.run() is None
    assert statuses == [(StatusCode.ERROR, "'silent' closed without a result")]


def test_a_conversion_may_change_the_result_on_its_way_back(register) -> None:
    rules = [{"path": "who", "conversion_mode": "from_original", "original_path": "by"}]
    conversion = {
        "type": "per_property",
        "keep_original": True,
        "rules": [],
        "result": {"type": "per_property", "rules": rules},
    }
    graph = json.loads(fan_out(register("answering", Answering), "a"))
    graph["connections"][0]["cmd"][0]["dest"][0]["msg_conversion"] = conversion

    async def check(ten_env: Any) -> None:
        result, _ = await ten_env.send_cmd(Cmd.create("ask"))
        assert result.get_property_to_json() == ('{"who":"a"}', None)

    ask(json.dumps(graph), check)
