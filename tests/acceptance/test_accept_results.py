"""Every result says everything about itself, and two calls never share an id."""

from __future__ import annotations

import asyncio

from acceptance import SETTLE_S, Bench, ReadClip, check_results, finalized
from asr_tester import Call

SESSION = "accept_results_1"


def test_results_are_complete_and_no_two_calls_share_an_id(bench: Bench, server: None, clip: ReadClip) -> None:
    def call_as(session: str) -> Call:
        async def scenario(call: Call) -> None:
            await bench.speak(call, clip("en"), session)
            await asyncio.sleep(SETTLE_S)
            await finalized(call, "finalize_1", session)
            await call.until("a final", lambda: call.finals)

        return bench.run(bench.config("en"), scenario)

    first, second = call_as(SESSION), call_as(SESSION + "_second")
    check_results(first, "en-US", SESSION)
    check_results(second, "en-US", SESSION + "_second")
    assert first.partials and second.partials, "there is something to see before the final"
    assert not {result["id"] for result in first.results} & {result["id"] for result in second.results}
