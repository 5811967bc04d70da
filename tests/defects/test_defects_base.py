"""Defects of the base class, worked round (docs/defects.md, B)."""

from __future__ import annotations

import pytest
from asr_tester import Call, node, poll, run_call
from ten_packages.extension.openai_asr_python.devkit.server.tones import decode
from tone_script import ToneScript
from wire_servers import FakeServer, Peer

pytestmark = pytest.mark.socket

SCRIPT = ToneScript().pause(100).say(1, 2, 3, ms=300).pause(100)


class Late:
    """A server whose session is not ready before it is told to be; then it transcribes."""

    def __init__(self) -> None:
        self.ready = False
        self.heard: list[int] = []

    async def __call__(self, peer: Peer) -> None:
        await poll("permission", lambda: self.ready)
        await peer.configure()
        await peer.heard_audio(900 * 48)
        self.heard = [block.label for block in decode(peer.audio, 24_000)]
        await peer.transcribe("late but whole")


def test_B4_what_was_kept_goes_out_though_no_further_frame_comes() -> None:
    late = Late()

    async def scenario(call: Call) -> None:
        await call.send(SCRIPT.pcm)
        late.ready = True
        await poll("the audio at the server", lambda: late.heard)

    with FakeServer(late) as server:
        run_call(node(server.url), scenario)
    assert late.heard == [1, 2, 3]


def test_B7_first_and_last_word_are_measured_though_no_frame_was_sent_live() -> None:
    late = Late()

    async def scenario(call: Call) -> None:
        await call.send(SCRIPT.pcm)
        await call.finalize("f1")
        late.ready = True
        await call.answer("f1")

    with FakeServer(late) as server:
        call = run_call(node(server.url), scenario)
    assert call.texts == ["late but whole"]
    assert len(call.metric("ttfw")) == len(call.metric("ttlw")) == 1
    for metrics in call.metrics:
        if set(metrics["metrics"]) != {"connect_delay"}:
            assert metrics["metadata"]["session_id"] == "call-1"
