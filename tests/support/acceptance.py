"""What the acceptance tests share: a caller in TEN's tester that does what the acceptance suite of TEN's does.

It uses nothing but TEN's API, so it runs on a real runtime as on the embedded host. There it goes by a clock of its own
that stands still while anybody works (`shared_time.py`), so five minutes take seconds.

    async def scenario(call: Call) -> None:
        await bench.speak(call, clip("en"), "session_1")
        await finalized(call, "finalize_1", "session_1")

    call = bench.run(bench.config("en"), scenario)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
from asr_tester import Call, Json, Scenario, make_frame
from ten_runtime import AsyncExtensionTester, AsyncTenEnvTester, Data

ROOT = Path(__file__).resolve().parent.parent.parent
RATE = 16_000
FRAME_BYTES = 320
FRAME_S = 0.01
BURST = 20
"Frames at a time where time is virtual: each wait costs a millisecond there."
SETTLE_S = 1.5
"Between the last frame and the finalize; no frame comes meanwhile, so no recogniser hears the silence."
LANGUAGES = {"en": "en-US", "zh": "zh-CN", "es": "es-ES"}
STATES = {
    "disconnected": {"connecting"},
    "connecting": {"connected", "disconnected"},
    "connected": {"disconnected", "connecting"},
}
"What may follow a connection's status."


@dataclass(frozen=True)
class Bench:
    """One extension, its configurations, and how fast time goes."""

    extension: str
    config_dir: Path
    virtual: bool

    def config(self, name: str, **top: Any) -> Json:
        """The property of the node from `property_<name>.json`, and anything else at its *top*."""
        text = (self.config_dir / f"property_{name}.json").read_text(encoding="utf-8")
        return {**json.loads(text), **top}

    def run(self, properties: Json, scenario: Scenario, *, timeout_s: float = 180.0) -> Call:
        """Run *scenario* with an extension of these *properties*; returns the record of the call."""
        caller = _Caller(scenario)
        caller.set_test_mode_single(self.extension, json.dumps(properties))
        caller.set_timeout(int(timeout_s * 1e6))
        error = caller.run()
        if caller.failure is not None:
            raise caller.failure
        assert error is None, f"{error.error_message()}; so far: {caller.call.story()}"
        invalid = [drop for drop in getattr(caller, "dropped_messages", []) if drop.invalid_schema]
        assert not invalid, f"the interface does not allow: {invalid}"
        return caller.call

    async def speak(
        self, call: Call, pcm: bytes, session: str, *, frame_bytes: int = FRAME_BYTES, frame_s: float = FRAME_S
    ) -> None:
        """Send *pcm* in frames, *frame_s* apart. They say nothing of their format, and the last may be short."""
        metadata = json.dumps({"session_id": session})
        clock = asyncio.get_running_loop().time
        began = clock()
        for number, at in enumerate(range(0, len(pcm), frame_bytes)):
            await call.send_frame(make_frame(pcm[at : at + frame_bytes], metadata))
            if not self.virtual or frame_s > FRAME_S or number % BURST == BURST - 1:
                await asyncio.sleep(max(0.0, began + (number + 1) * frame_s - clock()))


class _Caller(AsyncExtensionTester):
    def __init__(self, scenario: Scenario) -> None:
        super().__init__()
        self.call = Call()
        self.failure: BaseException | None = None
        self._scenario = scenario

    async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
        self.call.env = ten_env
        try:
            await self._scenario(self.call)
        except Exception as error:  # what leaves a hook ends a real runtime's process
            self.failure = error
        ten_env.stop_test()

    async def on_data(self, ten_env: AsyncTenEnvTester, data: Data) -> None:
        await self.call.take(data)


# Audio


def clip(language: str) -> bytes:
    """Mono s16le at 16 kHz, of the shape that recordings for such tests have.

    Two sentences with 0.4 s between them and less than half a second behind the last, or one. The last frame is short.
    """
    pcm, rate = soundfile.read(ROOT / "devkit" / "samples" / "weather.flac", dtype="int16")
    assert rate == RATE
    truth = json.loads((ROOT / "devkit" / "samples" / "weather.json").read_text(encoding="utf-8"))
    chosen = truth[:2] if language == "en" else truth[2:]
    pieces = [silence(300)]
    for sentence in chosen:
        pieces += [pcm[sentence["start_ms"] * 16 : sentence["end_ms"] * 16].tobytes(), silence(400)]
    body = b"".join([*pieces, silence(60)])
    return body + bytes(-len(body) % FRAME_BYTES) + bytes(304)


def silence(ms: int) -> bytes:
    """That much of nothing."""
    return bytes(RATE * ms // 1000 * 2)


# Promises


def check_result(result: Json) -> None:
    """Every result, partial or final, has every field, of its type."""
    kinds = {"id": str, "text": str, "final": bool, "start_ms": int, "duration_ms": int, "language": str}
    for key, kind in kinds.items():
        assert type(result.get(key)) is kind, f"{key} of {result}"
    assert result["id"] and result["start_ms"] >= 0 and result["duration_ms"] > 0, result


def check_results(call: Call, language: str, session: str) -> None:
    """All of `check_result`, each under the caller's session; finals in the language that was asked for."""
    for result in call.results:
        check_result(result)
        assert result["metadata"]["session_id"] == session, result
        assert not result["final"] or result["language"] == language, result
        assert not result["final"] or result["text"].strip(), f"a blank final: {result}"


def check_error(error: Json) -> None:
    """An error names its module, a known code, what happened, and what the vendor said, in full."""
    assert error["module"] == "asr" and error["message"].strip(), error
    assert type(error["code"]) is int and error["code"] in (1000, -1000), error
    info = error["vendor_info"]
    assert all(type(info[key]) is str for key in ("vendor", "code", "message")) and info["vendor"], error
    assert type(error["id"]) is str and type(error["metadata"]) is dict, error
    assert type(error["metadata"].get("session_id", "")) is str, error


def check_status(changes: list[Json]) -> None:
    """Every change of the connection's status is described in full, and may follow the one before."""
    state = "disconnected"
    for change in changes:
        assert change["module"] == "asr" and type(change["id"]) is str, change
        assert change["last"] == state and change["current"] in STATES[state], changes
        assert change["vendor"] if "vendor" in change else change["vendor_info"]["vendor"], change
        assert type(change["code"]) is (str if "vendor" in change else int), change
        assert type(change["message"]) is str, change
        assert {"key", "url", "model"} <= change["metadata"]["vendor_metadata"].keys(), change
        state = change["current"]


async def finalized(call: Call, finalize_id: str, session: str) -> Json:
    """Ask for the rest of the text, wait for the answer, and see that it is the caller's."""
    await call.finalize(finalize_id, session)
    answer = await call.answer(finalize_id)
    assert answer["metadata"]["session_id"] == session, answer
    return answer


def statuses(call: Call) -> list[Json]:
    """The changes of the connection's status so far."""
    return call.payloads("connection_status_changed")


ReadClip = Callable[[str], bytes]
