"""Metrics say whose they are, and how long the first and the last word took."""

from __future__ import annotations

import asyncio

import pytest
from acceptance import SETTLE_S, Bench, ReadClip, check_results, finalized
from asr_tester import Call

SESSION = "accept_metrics_1"


@pytest.mark.parametrize("silent_s", [0, 11], ids=["speaks at once", "says nothing at first"])
def test_metrics_are_complete_and_the_callers(bench: Bench, server: None, clip: ReadClip, silent_s: int) -> None:
    async def scenario(call: Call) -> None:
        await asyncio.sleep(silent_s)
        await bench.speak(call, clip("en"), SESSION)
        await asyncio.sleep(SETTLE_S)
        await finalized(call, "finalize_1", SESSION)
        await call.until("time to the first word", lambda: call.metric("ttfw"))
        await call.until("time to the last word", lambda: call.metric("ttlw"))

    call = bench.run(bench.config("en"), scenario)
    check_results(call, "en-US", SESSION)
    for metrics in call.metrics:
        assert {"id", "module", "vendor", "metrics", "metadata"} <= metrics.keys(), metrics
        assert metrics["module"] == "asr" and metrics["vendor"], metrics
        # Connecting may be over before the first frame says whose call it is. Nothing else may.
        if set(metrics["metrics"]) != {"connect_delay"}:
            assert metrics["metadata"]["session_id"] == SESSION, metrics
    for key in ("connect_delay", "ttfw", "ttlw"):
        assert [type(value) for value in call.metric(key)] == [int], f"{key} is measured once"
    assert call.metric("actual_send"), "what was sent is reported while the call lasts"
