"""Faults that depend on what is said; time is a number."""

from __future__ import annotations

from typing import Any

import pytest
from server_faults import COMMITTING, FaultyPeer, faulty, names
from server_peers import CLEAR, VAD, silence
from ten_packages.extension.openai_asr_python.audio.g711 import encode_ulaw
from ten_packages.extension.openai_asr_python.devkit.server.faults import Faults
from ten_packages.extension.openai_asr_python.devkit.server.tones import make_block

RATE = 24_000


def blocks(*labels: int, rate: int = RATE) -> bytes:
    return b"".join(make_block(label, 200, rate) for label in labels)


def test_poison_ends_every_connection_that_commits_the_block_and_no_other() -> None:
    faults = Faults(["poison:label=7,reason=worker lost"])
    for audio, ends in (((7,), True), ((6, 8), False), ((6, 7, 8), True)):
        peer = FaultyPeer(faults)
        peer.update(**COMMITTING)
        assert names(peer.hear(blocks(*audio))) == []
        said = peer.commit()
        assert names(said)[0] == "committed", "the commit is answered first"
        assert (peer.session.close is not None) is ends, audio
        if ends:
            assert peer.session.close == (1011, "worker lost")
    assert list(faults.counts.values()) == [2]


def test_poison_is_in_what_was_committed_last_and_not_in_what_went_before() -> None:
    peer = faulty("poison:label=7,code=4001,times=1")
    peer.hear(blocks(7))
    peer.say(CLEAR)
    peer.hear(blocks(5))
    peer.commit()
    peer.hear(blocks(6), blocks(7)[:2400])
    peer.commit()
    assert peer.session.close is None, "a quarter of a block is no block"
    peer.hear(blocks(7))
    peer.commit()
    assert peer.session.close is not None and peer.session.close.code == 4001


def test_poison_in_a_turn_of_the_server_counts_when_that_turn_is_committed() -> None:
    peer = faulty("poison:label=7", configured=False)
    peer.update(transcription={"model": "gpt-4o-transcribe"}, turn_detection=VAD)
    # The block begins in the very message that ends the turn before it.
    said = peer.hear(silence(400) + blocks(6), silence(900) + blocks(7))
    assert "committed" in names(said) and peer.session.close is None
    assert "committed" in names(peer.hear(silence(900)))
    assert peer.session.close is not None


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu"])
def test_poison_is_heard_in_any_format_and_junk_is_passed_over(kind: str) -> None:
    form: dict[str, Any] = {"type": kind, "rate": RATE} if kind == "audio/pcm" else {"type": kind}
    peer = faulty("poison:label=7", configured=False)
    peer.update(format=form, **COMMITTING)
    junk = peer.say({"type": "input_audio_buffer.append", "audio": "no base64"})
    assert names(junk) == ["error"]
    peer.hear(blocks(7) if kind == "audio/pcm" else encode_ulaw(blocks(7, rate=8000)))
    peer.commit()
    assert peer.session.close is not None
