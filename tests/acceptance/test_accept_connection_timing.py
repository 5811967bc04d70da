"""Audio sent from the first moment on, while the connection is being made, has its text."""

from __future__ import annotations

import asyncio

from acceptance import SETTLE_S, Bench, ReadClip, check_results, finalized
from asr_tester import Call

SESSION = "accept_connection_timing_1"


def test_what_is_said_while_it_connects_is_heard(bench: Bench, server: None, clip: ReadClip) -> None:
    async def scenario(call: Call) -> None:
        await bench.speak(call, clip("en"), SESSION)
        await asyncio.sleep(SETTLE_S)
        await finalized(call, "finalize_1", SESSION)
        await call.until("a final", lambda: call.finals)

    call = bench.run(bench.config("en"), scenario)
    check_results(call, "en-US", SESSION)
    assert call.finals[0]["start_ms"] < 500, "the first words are in it"
