"""The extension in TEN's tester: a scenario talks to it, and everything it says is kept and held to its promises.

    async def scenario(call: Call) -> None:
        await call.send(pcm)
        await call.finalize("f1")
        await call.answer("f1")

    call = run_call(node(server.url), scenario)
    assert [final["text"] for final in call.finals] == ["b17"]

Whatever a test is about, `run_call` also checks what must always hold: nothing was dropped for its types, no hook
failed, results are complete, an id shows partials and then one final, finals are in order, answers are one a request.
A little longer than other files: the call, and what is checked of each.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ten_runtime import AsyncExtensionTester, AsyncTenEnvTester, AudioFrame, Cmd, Data

ADDON = "openai_asr_python"
COMMITTING = "gpt-4o-transcribe"
"Transcribes after the commit, so audio may go as fast as it likes."
STREAMING = "gpt-live-transcribe"
"Sends text before the commit; its commits are paced by the audio's clock."
SESSION = "call-1"
_UNHURRIED = {
    "finalize_timeout_ms": 15_000, "order_hold_ms": 15_000, "commit_timeout_ms": 15_000, "item_timeout_ms": 15_000,
    "ping_timeout_ms": 15_000, "connect_timeout_ms": 30_000,
}  # fmt: skip
PATIENCE_S = 40.0
"How long anything may take on a loaded machine."

T = TypeVar("T")
Json = dict[str, Any]
Scenario = Callable[["Call"], Awaitable[None]]


def node(url: str, *, model: str = COMMITTING, turns: str = "none", top: Json | None = None, **params: Any) -> Json:
    """A node's property: this server, this model, who ends turns, and anything else in `params` or at the *top*.

    Deadlines are far away unless a test is about them: a busy machine must not run into one.
    """
    own: Json = {"api_key": "sk-test", "base_url": url, "turn_detection": {"type": turns}, **_UNHURRIED}
    own["input_audio_transcription"] = {"model": model, "language": "en"}
    return {"params": {**own, **params}, **(top or {})}


@dataclass(frozen=True)
class Message:
    """One data message of the extension, and when it came (monotonic seconds)."""

    name: str
    payload: Json
    at: float


async def poll(what: str, ready: Callable[[], T], timeout_s: float = PATIENCE_S) -> T:
    """Wait until *ready*, which may look at another thread's things, gives something true; return that."""
    deadline = time.monotonic() + timeout_s
    while not (value := ready()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        await asyncio.sleep(0.005)
    return value


class Call:
    """What a scenario has in its hands, and afterwards the record of the call."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.logs: list[logging.LogRecord] = []
        self.requested: list[str] = []
        self.frames = 0
        self.stopped_after_s = 0.0
        "From the request to stop to the last message of the extension's `on_stop`."
        self.stop_began = 0.0
        self.env: AsyncTenEnvTester | None = None
        self._news = asyncio.Condition()

    # To the extension

    async def send(
        self,
        pcm: bytes,
        *,
        metadata: Json | None = None,
        frame_bytes: int = 640,
        rate: int = 0,
        channels: int = 0,
        width: int = 0,
    ) -> None:
        """Send *pcm* as frames of *frame_bytes*, as fast as they go. Zero fields say nothing, as in most apps."""
        described = json.dumps({"session_id": SESSION} if metadata is None else metadata)
        for at in range(0, len(pcm), frame_bytes):
            frame = make_frame(pcm[at : at + frame_bytes], described)
            frame.set_sample_rate(rate)
            frame.set_number_of_channels(channels)
            frame.set_bytes_per_sample(width)
            await self.send_frame(frame)

    async def send_frame(self, frame: AudioFrame) -> None:
        """Send one frame as it is."""
        assert self.env is not None
        self.frames += 1
        await self.env.send_audio_frame(frame)

    async def finalize(self, finalize_id: str, session: str = SESSION) -> None:
        """Ask for the rest of the text."""
        self.requested.append(finalize_id)
        await self.send_data("asr_finalize", {"finalize_id": finalize_id, "metadata": {"session_id": session}})

    async def send_data(self, name: str, payload: Json | None = None) -> None:
        """Send any data message."""
        assert self.env is not None
        data = Data.create(name)
        if payload is not None:
            data.set_property_from_json(None, json.dumps(payload))
        await self.env.send_data(data)

    async def update_configs(self, payload: Json | str) -> tuple[int, int, str]:
        """Send the command; its status (0: OK), and `code` and `message` of its result."""
        assert self.env is not None
        cmd = Cmd.create("update_configs")
        cmd.set_property_from_json(None, payload if isinstance(payload, str) else json.dumps(payload))
        result, error = await asyncio.wait_for(self.env.send_cmd(cmd), PATIENCE_S)
        assert result is not None, error
        (code, no_code), (message, no_message) = result.get_property_int("code"), result.get_property_string("message")
        assert no_code is None and no_message is None, "the interface has both"
        return int(result.get_status_code()), code, message

    # From the extension

    async def take(self, data: Data) -> None:
        text, _ = data.get_property_to_json(None)
        async with self._news:
            self.messages.append(Message(data.get_name(), json.loads(text or "{}"), time.monotonic()))
            self._news.notify_all()

    async def until(self, what: str, ready: Callable[[], T], timeout_s: float = PATIENCE_S) -> T:
        """Wait until *ready* gives something true, asked after each message; return that."""

        async def wait() -> T:
            async with self._news:
                while not (value := ready()):
                    await self._news.wait()
                return value

        try:
            return await asyncio.wait_for(wait(), timeout_s)
        except asyncio.TimeoutError:
            raise AssertionError(f"waited {timeout_s:g} s for {what}; so far: {self.story()}") from None

    async def answer(self, finalize_id: str) -> Json:
        """Wait for the answer to a finalize."""
        return await self.until(
            f"the answer to {finalize_id}",
            lambda: next((a for a in self.answers if a["finalize_id"] == finalize_id), None) or {},
        )

    async def connected(self) -> None:
        """Wait until a session is configured for the first time; the extension's metrics tell."""
        await self.until("a connection", lambda: self.metric("connect_delay"))

    async def error(self, text: str) -> Json:
        """Wait for an error whose message or vendor code contains *text*."""
        return await self.until(
            f"an error about {text!r}",
            lambda: next((e for e in self.errors if text in e["message"] or text in str(e["vendor_info"])), None) or {},
        )

    def payloads(self, name: str) -> list[Json]:
        """Payloads of the messages called *name*, in order."""
        return [message.payload for message in self.messages if message.name == name]

    @property
    def results(self) -> list[Json]:
        return self.payloads("asr_result")

    @property
    def finals(self) -> list[Json]:
        return [result for result in self.results if result["final"]]

    @property
    def partials(self) -> list[Json]:
        return [result for result in self.results if not result["final"]]

    @property
    def texts(self) -> list[str]:
        return [final["text"] for final in self.finals]

    @property
    def answers(self) -> list[Json]:
        return self.payloads("asr_finalize_end")

    @property
    def errors(self) -> list[Json]:
        return self.payloads("error")

    @property
    def metrics(self) -> list[Json]:
        return self.payloads("metrics")

    def metric(self, key: str) -> list[Any]:
        """Values of one key in all metrics messages."""
        return [m["metrics"][key] for m in self.metrics if key in m["metrics"]]

    def order(self, *names: str) -> list[str]:
        """Names of the messages in order; only those given, if any are."""
        return [message.name for message in self.messages if not names or message.name in names]

    def log_text(self) -> str:
        """Everything logged by anybody, one line a record."""
        return "\n".join(describe_record(record) for record in self.logs)

    def story(self) -> str:
        """What was said so far, for the message of a failed assertion."""
        lines = [f"{message.name} {json.dumps(message.payload)[:300]}" for message in self.messages]
        return "\n  ".join(["", *lines]) or "nothing"


def make_frame(data: bytes, metadata_json: str | None = None) -> AudioFrame:
    """A `pcm_frame` with *data* in it; no buffer at all for none."""
    frame = AudioFrame.create("pcm_frame")
    if metadata_json is not None:
        frame.set_property_from_json("metadata", metadata_json)
    if data:
        frame.alloc_buf(len(data))
        view = frame.lock_buf()
        view[:] = data
        frame.unlock_buf(view)
    return frame


class _Tester(AsyncExtensionTester):
    def __init__(self, scenario: Scenario, timeout_s: float) -> None:
        super().__init__()
        self.scenario = scenario
        self.call = Call()
        self.timed_out = False
        self.set_timeout(int(timeout_s * 1e6))

    async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
        self.call.env = ten_env
        await self.scenario(self.call)
        self.call.stop_began = time.monotonic()
        ten_env.stop_test()

    async def on_data(self, ten_env: AsyncTenEnvTester, data: Data) -> None:
        await self.call.take(data)

    async def on_stop(self, ten_env: AsyncTenEnvTester) -> None:
        # The extension stops at the same time; the last thing it says is how much audio it sent, if there was any.
        call = self.call
        if not call.stop_began:
            return
        if not call.frames:
            await asyncio.sleep(0.2)
            return
        message = await call.until("the end of on_stop", lambda: _last(call))
        assert message is not None
        call.stopped_after_s = message.at - call.stop_began


def _last(call: Call) -> Message | None:
    """How much audio was sent, said after the stop: not by the timer of the base, if a status can tell them apart."""
    changes = [message for message in call.messages if message.name == "connection_status_changed"]
    if changes and changes[-1].payload["current"] != "disconnected":
        return None
    since = max([call.stop_began, *(change.at for change in changes)])
    said = (m for m in call.messages if m.at >= since and m.name == "metrics" and "actual_send" in m.payload["metrics"])
    return next(said, None)


def run_call(properties: Json, scenario: Scenario, *, timeout_s: float = 90.0, odd_input: bool = False) -> Call:
    """Run *scenario* against the extension with these *properties*; returns the record, checked.

    *odd_input*: the scenario sends messages that the extension's schema refuses, on purpose.
    """
    tester = _Tester(scenario, timeout_s)
    tester.set_test_mode_single(ADDON, json.dumps(properties))
    with _recorded_logs() as records:
        error = tester.run()
    call = tester.call
    call.logs = records
    assert error is None, f"{error.error_message()}; so far: {call.story()}"
    invalid = [
        drop for drop in tester.dropped_messages if drop.invalid_schema and (drop.sender == ADDON or not odd_input)
    ]
    assert not invalid, f"dropped for their types: {invalid}"
    _check_logs(call)
    _check_results(call.results)
    _check_errors(call.errors)
    _check_answers(call)
    _check_status(call.payloads("connection_status_changed"))
    return call


@contextmanager
def _recorded_logs() -> Iterator[list[logging.LogRecord]]:
    """Every record of every logger at DEBUG, as the most talkative host would have them."""
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    root, handler = logging.getLogger(), Keep(logging.DEBUG)
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        yield records
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def describe_record(record: logging.LogRecord) -> str:
    """A record as a log file would hold it, its traceback included."""
    return f"{record.name} {logging.Formatter().format(record)} {getattr(record, 'fields', None) or ''}"


_FAULTS = (
    "the extension goes on", "listener failed", "a client task ended", "never retrieved", "was never awaited",
)  # fmt: skip
"What our own guards, and asyncio's, say when something went wrong that should not have."


def _check_logs(call: Call) -> None:
    for record in call.logs:
        said = record.getMessage()
        for fault in _FAULTS:
            assert fault not in said, describe_record(record)
        assert record.name != "asyncio" or record.levelno < logging.ERROR, describe_record(record)


_RESULT_TYPES: dict[str, type] = {
    "id": str, "text": str, "final": bool, "start_ms": int, "duration_ms": int, "language": str, "words": list,
    "metadata": dict,
}  # fmt: skip


@dataclass
class _Seen:
    finals: int = 0
    texts: list[str] = field(default_factory=list)


def _check_results(results: list[Json]) -> None:
    seen: dict[str, _Seen] = {}
    end = 0
    for result in results:
        for key, kind in _RESULT_TYPES.items():
            assert type(result.get(key)) is kind, f"{key} of {result}"
        assert result["id"] and result["start_ms"] >= 0 and result["duration_ms"] >= 1, result
        info = result["metadata"]["asr_info"]
        one = seen.setdefault(result["id"], _Seen())
        assert one.finals == 0, f"more under an id that had its final: {result}"
        if not result["final"]:
            assert result["text"].strip(), f"blank partial: {result}"
            one.texts.append(result["text"])
            continue
        one.finals += 1
        if not result["text"].strip():
            assert one.texts and info.get("retracted") is True, f"blank final: {result}"
        elif not info.get("late"):
            assert result["start_ms"] >= end, f"out of order or overlapping: {results}"
            end = result["start_ms"] + result["duration_ms"]


def _check_errors(errors: list[Json]) -> None:
    for error in errors:
        assert type(error["code"]) is int and error["code"] in (1000, -1000), error
        assert error["module"] == "asr" and error["message"].strip(), error
        info = error["vendor_info"]
        assert {"vendor", "code", "message"} <= info.keys(), error
        assert all(type(info[key]) is str for key in ("vendor", "code", "message")), error
        assert info["vendor"] == "openai", error


_NEXT_STATES = {
    "disconnected": {"connecting"},
    "connecting": {"connected", "disconnected"},
    "connected": {"disconnected", "connecting"},
}


def _check_status(changes: list[Json]) -> None:
    """Only bases from 0.7.48 on send these; what they send must be legal."""
    state = "disconnected"
    for change in changes:
        assert change["last"] == state and change["current"] in _NEXT_STATES[state], changes
        state = change["current"]


def _check_answers(call: Call) -> None:
    counts = Counter(answer["finalize_id"] for answer in call.answers)
    assert counts == Counter(call.requested), f"asked {call.requested}, answered {dict(counts)}"
