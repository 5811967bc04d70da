"""A drop is told once, the stream comes back by itself, and what had not been sent is transcribed."""

from __future__ import annotations

import asyncio
import re

import pytest
from asr_tester import STREAMING, Call, Json, node, poll, run_call
from ten_packages.extension.openai_asr_python.devkit.server.tones import decode
from tone_script import ToneScript
from wire_servers import APPEND, COMMIT, FakeServer, Peer, dead_port

pytestmark = pytest.mark.socket

SPEECH = ToneScript().say(1, 2, ms=300).pcm
REST = ToneScript().pause(100).say(3, ms=300).pause(100).pcm


def connection_errors(call: Call) -> list[Json]:
    return [error for error in call.errors if "no transcript" not in error["message"]]


def losses(call: Call) -> list[tuple[int, int]]:
    """Start and length, in milliseconds, of everything reported as lost."""
    found = (re.search(r"(\d+) ms of audio from (\d+) ms on", error["message"]) for error in call.errors)
    return [(int(match[2]), int(match[1])) for match in found if match]


def labels(peer: Peer) -> list[int]:
    return [block.label for block in decode(peer.audio, 24_000)]


async def transcribe_all(peer: Peer) -> None:
    await peer.configure()
    turn = 1
    while True:
        await peer.transcribe(f"turn {turn}", turn)
        turn += 1


@pytest.mark.parametrize("code", [None, 1000, 1001, 1011, 4999])
def test_a_drop_is_one_error_and_loses_nothing(code: int | None) -> None:
    async def die(peer: Peer) -> None:
        await peer.configure()
        await peer.heard_audio(len(SPEECH) * 3 // 2)
        if code is None:
            peer.abort()
        else:
            await peer.close(code, "going away")

    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(SPEECH)
        await call.until("the drop", lambda: connection_errors(call))
        await call.send(REST)
        await call.finalize("f1")
        await call.answer("f1")

    with FakeServer(die, transcribe_all) as server:
        call = run_call(node(server.url), scenario)
        assert len(server.peers) == 2
        second = [message["type"] for message in server.peers[1].received]
        assert second[0] == "session.update" and second[-1] == COMMIT and set(second[1:-1]) == {APPEND}
        assert labels(server.peers[1]) == [1, 2, 3], "what was sent and not answered goes out again"
    assert call.texts == ["turn 1"]
    (drop,) = connection_errors(call)
    assert drop["code"] == 1000
    assert drop["vendor_info"]["code"] == ("1006" if code is None else str(code))
    assert code is None or drop["vendor_info"]["message"] == "going away"
    assert losses(call) == []
    assert call.metric("vendor_metrics")[-1]["reconnects"] == 1
    assert call.metric("vendor_metrics")[-1]["lost_ms"] == 0


def test_with_replay_off_what_was_sent_is_lost_and_told() -> None:
    async def die(peer: Peer) -> None:
        await peer.configure()
        await peer.heard_audio(len(SPEECH) * 3 // 2)
        peer.abort()

    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(SPEECH)
        await call.until("the loss", lambda: losses(call))
        await call.send(REST)
        await call.finalize("f1")
        await call.answer("f1")

    with FakeServer(die, transcribe_all) as server:
        call = run_call(node(server.url, finalize_timeout_ms=15_000, replay_window_ms=0), scenario)
        assert labels(server.peers[1]) == [3]
    assert call.texts == ["turn 1"]
    # In milliseconds of the caller's audio: 5 ms of guard around it.
    assert losses(call) == [(pytest.approx(5, abs=10), pytest.approx(590, abs=20))]
    assert call.metric("vendor_metrics")[-1]["lost_ms"] == losses(call)[0][1]


def test_audio_of_an_outage_is_kept_and_goes_out_afterwards() -> None:
    """Nobody answers twice; what is said meanwhile waits, with its order and its pauses."""
    script = ToneScript().pause(200).say(1).pause(600).say(2).pause(400).say(3).pause(200)

    async def scenario(call: Call) -> None:
        await call.until("the first refusal", lambda: call.errors)
        await call.send(script.pcm)
        await call.finalize("f1")
        await call.answer("f1")

    refuse = {1: 503, 2: 503}
    with FakeServer(transcribe_all, refuse=refuse.get) as server:
        call = run_call(node(server.url), scenario)
        assert server.dials == 3
        heard = {block.label: block.start_ms for block in decode(server.peers[0].audio, 24_000)}
    assert list(heard) == [1, 2, 3]
    assert heard[3] - heard[1] == pytest.approx(script.spoken[2].start_ms - script.spoken[0].start_ms, abs=10)
    assert call.texts == ["turn 1"]
    (error,) = call.errors
    assert error["code"] == 1000 and error["vendor_info"]["code"] == "503"


def test_a_server_that_is_not_there_is_one_error_however_often_it_is_tried(fast_clock) -> None:
    async def scenario(call: Call) -> None:
        await call.error("attempt follows")
        await asyncio.sleep(1.5)

    with dead_port() as url:
        call = run_call(node(url), scenario)
    (error,) = call.errors
    assert error["code"] == 1000
    assert "127.0.0.1" in error["message"] or "127.0.0.1" in error["vendor_info"]["message"]


def test_a_server_that_accepts_and_closes_is_left_alone_for_longer_and_longer(fast_clock) -> None:
    """Useless connections must not become a storm: half a second on average, then one, then two…"""

    async def slam(peer: Peer) -> None:
        await peer.close(1011, "over quota")

    async def scenario(call: Call) -> None:
        await call.error("over quota")
        await asyncio.sleep(2.0)

    with FakeServer(slam) as server:
        call = run_call(node(server.url), scenario)
        assert 1 <= server.dials <= 12
    assert len(call.errors) == 1


def test_a_dropped_turn_goes_on_under_its_id() -> None:
    async def die_speaking(peer: Peer) -> None:
        await peer.configure()
        await peer.heard_audio(len(SPEECH) * 3 // 2)
        await peer.delta("item_1", "half a ")
        await peer.delta("item_1", "word")
        await poll("the partials", lambda: shown)
        peer.abort()

    shown: list[bool] = []

    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(SPEECH)
        await call.until("two partials", lambda: len(call.partials) == 2)
        shown.append(True)
        await call.error("1006")
        await call.send(REST)
        await call.finalize("f1")
        await call.answer("f1")

    with FakeServer(die_speaking, transcribe_all) as server:
        call = run_call(node(server.url, model=STREAMING), scenario)
    (final,) = call.finals
    assert final["text"] == "turn 1"
    assert {partial["id"] for partial in call.partials} == {final["id"]}
    assert final["metadata"]["asr_info"]["replayed"] is True


def test_a_final_that_came_before_the_drop_is_not_repeated() -> None:
    async def answer_then_die(peer: Peer) -> None:
        await peer.configure()
        await peer.transcribe("before")
        await poll("the final", lambda: seen)
        peer.abort()

    seen: list[bool] = []

    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        await call.finalize("f1")
        await call.answer("f1")
        seen.append(True)
        await call.error("1006")
        await call.send(REST)
        await call.finalize("f2")
        await call.answer("f2")

    with FakeServer(answer_then_die, transcribe_all) as server:
        call = run_call(node(server.url), scenario)
        assert labels(server.peers[1]) == [3]
        assert len(server.peers[1].all(COMMIT)) == 1
    assert call.texts == ["before", "turn 1"]
    assert not losses(call), "all of it had its final"
