"""A finalize brings the rest of the text and is answered once, with its own id."""

from __future__ import annotations

import asyncio
from itertools import groupby

from acceptance import SETTLE_S, Bench, ReadClip, check_results, finalized
from asr_tester import Call

SESSION = "accept_finalize_1"


def test_a_finalize_brings_the_text_and_one_answer(bench: Bench, server: None, clip: ReadClip) -> None:
    async def scenario(call: Call) -> None:
        await bench.speak(call, clip("en"), SESSION)
        await asyncio.sleep(SETTLE_S)
        assert not call.answers, "nobody has asked yet"
        await finalized(call, "finalize_7", SESSION)
        await call.until("a final", lambda: call.finals)
        await asyncio.sleep(3.0)

    call = bench.run(bench.config("en"), scenario)
    check_results(call, "en-US", SESSION)
    assert [answer["finalize_id"] for answer in call.answers] == ["finalize_7"]
    for _, group in groupby(call.results, key=lambda result: result["id"]):
        assert [result["final"] for result in group][-1:] == [True], "partials, then their final"
    ids = [final["id"] for final in call.finals]
    assert len(ids) == len(set(ids)), "an id has one final"
