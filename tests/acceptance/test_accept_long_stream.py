"""Five minutes of talk in one call: results to the end, each complete and the caller's."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from acceptance import Bench, ReadClip, check_results, finalized
from asr_tester import Call

SESSION = "accept_long_stream_1"
LENGTH_S = 300.0


def test_five_minutes_of_talk(bench: Bench, server: None, clip: ReadClip) -> None:
    cycles = 0
    last_results = 0

    async def scenario(call: Call) -> None:
        nonlocal cycles, last_results
        clock = asyncio.get_running_loop().time
        began = clock()
        while clock() - began < LENGTH_S:
            cycles += 1
            await bench.speak(call, clip("en"), SESSION)
            await asyncio.sleep(1.0)
            if cycles % 10 == 0:
                await finalized(call, f"finalize_{cycles}", SESSION)
                await asyncio.sleep(2.0)
        if cycles % 10 == 0:  # the last finalize must have something to bring
            await bench.speak(call, clip("en"), SESSION)
        await asyncio.sleep(5.0)
        last_results = len(call.results)
        await finalized(call, "finalize_last", SESSION)
        await call.until("a last result", lambda: len(call.results) > last_results)

    call = bench.run(bench.config("en"), scenario, timeout_s=600.0)
    check_results(call, "en-US", SESSION)
    assert not call.errors
    assert len(call.finals) >= cycles, "every time somebody spoke there is text"
    ends = [(final["start_ms"], final["start_ms"] + final["duration_ms"]) for final in call.finals]
    assert all(end <= start for (_, end), (start, _) in pairwise(ends)), "in order, without overlap"
    answers = [answer["finalize_id"] for answer in call.answers]
    assert answers == [*(f"finalize_{n}" for n in range(10, cycles + 1, 10)), "finalize_last"]
