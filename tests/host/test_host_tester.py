"""Testers: their thread, their end, their timeout, and tests written as TEN's own are."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from ten_runtime import (
    AsyncExtension,
    AsyncExtensionTester,
    AudioFrame,
    Data,
    ExtensionTester,
    SendOptions,
    TenError,
    TenErrorCode,
)


class Echo(AsyncExtension):
    async def on_data(self, ten_env, data) -> None:
        await ten_env.send_data(data)

    async def on_audio_frame(self, ten_env, audio_frame) -> None:
        data = Data.create("heard")
        data.set_property_int("bytes", len(audio_frame.get_buf()))
        data.set_property_from_json("metadata", audio_frame.get_property_to_json("metadata")[0])
        await ten_env.send_data(data)


def test_contract_hooks_of_a_tester_are_concurrent_and_on_a_loop_of_its_own(register, run_single) -> None:
    events: list[str] = []

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            self.echoed = asyncio.Event()
            await ten_env.send_data(Data.create("ping"))
            events.append("start waits")
            await self.echoed.wait()
            events.append("start goes on")
            ten_env.stop_test()

        async def on_data(self, ten_env, data) -> None:
            events.append(f"{data.get_name()} back")
            self.echoed.set()

    run_single(Tester, register("echo", Echo))
    assert events == ["start waits", "ping back", "start goes on"]


def test_contract_stopping_does_not_wait_for_the_testers_start(register, run_single) -> None:
    hooks: list[str] = []

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_data(Data.create("ping"))
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                hooks.append("start cancelled")
                raise

        async def on_data(self, ten_env, data) -> None:
            ten_env.stop_test()
            ten_env.stop_test()

        async def on_stop(self, ten_env) -> None:
            hooks.append("stop")

        async def on_deinit(self, ten_env) -> None:
            hooks.append("deinit")

    run_single(Tester, register("echo", Echo))
    assert hooks == ["stop", "deinit", "start cancelled"]


def stopping(first: TenError | None, second: TenError | None, in_stop: TenError | None) -> AsyncExtensionTester:
    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            ten_env.stop_test(first)
            ten_env.stop_test(second)

        async def on_stop(self, ten_env) -> None:
            ten_env.stop_test(in_stop)

    return Tester()


ONE, TWO = TenError.create(TenErrorCode.ErrorCodeGeneric, "one"), TenError.create(TenErrorCode.ErrorCodeGeneric, "two")


@pytest.mark.parametrize(
    ("errors", "result"),
    [
        ((None, None, None), None),
        ((ONE, TWO, None), ONE),
        ((ONE, None, TWO), ONE),
        ((None, TWO, None), TWO),
        ((None, None, TWO), TWO),
    ],
)
def test_contract_the_first_failure_given_to_stop_test_is_the_result(register, errors, result) -> None:
    tester = stopping(*errors)
    tester.set_test_mode_single(register("echo", Echo))
    assert tester.run() is result


def test_contract_the_timeout_stops_the_test_with_its_own_code(register) -> None:
    hooks: list[str] = []

    class Waiting(AsyncExtension):
        async def on_stop(self, ten_env) -> None:
            hooks.append("extension stopped")

    tester = AsyncExtensionTester()
    tester.set_test_mode_single(register("waiting", Waiting))
    tester.set_timeout(50_000)
    error = tester.run()
    assert error is not None and error.error_code() == TenErrorCode.ErrorCodeTimeout
    assert error.error_message() == "Test timeout."
    assert hooks == ["extension stopped"]


def test_stop_test_may_be_called_from_any_thread(register, run_single) -> None:
    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            threading.Thread(target=ten_env.stop_test).start()

    run_single(Tester, register("echo", Echo))


def test_a_failed_assertion_in_a_testers_hook_is_the_tests_own_failure(register) -> None:
    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            assert 1 == 2, "the tester's own words"

    tester = Tester()
    tester.set_test_mode_single(register("echo", Echo))
    with pytest.raises(AssertionError, match="the tester's own words"):
        tester.run()


def test_pytests_own_outcomes_pass_through(register) -> None:
    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            pytest.fail("said by pytest")

    tester = Tester()
    tester.set_test_mode_single(register("echo", Echo))
    with pytest.raises(pytest.fail.Exception, match="said by pytest"):
        tester.run()


def test_a_tester_runs_again_with_a_new_app(register) -> None:
    runs: list[int] = []

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            runs.append(1)
            ten_env.stop_test(ONE if len(runs) == 1 else None)

    tester = Tester()
    tester.set_test_mode_single(register("echo", Echo))
    assert tester.run() is ONE
    assert tester.run() is None


def test_properties_must_be_a_json_object() -> None:
    for text in ("{", "[]"):
        with pytest.raises(ValueError):
            AsyncExtensionTester().set_test_mode_single("echo", text)


def test_a_run_needs_a_mode() -> None:
    with pytest.raises(RuntimeError, match="set_test_mode_single"):
        AsyncExtensionTester().run()


def test_the_synchronous_tester_is_a_twin(register) -> None:
    received: list[str] = []

    class Tester(ExtensionTester):
        def on_start(self, ten_env_tester) -> None:
            ten_env_tester.log_info("sending")
            ten_env_tester.send_data(Data.create("ping"))
            ten_env_tester.on_start_done()

        def on_data(self, ten_env_tester, data) -> None:
            received.append(data.get_name())
            ten_env_tester.stop_test()

    tester = Tester()
    tester.set_test_mode_single(register("echo", Echo))
    assert tester.run() is None
    assert received == ["ping"]


def test_contract_a_test_in_tens_own_style_with_the_fake_app(fake_app, register) -> None:
    """The session's FakeApp is up; frames are filled through lock_buf, results read as TEN's tests read them."""
    assert fake_app.initialised.is_set()

    class StyleTester(AsyncExtensionTester):
        def __init__(self) -> None:
            super().__init__()
            self.sender_task: asyncio.Task[None] | None = None
            self.bytes = 0

        async def audio_sender(self, ten_env) -> None:
            for chunk in (b"\1\0" * 160, b"\2\0" * 160, b"\3\0" * 5):
                frame = AudioFrame.create("pcm_frame")
                frame.set_property_from_json("metadata", json.dumps({"session_id": "123"}))
                frame.alloc_buf(len(chunk))
                buf = frame.lock_buf()
                buf[:] = chunk
                frame.unlock_buf(buf)
                await ten_env.send_audio_frame(frame)

        async def on_start(self, ten_env) -> None:
            self.sender_task = asyncio.create_task(self.audio_sender(ten_env))

        def stop_test_if_checking_failed(self, ten_env, success: bool, message: str) -> None:
            if not success:
                ten_env.stop_test(TenError.create(error_code=TenErrorCode.ErrorCodeGeneric, error_message=message))

        async def on_data(self, ten_env, data) -> None:
            text, _ = data.get_property_to_json(None)
            content: dict[str, Any] = json.loads(text)
            self.stop_test_if_checking_failed(ten_env, content["metadata"]["session_id"] == "123", f"wrong: {text}")
            self.bytes += content["bytes"]
            if self.bytes == 650:
                ten_env.stop_test()

        async def on_stop(self, ten_env) -> None:
            if self.sender_task is not None:
                self.sender_task.cancel()

    tester = StyleTester()
    tester.set_test_mode_single(register("echo", Echo), json.dumps({"params": {}}))
    error = tester.run()
    assert error is None, f"{error.error_message() if error else None}"


def test_sending_after_the_end_is_an_error_and_not_an_exception(register, run_single) -> None:
    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            type(self).env = ten_env
            ten_env.stop_test()

    run_single(Tester, register("echo", Echo))
    error = asyncio.run(Tester.env.send_data(Data.create("late"), SendOptions(wait_for_result=True)))
    assert error is not None and error.error_code() == TenErrorCode.ErrorCodeTenIsClosed
