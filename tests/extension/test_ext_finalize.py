"""Finalize always answers: once a request, with its own id, behind its text, and by its deadline whatever happens."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from asr_tester import COMMITTING, STREAMING, Call, Json, node, poll, run_call
from ten_packages.extension.openai_asr_python.devkit.server.tones import decode
from tone_script import ToneScript
from wire_servers import APPEND, COMMIT, FakeServer, Peer, configured_and_mute, dead_port, mute

SPEECH = ToneScript().pause(100).say(5, ms=300).pause(100).pcm
QUICK = {"finalize_timeout_ms": 400}


def spoken(call: Call) -> list[str]:
    """Finals and answers in the order they came: their texts and ids."""
    told = (m.payload for m in call.messages if m.name == "asr_finalize_end" or m.payload.get("final"))
    return [payload.get("finalize_id") or payload["text"] for payload in told]


async def ask(call: Call, finalize_id: str = "f1") -> None:
    await call.finalize(finalize_id)
    await call.answer(finalize_id)


async def speak_and_ask(call: Call) -> None:
    await call.send(SPEECH)
    await ask(call)


async def transcribe_all(peer: Peer) -> None:
    await peer.configure()
    turn = 1
    while True:
        await peer.transcribe(f"turn {turn}", turn)
        turn += 1


@pytest.mark.parametrize(
    ("model", "turns"),
    [(COMMITTING, "none"), (COMMITTING, "server_vad"), (COMMITTING, "semantic_vad"), (STREAMING, "none")],
)
def test_the_answer_comes_behind_its_text_with_its_id_and_metadata(serve, model: str, turns: str) -> None:
    call = run_call(node(serve().url, model=model, turns=turns), speak_and_ask)
    assert spoken(call)[-2:] == ["b5", "f1"]
    assert call.answers == [{"finalize_id": "f1", "metadata": {"session_id": "call-1"}}]
    assert not call.errors


@pytest.mark.parametrize("turns", ["none", "server_vad", "semantic_vad", "local_vad"])
@pytest.mark.parametrize("audio", ["nothing", "silence", "a turn that is done", "silence behind a turn"])
def test_with_nothing_left_to_say_the_answer_comes_alone(serve, turns: str, audio: str) -> None:
    async def scenario(call: Call) -> None:
        await call.connected()
        if "turn" in audio:
            await call.send(SPEECH)
            await ask(call, "f0")
        if "silence" in audio:
            await call.send(ToneScript().pause(900).pcm)
        await ask(call)

    call = run_call(node(serve().url, turns=turns), scenario)
    # Tones are speech to everybody but the local detector, which knows a voice from a whistle.
    first = ["b5", "f0"] if turns != "local_vad" else ["f0"]
    assert spoken(call) == [*(first if "turn" in audio else []), "f1"]
    assert not call.errors


def test_a_finalize_behind_a_turn_the_server_has_ended_itself_gets_no_error(serve) -> None:
    async def scenario(call: Call) -> None:
        await call.send(ToneScript().say(5, ms=300).pause(900).pcm)
        await call.until("the server's own final", lambda: call.finals)
        await ask(call)

    call = run_call(node(serve().url, turns="server_vad"), scenario)
    assert spoken(call) == ["b5", "f1"]
    assert not call.errors


def test_overlapping_finalizes_are_answered_each_behind_its_own_text() -> None:
    async def slow(peer: Peer) -> None:
        await peer.configure()
        for number, item in enumerate(("item_1", "item_2"), 1):
            await peer.heard(COMMIT, number)
            await peer.committed(item)
        await peer.completed("item_2", "two")
        await peer.completed("item_1", "one")

    async def scenario(call: Call) -> None:
        for number in (1, 2):
            await call.send(SPEECH)
            await call.finalize(f"f{number}")
        await call.answer("f2")

    with FakeServer(slow) as server:
        call = run_call(node(server.url), scenario)
    assert spoken(call) == ["one", "f1", "two", "f2"]


def test_finalizes_with_no_audio_between_them_are_answered_each(serve) -> None:
    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        for finalize_id in ("f1", "f2", "f2"):
            await call.finalize(finalize_id)
        await call.until("three answers", lambda: len(call.answers) == 3)

    assert spoken(run_call(node(serve().url), scenario)) == ["b5", "f1", "f2", "f2"]


def test_a_final_of_an_earlier_turn_does_not_answer() -> None:
    """The finalized turn's text is still due when an earlier one's comes."""

    async def two_items(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        await peer.committed("item_1")
        await peer.heard(COMMIT, 2)
        await peer.committed("item_2")
        await peer.completed("item_1", "early")
        await poll("the early final", lambda: early)
        await peer.completed("item_2", "mine")

    early: list[bool] = []

    async def scenario(call: Call) -> None:
        for number in (1, 2):
            await call.send(SPEECH)
            await call.finalize(f"f{number}")
        await call.answer("f1")
        assert spoken(call) == ["early", "f1"]
        early.append(True)
        await call.answer("f2")

    with FakeServer(two_items) as server:
        assert spoken(run_call(node(server.url), scenario)) == ["early", "f1", "mine", "f2"]


def test_audio_and_finalizes_reach_the_wire_in_the_order_they_were_sent() -> None:
    bursts = {1: ToneScript().say(1, 2, 3), 2: ToneScript().say(4, 5, 6), 3: ToneScript().say(7)}

    async def scenario(call: Call) -> None:
        for number, burst in bursts.items():
            await call.send(burst.pcm)
            await call.finalize(f"f{number}")
        await call.send(ToneScript().say(8).pcm)
        await call.answer("f3")

    with FakeServer(transcribe_all) as server:
        call = run_call(node(server.url), scenario)
        received = server.peers[0].received
    assert call.texts[:3] == ["turn 1", "turn 2", "turn 3"]
    between: list[bytes] = [b""]
    for message in received:
        if message["type"] == APPEND:
            between[-1] += _audio(message)
        elif message["type"] == COMMIT:
            between.append(b"")
    labels = [[block.label for block in decode(audio, 24_000)] for audio in between]
    assert labels[:3] == [[1, 2, 3], [4, 5, 6], [7]]


def _audio(message: Json) -> bytes:
    return base64.b64decode(message["audio"])


def test_a_mute_server_is_answered_for_at_the_deadline_with_one_error_first() -> None:
    with FakeServer(configured_and_mute) as server:
        call = run_call(node(server.url, **QUICK), speak_and_ask)
    assert call.order("error", "asr_finalize_end")[:2] == ["error", "asr_finalize_end"]
    assert "finalize" in call.errors[0]["message"] and "params.finalize_timeout_ms" in call.errors[0]["message"]
    assert call.errors[0]["code"] == 1000
    assert not call.results


@pytest.mark.parametrize("turns", ["server_vad", "semantic_vad", "none"])
def test_the_deadline_holds_whoever_owns_the_turn(turns: str) -> None:
    with FakeServer(configured_and_mute) as server:
        call = run_call(node(server.url, turns=turns, **QUICK), speak_and_ask)
    assert spoken(call) == ["f1"]


def test_text_that_comes_behind_the_deadline_is_told_marked_late() -> None:
    answered: list[bool] = []

    async def too_late(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        await peer.committed("item_1")
        await poll("the answer", lambda: answered)
        await peer.completed("item_1", "better late")

    async def scenario(call: Call) -> None:
        await speak_and_ask(call)
        answered.append(True)
        await call.until("the late text", lambda: call.finals)

    with FakeServer(too_late) as server:
        call = run_call(node(server.url, **QUICK), scenario)
    assert spoken(call) == ["f1", "better late"]
    assert call.finals[0]["metadata"]["asr_info"]["late"] is True


@pytest.mark.parametrize("server", ["nobody there", "session never ready"])
def test_without_a_session_the_answer_comes_at_the_deadline(server: str) -> None:
    if server == "nobody there":
        with dead_port() as url:
            call = run_call(node(url, **QUICK), speak_and_ask)
    else:
        with FakeServer(mute) as fake:
            call = run_call(node(fake.url, **QUICK), speak_and_ask)
    assert spoken(call) == ["f1"]


def test_without_a_session_and_without_speech_the_answer_comes_at_once() -> None:
    async def scenario(call: Call) -> None:
        await call.send(ToneScript().pause(500).pcm)
        await ask(call)

    with dead_port() as url:
        # A minute's deadline: only an answer that does not wait for it passes.
        call = run_call(node(url, finalize_timeout_ms=60_000), scenario)
    assert spoken(call) == ["f1"]


@pytest.mark.parametrize("properties", [{"auto_connect": False}, {"params": {"sample_rate": -1}}])
def test_an_inactive_extension_answers_at_once(properties: Json) -> None:
    """Not started yet, or never to be: with a minute's deadline only an answer that does not wait for it passes."""
    with dead_port() as url:
        base = node(url, finalize_timeout_ms=60_000)
        merged = json.loads(json.dumps(base))
        merged["params"].update(properties.get("params", {}))
        merged.update({key: value for key, value in properties.items() if key != "params"})
        call = run_call(merged, speak_and_ask)
    assert spoken(call) == ["f1"]


def test_finalizes_sent_before_the_extension_has_started_are_answered(serve) -> None:
    async def scenario(call: Call) -> None:
        await call.finalize("f1")
        await call.send(SPEECH)
        await call.finalize("f2")
        await call.answer("f2")

    assert spoken(run_call(node(serve().url), scenario)) == ["f1", "b5", "f2"]


@pytest.mark.parametrize("named", [True, False])
def test_an_empty_commit_is_nobodys_error(named: bool) -> None:
    """The server says there was nothing to commit: that answers the finalize it is about, and is never told."""

    async def empty(peer: Peer) -> None:
        await peer.configure()
        commit = await peer.heard(COMMIT)
        error = {"type": "invalid_request_error", "code": "input_audio_buffer_commit_empty", "message": "too small"}
        await peer.say({"type": "error", "error": {**error, "event_id": commit["event_id"] if named else "stranger"}})
        if not named:
            await peer.committed("item_1")
            await peer.completed("item_1", "still there")

    with FakeServer(empty) as server:
        call = run_call(node(server.url), speak_and_ask)
    assert spoken(call) == (["f1"] if named else ["still there", "f1"])
    assert not call.errors


def test_an_item_that_fails_twice_is_reported_and_then_the_finalize_is_answered() -> None:
    async def fail(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        await peer.committed("item_1")
        error = {"type": "server_error", "code": "audio_unintelligible", "message": "no luck"}
        await peer.say(
            {
                "type": "conversation.item.input_audio_transcription.failed",
                "item_id": "item_1",
                "content_index": 0,
                "error": error,
            }
        )

    with FakeServer(fail) as server:
        call = run_call(node(server.url), speak_and_ask)
    assert call.order("error", "asr_finalize_end") == ["error", "error", "asr_finalize_end"]
    assert [e["vendor_info"]["code"] for e in call.errors] == ["audio_unintelligible", "vendor_failed"]


def test_a_drop_behind_the_commit_does_not_leave_the_finalize_hanging() -> None:
    async def drop(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        peer.abort()

    with FakeServer(drop, transcribe_all) as server:
        call = run_call(node(server.url), speak_and_ask)
    assert spoken(call)[-1] == "f1"


def test_the_deadline_is_kept() -> None:
    """400 ms were promised; a loaded machine gets a few seconds, a forgotten request would take for ever."""
    sent: list[float] = []

    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(SPEECH)
        sent.append(call.messages[-1].at)
        await ask(call)

    with FakeServer(configured_and_mute) as server:
        call = run_call(node(server.url, **QUICK), scenario)
    answered = next(message.at for message in call.messages if message.name == "asr_finalize_end")
    assert answered - sent[0] < 5.0


def test_an_error_about_something_else_does_not_answer_a_finalize() -> None:
    """Server-owned turn, silence on its way: an error that names no event of ours is no answer to it."""

    async def complain(peer: Peer) -> None:
        await peer.configure()
        await peer.heard_audio(len(SPEECH) * 3 // 2 + 10_000)
        await peer.say({"type": "error", "error": {"type": "rate_limit_error", "code": None, "message": "slow down"}})
        await poll("the error", lambda: told)
        item = peer.new_item()
        await peer.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 50, "item_id": item})
        await peer.say({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 450, "item_id": item})
        await peer.committed(item)
        await peer.completed(item, "here it is")

    told: list[bool] = []

    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        await call.finalize("f1")
        await call.error("slow down")
        told.append(True)
        await call.answer("f1")

    with FakeServer(complain) as server:
        call = run_call(node(server.url, turns="server_vad"), scenario)
    assert spoken(call) == ["here it is", "f1"]


def test_noise_the_server_has_heard_and_not_taken_is_asked_about_once(serve) -> None:
    """Loud enough for our cheap detector, too soft for the server's: the second finalize knows already."""
    noise = np.random.default_rng(5).normal(0, 130, 16_000).astype("<i2").tobytes()

    async def scenario(call: Call) -> None:
        await call.send(noise)
        await ask(call, "f1")
        await call.send(bytes(3200))
        await ask(call, "f2")

    call = run_call(node(serve().url, turns="server_vad"), scenario)
    assert spoken(call) == ["f1", "f2"]
    assert not call.errors
    numbers = call.metric("vendor_metrics")[-1]
    assert 0 < numbers["sent_silence_ms"] < 1_000, "silence is somebody's money: it is sent once"
    assert numbers["gated_ms"] == 1_100, "at the end it is nobody's loss"
