"""The walk along the provider's types sees what a parse by those types lets pass."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from halves import Halves
from openai.types.realtime import RealtimeServerEvent
from packaging.requirements import Requirement
from packaging.version import Version
from pydantic import TypeAdapter
from sdk_types import LISTED, UNKNOWN, client_problems, server_problems
from sdk_watch import Watch, watch_client, watch_server
from sessions import options
from ten_packages.extension.openai_asr_python.realtime.actions import Ping, Send
from ten_packages.extension.openai_asr_python.realtime.dialects.base import Dialect
from ten_packages.extension.openai_asr_python.realtime.options import (
    SessionOptions,
    TranscriptionOptions,
    TurnDetectionOptions,
)

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
INPUT = ("session", "audio", "input")

UPDATE: Json = {
    "type": "session.update",
    "event_id": "e",
    "session": {
        "type": "transcription",
        "audio": {
            "input": {
                "transcription": {"model": "whisper-1"},
                "turn_detection": {"type": "server_vad", "threshold": 1},
                "noise_reduction": None,
            }
        },
    },
}
COMPLETED: Json = {
    "type": "conversation.item.input_audio_transcription.completed",
    "event_id": "e",
    "item_id": "i",
    "content_index": 0,
    "transcript": "a word",
    "usage": {
        "type": "tokens",
        "input_tokens": 3,
        "output_tokens": 2,
        "total_tokens": 5,
        "input_token_details": {"audio_tokens": 3, "text_tokens": 0},
    },
    "logprobs": [{"token": "a", "logprob": -1, "bytes": [97]}],
}
UPDATED: Json = {
    "type": "session.updated",
    "event_id": "e",
    "session": {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": "s",
        "expires_at": 1,
        "audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}, "noise_reduction": None}},
        "include": None,
    },
}


def changed(message: Json, path: tuple[Any, ...], value: Any) -> Json:
    """A copy with *value* at *path*; without what is there if it is None given as `...`."""
    changed = copy.deepcopy(message)
    place: Any = changed
    for name in path[:-1]:
        place = place[name]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


def test_what_is_right_passes() -> None:
    assert client_problems(UPDATE) == []
    assert server_problems(COMPLETED) == [] and server_problems(UPDATED) == []


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("type",), "input_audio_buffer.comit", "type"),
        (("type",), "response.create", "type"),
        (("event_id",), 7, "event_id"),
        (("surprise",), 1, "surprise"),
        (("session",), ..., "session"),
        (("session", "type"), "realtime", "session.type"),
        (("session", "surprise"), 1, "session.surprise"),
        ((*INPUT, "surprise"), None, "…surprise"),
        (
            (*INPUT, "transcription", "surprise"),
            "x",
            "…transcription.surprise",
        ),
        ((*INPUT, "transcription", "prompt"), None, "…transcription.prompt"),
        (
            (*INPUT, "transcription", "languages"),
            "en",
            "…transcription.languages",
        ),
        (
            (*INPUT, "transcription", "keywords"),
            [1],
            "…transcription.keywords[]",
        ),
        (
            (*INPUT, "turn_detection", "type"),
            "local_vad",
            "…turn_detection.type",
        ),
        (
            (*INPUT, "turn_detection", "eagerness"),
            "low",
            "…turn_detection.eagerness",
        ),
        (
            (*INPUT, "turn_detection", "threshold"),
            True,
            "…turn_detection.threshold",
        ),
        ((*INPUT, "format"), {"type": "pcm16"}, "…format.type"),
        (
            (*INPUT, "format"),
            {"type": "audio/pcm", "rate": 16000},
            "…format.rate",
        ),
        (("session", "include"), ["logprobs"], "session.include[]"),
    ],
)
def test_a_wrong_message_of_a_client_is_seen_and_named(path: tuple[Any, ...], value: Any, where: str) -> None:
    found = {problem.path for problem in client_problems(changed(UPDATE, path, value))}
    assert where.replace("…", "session.audio.input.") in found


@pytest.mark.parametrize(
    ("message", "path", "value", "where"),
    [
        (COMPLETED, ("type",), "conversation.item.surprise", "type"),
        (COMPLETED, ("surprise",), 1, "surprise"),
        (COMPLETED, ("usage", "surprise"), 1, "usage.surprise"),
        (COMPLETED, ("usage", "input_token_details", "surprise"), 1, "usage.input_token_details.surprise"),
        (COMPLETED, ("usage", "seconds"), 1.0, "usage.seconds"),
        (COMPLETED, ("usage", "total_tokens"), 5.5, "usage.total_tokens"),
        (COMPLETED, ("usage", "total_tokens"), ..., "usage.total_tokens"),
        (COMPLETED, ("logprobs", 0, "surprise"), 1, "logprobs[].surprise"),
        (COMPLETED, ("logprobs", 0, "logprob"), "-1", "logprobs[].logprob"),
        (COMPLETED, ("transcript",), None, "transcript"),
        (COMPLETED, ("item_id",), ..., "item_id"),
        (COMPLETED, ("obfuscation",), "x", "obfuscation"),
        (UPDATED, ("session", "surprise"), 1, "session.surprise"),
        (UPDATED, ("session", "id"), ..., "session.id"),
        (UPDATED, (*INPUT, "surprise"), 1, "…surprise"),
        (
            UPDATED,
            (*INPUT, "turn_detection", "threshold"),
            0.5,
            "…turn_detection.threshold",
        ),
        (UPDATED, ("session", "expires_at"), "soon", "session.expires_at"),
    ],
)
def test_a_wrong_event_of_a_server_is_seen_and_named(
    message: Json, path: tuple[Any, ...], value: Any, where: str
) -> None:
    found = {problem.path for problem in server_problems(changed(message, path, value))}
    assert where.replace("…", "session.audio.input.") in found


def test_a_parse_by_the_same_types_would_not_have_seen_it() -> None:
    """Why there is a walk: the provider's models take a field they do not know, on every depth."""
    wrong = changed(changed(COMPLETED, ("surprise",), 1), ("usage", "input_token_details", "surprise"), 1)
    assert TypeAdapter(RealtimeServerEvent).validate_python(wrong).type == COMPLETED["type"]
    assert [problem.what for problem in server_problems(wrong)] == [UNKNOWN, UNKNOWN]


def test_the_watch_sees_a_wrong_field_of_the_client() -> None:
    watch = Watch()
    surprising = SessionOptions(
        transcription=TranscriptionOptions("gpt-4o-transcribe", extra={"surprise": 1}),
        turn_detection=TurnDetectionOptions("none"),
    )
    data = Dialect().configure(surprising, "update_1").frame

    class Made:
        """A session that was configured without the field it sends."""

        options = SessionOptions()

    watched = watch_client(watch, lambda session: [Ping(1), Send(1, data)], Send)
    watched(Made())
    assert {str(problem) for problem in watch.take()} == {
        "session.update: session.audio.input.transcription.surprise: unknown field"
    }
    # What a user writes into the vendor's own object is sent as it is: that is no mistake of ours.
    Made.options = surprising
    watched(Made())
    assert watch.take() == [] and watch.client_frames == 2


def test_the_watch_sees_a_wrong_field_of_the_server() -> None:
    watch = Watch()
    passed: list[tuple[Json, int]] = []
    watched = watch_server(watch, lambda session, entry, layer: passed.append((entry, layer)))
    cleared: Json = {"type": "input_audio_buffer.cleared", "event_id": "e"}
    watched(None, cleared, 0)
    assert watch.take() == []
    watched(None, {**cleared, "surprise": 1}, 0)
    watched(None, {**cleared, "fault": 1}, 1)  # what a fault made of an event is no word of the server's
    assert [str(problem) for problem in watch.take()] == ["input_audio_buffer.cleared: surprise: unknown field"]
    assert len(passed) == 3


def test_every_test_is_watched(sdk_watch: Watch) -> None:
    """What the halves say to each other in this test has passed the watch."""
    frames, events = sdk_watch.client_frames, sdk_watch.server_events
    call = Halves(options("none")).start()
    call.run_until(call.now + 1.0)
    assert sdk_watch.client_frames > frames and sdk_watch.server_events > events


def test_the_oldest_version_we_allow_is_one_whose_gaps_are_listed() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (ours,) = (Requirement(line) for line in lines if re.match(r"openai\b", line))
    (lowest,) = (specifier.version for specifier in ours.specifier if specifier.operator == ">=")
    assert Version(lowest) in {Version(version) for version in LISTED}
