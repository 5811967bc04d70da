"""The retired beta protocol: servers that were written for it and still speak it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ..messages import Decoded, Json, MalformedMessage, decode_json, encode, read_server_message
from ..models import ModelRules
from ..options import SessionOptions
from .base import Configuration, Dialect
from .flat import to_flat, to_nested

_GA_NAMES = {
    "transcription_session.created": "session.created",
    "transcription_session.updated": "session.updated",
    "conversation.item.created": "conversation.item.added",
}


class Beta(Dialect):
    """Flat session objects, `transcription_session.*`, and a header that asks for it all."""

    name = "beta"
    update_type = "transcription_session.update"

    @classmethod
    def fixed_headers(cls) -> Mapping[str, str]:
        """The header the protocol was asked for with."""
        return {"OpenAI-Beta": "realtime=v1"}

    @classmethod
    def rules(cls, model: str) -> ModelRules:
        """The model's own, less what the beta protocol had no fields for."""
        rules = super().rules(model)
        return replace(rules, fields=rules.fields - {"languages", "keywords", "delay"})

    def configure(self, options: SessionOptions, event_id: str) -> Configuration:
        """See `Dialect.configure`."""
        ga = super().configure(options, event_id)
        update: Json = {"type": self.update_type, "event_id": event_id, "session": to_flat(ga.expected)}
        return replace(ga, frame=encode(update), expected={"audio": ga.expected["audio"]})

    def decode(self, frame: bytes | str) -> Sequence[Decoded]:
        """See `Dialect.decode`."""
        data = decode_json(frame)
        if isinstance(data, MalformedMessage):
            return (Decoded(data, {}),)
        kind = data.get("type")
        name = _GA_NAMES.get(kind, kind) if isinstance(kind, str) else kind
        data = {**data, "type": name}
        if name in ("session.created", "session.updated") and not _is_nested(data.get("session")):
            data["session"] = to_nested(data.get("session"))
        return (read_server_message(data),)


def _is_nested(session: object) -> bool:
    return isinstance(session, dict) and "audio" in session
