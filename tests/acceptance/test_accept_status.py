"""The graph can follow the connection, where the base has a status; where it has none, nothing is made up."""

from __future__ import annotations

from acceptance import Bench, ReadClip, check_status, statuses
from asr_tester import Call
from ten_ai_base.asr import AsyncASRBaseExtension

SESSION = "accept_status_1"
HAS_STATUS = hasattr(AsyncASRBaseExtension, "on_connected")


def test_connecting_is_told_and_then_connected(bench: Bench, server: None, clip: ReadClip) -> None:
    async def scenario(call: Call) -> None:
        await bench.speak(call, clip("en"), SESSION)
        await call.connected()
        if HAS_STATUS:
            await call.until("the status", lambda: statuses(call)[-1:] and statuses(call)[-1]["current"] == "connected")

    call = bench.run(bench.config("en"), scenario, timeout_s=60.0)
    check_status(statuses(call))
    assert [change["current"] for change in statuses(call)] == (["connecting", "connected"] if HAS_STATUS else [])
    for change in statuses(call):
        vendor = change["metadata"]["vendor_metadata"]
        assert vendor["model"] and vendor["url"].startswith("ws") and vendor["key"]
        assert "acceptance" not in vendor["key"] and "0123456789" not in vendor["key"], "the key itself is not shown"
