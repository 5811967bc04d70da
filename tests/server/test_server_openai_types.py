"""Everything the server says fits the provider's own types. Our client and server share messages; these do not.

Every test of the suite is watched (`sdk_watch.py`); here is one session in which everything happens, for each model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sdk_types import UNTYPED, is_listed, missing_here, server_fields, server_problems
from server_peers import GOLDEN, Peer, silence, speech
from ten_packages.extension.openai_asr_python.devkit.server.handshake import Refusal
from ten_packages.extension.openai_asr_python.devkit.server.models import MODELS, UNKNOWN_MODEL
from ten_packages.extension.openai_asr_python.realtime.messages import SERVER_MESSAGES, ErrorDetails

LOGPROBS = "item.input_audio_transcription.logprobs"


def check(event: dict[str, Any]) -> None:
    """Raises AssertionError for an event the provider's types do not know."""
    assert not [str(problem) for problem in server_problems(event) if not is_listed(problem)]


def everything(model: str) -> list[dict[str, Any]]:
    """A session in which everything happens."""
    peer = Peer(session_seconds=100)
    events = peer.events()
    streams = MODELS[model].streams_before_commit
    detection = None if streams else {"type": "server_vad", "silence_duration_ms": 200, "create_response": False}
    events += peer.say(
        {
            "type": "session.update",
            "session": {
                "type": "transcription",
                "include": [LOGPROBS],
                "audio": {
                    "input": {
                        "transcription": {"model": model},
                        "turn_detection": detection,
                        "noise_reduction": {"type": "far_field", "strength": 0.5},
                    }
                },
            },
        }
    )
    for result in ("some words.", None):
        events += peer.hear(speech(500), silence(300))
        item = peer.work[-1].item_id
        if streams:
            peer.session.partial(item, "some", 1.0)
        events += peer.commit()
        if result is None:
            peer.session.failed(item, 1.0)
            events += peer.events()
        else:
            events += peer.complete(item, result, confidence=0.7, language="en")
    events += peer.say({"type": "conversation.item.retrieve", "item_id": item})
    events += peer.say({"type": "conversation.item.delete", "item_id": item})
    events += peer.say({"type": "input_audio_buffer.clear"}, {"type": "bogus", "event_id": "x"})
    peer.session.handle_timer(100.0)
    return events + peer.events()


@pytest.mark.parametrize("model", sorted(MODELS))
def test_whatever_happens_fits_the_providers_types(model: str) -> None:
    events = everything(model)
    kinds = {event["type"].rpartition(".")[2] for event in events}
    wanted = {"created", "updated", "committed", "added", "done", "delta", "completed", "failed"}
    assert wanted | {"retrieved", "deleted", "cleared", "error"} <= kinds
    if not MODELS[model].streams_before_commit:
        assert {"speech_started", "speech_stopped"} <= kinds
    for event in events:
        check(event)


def test_a_refusal_fits_the_providers_types() -> None:
    details = ErrorDetails(type="insufficient_quota", code="insufficient_quota", message="no credit")
    for event in Peer(refusal=Refusal(details, 1013)).events():
        check(event)


@pytest.mark.parametrize(
    "path", sorted(set(GOLDEN.glob("*.json")) - set(GOLDEN.glob("*dialect*"))), ids=lambda path: path.stem
)
def test_the_golden_traces_fit_the_providers_types(path: Path) -> None:
    for step in json.loads(path.read_text(encoding="utf-8"))["steps"]:
        if step["d"] == "s>c":
            event = json.loads(json.dumps(step["m"]).replace('"$EXPIRES_AT"', "1790003600"))
            check(event)


def sessions() -> Iterator[dict[str, Any]]:
    """What `session.updated` says after every update a model allows."""
    detections = [
        None,
        {"type": "server_vad"},
        {"type": "server_vad", "threshold": 0.3, "prefix_padding_ms": 100, "silence_duration_ms": 700},
        *({"type": "semantic_vad", "eagerness": eagerness} for eagerness in ("auto", "low", "medium", "high")),
    ]
    told = {"language": "en", "languages": ["en", "fr"], "keywords": ["Kestrel"], "prompt": "Notes", "delay": "low"}
    formats = [{"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}]
    noises = [None, {"type": "near_field"}, {"type": "far_field", "strength": 0.5}]
    for model, traits in [*MODELS.items(), ("tomorrows-model", UNKNOWN_MODEL)]:
        for turns in detections if not traits.streams_before_commit else [None]:
            for form, noise in zip(formats, noises, strict=True):
                given = {name: told[name] for name in sorted(traits.fields)}
                if "languages" in given:
                    given.pop("language", None)
                audio = {"format": form, "noise_reduction": noise, "turn_detection": turns}
                audio["transcription"] = {"model": model, **given}
                session = {"type": "transcription", "include": [LOGPROBS], "audio": {"input": audio}}
                (updated,) = Peer().update_with(session)
                assert updated["type"] == "session.updated", updated
                yield updated


def test_the_session_of_every_model_and_turn_mode_fits_the_providers_types() -> None:
    seen: set[str] = set()
    for event in sessions():
        check(event)
        given = event["session"]["audio"]["input"]
        seen |= {*given["transcription"], *(given["turn_detection"] or {}), *(given["noise_reduction"] or {})}
    assert {"language", "languages", "keywords", "prompt", "delay", "threshold", "eagerness", "strength"} <= seen


@pytest.mark.parametrize("name", sorted(SERVER_MESSAGES))
def test_the_fields_of_our_messages_are_in_the_types(name: str) -> None:
    """Also of those that the server never sends, as the segments of diarization."""
    ours = {field.encode_name for field in msgspec.structs.fields(SERVER_MESSAGES[name])} | {"type"}
    untyped = {field for event, field in UNTYPED if event == name}
    assert {field for field in ours - server_fields(name) if f"{name}: {field}" not in missing_here()} <= untyped


def test_what_the_oldest_version_we_allow_does_not_know_is_listed() -> None:
    """With the newest `openai` the list is empty; .ci/run comes here with the oldest as well."""
    events = [*sessions(), *(event for model in MODELS for event in everything(model))]
    found = {problem.place for event in events for problem in server_problems(event)}
    print("not in this version's types:", *sorted(found), sep="\n  ")
    assert found == {place for place in missing_here() if not place.startswith("session.update:")}
