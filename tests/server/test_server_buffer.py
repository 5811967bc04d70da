"""The input buffer and the turns found in it, as a client sees them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_peers import CLEAR, COMMITTED, VAD, Peer, error, silence, speech, types
from ten_packages.extension.openai_asr_python.audio.g711 import encode_alaw, encode_ulaw
from ten_packages.extension.openai_asr_python.devkit.server.server_session import MAX_APPEND_BYTES
from ten_packages.extension.openai_asr_python.devkit.server.work import (
    UtteranceDropped,
)


def vad_peer(**turn_detection: Any) -> Peer:
    peer = Peer()
    peer.update(transcription={"model": "gpt-4o-transcribe"}, turn_detection={**VAD, **turn_detection})
    return peer


# The buffer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ms", "shown"), [(0, "0.00"), (40, "40.00"), (99, "99.00")])
def test_a_commit_of_less_than_100_ms_is_refused_with_the_length(committing: Peer, ms: int, shown: str) -> None:
    committing.hear(speech(ms))
    refused = error(committing.commit())
    assert refused["code"] == "input_audio_buffer_commit_empty"
    assert refused["message"].endswith(f"at least 100ms of audio, but buffer only has {shown}ms of audio.")
    assert refused["event_id"] == "commit"


def test_audio_of_a_refused_commit_stays_in_the_buffer(committing: Peer) -> None:
    committing.hear(speech(60))
    committing.commit()
    committing.hear(speech(60))
    assert types(committing.commit()) == COMMITTED


def test_100_ms_are_enough(committing: Peer) -> None:
    committing.hear(speech(100))
    assert types(committing.commit()) == COMMITTED


def test_a_clear_drops_what_was_not_committed(committing: Peer) -> None:
    committing.hear(speech(500))
    assert types(committing.say(CLEAR)) == ["input_audio_buffer.cleared"]
    assert isinstance(committing.work[-1], UtteranceDropped)
    assert error(committing.commit())["code"] == "input_audio_buffer_commit_empty"


def test_clearing_nothing_is_no_error(committing: Peer) -> None:
    assert types(committing.say(CLEAR)) == ["input_audio_buffer.cleared"]


def test_appends_are_not_answered(committing: Peer) -> None:
    assert committing.hear(speech(100), speech(100)) == []


def test_items_chain(committing: Peer) -> None:
    previous = None
    for _ in range(3):
        committing.hear(speech(200))
        committed, added, done = committing.commit()
        assert committed["previous_item_id"] == added["previous_item_id"] == done["previous_item_id"] == previous
        assert committed["item_id"] == added["item"]["id"] == done["item"]["id"] != previous
        previous = committed["item_id"]


def test_what_the_recogniser_hears_is_what_was_sent(committing: Peer) -> None:
    committing.hear(speech(300), speech(300))
    item = committing.commit()[0]["item_id"]
    heard = np.frombuffer(committing.heard(item), "<i2")
    assert len(heard) == 16000 * 600 // 1000
    spectrum = np.abs(np.fft.rfft(heard[1600:8000]))
    assert np.argmax(spectrum) * 16000 / 6400 == pytest.approx(440, abs=3)


@pytest.mark.parametrize(("kind", "encode"), [("audio/pcmu", encode_ulaw), ("audio/pcma", encode_alaw)])
def test_g711_is_decoded(kind: str, encode: Any) -> None:
    peer = Peer()
    peer.update(format={"type": kind}, transcription={"model": "gpt-4o-transcribe"}, turn_detection=None)
    peer.hear(encode(speech(400, 8000)))
    item = peer.commit()[0]["item_id"]
    heard = np.frombuffer(peer.heard(item), "<i2").astype(float)
    assert len(heard) == 6400
    assert np.argmax(np.abs(np.fft.rfft(heard))) * 16000 / 6400 == pytest.approx(440, abs=3)
    assert np.sqrt(np.mean(heard[1000:5000] ** 2)) == pytest.approx(8000 / np.sqrt(2), rel=0.02)


def test_an_append_may_hold_15_mib_but_no_more(committing: Peer) -> None:
    assert committing.hear(bytes(MAX_APPEND_BYTES)) == []
    refused = error(committing.hear(bytes(MAX_APPEND_BYTES + 2)))
    assert (refused["code"], refused["param"]) == ("string_above_max_length", "audio")


@pytest.mark.parametrize("audio", ["!!!!", "AAA", base64.b64encode(b"odd").decode()])
def test_what_is_no_audio_is_refused_and_changes_nothing(committing: Peer, audio: str) -> None:
    assert error(committing.say({"type": "input_audio_buffer.append", "audio": audio}))["param"] == "audio"
    committing.hear(speech(99))
    assert "99.00ms" in error(committing.commit())["message"]


# Turn detection -----------------------------------------------------------------------------------------------


def test_a_turn_is_found_in_audio_time() -> None:
    peer = vad_peer()
    assert peer.hear(silence(960)) == []
    (started,) = peer.hear(speech(790))
    assert (started["type"], started["audio_start_ms"]) == ("input_audio_buffer.speech_started", 660)
    assert peer.hear(silence(480)) == []
    stopped, *committed = peer.hear(silence(200))
    assert stopped["type"] == "input_audio_buffer.speech_stopped"
    assert stopped["audio_end_ms"] == pytest.approx(960 + 790 + 500, abs=33)
    assert types(committed) == COMMITTED
    assert {started["item_id"], stopped["item_id"], committed[0]["item_id"]} == {started["item_id"]}


def test_a_turn_is_heard_from_its_prefix_to_the_end_of_its_silence() -> None:
    peer = vad_peer()
    started, stopped, *_ = peer.hear(silence(960), speech(800), silence(700))
    heard = len(peer.heard(started["item_id"])) / 32
    assert heard == stopped["audio_end_ms"] - started["audio_start_ms"]


def test_the_prefix_takes_nothing_from_the_turn_before() -> None:
    peer = vad_peer(silence_duration_ms=100, prefix_padding_ms=1000)
    events = peer.hear(silence(1500), speech(480), silence(320), speech(480), silence(320))
    turns = [event for event in events if "speech" in event["type"]]
    assert [event["type"].rpartition("_")[2] for event in turns] == ["started", "stopped"] * 2
    assert turns[2]["audio_start_ms"] == turns[1]["audio_end_ms"]


def test_one_message_may_hold_many_turns() -> None:
    peer = vad_peer(silence_duration_ms=200)
    events = peer.hear((speech(400) + silence(400)) * 5)
    assert types(events).count("input_audio_buffer.committed") == 5
    items = [event["item_id"] for event in events if event["type"] == "input_audio_buffer.committed"]
    assert len(set(items)) == 5


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=60))
def test_turns_do_not_depend_on_how_audio_is_cut(cuts: list[int]) -> None:
    audio = silence(500) + speech(700) + silence(800) + speech(300) + silence(900)
    whole = vad_peer().hear(audio)
    peer, pieces, at = vad_peer(), [], 0
    for cut in cuts:
        pieces.append(audio[at : at + 2 * cut])
        at += 2 * cut
    pieces += [audio[at:]] if at < len(audio) else []
    events = peer.hear(*(piece for piece in pieces if piece))
    times = [(e["type"], e.get("audio_start_ms", e.get("audio_end_ms"))) for e in events]
    assert times == [(e["type"], e.get("audio_start_ms", e.get("audio_end_ms"))) for e in whole]


def test_a_commit_during_speech_ends_the_turn_without_speech_stopped() -> None:
    peer = vad_peer()
    (started,) = peer.hear(speech(640))
    events = peer.commit()
    assert types(events) == COMMITTED
    assert events[0]["item_id"] == started["item_id"]
    (again,) = peer.hear(speech(320))
    assert again["type"] == "input_audio_buffer.speech_started"
    assert again["audio_start_ms"] == 640 and again["item_id"] != started["item_id"]


def test_a_commit_right_after_the_detectors_own_is_empty() -> None:
    peer = vad_peer()
    peer.hear(speech(630), silence(550))
    assert error(peer.commit())["code"] == "input_audio_buffer_commit_empty"


def test_a_commit_of_silence_makes_an_item_of_it() -> None:
    peer = vad_peer()
    peer.hear(silence(400))
    assert types(peer.commit()) == COMMITTED


def test_a_clear_ends_the_turn_without_an_item() -> None:
    peer = vad_peer()
    peer.hear(speech(640))
    assert types(peer.say(CLEAR)) == ["input_audio_buffer.cleared"]
    assert peer.hear(silence(1000)) == []


def test_speech_is_not_sought_when_detection_is_off(committing: Peer) -> None:
    assert committing.hear(speech(2000), silence(3000)) == []


@pytest.mark.parametrize(("eagerness", "turns"), [("high", 2), ("auto", 1), ("low", 1)])
def test_an_eager_semantic_detector_waits_less(eagerness: str, turns: int) -> None:
    peer = Peer()
    peer.update(transcription={"model": "whisper-1"}, turn_detection={"type": "semantic_vad", "eagerness": eagerness})
    events = peer.hear(speech(600), silence(800), speech(600), silence(3000))
    assert types(events).count("input_audio_buffer.committed") == turns


def test_without_transcription_there_are_turns_but_no_text() -> None:
    peer = Peer()
    peer.events()
    events = peer.hear(speech(640), silence(640))
    assert types(events)[:2] == ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"]
    assert types(events)[2:] == COMMITTED
    assert peer.work == []


def test_positions_go_on_after_the_format_changes() -> None:
    peer = vad_peer()
    peer.hear(silence(960))
    peer.update(format={"type": "audio/pcmu"})
    (started,) = peer.hear(encode_ulaw(speech(640, 8000)))
    assert started["audio_start_ms"] == 660
