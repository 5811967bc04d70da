"""Results: whose words, in which language, and none twice (docs/defects.md, T)."""

from __future__ import annotations

import pytest
from asr_tester import STREAMING, Call, node, poll, run_call
from tone_script import ToneScript
from wire_servers import COMMIT, FakeServer, Peer

pytestmark = pytest.mark.socket

SPEECH = ToneScript().say(1, 2, ms=300).pcm
REST = ToneScript().pause(100).say(3, ms=300).pause(100).pcm


@pytest.mark.parametrize(
    ("written", "wire", "told"),
    [("es", "es", "es-ES"), ("en-US", "en", "en-US"), ("zh-Hant-TW", "zh", "zh-Hant-TW"), ("", None, "und")],
)
def test_T4_the_server_gets_a_code_and_the_graph_a_tag(written: str, wire: str | None, told: str) -> None:
    async def transcribe(peer: Peer) -> None:
        await peer.configure()
        await peer.transcribe("words")

    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        await call.finalize("f1")
        await call.answer("f1")

    with FakeServer(transcribe) as server:
        model = {"model": "whisper-1", "language": written}
        call = run_call(node(server.url, input_audio_transcription=model), scenario)
        (update,) = server.peers[0].all("session.update")
    transcription = update["session"]["audio"]["input"]["transcription"]
    assert transcription.get("language") == wire and ("language" in transcription) == (wire is not None)
    assert [final["language"] for final in call.finals] == [told]


def test_T8_words_of_before_an_outage_are_no_beginning_of_those_after() -> None:
    """Half a turn was shown when the connection dropped: its replay shows only what is longer, under the same id."""
    shown: list[bool] = []

    async def die_speaking(peer: Peer) -> None:
        await peer.configure()
        await peer.heard_audio(len(SPEECH) * 3 // 2)
        await peer.delta("old", "before ")
        await poll("the partial", lambda: shown)
        peer.abort()

    async def begin_anew(peer: Peer) -> None:
        await peer.configure()
        await peer.heard_audio(len(SPEECH))
        await peer.delta("new", "bef")
        await peer.delta("new", "ore and after")
        await peer.heard(COMMIT)
        await peer.committed("new")
        await peer.completed("new", "before and after")

    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(SPEECH)
        await call.until("the partial", lambda: call.partials)
        shown.append(True)
        await call.error("1006")
        await call.send(REST)
        await call.finalize("f1")
        await call.answer("f1")

    with FakeServer(die_speaking, begin_anew) as server:
        call = run_call(node(server.url, model=STREAMING), scenario)
    assert [partial["text"].strip() for partial in call.partials] == ["before", "before and after"]
    assert call.texts == ["before and after"]
    assert len({result["id"] for result in call.results}) == 1
