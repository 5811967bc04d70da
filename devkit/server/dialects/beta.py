"""The retired beta of the provider's protocol, which it refuses itself and others still speak."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from ....realtime.messages import ErrorDetails, Json
from ..access import Access, key_of
from ..errors import CLOSE_EXPIRED, RequestRefused, invalid_request, quoted_list
from ..handshake import Refusal, asks_for_beta, bad_request, judge_key, query_of
from ..voice import Ending, Voice, event_id_of, fields_of, kind_of
from ..work import Close
from .base import Dialect
from .flat import FIELDS, FORMATS, created_item, flat_format, flat_names, input_of

_EXPIRED = "Your session hit the maximum duration of 30 minutes."
_UPDATE = "transcription_session.update"
_IGNORED = ("modalities", "client_secret")
"Fields of the flat session that change nothing."
_PARTS: dict[str, tuple[str, ...]] = {
    "input_audio_transcription": ("model", "language", "prompt"),
    "input_audio_noise_reduction": ("type",),
}
"What these objects may have; the rest came with the protocol after this one."


class Beta(Dialect):
    """See the module. It insists on its header."""

    name = "beta"
    session_seconds = 1800.0

    def refuse(self, target: str, headers: Mapping[str, str], access: Access) -> Refusal | None:
        """See `Dialect`."""
        refusal = judge_key(key_of(headers), access)
        if refusal is not None:
            return refusal
        if not asks_for_beta(headers):
            message = "The Realtime beta needs the header 'OpenAI-Beta: realtime=v1'."
            return bad_request("missing_beta_header", message)
        intent = query_of(target).get("intent", "")
        if intent != "transcription":
            return bad_request("missing_model", "You must provide a model parameter, or intent=transcription.")
        return None

    def voice(self, target: str, epoch: float) -> Voice:
        """See `Dialect`."""
        return BetaVoice()


class BetaVoice(Voice):
    """Flat sessions, and its own names for four events."""

    def expired(self) -> Ending:
        """See `Voice`. Its sessions had half an hour."""
        return invalid_request("session_expired", _EXPIRED), Close(CLOSE_EXPIRED, _EXPIRED)

    def incoming(self, frame: bytes | str) -> Iterable[bytes | str | ErrorDetails]:
        """See `Voice`."""
        kind = kind_of(frame)
        message = fields_of(frame) if kind in (_UPDATE, "session.update") else None
        if message is None:
            return (frame,)
        try:
            if kind != _UPDATE:
                raise RequestRefused("invalid_value", f"Invalid value: '{kind}'. Use '{_UPDATE}'.", "type")
            return (_nested_update(message),)
        except RequestRefused as refused:
            return (refused.details(event_id_of(message)),)

    def outgoing(self, event: Json) -> Iterator[Json]:
        """See `Voice`."""
        kind = event["type"]
        if kind in ("session.created", "session.updated"):
            yield {**event, "type": f"transcription_{kind}", "session": _flat_session(event["session"])}
        elif kind == "conversation.item.added":
            yield created_item(event)
        elif kind.startswith("conversation.item.input_audio_transcription."):
            later = ("obfuscation", "usage", "languages")
            yield {name: value for name, value in event.items() if name not in later}
        elif kind == "error" and isinstance(event["error"], dict):
            yield {**event, "error": {name: _flat(value) for name, value in event["error"].items()}}
        elif kind != "conversation.item.done":
            yield event


def _nested_update(message: Json) -> bytes:
    """The GA update for a flat one. Raises RequestRefused."""
    session = message.get("session")
    if not isinstance(session, dict):
        raise RequestRefused("missing_required_parameter", "Missing required parameter: 'session'.", "session")
    given: Json = {}
    update: Json = {"type": "transcription", "audio": {"input": given}}
    for name, value in session.items():
        if name == "input_audio_format":
            given["format"] = _format(value)
        elif name in FIELDS:
            given[FIELDS[name]] = _part(name, value)
        elif name == "include":
            update["include"] = value
        elif name not in _IGNORED:
            raise _unknown(f"session.{name}")
    return msgspec.json.encode({**message, "type": "session.update", "session": update})


def _format(value: object) -> Json:
    if not isinstance(value, str) or value not in FORMATS:
        supported = quoted_list(tuple(FORMATS))
        message = f"Invalid value: '{value}'. Supported values are: {supported}."
        raise RequestRefused("invalid_value", message, "session.input_audio_format")
    return FORMATS[value]


def _part(name: str, value: object) -> object:
    if isinstance(value, dict):
        for field in value:
            if field not in _PARTS.get(name, value):
                raise _unknown(f"session.{name}.{field}")
    return value


def _unknown(param: str) -> RequestRefused:
    return RequestRefused("unknown_parameter", f"Unknown parameter: '{param}'.", param)


def _flat(value: object) -> object:
    return flat_names(value) if isinstance(value, str) else value


def _flat_session(session: object) -> object:
    given = input_of(session)
    if given is None or not isinstance(session, dict):
        return session
    noise = given.get("noise_reduction")
    return {
        "id": session.get("id"),
        "object": session.get("object"),
        "expires_at": session.get("expires_at"),
        "input_audio_format": flat_format(given.get("format")),
        "input_audio_transcription": given.get("transcription"),
        "input_audio_noise_reduction": {"type": noise["type"]} if noise else None,
        "turn_detection": given.get("turn_detection"),
        "include": session.get("include"),
        "client_secret": None,
    }
