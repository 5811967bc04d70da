"""The stand-in for ten_ai_base: what the base of speech-to-text extensions does, its known weaknesses included.

One file because it is one class, method by method. What holds in every generation; `make generations` runs it in each.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from ten_ai_base import AudioBufferManager, Dumper, ReconnectManager
from ten_ai_base._generation import GENERATION
from ten_ai_base.asr import ASRBufferConfigModeDiscard, ASRBufferConfigModeKeep, ASRResult, AsyncASRBaseExtension
from ten_ai_base.message import ModuleError, ModuleErrorCode, ModuleErrorVendorInfo
from ten_ai_base.struct import ASRWord
from ten_ai_base.timeline import AudioTimeline
from ten_ai_base.utils import encrypt
from ten_runtime import AsyncExtensionTester, AudioFrame, Cmd, Data, StatusCode
from ten_runtime._threads import shared_loop

API = {"interface": [{"import_uri": "../../system/ten_ai_base/api/asr-interface.json"}]}


def reported(metadata: dict[str, Any], **extra: Any) -> dict[str, Any]:
    """What the metadata of an error or a metric is, of a caller whose frames carry *metadata*."""
    return metadata if GENERATION == "0.7.41" else {**metadata, **extra, "vendor_metadata": {}}


class Recogniser(AsyncASRBaseExtension):
    """Connects when told to; every frame makes a result, every finalize its answer."""

    connected = True
    keep = 0

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.sent: list[tuple[bytes, str | None]] = []
        self.starts = 0

    def vendor(self) -> str:
        return "acme"

    async def start_connection(self) -> None:
        self.starts += 1
        self.now_connected = self.connected
        if self.connected and hasattr(self, "on_connected"):
            await self.on_connected()

    def is_connected(self) -> bool:
        return getattr(self, "now_connected", False)

    async def stop_connection(self) -> None:
        self.now_connected = False

    def input_audio_sample_rate(self) -> int:
        return 16000

    def buffer_strategy(self) -> Any:
        return ASRBufferConfigModeKeep(byte_limit=self.keep) if self.keep else ASRBufferConfigModeDiscard()

    async def send_audio(self, frame: AudioFrame, session_id: str | None) -> bool:
        self.sent.append((bytes(frame.get_buf()), session_id))
        self.audio_timeline.add_user_audio(10)
        await self.send_asr_result(self.result(False))
        return True

    async def finalize(self, session_id: str | None) -> None:
        await self.send_asr_result(self.result(True))
        await self.send_asr_finalize_end()

    def result(self, final: bool) -> ASRResult:
        word = ASRWord(word="hi", start_ms=0, duration_ms=10, stable=True)
        return ASRResult(
            text="hi",
            final=final,
            start_ms=0,
            duration_ms=10,
            language="en-US",
            words=[word],
            metadata={"asr_info": {"vendor": "acme"}},
        )


class Caller(AsyncExtensionTester):
    """Sends the frames given, then a finalize, and stops at its answer; keeps every output by name."""

    frames: tuple[bytes, ...] = (b"ab", b"cd")
    metadata: dict[str, Any] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[tuple[str, dict[str, Any]]] = []

    async def on_start(self, ten_env) -> None:
        for content in self.frames:
            await self.send_frame(ten_env, content)
        await self.finalize(ten_env)

    async def send_frame(self, ten_env: Any, content: bytes) -> None:
        frame = AudioFrame.create("pcm_frame")
        if content:
            frame.alloc_buf(len(content))
            view = frame.lock_buf()
            view[:] = content
            frame.unlock_buf(view)
        frame.set_property_from_json("metadata", json.dumps(self.metadata or {"session_id": "s1", "more": 1}))
        await ten_env.send_audio_frame(frame)

    async def finalize(self, ten_env: Any) -> None:
        data = Data.create("asr_finalize")
        data.set_property_from_json(None, '{"finalize_id": "f1", "metadata": {"session_id": "s1"}}')
        await ten_env.send_data(data)

    async def on_data(self, ten_env, data) -> None:
        self.outputs.append((data.get_name(), json.loads(data.get_property_to_json()[0])))
        if data.get_name() == "asr_finalize_end":
            ten_env.stop_test()

    def of(self, name: str) -> list[dict[str, Any]]:
        return [content for output, content in self.outputs if output == name]


class Rig:
    """One recogniser class registered; remembers the instance that ran."""

    def __init__(self, register: Any) -> None:
        self._register = register
        self.instance: Any = None

    def run(self, caller: Caller, recogniser: type[Recogniser], properties: dict[str, Any] | None = None) -> Caller:
        def make(name: str) -> Recogniser:
            self.instance = recogniser(name)
            return self.instance

        caller.set_test_mode_single(self._register("acme", make, api=API), json.dumps(properties or {}))
        caller.set_timeout(60_000_000)
        error = caller.run()
        assert error is None, str(error)
        return caller


@pytest.fixture
def rig(register) -> Rig:
    return Rig(register)


class Ordered(Caller):
    """Lets the recogniser see the frames before the finalize: the base queues frames, but not finalize."""

    async def on_start(self, ten_env) -> None:
        for content in self.frames:
            await self.send_frame(ten_env, content)

    async def on_data(self, ten_env, data) -> None:
        await super().on_data(ten_env, data)
        if data.get_name() == "asr_result" and len(self.of("asr_result")) == len(self.frames):
            await self.finalize(ten_env)


def test_frames_become_results_metrics_and_a_finalize_answer(rig) -> None:
    caller = rig.run(Ordered(), Recogniser)
    assert rig.instance.sent == [(b"ab", "s1"), (b"cd", "s1")]
    results = caller.of("asr_result")
    assert [result["final"] for result in results] == [False, False, True]
    assert len({result["id"] for result in results}) == 1, "partials and their final share one id"
    assert results[0]["metadata"] == {"asr_info": {"vendor": "acme"}, "session_id": "s1", "more": 1}
    assert results[0]["words"] == [{"word": "hi", "start_ms": 0, "duration_ms": 10, "stable": True}]
    metadata = {"session_id": "s1", "more": 1}
    assert caller.of("asr_finalize_end") == [{"finalize_id": "f1", "metadata": metadata}]
    metrics = [(metric["module"], metric["vendor"], *metric["metrics"]) for metric in caller.of("metrics")]
    assert metrics[:2] == [("asr", "acme", "ttfw"), ("asr", "acme", "ttlw")]
    assert caller.of("metrics")[0]["metadata"] == reported(metadata)
    assert not [drop for drop in caller.dropped_messages if drop.invalid_schema]


def test_the_next_turn_has_a_new_id(rig) -> None:
    class Twice(Recogniser):
        async def finalize(self, session_id) -> None:
            await self.send_asr_result(self.result(True))
            await super().finalize(session_id)

    results = rig.run(Ordered(), Twice).of("asr_result")
    assert [result["id"] == results[0]["id"] for result in results] == [True, True, True, False]


def test_nothing_of_it_goes_on_in_the_loop_when_its_graph_has_ended(rig) -> None:
    """Other graphs keep the loop, and asyncio complains of a task that is forgotten while it waits."""
    kept = shared_loop.acquire()
    try:
        rig.run(Ordered(), Recogniser)
        deadline = time.monotonic() + 5
        while left := asyncio.all_tasks(kept.loop):
            assert time.monotonic() < deadline, left
            time.sleep(0.01)
    finally:
        shared_loop.release()


def test_stopping_reports_what_was_sent(rig) -> None:
    reports: list[dict[str, Any]] = []

    class Reporting(Recogniser):
        async def on_stop(self, ten_env) -> None:
            await super().on_stop(ten_env)
            reports.append({"stopped": self.stopped, "last": self.last_reported_audio_duration})

    rig.run(Ordered(), Reporting)
    assert reports == [{"stopped": True, "last": 20}]


def test_discarded_frames_are_booked_as_milliseconds_and_leave_no_metadata(rig) -> None:
    class Offline(Recogniser):
        connected = False

    rig.run(Caller(), Offline)
    assert rig.instance.sent == [] and rig.instance.metadata is None
    assert rig.instance.audio_timeline.total_dropped_audio_duration == 4


def test_kept_frames_are_flushed_by_the_next_live_one_under_its_session(rig) -> None:
    class Late(Recogniser):
        connected = False
        keep = 4
        arrived = 0

        async def on_audio_frame(self, ten_env, audio_frame) -> None:
            await super().on_audio_frame(ten_env, audio_frame)
            self.arrived += 1

        async def finalize(self, session_id) -> None:
            if not self.now_connected:
                self.now_connected = True
                return
            await super().finalize(session_id)

    class ThreeThenOne(Caller):
        async def on_start(self, ten_env) -> None:
            for content in (b"xx", b"ab", b"cd"):
                await self.send_frame(ten_env, content)
            while rig.instance is None or rig.instance.arrived < 3:
                await asyncio.sleep(0.001)
            while rig.instance.audio_frames_queue.qsize():
                await asyncio.sleep(0.001)
            await self.finalize(ten_env)
            await self.send_frame(ten_env, b"ef")

        async def on_data(self, ten_env, data) -> None:
            await super().on_data(ten_env, data)
            if data.get_name() == "asr_result" and len(self.of("asr_result")) == 3:
                await self.finalize(ten_env)

    rig.run(ThreeThenOne(), Late)
    assert rig.instance.sent == [(b"ab", "s1"), (b"cd", "s1"), (b"ef", "s1")], "the oldest went, the limit being 4"


def test_a_frame_without_a_buffer_is_an_error_in_the_log_and_no_more(rig, caplog) -> None:
    class WithEmpty(Ordered):
        frames = (b"ab",)

        async def on_start(self, ten_env) -> None:
            await self.send_frame(ten_env, b"")
            await super().on_start(ten_env)

    rig.run(WithEmpty(), Recogniser)
    assert [content for content, _ in rig.instance.sent] == [b"ab"]
    assert any("Error consuming audio frame" in message for message in caplog.messages)


def test_an_exception_in_is_connected_counts_as_not_connected(rig) -> None:
    class Broken(Recogniser):
        def is_connected(self) -> bool:
            raise OSError("no idea")

    rig.run(Caller(), Broken)
    assert rig.instance.sent == []


def test_without_auto_connect_only_a_trigger_connects(rig) -> None:
    starts: list[int] = []

    class Manual(Recogniser):
        async def finalize(self, session_id) -> None:
            starts.append(self.starts)
            await super().finalize(session_id)

    class Triggering(Caller):
        async def on_start(self, ten_env) -> None:
            await self.finalize(ten_env)

        async def on_data(self, ten_env, data) -> None:
            self.outputs.append((data.get_name(), {}))
            if len(self.of("asr_finalize_end")) == 1 and len(starts) == 1 and data.get_name() == "asr_finalize_end":
                await ten_env.send_data(Data.create("trigger_connect"))
                await ten_env.send_data(Data.create("trigger_connect"))
                await self.finalize(ten_env)
            elif len(starts) == 2:
                ten_env.stop_test()

    rig.run(Triggering(), Manual, {"auto_connect": False})
    assert starts == [0, 1]


def test_a_finalize_without_id_is_not_finalized(rig, caplog) -> None:
    class Nameless(Ordered):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_data(Data.create("asr_finalize"))
            await super().on_start(ten_env)

    caller = rig.run(Nameless(), Recogniser)
    assert len(caller.of("asr_finalize_end")) == 1
    assert any("no finalize_id" in message for message in caplog.messages)


def test_an_unasked_finalize_answer_and_results_without_words_are_dropped(rig) -> None:
    class Careless(Recogniser):
        async def on_start(self, ten_env) -> None:
            await super().on_start(ten_env)
            await self.send_asr_finalize_end()
            result = self.result(False)
            result.words = None
            await self.send_asr_result(result)

    caller = rig.run(Ordered(), Careless)
    reasons = [drop.reason for drop in caller.dropped_messages if drop.invalid_schema]
    assert reasons == ["finalize_id must be string, not null", "words must be array, not null"]


def test_errors_carry_the_vendors_words_and_the_sessions_metadata(rig) -> None:
    class Failing(Recogniser):
        async def finalize(self, session_id) -> None:
            info = ModuleErrorVendorInfo(vendor="acme", code="42", message="full")
            code = ModuleErrorCode.NON_FATAL_ERROR.value
            await self.send_asr_error(ModuleError(code=code, message="m", metadata={"lost": 1}), info)
            await self.send_asr_error(ModuleError(code=ModuleErrorCode.FATAL_ERROR.value, message="n"))
            await super().finalize(session_id)

    first, second = rig.run(Ordered(), Failing).of("error")
    assert first.pop("id") == second.pop("id")
    metadata = {"session_id": "s1", "more": 1}
    vendor_info = {"vendor": "acme", "code": "42", "message": "full"}
    assert first == {
        "module": "asr",
        "code": 1000,
        "message": "m",
        "vendor_info": vendor_info,
        "metadata": reported(metadata, lost=1),
    }
    assert second.pop("metadata") == reported(metadata)
    assert second == {"module": "asr", "code": -1000, "message": "n", "vendor_info": {}}


def test_the_base_logs_results_with_their_text_as_key_points(rig, caplog) -> None:
    """Why the extension must not send its results through the base when transcripts are to stay out of logs."""
    with caplog.at_level(logging.INFO, logger="ten"):
        rig.run(Ordered(), Recogniser)
    lines = [record for record in caplog.records if record.message.startswith("send_asr_result: ")]
    assert lines and "'text': 'hi'" in lines[0].message and lines[0].category == "key_point"


def test_every_command_is_acknowledged(rig) -> None:
    class Commanding(Caller):
        async def on_start(self, ten_env) -> None:
            cmd = Cmd.create("update_configs")
            cmd.set_property_from_json(None, '{"params": {"language": "de"}}')
            result, error = await ten_env.send_cmd(cmd)
            assert error is None and result.get_status_code() == StatusCode.OK
            bad = Cmd.create("update_configs")
            bad.set_property_from_json(None, '{"params": "de"}')
            result, _ = await ten_env.send_cmd(bad)
            assert result.get_status_code() == StatusCode.ERROR
            assert "params must be object" in result.get_property_string("detail")[0]
            ten_env.stop_test()

    rig.run(Commanding(), Recogniser)


def test_periodic_metrics_go_on_while_it_runs(rig) -> None:
    class Often(Recogniser):
        def audio_actual_send_metrics_interval(self) -> int:
            return 0

    class Waiting(Caller):
        async def on_start(self, ten_env) -> None:
            await self.send_frame(ten_env, b"ab")

        async def on_data(self, ten_env, data) -> None:
            await super().on_data(ten_env, data)
            if data.get_name() == "metrics" and "actual_send" in self.of("metrics")[-1]["metrics"]:
                ten_env.stop_test()

    caller = rig.run(Waiting(), Often)
    reports = [metric["metrics"] for metric in caller.of("metrics") if "actual_send" in metric["metrics"]]
    assert reports[0] == {"actual_send": 10, "actual_send_delta": 10}


def test_timeline_maps_vendor_time_to_callers_time() -> None:
    timeline = AudioTimeline()
    timeline.add_dropped_audio(3000)
    timeline.add_user_audio(400)
    timeline.add_user_audio(600)
    timeline.add_silence_audio(500)
    timeline.add_user_audio(2000)
    timeline.add_user_audio(-5)
    mapped = [timeline.get_audio_duration_before_time(time) for time in (0, 500, 1000, 1500, 2000)]
    assert mapped == [3000, 3500, 4000, 4000, 4500]
    assert timeline.get_total_user_audio_duration() == 6000
    timeline.reset()
    assert timeline.get_total_user_audio_duration() == 0


def test_timeline_does_not_count_drops_after_the_point_and_reports_times_outside() -> None:
    errors: list[str] = []
    timeline = AudioTimeline(errors.append)
    timeline.add_user_audio(100)
    timeline.add_dropped_audio(50)
    timeline.add_user_audio(100)
    assert timeline.get_audio_duration_before_time(100) == 100
    assert timeline.get_audio_duration_before_time(101) == 151
    assert errors == []
    assert timeline.get_audio_duration_before_time(-1) == 0
    assert timeline.get_audio_duration_before_time(201) == 250
    assert len(errors) == 2


async def test_dumper_writes_what_it_is_given(tmp_path) -> None:
    dumper = Dumper(str(tmp_path / "deep" / "dump.pcm"))
    with pytest.raises(RuntimeError, match="not started"):
        await dumper.push_bytes(b"x")
    await dumper.start()
    await dumper.start()
    await dumper.push_bytes(b"ab")
    await dumper.push_bytes(b"cd")
    await dumper.stop()
    await dumper.stop()
    assert (tmp_path / "deep" / "dump.pcm").read_bytes() == b"abcd"
    with pytest.raises(FileNotFoundError):
        await Dumper("bare_name.pcm").start()


async def test_reconnect_manager_tries_once_and_reports_a_fatal_error(monkeypatch) -> None:
    delays: list[float] = []
    errors: list[ModuleError] = []

    async def sleep(delay: float) -> None:
        delays.append(delay)

    async def connect() -> None:
        raise OSError("refused")

    async def report(error: ModuleError) -> None:
        errors.append(error)

    async def works() -> None:
        manager.mark_connection_successful()

    monkeypatch.setattr(asyncio, "sleep", sleep)
    manager = ReconnectManager()
    results = [await manager.handle_reconnect(connect, report) for _ in range(5)]
    assert results == [False] * 5 and delays == [0.5, 1.0, 2.0, 4.0, 4.0]
    assert {error.code for error in errors} == {-1000} and "refused" in errors[0].message
    assert await manager.handle_reconnect(works)
    assert not await manager.handle_reconnect(connect)
    assert delays[-1] == 0.5


async def test_audio_buffer_manager_hands_out_whole_chunks_and_the_rest_at_the_end() -> None:
    manager = AudioBufferManager(threshold=4, max_buffer_size=8)
    await manager.push_audio(b"abc")
    waiting = asyncio.create_task(manager.pull_chunk())
    await manager.push_audio(b"defg")
    assert await waiting == b"abcd"
    assert manager.get_buffer_info()["size"] == 3
    with pytest.raises(ValueError, match="full"):
        await manager.push_audio(b"too much")
    waiting = asyncio.create_task(manager.pull_chunk())
    await asyncio.sleep(0)
    manager.close()
    assert (await waiting, await manager.pull_chunk()) == (b"efg", b"")


@pytest.mark.parametrize(
    ("key", "masked"),
    [("sk-1234567890123456789012345", "sk-12...12345"), ("0123456789", "01...89"), ("abcd", "abcd")],
)
def test_encrypt_shows_the_ends_and_in_newer_generations_a_fingerprint(key, masked) -> None:
    shown, _, fingerprint = encrypt(key).partition("#")
    assert shown == masked and len(fingerprint) == (0 if GENERATION == "0.7.41" else 8)


def test_error_codes_are_strings_that_become_integers() -> None:
    assert ModuleErrorCode.FATAL_ERROR.value == "-1000"
    assert ModuleError(code=ModuleErrorCode.FATAL_ERROR.value).code == -1000
