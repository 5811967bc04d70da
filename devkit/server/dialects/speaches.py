"""speaches: the beta's flat session inside of today's session events, and quirks of its own.

Source of the rules: its public source code, as of November 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from ....realtime.messages import ErrorDetails, Json
from ..access import Access, bearer_of
from ..errors import invalid_request, server_error
from ..handshake import query_of
from ..http_front import HttpAnswer
from ..models import ModelTraits
from ..session_config import SessionConfig
from ..voice import Ending, Voice, fields_of, kind_of
from ..work import Abort
from .base import Dialect
from .flat import FORMATS, created_item, input_of

DEFAULT_MODEL = "Systran/faster-distil-whisper-small.en"
_CONVERSATION_MODEL = "gpt-4o-realtime-preview"
_KNOWN = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
)
_TRANSCRIPTION = "conversation.item.input_audio_transcription."
_POSITIONS = {
    "input_audio_buffer.speech_started": "audio_start_ms",
    "input_audio_buffer.speech_stopped": "audio_end_ms",
}


class Speaches(Dialect):
    """See the module. Its application closes a socket it does not want before it has accepted it: that is a 403."""

    name = "speaches"
    session_seconds = 1800.0

    def nowhere(self) -> HttpAnswer:
        """See `Dialect`."""
        return HttpAnswer(403)

    def answer_upgrade(self, target: str, headers: Mapping[str, str], access: Access) -> HttpAnswer | None:
        """See `Dialect`."""
        query = query_of(target)
        keys = (bearer_of(headers), headers.get("X-API-Key", ""), query.get("api_key", ""))
        known = access.api_key is None or any(access.opens(key) for key in keys if key)
        return None if known and query.get("model") else self.nowhere()

    def config(self, target: str, headers: Mapping[str, str], access: Access) -> SessionConfig:
        """See `Dialect`. There is always a model, and always turn detection."""
        query = query_of(target)
        only_text = query.get("intent") == "transcription"
        model = query.get("transcription_model") or (query["model"] if only_text else DEFAULT_MODEL)
        language = query.get("language")
        return SessionConfig(
            transcription={"model": model, **({"language": language} if language else {})},
            turn_detection={
                "type": "server_vad",
                "threshold": 0.9,
                "prefix_padding_ms": 0,
                "silence_duration_ms": 550,
                "create_response": not only_text,
            },
            models=lambda name: ModelTraits(),
        )

    def voice(self, target: str, epoch: float) -> Voice:
        """See `Dialect`."""
        query = query_of(target)
        return SpeachesVoice(_CONVERSATION_MODEL if query.get("intent") == "transcription" else query["model"])


class SpeachesVoice(Voice):
    """Text comes finished only; what the schema does not know is ignored, and half of what it knows, too."""

    tells_buffer_start = True

    def __init__(self, model: str) -> None:
        """*model*: what the session says it converses with."""
        self._model = model
        self._finished: object = None

    def expired(self) -> Ending:
        """See `Voice`. A time-out inside of its application cuts the connection."""
        return None, Abort()

    def incoming(self, frame: bytes | str) -> Iterable[bytes | str | ErrorDetails]:
        """See `Voice`."""
        kind = kind_of(frame)
        if kind not in _KNOWN:
            return (_invalid(1),)
        if kind != "session.update":
            return (frame,)
        message = fields_of(frame) or {}
        session = message.get("session")
        if not isinstance(session, dict):
            return (_invalid(1),)
        wrong = _wrong_fields(session)
        return (_invalid(wrong),) if wrong else tuple(_update(message, session))

    def outgoing(self, event: Json) -> Iterator[Json]:
        """See `Voice`."""
        kind = event["type"]
        if kind in ("session.created", "session.updated"):
            yield {**event, "session": self._flat_session(event["session"])}
        elif kind in _POSITIONS:
            yield _since_buffer_start(event, _POSITIONS[kind])
        elif kind == "input_audio_buffer.committed":
            # Whatever item was finished last, not the one before this.
            yield {**event, "previous_item_id": self._finished}
        elif kind == "conversation.item.added":
            yield {**created_item(event), "previous_item_id": self._finished}
        elif kind == _TRANSCRIPTION + "completed":
            self._finished = event.get("item_id")
            yield {**{name: value for name, value in event.items() if name != "languages"}, "logprobs": None}
        elif kind == _TRANSCRIPTION + "failed":
            error = msgspec.to_builtins(server_error("Transcription failed"))
            yield {"type": "error", "event_id": event.get("event_id"), "error": error}
        elif kind == "error" and isinstance(event["error"], dict):
            yield {**event, "error": {**event["error"], "code": None, "param": None, "event_id": None}}
        elif kind not in ("conversation.item.done", _TRANSCRIPTION + "delta"):
            yield event

    def _flat_session(self, session: object) -> object:
        given = input_of(session)
        if given is None or not isinstance(session, dict):
            return session
        transcription = given.get("transcription") or {}
        return {
            "id": session.get("id"),
            "model": self._model,
            "modalities": ["audio", "text"],
            "instructions": "You are a helpful assistant.",
            "speech_model": "speaches-ai/Kokoro-82M-v1.0-ONNX",
            "voice": "af_heart",
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "input_audio_transcription": {
                "model": transcription.get("model"),
                "language": transcription.get("language"),
            },
            "turn_detection": given.get("turn_detection"),
            "temperature": 0.8,
            "tools": [],
            "tool_choice": "auto",
            "max_response_output_tokens": "inf",
        }


def _invalid(count: int) -> ErrorDetails:
    return invalid_request(None, f"Invalid client event: {count} validation error(s)")


def _unsupported(field: str) -> ErrorDetails:
    return invalid_request(
        None,
        f"Specifying `{field}` is not supported. The server either does not support this field or it is not "
        "configurable.",
    )


def _wrong_fields(session: Json) -> int:
    """How many of its fields the schema refuses. An object that does not fit is none of them: it counts as absent."""
    formats = [session[name] for name in ("input_audio_format", "output_audio_format") if name in session]
    objects = [session[name] for name in ("input_audio_transcription", "turn_detection") if name in session]
    return sum(not isinstance(value, dict) and value not in FORMATS for value in formats) + sum(
        not isinstance(value, dict) for value in objects
    )


def _update(message: Json, session: Json) -> Iterator[bytes | ErrorDetails]:
    """What it complains about, and the GA update for the rest, which is applied all the same."""
    for name in ("input_audio_format", "output_audio_format"):
        if isinstance(session.get(name), str):
            yield _unsupported(f"session.{name}")
    given: Json = {}
    turns = session.get("turn_detection")
    if turns is not None and _is_complete(turns):
        yield _unsupported("session.turn_detection.prefix_padding_ms")
        taken = ("threshold", "silence_duration_ms", "create_response")
        given["turn_detection"] = {"type": "server_vad", **{name: turns[name] for name in taken}}
    told = session.get("input_audio_transcription")
    if told is not None and isinstance(told.get("model"), str) and isinstance(told.get("language"), str | None):
        given["transcription"] = {name: told[name] for name in ("model", "language") if told.get(name)}
    update = {"type": "transcription", "audio": {"input": given}}
    yield msgspec.json.encode({**message, "session": update})


def _is_complete(turns: Json) -> bool:
    """Whether a `turn_detection` is one to the schema, which has no optional fields; anything else is ignored."""
    threshold, numbers = turns.get("threshold"), (turns.get("prefix_padding_ms"), turns.get("silence_duration_ms"))
    return (
        turns.get("type", "server_vad") == "server_vad"
        and isinstance(threshold, int | float)
        and 0 <= threshold <= 1
        and all(isinstance(number, int) and number >= 0 for number in numbers)
        and isinstance(turns.get("create_response"), bool)
    )


def _since_buffer_start(event: Json, name: str) -> Json:
    """Positions count from where the buffer began: the last commit, or the last clear."""
    start, position = event.get("buffer_start_ms"), event.get(name)
    if isinstance(start, int) and isinstance(position, int):
        event = {**event, name: position - start}
    return {field: value for field, value in event.items() if field != "buffer_start_ms"}
