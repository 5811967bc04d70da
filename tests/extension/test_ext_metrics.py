"""Metrics: what connecting, the first and the last word took, what was sent, and the vendor's own counts."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from asr_tester import SESSION, Call, node, run_call
from tone_script import ToneScript
from wire_servers import FakeServer, Peer, dead_port

SCRIPT = ToneScript().pause(200).say(5, 6, ms=300).pause(200)


async def two_turns(call: Call) -> None:
    for number in (1, 2):
        await call.send(SCRIPT.pcm)
        await call.finalize(f"f{number}")
        await call.answer(f"f{number}")


def test_every_metric_has_its_frame_and_knows_its_session(serve) -> None:
    call = run_call(node(serve().url), two_turns)
    for metrics in call.metrics:
        assert metrics["module"] == "asr" and metrics["vendor"] == "openai" and metrics["id"]
        if set(metrics["metrics"]) != {"connect_delay"}:
            assert metrics["metadata"]["session_id"] == SESSION, metrics


def test_connect_delay_first_and_last_word_are_measured(serve) -> None:
    call = run_call(node(serve().url), two_turns)
    (connect_delay,) = call.metric("connect_delay")
    (ttfw,) = call.metric("ttfw")
    ttlw = call.metric("ttlw")
    assert type(connect_delay) is int and 0 <= connect_delay < 10_000
    assert type(ttfw) is int and 0 <= ttfw < 10_000
    assert len(ttlw) == 2 and all(type(ms) is int and 0 <= ms < 10_000 for ms in ttlw)


def test_the_last_words_metric_comes_with_the_final_that_completes_its_finalize() -> None:
    """Two finals belong to the finalize: the clock stops at the second, and an empty finalize starts none."""

    async def two_items(peer: Peer) -> None:
        await peer.configure()
        await peer.heard_audio(len(SCRIPT.pcm) * 2)
        for item, start, stop, previous in (("A", 200, 450, None), ("B", 500, 800, "A")):
            await peer.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": start, "item_id": item})
            await peer.say({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": stop, "item_id": item})
            await peer.committed(item, previous)
        await peer.completed("A", "one")
        await peer.completed("B", "two")

    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(SCRIPT.pcm)
        await call.finalize("f1")
        await call.answer("f1")
        await call.finalize("f2")
        await call.answer("f2")

    with FakeServer(two_items) as server:
        call = run_call(node(server.url, turns="server_vad"), scenario)
    told = [
        "ttlw" if "ttlw" in m.payload.get("metrics", {}) else m.payload.get("text") or m.payload.get("finalize_id")
        for m in call.messages
        if m.name in ("asr_result", "asr_finalize_end") or "ttlw" in m.payload.get("metrics", {})
    ]
    assert told == ["one", "ttlw", "two", "f1", "f2"]


def test_what_was_sent_only_grows_also_across_a_reconnect(fast_clock) -> None:
    async def die(peer: Peer) -> None:
        await peer.configure()
        await peer.transcribe("one")
        peer.abort()

    async def transcribe(peer: Peer) -> None:
        await peer.configure()
        await peer.transcribe("two")

    async def scenario(call: Call) -> None:
        await two_turns(call)
        await call.until("a regular report", lambda: call.metric("actual_send"))

    with FakeServer(die, transcribe) as server:
        call = run_call(node(server.url), scenario)
    sent, deltas = call.metric("actual_send"), call.metric("actual_send_delta")
    assert all(type(ms) is int for ms in [*sent, *deltas])
    assert all(a <= b for a, b in pairwise(sent)) and all(delta >= 0 for delta in deltas)
    assert sum(deltas) == sent[-1]
    # Both turns were sent once; leading silence may have been left out.
    assert 2 * 600 <= sent[-1] <= 2 * SCRIPT.ms + 200


def test_the_vendors_numbers_account_for_all_audio(serve) -> None:
    call = run_call(node(serve().url), two_turns)
    numbers = call.metric("vendor_metrics")
    assert {
        "accepted_ms", "lag_ms", "unsettled_ms", "final_ms", "gated_ms", "lost_ms", "sent_user_ms", "sent_silence_ms",
        "reconnects", "billed_seconds", "billed_tokens", "unknown_events", "duplicate_events",
    } <= numbers[-1].keys()  # fmt: skip
    for one in numbers:
        parts = one["final_ms"] + one["gated_ms"] + one["lost_ms"] + one["unsettled_ms"]
        assert abs(one["accepted_ms"] - parts) <= 4, "every sample is somewhere"
    last = numbers[-1]
    assert last["accepted_ms"] == 2 * SCRIPT.ms
    assert last["lost_ms"] == 0 and last["unsettled_ms"] == 0 and last["lag_ms"] == 0
    assert last["final_ms"] >= 2 * 590
    assert last["billed_tokens"] > 0 or last["billed_seconds"] > 0


def test_a_lag_shows_while_nothing_can_be_sent() -> None:
    async def scenario(call: Call) -> None:
        await call.send(ToneScript().say(5, ms=1000).say(6, ms=1000).pcm)
        await call.until("a lag", lambda: any(m["lag_ms"] >= 1000 for m in call.metric("vendor_metrics")))

    with dead_port() as url:
        call = run_call(node(url), scenario)
    assert all(m["sent_user_ms"] == 0 for m in call.metric("vendor_metrics"))


def test_without_a_frame_nothing_but_the_connect_delay_is_said(serve) -> None:
    """Nobody knows yet whose numbers they would be."""

    async def scenario(call: Call) -> None:
        await call.connected()
        await asyncio.sleep(0.2)

    call = run_call(node(serve().url), scenario)
    assert [set(metrics["metrics"]) for metrics in call.metrics] == [{"connect_delay"}]
