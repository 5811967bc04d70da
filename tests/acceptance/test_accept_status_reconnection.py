"""Every attempt of a refused key is told: connecting, disconnected, and once more."""

from __future__ import annotations

from acceptance import Bench, ReadClip, check_error, check_status, silence, statuses
from asr_tester import Call
from ten_ai_base.asr import AsyncASRBaseExtension

SESSION = "accept_status_reconnection_1"
HAS_STATUS = hasattr(AsyncASRBaseExtension, "on_connected")


def steps(call: Call) -> list[str]:
    return [change["current"] for change in statuses(call)]


def test_every_attempt_is_told_while_a_key_is_refused(bench: Bench, server: None, clip: ReadClip) -> None:
    async def scenario(call: Call) -> None:
        pcm = clip("en")
        await bench.speak(call, pcm + bytes(-len(pcm) % 3200), SESSION, frame_bytes=3200, frame_s=0.1)
        for _ in range(45 if HAS_STATUS else 12):
            if steps(call)[-1:] == ["disconnected"] and steps(call).count("connecting") >= 2:
                break
            await bench.speak(call, silence(1000), SESSION, frame_bytes=3200, frame_s=0.1)

    call = bench.run(bench.config("invalid"), scenario)
    check_status(statuses(call))
    if HAS_STATUS:
        assert steps(call)[:4] == ["connecting", "disconnected"] * 2
        assert {str(change["code"]) for change in statuses(call) if change["current"] == "disconnected"} == {"1000"}
    else:
        assert not statuses(call)
    assert call.errors
    for error in call.errors:
        check_error(error)
        assert error["code"] == 1000
