"""`session.update`: what is accepted, what is refused with which words, and that a refused one changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from server_peers import Peer

INPUT = "session.audio.input"
VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200}


def updated(events: list[dict[str, Any]]) -> dict[str, Any]:
    (event,) = events
    assert event["type"] == "session.updated", event
    return event["session"]["audio"]["input"]


def refused(events: list[dict[str, Any]]) -> tuple[str, str, str]:
    (event,) = events
    assert event["type"] == "error", event
    assert event["error"]["type"] == "invalid_request_error"
    return event["error"]["code"], event["error"]["param"], event["error"]["message"]


def test_the_defaults_are_those_of_the_live_service() -> None:
    (created,) = Peer().events()
    session = created["session"]
    assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
    assert session["include"] is None
    assert session["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": VAD,
    }


def test_what_is_absent_stays_and_null_is_off() -> None:
    peer = Peer()
    nothing_given = updated(peer.update(transcription={"model": "gpt-4o-transcribe", "language": "en"}))
    assert nothing_given["turn_detection"] == VAD
    off = updated(peer.update(turn_detection=None))
    assert off["turn_detection"] is None
    assert off["transcription"] == {"model": "gpt-4o-transcribe", "language": "en", "prompt": None}
    assert updated(peer.update(transcription=None))["transcription"] is None


def test_objects_are_merged_field_by_field() -> None:
    peer = Peer()
    peer.update(
        transcription={"model": "gpt-4o-transcribe", "prompt": "ships"}, turn_detection={**VAD, "threshold": 0.7}
    )
    merged = updated(peer.update(transcription={"language": "en"}, turn_detection={"silence_duration_ms": 900}))
    assert merged["transcription"] == {"model": "gpt-4o-transcribe", "prompt": "ships", "language": "en"}
    assert merged["turn_detection"] == {**VAD, "threshold": 0.7, "silence_duration_ms": 900}


def test_a_language_changes_but_is_not_taken_back() -> None:
    peer = Peer()
    peer.update(transcription={"model": "gpt-4o-transcribe", "language": "en"})
    changed = updated(peer.update(transcription={"model": "gpt-4o-transcribe", "language": "de"}))
    assert changed["transcription"]["language"] == "de"
    kept = updated(peer.update(transcription={"model": "gpt-4o-transcribe", "language": None}))
    assert kept["transcription"]["language"] == "de"


def test_another_kind_of_detection_brings_its_own_defaults() -> None:
    peer = Peer()
    semantic = updated(peer.update(turn_detection={"type": "semantic_vad"}))
    assert semantic["turn_detection"] == {"type": "semantic_vad", "eagerness": "auto"}
    assert updated(peer.update(turn_detection={"type": "server_vad"}))["turn_detection"] == VAD


def test_noise_reduction_keeps_its_strength() -> None:
    peer = Peer()
    first = updated(peer.update(noise_reduction={"type": "near_field"}))
    assert first["noise_reduction"] == {"type": "near_field", "strength": 1}
    peer.update(noise_reduction={"type": "near_field", "strength": 0.4})
    far = updated(peer.update(noise_reduction={"type": "far_field"}))
    assert far["noise_reduction"] == {"type": "far_field", "strength": 0.4}


def test_a_new_model_drops_what_it_does_not_take() -> None:
    peer = Peer()
    peer.update(transcription={"model": "gpt-4o-transcribe", "language": "en", "prompt": "ships"})
    changed = updated(peer.update(transcription={"model": "gpt-realtime-whisper"}, turn_detection=None))
    assert changed["transcription"] == {"model": "gpt-realtime-whisper", "language": "en"}


def test_a_name_nobody_knows_takes_everything() -> None:
    told = {"model": "tomorrows-model", "keywords": ["x"], "prompt": "y", "languages": ["en"], "delay": "low"}
    assert updated(Peer().update(transcription=told))["transcription"] == told


@pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-realtime-whisper"])
@pytest.mark.parametrize("detection", [{"type": "server_vad"}, {"type": "semantic_vad"}])
def test_streaming_models_refuse_turn_detection(model: str, detection: dict[str, Any]) -> None:
    peer = Peer()
    code, param, message = refused(peer.update(transcription={"model": model}, turn_detection=detection))
    assert (code, param) == ("invalid_value", f"{INPUT}.turn_detection")
    assert message == "Turn detection is not supported for this transcription model."
    assert updated(peer.update(transcription={"model": model}, turn_detection=None))["turn_detection"] is None
    assert refused(peer.update(turn_detection=detection))[1] == f"{INPUT}.turn_detection"


def test_left_out_with_a_streaming_model_detection_is_off() -> None:
    assert updated(Peer().update(transcription={"model": "gpt-live-transcribe"}))["turn_detection"] is None


@pytest.mark.parametrize(
    "model", ["gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize", "whisper-1"]
)
def test_other_models_take_turn_detection(model: str) -> None:
    assert updated(Peer().update(transcription={"model": model}, turn_detection=VAD))["turn_detection"] == VAD


BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"format": {"type": "audio/pcm", "rate": 16000}}, "integer_below_min_value", "format.rate"),
    ({"format": {"type": "audio/pcm", "rate": 48000}}, "integer_above_max_value", "format.rate"),
    ({"format": {"type": "audio/pcm", "rate": "24000"}}, "invalid_type", "format.rate"),
    ({"format": {"type": "audio/opus"}}, "invalid_value", "format.type"),
    ({"format": {"rate": 24000}}, "missing_required_parameter", "format.type"),
    ({"format": {"type": "audio/pcmu", "rate": 8000}}, "unknown_parameter", "format.rate"),
    ({"format": "pcm16"}, "invalid_type", "format"),
    ({"colour": "red"}, "unknown_parameter", "colour"),
    ({"transcription": {}}, "missing_required_parameter", "transcription.model"),
    ({"transcription": {"model": 4}}, "invalid_type", "transcription.model"),
    ({"transcription": {"model": "whisper-1", "speed": 2}}, "unknown_parameter", "transcription.speed"),
    (
        {"transcription": {"model": "whisper-1", "prompt": "x" * 1025}},
        "string_above_max_length",
        "transcription.prompt",
    ),
    ({"transcription": {"model": "whisper-1", "languages": ["en"]}}, "unknown_parameter", "transcription.languages"),
    ({"transcription": {"model": "gpt-4o-transcribe", "delay": "low"}}, "unknown_parameter", "transcription.delay"),
    ({"transcription": {"model": "gpt-transcribe", "delay": "low"}}, "unknown_parameter", "transcription.delay"),
    ({"transcription": {"model": "gpt-transcribe", "language": "en"}}, "unknown_parameter", "transcription.language"),
    ({"transcription": {"model": "gpt-transcribe", "languages": []}}, "empty_array", "transcription.languages"),
    ({"transcription": {"model": "gpt-transcribe", "languages": None}}, "invalid_type", "transcription.languages"),
    (
        {"transcription": {"model": "gpt-transcribe", "languages": ["en"], "language": "en"}},
        "invalid_value",
        "transcription.languages",
    ),
    ({"transcription": {"model": "gpt-transcribe", "keywords": ["a<b"]}}, "invalid_value", "transcription.keywords[0]"),
    (
        {"transcription": {"model": "gpt-transcribe", "keywords": ["a", "b\n"]}},
        "invalid_value",
        "transcription.keywords[1]",
    ),
    (
        {"transcription": {"model": "gpt-4o-transcribe-diarize", "prompt": "x"}},
        "unknown_parameter",
        "transcription.prompt",
    ),
    (
        {"transcription": {"model": "gpt-realtime-whisper", "prompt": "x"}, "turn_detection": None},
        "unknown_parameter",
        "transcription.prompt",
    ),
    ({"transcription": {"model": "gpt-realtime-whisper", "delay": "none"}}, "invalid_value", "transcription.delay"),
    ({"turn_detection": {"type": "local_vad"}}, "invalid_value", "turn_detection.type"),
    (
        {"turn_detection": {"type": "server_vad", "threshold": 1.5}},
        "decimal_above_max_value",
        "turn_detection.threshold",
    ),
    (
        {"turn_detection": {"type": "server_vad", "threshold": -1}},
        "decimal_below_min_value",
        "turn_detection.threshold",
    ),
    ({"turn_detection": {"type": "server_vad", "threshold": True}}, "invalid_type", "turn_detection.threshold"),
    (
        {"turn_detection": {"type": "server_vad", "silence_duration_ms": 0.5}},
        "invalid_type",
        "turn_detection.silence_duration_ms",
    ),
    ({"turn_detection": {"type": "server_vad", "eagerness": "low"}}, "unknown_parameter", "turn_detection.eagerness"),
    ({"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}, "unknown_parameter", "turn_detection.threshold"),
    ({"turn_detection": {"type": "semantic_vad", "eagerness": "max"}}, "invalid_value", "turn_detection.eagerness"),
    (
        {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 1}},
        "integer_below_min_value",
        "turn_detection.idle_timeout_ms",
    ),
    ({"noise_reduction": {"type": "far"}}, "invalid_value", "noise_reduction.type"),
    ({"noise_reduction": {"strength": 0.5}}, "missing_required_parameter", "noise_reduction.type"),
]


@pytest.mark.parametrize(("fields", "code", "param"), BAD_FIELDS)
def test_what_is_refused_is_named(fields: dict[str, Any], code: str, param: str) -> None:
    peer = Peer()
    assert refused(peer.update(**fields))[:2] == (code, f"{INPUT}.{param}")
    assert peer.session.close is None


@pytest.mark.parametrize(("fields", "code", "param"), [case for case in BAD_FIELDS if case[0] != {"transcription": {}}])
def test_an_update_is_taken_whole_or_not_at_all(fields: dict[str, Any], code: str, param: str) -> None:
    """Also what is right about it is not applied."""
    peer = Peer()
    before = updated(peer.update(transcription={"model": "gpt-4o-transcribe"}, noise_reduction=None))
    good = {"noise_reduction": {"type": "near_field"}, "turn_detection": {**VAD, "threshold": 0.9}}
    refused(
        peer.update(**{**good, **fields} if "transcription" in fields else {**good, "transcription": None, **fields})
    )
    assert updated(peer.update()) == before


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "speech"}, "invalid_value", "session.type"),
        ({"type": "realtime"}, "invalid_parameter", None),
        ({"type": "transcription", "voice": "x"}, "unknown_parameter", "session.voice"),
        ({"type": "transcription", "audio": {"output": {}}}, "unknown_parameter", "session.audio.output"),
        ({"type": "transcription", "audio": [1]}, "invalid_type", "session.audio"),
        ({"type": "transcription", "include": ["everything"]}, "invalid_value", "session.include[0]"),
        ({"type": "transcription", "include": "logprobs"}, "invalid_type", "session.include"),
    ],
)
def test_the_session_object_itself_is_checked(session: dict[str, Any], code: str, param: str | None) -> None:
    peer = Peer()
    peer.events()
    events = peer.say({"type": "session.update", "event_id": "mine", "session": session})
    assert refused(events)[:2] == (code, param)
    assert events[0]["error"]["event_id"] == "mine"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"format": {"type": "audio/pcm", "rate": 8000}},
            "Invalid 'session.audio.input.format.rate': integer below minimum value. "
            "Expected a value >= 24000, but got 8000 instead.",
        ),
        (
            {"transcription": {"model": "whisper-1", "prompt": "x" * 2000}},
            "Invalid 'session.audio.input.transcription.prompt': string too long. "
            "Expected a string with maximum length 1024, but got a string with length 2000 instead.",
        ),
        (
            {"turn_detection": {"type": "vad"}},
            "Invalid value: 'vad'. Supported values are: 'server_vad', 'semantic_vad'.",
        ),
        ({"mono": True}, "Unknown parameter: 'session.audio.input.mono'."),
    ],
)
def test_messages_say_what_is_wrong(fields: dict[str, Any], message: str) -> None:
    assert refused(Peer().update(**fields))[2] == message


def test_conversation_fields_are_taken_and_echoed() -> None:
    extra = {"create_response": False, "interrupt_response": False, "idle_timeout_ms": None}
    told = {"type": "server_vad", **extra}
    echo = updated(Peer().update(turn_detection=told))["turn_detection"]
    assert echo == {**VAD, "create_response": False, "interrupt_response": False}
