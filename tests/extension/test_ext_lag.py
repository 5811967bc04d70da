"""Lag and loss are told in milliseconds while they happen, not when it is over."""

from __future__ import annotations

import asyncio
import re

import pytest
from asr_tester import Call, Json, node, poll, run_call
from tone_script import ToneScript
from wire_servers import FakeServer, Peer

pytestmark = pytest.mark.socket

WINDOW_MS = 4_000
SPOKEN = ToneScript()
for _ in range(12):
    SPOKEN.say(1, ms=1_000)


def losses(call: Call) -> list[tuple[int, int]]:
    """Start and length of what was reported as lost so far."""
    found = (re.search(r"(\d+) ms of audio from (\d+) ms on", error["message"]) for error in call.errors)
    return [(int(match[2]), int(match[1])) for match in found if match]


def numbers(call: Call) -> list[Json]:
    return call.metric("vendor_metrics")


def test_an_outage_longer_than_the_window_is_told_as_it_goes() -> None:
    over: list[bool] = []

    async def come_back(peer: Peer) -> None:
        await poll("the end of the outage", lambda: over)
        await peer.configure()
        for number in range(1, 10):
            await peer.transcribe(f"turn {number}", number)

    async def scenario(call: Call) -> None:
        second = 2 * 16_000
        for at in range(0, len(SPOKEN.pcm), second):
            await call.send(SPOKEN.pcm[at : at + second])
            pushed_ms = (at + second) // 32
            one = await call.until("the metrics", lambda ms=pushed_ms: next_after(numbers(call), ms))
            assert one["lag_ms"] == min(one["accepted_ms"], WINDOW_MS), "the lag of this second"
            assert one["lost_ms"] == max(0, one["accepted_ms"] - WINDOW_MS)
        await call.until("the first five seconds of the loss", lambda: losses(call))
        assert not over and losses(call) == [(0, pytest.approx(5_000, abs=20))]
        over.append(True)
        await call.until("the connection", lambda: call.metric("connect_delay"))
        for _ in range(100):  # numbers come with audio
            await call.send(bytes(second // 50))
            if numbers(call)[-1]["lag_ms"] <= 20:  # the frame itself
                break
            await call.send(bytes(second))
            await asyncio.sleep(0.02)
        assert numbers(call)[-1]["lag_ms"] <= 20, "the lag has an end"
        await call.until("the rest of the loss", lambda: len(losses(call)) == 2)
        await call.finalize("f1")
        await call.answer("f1")

    turns = {"replay_window_ms": WINDOW_MS, "max_turn_ms": 2_000, "connect_timeout_ms": 30_000, "replay_speed": 100.0}
    with FakeServer(come_back) as server:
        call = run_call(node(server.url, **turns), scenario)
    lost = sum(length for _, length in losses(call))
    assert lost == pytest.approx(SPOKEN.ms - WINDOW_MS, abs=25)
    assert numbers(call)[-1]["lost_ms"] == pytest.approx(lost, abs=2 * len(losses(call)))
    assert call.finals, "what was in the window was heard"


def next_after(metrics: list[Json], pushed_ms: int) -> Json | None:
    """The first numbers that went out for *pushed_ms* of audio."""
    return next((one for one in metrics if one["accepted_ms"] >= pushed_ms - 20), None)
