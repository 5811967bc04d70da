"""What a client sees of the server's session: buffer, turns, items, text, errors and the end."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_peers import EPOCH, Peer, append, silence, speech
from ten_packages.extension.openai_asr_python.audio.g711 import encode_alaw, encode_ulaw
from ten_packages.extension.openai_asr_python.devkit.server.handshake import Refusal
from ten_packages.extension.openai_asr_python.devkit.server.server_session import MAX_APPEND_BYTES
from ten_packages.extension.openai_asr_python.devkit.server.work import (
    UtteranceDropped,
    UtteranceEnded,
    UtteranceStarted,
)
from ten_packages.extension.openai_asr_python.realtime.messages import ErrorDetails

VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
COMMITTED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
CLEAR = {"type": "input_audio_buffer.clear"}
TRANSCRIPTION = "conversation.item.input_audio_transcription."


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix(TRANSCRIPTION) for event in events]


def error(events: list[dict[str, Any]]) -> dict[str, Any]:
    (event,) = events
    assert event["type"] == "error"
    return event["error"]


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


# Text ---------------------------------------------------------------------------------------------------------


def test_a_streaming_model_speaks_before_the_commit_under_the_id_the_commit_names(streaming: Peer) -> None:
    streaming.hear(speech(900))
    (begun,) = [work for work in streaming.work if isinstance(work, UtteranceStarted)]
    assert begun.request.partials
    streaming.session.partial(begun.item_id, "so far", 1.0)
    (delta,) = streaming.events()
    assert (delta["item_id"], delta["delta"]) == (begun.item_id, "so far")
    assert streaming.commit()[0]["item_id"] == begun.item_id
    assert types(streaming.complete(begun.item_id, "so far so good")) == ["delta", "delta", "completed"]


def test_other_models_keep_their_text_until_the_commit(committing: Peer) -> None:
    committing.hear(speech(900))
    item = committing.work[0].item_id
    committing.session.partial(item, "so far", 1.0)
    assert committing.events() == []
    *committed, delta = committing.commit()
    assert types(committed) == COMMITTED and delta["delta"] == "so far"


def test_deltas_add_up_to_the_transcript(committing: Peer) -> None:
    text = "Well, it's five o'clock; the co-op's shut. Très bien!"
    committing.hear(speech(900))
    item = committing.commit()[0]["item_id"]
    *deltas, completed = committing.complete(item, text)
    assert len(deltas) > 8
    assert "".join(delta["delta"] for delta in deltas) == completed["transcript"] == text


def test_whisper_sends_one_delta_at_most() -> None:
    peer = Peer()
    peer.update(transcription={"model": "whisper-1"}, turn_detection=None)
    peer.hear(speech(900))
    item = peer.commit()[0]["item_id"]
    peer.session.partial(item, "two words", 1.0)
    assert types(peer.complete(item, "two words more")) == ["delta", "completed"]


def test_text_is_never_taken_back(streaming: Peer) -> None:
    streaming.hear(speech(900))
    item = streaming.work[0].item_id
    streaming.session.partial(item, "the mast", 1.0)
    streaming.session.partial(item, "the past is", 1.1)
    streaming.session.partial(item, "the", 1.2)
    assert [event["delta"] for event in streaming.events()] == ["the mast"]
    streaming.commit()
    assert types(streaming.complete(item, "the past is over")) == ["completed"]


def test_a_silent_item_completes_with_empty_text(committing: Peer) -> None:
    committing.hear(silence(300))
    item = committing.commit()[0]["item_id"]
    (completed,) = committing.complete(item, "")
    assert completed["transcript"] == ""


@pytest.mark.parametrize(
    ("model", "ms", "usage"),
    [
        ("gpt-live-transcribe", 2340, {"type": "duration", "seconds": 2.3}),
        ("gpt-realtime-whisper", 2340, {"type": "duration", "seconds": 2.3}),
        ("gpt-transcribe", 2340, {"type": "duration", "seconds": 3}),
        ("whisper-1", 2340, {"type": "duration", "seconds": 3}),
        (
            "gpt-4o-mini-transcribe",
            2340,
            {
                "type": "tokens",
                "total_tokens": 25,
                "input_tokens": 23,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 23},
                "output_tokens": 2,
            },
        ),
    ],
)
def test_usage_is_counted_as_the_model_is_billed(model: str, ms: int, usage: dict[str, Any]) -> None:
    peer = Peer()
    peer.update(transcription={"model": model}, turn_detection=None)
    peer.hear(speech(ms))
    item = peer.commit()[0]["item_id"]
    assert peer.complete(item, "two words")[-1]["usage"] == usage


def test_only_gpt_transcribe_names_the_languages_it_heard(committing: Peer) -> None:
    peer = Peer()
    peer.update(transcription={"model": "gpt-transcribe"}, turn_detection=VAD)
    item = peer.hear(speech(640), silence(640))[0]["item_id"]
    assert peer.complete(item, "ja", language="de")[-1]["languages"] == [{"code": "de"}]
    committing.hear(speech(640))
    item = committing.commit()[0]["item_id"]
    assert "languages" not in committing.complete(item, "ja", language="de")[-1]


def test_logprobs_come_only_when_asked_for(committing: Peer) -> None:
    committing.hear(speech(640))
    item = committing.commit()[0]["item_id"]
    assert all("logprobs" not in event for event in committing.complete(item, "yes sir"))
    include = ["item.input_audio_transcription.logprobs"]
    committing.say({"type": "session.update", "session": {"type": "transcription", "include": include}})
    committing.hear(speech(640))
    item = committing.commit()[0]["item_id"]
    delta, *_, completed = committing.complete(item, "yes sir", confidence=0.5)
    assert delta["logprobs"] == [{"token": "yes", "logprob": pytest.approx(-0.693, abs=1e-3), "bytes": [121, 101, 115]}]
    assert [entry["token"] for entry in completed["logprobs"]] == ["yes", " sir"]


def test_what_the_recogniser_is_told(streaming: Peer) -> None:
    told = {"languages": ["en", "cy"], "keywords": ["Polly"], "prompt": "At sea", "delay": "high"}
    streaming.update(transcription={"model": "gpt-live-transcribe", **told})
    streaming.hear(speech(100))
    request = next(work for work in streaming.work if isinstance(work, UtteranceStarted)).request
    assert (request.languages, request.keywords) == (("en", "cy"), ("Polly",))
    assert (request.prompt, request.delay) == ("At sea", "high")


def test_a_failure_before_the_commit_is_told_after_it(streaming: Peer) -> None:
    streaming.hear(speech(640))
    item = streaming.work[0].item_id
    streaming.session.failed(item, 1.0)
    assert streaming.events() == []
    *committed, failed = streaming.commit()
    assert types(committed) == COMMITTED
    assert failed["error"] == {
        "type": "server_error",
        "code": None,
        "message": f"Input transcription failed for item '{item}'.",
        "param": None,
    }


def test_an_item_ends_once(committing: Peer) -> None:
    committing.hear(speech(640))
    item = committing.commit()[0]["item_id"]
    assert types(committing.complete(item, "once")) == ["delta", "completed"]
    assert committing.complete(item, "twice") == []
    committing.session.failed(item, 1.0)
    assert committing.events() == []


def test_results_of_cleared_audio_are_not_sent(streaming: Peer) -> None:
    streaming.hear(speech(640))
    item = streaming.work[0].item_id
    streaming.say(CLEAR)
    streaming.session.partial(item, "ghost", 1.0)
    assert streaming.complete(item, "ghost") == []


def test_an_item_can_be_retrieved_and_deleted(committing: Peer) -> None:
    committing.hear(speech(640))
    item = committing.commit()[0]["item_id"]
    committing.complete(item, "kept")
    (retrieved,) = committing.say({"type": "conversation.item.retrieve", "item_id": item})
    assert retrieved["item"]["content"] == [{"type": "input_audio", "transcript": "kept"}]
    (deleted,) = committing.say({"type": "conversation.item.delete", "item_id": item})
    assert (deleted["type"], deleted["item_id"]) == ("conversation.item.deleted", item)
    refused = error(committing.say({"type": "conversation.item.retrieve", "item_id": item, "event_id": "r"}))
    assert (refused["param"], refused["event_id"]) == ("item_id", "r")


def test_utterances_end_when_their_item_is_committed(committing: Peer) -> None:
    committing.hear(speech(640))
    committing.commit()
    assert isinstance(committing.work[0], UtteranceStarted)
    assert isinstance(committing.work[-1], UtteranceEnded)


# Errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[1]", "invalid_event", "type"),
        ('{"event_id": "x"}', "invalid_event", "type"),
        ('{"type": 7}', "invalid_event", "type"),
        ('{"type": "input_audio_buffer.append"}', "missing_required_parameter", "audio"),
        ('{"type": "input_audio_buffer.commit", "force": true}', "unknown_parameter", "force"),
        ('{"type": "transcription_session.update", "session": {}}', "invalid_value", "type"),
        ('{"type": "response.create"}', "invalid_value", "type"),
        ('{"type": "session.update"}', "missing_required_parameter", "session"),
        ('{"type": "session.update", "session": 5}', "invalid_type", None),
    ],
)
def test_bad_messages_are_errors_and_nothing_more(committing: Peer, frame: str, code: str, param: str | None) -> None:
    committing.session.receive_message(frame, 0.0)
    refused = error(committing.events())
    assert (refused["type"], refused["code"], refused["param"]) == ("invalid_request_error", code, param)
    assert committing.session.close is None
    committing.hear(speech(100))
    assert types(committing.commit()) == COMMITTED


def test_an_unknown_event_is_told_what_there_is(committing: Peer) -> None:
    message = error(committing.say({"type": "nope"}))["message"]
    assert message.startswith("Invalid value: 'nope'. Supported values are: 'session.update', ")
    assert "'input_audio_buffer.clear'" in message


def test_a_binary_frame_is_an_invalid_event(committing: Peer) -> None:
    committing.session.receive_binary(0.0)
    assert error(committing.events())["code"] == "invalid_event"


def test_errors_echo_the_clients_event_id(committing: Peer) -> None:
    assert error(committing.say({"type": "nope", "event_id": "mine"}))["event_id"] == "mine"
    assert error(committing.say({"type": "nope"}))["event_id"] is None


def test_every_event_has_an_id_of_its_own(committing: Peer) -> None:
    events = [event for _ in range(50) for event in committing.say(CLEAR)]
    assert len({event["event_id"] for event in events}) == 50


def test_the_same_seed_gives_the_same_ids() -> None:
    assert Peer().events() == Peer().events()


# The end ------------------------------------------------------------------------------------------------------


def test_a_session_ends_after_its_hour_and_not_before() -> None:
    peer = Peer(session_seconds=3600)
    (created,) = peer.events()
    assert created["session"]["expires_at"] == EPOCH + 3600
    assert peer.session.get_timer() == 3600
    peer.session.handle_timer(3599.9)
    assert peer.events() == [] and peer.session.close is None
    peer.session.handle_timer(3600.0)
    assert error(peer.events())["code"] == "session_expired"
    assert peer.session.close == (1001, "Your session hit the maximum duration of 60 minutes.")
    assert peer.session.get_timer() is None


def test_nothing_is_said_after_the_end() -> None:
    peer = Peer(session_seconds=5)
    peer.update(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None)
    peer.hear(speech(640))
    item = peer.commit()[0]["item_id"]
    peer.session.handle_timer(5.0)
    peer.events()
    assert peer.complete(item, "too late") == []
    assert peer.hear(speech(100)) == [] and peer.commit() == []


def test_a_refused_session_says_why_and_closes() -> None:
    details = ErrorDetails(type="insufficient_quota", code="insufficient_quota", message="no credit")
    peer = Peer(refusal=Refusal(details, 1013))
    assert error(peer.events())["message"] == "no credit"
    assert peer.session.close == (1013, "insufficient_quota.insufficient_quota")


# The seam for faults ------------------------------------------------------------------------------------------


class Delay:
    """Holds `session.updated` back for two seconds, doubles commits, swallows `cleared`."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.due: float | None = None

    def incoming(self, frame: Any, now: float) -> Any:
        return [frame] * (2 if b"commit" in frame.encode() else 1)

    def outgoing(self, event: dict[str, Any], now: float) -> Any:
        if event["type"] == "session.updated":
            self.held.append(event)
            self.due = now + 2
            return []
        return [] if event["type"].endswith("cleared") else [event]

    def get_timer(self) -> float | None:
        return self.due

    def handle_timer(self, now: float) -> Any:
        if self.due is None or now < self.due:
            return []
        held, self.held, self.due = self.held, [], None
        return held


def test_a_layer_can_hold_back_swallow_and_repeat() -> None:
    peer = Peer(middleware=[Delay()])
    assert peer.update(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None) == []
    assert peer.session.get_timer() == 2
    peer.session.handle_timer(2.0)
    assert types(peer.events()) == ["session.updated"]
    assert peer.say(CLEAR) == []
    peer.hear(speech(640))
    events = peer.commit()
    assert types(events[:3]) == COMMITTED and error(events[3:])["code"] == "input_audio_buffer_commit_empty"


def test_json_strings_and_bytes_are_the_same(committing: Peer) -> None:
    committing.session.receive_message(json.dumps(append(speech(100))).encode(), 0.0)
    assert types(committing.commit()) == COMMITTED
