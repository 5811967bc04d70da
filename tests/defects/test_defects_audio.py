"""Audio: all of it, as it was, at a price that can be paid (docs/defects.md, A)."""

from __future__ import annotations

import asyncio
import re
import time

import numpy as np
import pytest
from asr_tester import Call, node, poll, run_call
from ten_packages.extension.openai_asr_python.devkit.server.tones import decode
from tone_script import ToneScript
from wire_servers import APPEND, FakeServer, Peer

pytestmark = pytest.mark.socket


async def transcribe_all(peer: Peer) -> None:
    await peer.configure()
    turn = 1
    while True:
        await peer.transcribe(f"turn {turn}", turn)
        turn += 1


def test_A2_lost_audio_is_counted_in_milliseconds_and_moves_no_time() -> None:
    """Six seconds of speech while nobody is there, a window of four: two are lost, and what follows is in place."""
    outage = ToneScript().say(*range(1, 21), ms=300)
    later = ToneScript().pause(400).say(30, ms=300).pause(100)
    over: list[bool] = []

    async def come_back(peer: Peer) -> None:
        await poll("the end of the outage", lambda: over)
        await transcribe_all(peer)

    async def scenario(call: Call) -> None:
        await call.send(outage.pcm)
        await call.until("all of it", lambda: any(m["accepted_ms"] >= 5_980 for m in call.metric("vendor_metrics")))
        over.append(True)
        await call.finalize("f1")
        await call.answer("f1")
        await call.send(later.pcm)
        await call.finalize("f2")
        await call.answer("f2")

    with FakeServer(come_back) as server:
        call = run_call(node(server.url, replay_window_ms=4_000, max_turn_ms=2_000, replay_speed=100.0), scenario)
    assert call.metric("vendor_metrics")[-1]["lost_ms"] == pytest.approx(2_000, abs=25)
    reports = [re.search(r"(\d+) ms of audio from (\d+) ms on", error["message"]) for error in call.errors]
    assert sum(int(match[1]) for match in reports if match) == pytest.approx(2_000, abs=25)
    last = call.finals[-1]
    assert last["start_ms"] == pytest.approx(outage.ms + later.spoken[0].start_ms, abs=40)


def test_A6_no_sound_leaks_into_a_new_session_and_no_append_is_empty() -> None:
    async def die(peer: Peer) -> None:
        await peer.configure()
        await peer.transcribe("before")
        await poll("the final", lambda: seen)
        peer.abort()

    seen: list[bool] = []

    async def scenario(call: Call) -> None:
        await call.send(ToneScript(44_100).say(1, ms=300).pcm, rate=44_100, frame_bytes=882)
        await call.finalize("f1")
        await call.answer("f1")
        seen.append(True)
        await call.error("1006")
        await call.send(ToneScript(44_100).pause(200).say(3, ms=300).pcm, rate=44_100, frame_bytes=882)
        await call.finalize("f2")
        await call.answer("f2")

    with FakeServer(die, transcribe_all) as server:
        call = run_call(node(server.url), scenario)
        for peer in server.peers:
            assert all(message["audio"] for message in peer.all(APPEND))
        second = np.frombuffer(server.peers[1].audio, "<i2")
        (block,) = decode(server.peers[1].audio, 24_000)
    assert call.texts == ["before", "turn 1"]
    assert block.label == 3 and block.start_ms >= 100, "silence was said first, and is heard first"
    assert np.abs(second[: 24 * 100].astype(int)).max() < 50


def test_A7_the_price_of_audio_is_a_small_part_of_real_time(serve) -> None:
    """Ten seconds in frames of 10 ms, resampled, with everything around it: tester, host, sockets and server."""
    script = ToneScript().say(*range(50), ms=200)

    async def scenario(call: Call) -> None:
        await call.connected()
        began = time.process_time()
        await call.send(script.pcm, frame_bytes=320)
        await call.finalize("f1")
        await call.answer("f1")
        spent.append(time.process_time() - began)

    spent: list[float] = []
    call = run_call(node(serve().url), scenario)
    assert call.texts == [script.words]
    assert spent[0] < script.ms / 1000 / 2


def test_A10_frames_share_messages_where_that_is_wanted() -> None:
    async def scenario(call: Call) -> None:
        await call.connected()
        pcm = ToneScript().say(1, 2, 3, ms=300).pcm
        for at in range(0, len(pcm), 320):
            await call.send(pcm[at : at + 320], frame_bytes=320)
            await asyncio.sleep(0.003)  # frames come one by one
        await call.finalize("f1")
        await call.answer("f1")

    with FakeServer(transcribe_all) as server:
        call = run_call(node(server.url, send_interval_ms=150), scenario)
        assert [block.label for block in decode(server.peers[0].audio, 24_000)] == [1, 2, 3]
        assert len(server.peers[0].all(APPEND)) <= 30, "ninety frames"
    assert call.texts == ["turn 1"]
