"""vLLM: 16 kHz, an utterance begins and ends with a commit, and nothing has an id.

Source of the rules: its public source code, as of November 2026.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from ....realtime.messages import ErrorDetails, Json
from ..access import Access, bearer_of
from ..errors import RequestRefused
from ..http_front import HttpAnswer
from ..models import ModelTraits
from ..session_config import SessionConfig
from ..voice import Voice, fields_of
from .base import Dialect

RATE = 16000
MAX_APPEND_SAMPLES = 25 * 1024 * 1024
_PROMPT_TOKENS = 39
_TOKENS_PER_SECOND = 12.5
_EMPTY_EVERY = 2
_TRANSCRIPTION = "conversation.item.input_audio_transcription."
_COMMIT = b'{"type":"input_audio_buffer.commit"}'


@dataclass(frozen=True)
class Vllm(Dialect):
    """See the module. *models*: those it serves; none given is all."""

    models: frozenset[str] = frozenset()

    name = "vllm"
    session_seconds = math.inf

    def nowhere(self) -> HttpAnswer:
        """See `Dialect`."""
        return HttpAnswer(403)

    def answer_upgrade(self, target: str, headers: Mapping[str, str], access: Access) -> HttpAnswer | None:
        """See `Dialect`."""
        token = bearer_of(headers)
        if access.api_key is None or (token and access.opens(token)):
            return None
        return HttpAnswer(401, {"error": "Unauthorized"})

    def config(self, target: str, headers: Mapping[str, str], access: Access) -> SessionConfig:
        """See `Dialect`."""
        return SessionConfig(
            format={"type": "audio/pcm", "rate": RATE},
            turn_detection=None,
            models=lambda name: ModelTraits(streams_before_commit=True),
        )

    def voice(self, target: str, epoch: float) -> Voice:
        """See `Dialect`."""
        return VllmVoice(self.models, int(epoch))


class VllmVoice(Voice):
    """Keeps the queue between the socket and what generates text."""

    min_commit_ms = 0

    def __init__(self, models: frozenset[str], created: int) -> None:
        """*models*: see `Vllm`. *created*: when the session was, epoch seconds."""
        self._models = models
        self._created = created
        self._validated = False
        self._generating = False
        self._ended = False
        "The end of the audio has been read; the text is awaited."
        self._queue: deque[bytes | str | None] = deque()
        "Appends; None ends an utterance."
        self._item: object = None
        "The utterance whose end the session has confirmed."
        self._finished: object = None
        self._deltas = 0

    # From the client ------------------------------------------------------------------------------------------

    def incoming(self, frame: bytes | str) -> Iterable[bytes | str | ErrorDetails]:
        """See `Voice`."""
        message = fields_of(frame)
        try:
            if message is None:
                raise RequestRefused("invalid_json", "Invalid JSON")
            return tuple(self._handle(message, frame))
        except RequestRefused as refused:
            return (refused.details(),)

    def _handle(self, message: Json, frame: bytes | str) -> Iterator[bytes | str]:
        kind = message.get("type")
        if kind == "session.update":
            yield self._update(message)
        elif kind == "input_audio_buffer.append":
            _check_audio(message.get("audio"))
            self._queue.append(frame)
        elif kind == "input_audio_buffer.commit":
            self._commit(message)
        else:
            raise RequestRefused("unknown_event", f"Unknown event type: {kind}")
        yield from self._read_queue()

    def _update(self, message: Json) -> bytes:
        model = message.get("model")
        if model is None:
            raise RequestRefused("invalid_event", "Missing required field: model")
        if not isinstance(model, str) or (self._models and model not in self._models):
            raise RequestRefused("model_not_found", f"The model `{model}` does not exist.")
        self._validated = True
        session = {"type": "transcription", "audio": {"input": {"transcription": {"model": model}}}}
        return msgspec.json.encode({"type": "session.update", "session": session})

    def _commit(self, message: Json) -> None:
        if not self._validated:
            raise RequestRefused(
                "model_not_validated",
                "Model not validated. Make sure to validate the model by sending a session.update event.",
            )
        if message.get("final", False):
            self._queue.append(None)
        elif not self._generating:  # else it is ignored, without a word
            self._generating, self._ended, self._item, self._deltas = True, False, None, 0

    def _read_queue(self) -> Iterator[bytes | str]:
        while self._generating and not self._ended and self._queue:
            entry = self._queue.popleft()
            self._ended = entry is None
            yield _COMMIT if entry is None else entry

    # To the client --------------------------------------------------------------------------------------------

    def outgoing(self, event: Json) -> Iterator[Json]:
        """See `Voice`."""
        kind = event["type"]
        if kind == "session.created":
            yield {"type": kind, "id": _session_id(event), "created": self._created}
        elif kind == _TRANSCRIPTION + "delta":
            yield {"type": "transcription.delta", "delta": event.get("delta")}
            self._deltas += 1
            if self._deltas % _EMPTY_EVERY == 0:
                # One delta for each step of the model, also if it had nothing to say.
                yield {"type": "transcription.delta", "delta": ""}
        elif kind == _TRANSCRIPTION + "completed":
            yield {"type": "transcription.done", "text": event.get("transcript"), "usage": _usage(event)}
            if self._finishes(event):
                self._queue.clear()  # with what the client was too early with
        elif kind == _TRANSCRIPTION + "failed":
            yield {"type": "error", "error": _message(event), "code": "processing_error"}
            self._finishes(event)
        elif kind == "error":
            yield _error(event)
        elif kind == "input_audio_buffer.committed":
            self._item = self._item or event.get("item_id")
        elif kind != "session.updated" and not kind.startswith(("input_audio_buffer.", "conversation.item.")):
            yield event

    def _finishes(self, event: Json) -> bool:
        """Whether this ends the utterance that is under way: a fault may tell the end of another, or one end twice."""
        item = event.get("item_id")
        if not self._ended or item == self._finished or self._item not in (None, item):
            return False
        self._finished, self._generating = item, False
        return True


def _error(event: Json) -> Json:
    error = event.get("error")
    if not isinstance(error, dict):
        return event
    return {"type": "error", "error": error.get("message"), "code": error.get("code")}


def _check_audio(audio: object) -> None:
    if not isinstance(audio, str):
        raise RequestRefused("processing_error", "audio: a string is required")
    try:
        data = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or len(data) % 2 or len(data) // 2 > MAX_APPEND_SAMPLES:
        raise RequestRefused("invalid_audio", "Invalid audio data")


def _session_id(event: Json) -> str:
    session = event.get("session")
    given = session.get("id") if isinstance(session, dict) else None
    return f"sess-{given}".replace("sess-sess_", "sess-")


def _usage(event: Json) -> Json:
    usage = event.get("usage")
    seconds = usage.get("seconds") if isinstance(usage, dict) else None
    completion = math.ceil((seconds or 0.0) * _TOKENS_PER_SECOND)
    return {
        "prompt_tokens": _PROMPT_TOKENS,
        "total_tokens": _PROMPT_TOKENS + completion,
        "completion_tokens": completion,
    }


def _message(event: Json) -> object:
    error = event.get("error")
    return error.get("message") if isinstance(error, dict) else None
