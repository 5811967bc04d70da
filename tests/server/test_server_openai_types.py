"""Everything the server says fits the provider's own types. Our client and server share messages; these do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from server_peers import GOLDEN, Peer, silence, speech
from ten_packages.extension.openai_asr_python.devkit.server.handshake import Refusal
from ten_packages.extension.openai_asr_python.devkit.server.models import MODELS
from ten_packages.extension.openai_asr_python.realtime.messages import ErrorDetails

ADAPTER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
LOGPROBS = "item.input_audio_transcription.logprobs"
# Fields the live service sends and the types do not have.
UNTYPED = {"obfuscation"}


def check(event: dict[str, Any]) -> None:
    parsed = ADAPTER.validate_python(event)
    assert parsed.type == event["type"], "no type of the provider's fits"
    assert set(parsed.model_extra or {}) <= UNTYPED
    dumped = parsed.model_dump(exclude_unset=True)
    assert {name: value for name, value in dumped.items() if name != "session"} == {
        name: value for name, value in event.items() if name != "session"
    }
    if "session" in event:
        session = parsed.session
        assert type(session).__name__.startswith("RealtimeTranscriptionSession")
        assert session.audio.input.model_dump(exclude_unset=True) == event["session"]["audio"]["input"]


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


def test_the_check_can_fail() -> None:
    (created,) = Peer().events()
    created["session"]["audio"]["input"]["format"]["rate"] = 16000
    with pytest.raises((ValueError, AssertionError)):
        check(created)
