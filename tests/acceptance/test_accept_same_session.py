"""One call, finalized again and again: each finalize brings its own text and its own answer."""

from __future__ import annotations

import asyncio

from acceptance import SETTLE_S, Bench, ReadClip, check_results
from asr_tester import Call

SESSION = "accept_same_session_1"


def test_a_second_finalize_works_like_the_first(bench: Bench, server: None, clip: ReadClip) -> None:
    finals: list[int] = []

    async def cycle(call: Call, number: int) -> None:
        before = len(call.finals)
        await bench.speak(call, clip("en"), SESSION)
        await asyncio.sleep(SETTLE_S)
        assert len(call.finals) == before, "no text of the cycle before comes now"
        await call.finalize(f"finalize_{number}", SESSION)
        await call.until("a final of this cycle", lambda: len(call.finals) > before, 15.0)
        await call.until("its answer", lambda: len(call.answers) == number, 10.0)
        finals.append(len(call.finals) - before)
        await asyncio.sleep(1.0)

    async def scenario(call: Call) -> None:
        await cycle(call, 1)
        await cycle(call, 2)

    call = bench.run(bench.config("en"), scenario)
    check_results(call, "en-US", SESSION)
    assert [answer["finalize_id"] for answer in call.answers] == ["finalize_1", "finalize_2"]
    assert all(answer["metadata"]["session_id"] == SESSION for answer in call.answers)
    second = call.finals[finals[0]]
    assert second["start_ms"] >= len(clip("en")) // 32, "times go on, they do not begin anew"
    assert second["id"] != call.finals[0]["id"]
