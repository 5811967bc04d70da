"""Audio may come faster than it was spoken; results still say where in it they belong, without overlap."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from acceptance import Bench, ReadClip, check_results, finalized
from asr_tester import Call

SESSION = "accept_timestamps_1"


def test_times_are_those_of_the_audio(bench: Bench, server: None, clip: ReadClip) -> None:
    pcm = clip("en")

    async def scenario(call: Call) -> None:
        await bench.speak(call, pcm, SESSION, frame_s=0.001)
        await asyncio.sleep(1.0)
        await finalized(call, "finalize_1", SESSION)
        await call.until("a final", lambda: call.finals, 30.0)
        await asyncio.sleep(5.0)

    call = bench.run(bench.config("en"), scenario)
    check_results(call, "en-US", SESSION)
    length_ms = len(pcm) // 32
    spans = sorted((final["start_ms"], final["start_ms"] + final["duration_ms"]) for final in call.finals)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans)), spans
    assert spans[-1][1] <= length_ms, "nothing is said of audio that was not sent"
    assert sum(end - start for start, end in spans) >= 0.8 * (length_ms - 760), "what was spoken is covered"
