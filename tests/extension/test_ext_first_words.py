"""The first words survive the connect: however late the session is ready, nothing is lost and the order is kept."""

from __future__ import annotations

import asyncio

import pytest
from asr_tester import STREAMING, Call, node, poll, run_call
from ten_packages.extension.openai_asr_python.devkit.server.tones import decode
from tone_script import ToneScript
from wire_servers import APPEND, FakeServer, Peer

WIRE_RATE = 24_000


class Gate:
    """A server whose session is ready when the test says so."""

    def __init__(self) -> None:
        self.is_open = False
        self.peer: Peer | None = None

    async def __call__(self, peer: Peer) -> None:
        self.peer = peer
        await poll("the gate", lambda: self.is_open)
        await peer.configure()
        commit = 1
        while True:
            await peer.transcribe(f"turn {commit}", commit)
            commit += 1


def heard(peer: Peer | None) -> list[tuple[int, float]]:
    """Labels that reached the server and where they begin in its audio."""
    assert peer is not None
    return [(block.label, block.start_ms) for block in decode(peer.audio, WIRE_RATE)]


def test_a_session_that_is_ready_late_loses_nothing_and_keeps_the_order_and_the_pauses() -> None:
    gate = Gate()
    script = ToneScript().pause(2500).say(1).pause(700).say(2, 3).pause(400).say(4).pause(3000)

    async def scenario(call: Call) -> None:
        await call.send(script.pcm)
        await call.until("three seconds of audio", lambda: len(call.metric("vendor_metrics")) >= 3)
        assert not call.results
        gate.is_open = True
        await call.finalize("f1")
        await call.answer("f1")

    with FakeServer(gate) as server:
        call = run_call(node(server.url), scenario)
    assert call.texts == ["turn 1"]
    labels = heard(gate.peer)
    assert [label for label, _ in labels] == [1, 2, 3, 4]
    assert labels[0][1] >= 300, "the lead-in was cut: a soft first sound would be lost with it"
    truth = {spoken.label: spoken.start_ms for spoken in script.spoken}
    for label, start in labels:
        between = start - labels[0][1]
        assert between == pytest.approx(truth[label] - truth[1], abs=10), "a pause between words was cut"
    assert not call.errors


def test_turns_finalized_before_the_session_is_ready_stay_two_turns() -> None:
    gate = Gate()

    async def scenario(call: Call) -> None:
        for number in (1, 2):
            await call.send(ToneScript().say(number).pause(300).say(10 + number).pause(200).pcm)
            await call.finalize(f"f{number}")
        await call.send(ToneScript().pause(3000).pcm)
        gate.is_open = True
        await call.answer("f2")

    with FakeServer(gate) as server:
        call = run_call(node(server.url), scenario)
    assert call.texts == ["turn 1", "turn 2"]
    assert [answer["finalize_id"] for answer in call.answers] == ["f1", "f2"]
    labels = heard(gate.peer)
    assert [label for label, _ in labels] == [1, 11, 2, 12]
    at = dict(labels)
    assert at[11] - at[1] == pytest.approx(500, abs=10), "a pause inside a closed turn was cut"


def test_no_audio_goes_out_before_the_configuration_is_confirmed() -> None:
    """The service transcribes with what it was told; audio before that would be somebody else's."""
    seen: list[str] = []

    async def hesitate(peer: Peer) -> None:
        await peer.say({"type": "session.created", "session": {"type": "transcription"}})
        update = await peer.heard("session.update")
        await poll("audio taken by the extension", lambda: taken)
        await asyncio.sleep(0.2)
        seen.extend(message["type"] for message in peer.received)
        await peer.say({"type": "session.updated", "session": update["session"]})
        await peer.transcribe("there it is")

    taken: list[bool] = []

    async def scenario(call: Call) -> None:
        await call.send(ToneScript().say(1, ms=1000).pcm)
        await call.until("the first second", lambda: call.metric("vendor_metrics"))
        taken.append(True)
        await call.finalize("f1")
        await call.answer("f1")

    with FakeServer(hesitate) as server:
        call = run_call(node(server.url), scenario)
        appends = server.peers[0].all(APPEND)
    assert seen == ["session.update"]
    assert appends and all(message["audio"] for message in appends), "an empty append is an error to some servers"
    assert call.texts == ["there it is"]


@pytest.mark.parametrize("turns", ["none", "server_vad"])
def test_everything_said_before_the_connection_is_transcribed(serve, turns: str) -> None:
    script = ToneScript().pause(100).say(7, 8, ms=300).pause(2000)

    async def scenario(call: Call) -> None:
        # One burst, long before anything can be connected; then not a frame more.
        await call.send(script.pcm)
        await call.finalize("f1")
        await call.answer("f1")

    call = run_call(node(serve().url, turns=turns), scenario)
    assert call.texts == ["b7 b8"]


def test_everything_said_before_the_connection_reaches_a_streaming_model(serve) -> None:
    async def scenario(call: Call) -> None:
        await call.send(ToneScript().say(7, 8).pause(100).pcm)
        await call.finalize("f1")
        await call.answer("f1")

    assert run_call(node(serve().url, model=STREAMING), scenario).texts == ["b7 b8"]
