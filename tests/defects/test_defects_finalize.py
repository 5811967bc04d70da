"""Finalize: the boundary is where it was asked for, and the answer is that of its own words (docs/defects.md, F)."""

from __future__ import annotations

import pytest
from asr_tester import Call, node, poll, run_call
from ten_packages.extension.openai_asr_python.devkit.server.tones import decode
from tone_script import ToneScript
from wire_servers import COMMIT, FakeServer, Peer

pytestmark = pytest.mark.socket


def test_F4_the_end_of_a_turn_before_does_not_answer_a_finalize() -> None:
    """The server ends turn A by itself and is slow with its text; turn B is what the finalize is about."""
    script = ToneScript().say(1, ms=1000).pause(700).say(2, ms=1000)
    early: list[bool] = []

    async def two_turns(peer: Peer) -> None:
        await peer.configure()
        await peer.heard_audio(round(script.ms) * 48 - 48)
        await peer.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "A"})
        await peer.say({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1000, "item_id": "A"})
        await peer.committed("A")
        await peer.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 1700, "item_id": "B"})
        await peer.heard_audio(round(script.ms) * 48 + 24_000)  # the silence that a finalize sends
        await peer.say({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 2700, "item_id": "B"})
        await peer.committed("B", "A")
        await peer.completed("A", "of before")
        await poll("the text of A", lambda: early)
        await peer.completed("B", "asked for")

    async def scenario(call: Call) -> None:
        await call.send(script.pcm)
        await call.finalize("f1")
        await call.until("the text of A", lambda: call.finals)
        assert not call.answers
        early.append(True)
        await call.answer("f1")

    with FakeServer(two_turns) as server:
        call = run_call(node(server.url, turns="server_vad"), scenario)
    assert call.texts == ["of before", "asked for"]
    assert call.order("asr_result", "asr_finalize_end") == ["asr_result", "asr_result", "asr_finalize_end"]


def test_F8_nothing_stale_goes_out_on_a_new_connection() -> None:
    """A server that stopped reading, with audio and a commit on their way, drops: the next one hears the configuration,
    then nothing until it has confirmed it, then the turn as it was and one commit."""
    script = ToneScript().pause(100).say(1, 2, 3, ms=300).pause(100)
    before: list[str] = []
    queued: list[bool] = []

    async def deaf(peer: Peer) -> None:
        await peer.configure()
        peer.socket.transport.pause_reading()
        await poll("audio and a commit to be queued", lambda: queued)
        peer.abort()

    async def slow(peer: Peer) -> None:
        await peer.say({"type": "session.created", "session": {}})
        update = await peer.heard("session.update")
        await peer.say({"type": "response.created"}, {"type": "rate_limits.updated"})
        await peer.socket.ping()
        before.extend(message["type"] for message in peer.received)
        await peer.say({"type": "session.updated", "session": update["session"]})
        await peer.transcribe("all of it")

    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(script.pcm)
        await call.finalize("f1")
        await call.send_data("trigger_connect")  # behind the finalize: it has been taken when this has
        queued.append(True)
        await call.answer("f1")

    with FakeServer(deaf, slow) as server:
        call = run_call(node(server.url), scenario)
        second = server.peers[1]
        assert before == ["session.update"]
        assert [block.label for block in decode(second.audio, 24_000)] == [1, 2, 3]
        assert len(second.all(COMMIT)) == 1 and second.received[-1]["type"] == COMMIT
    assert call.texts == ["all of it"]
