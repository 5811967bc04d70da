"""How a session speaks on the wire: the place where a dialect other than the provider's own is put on and taken off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from ...realtime.messages import ErrorDetails, Json
from .errors import CLOSE_EXPIRED, EXPIRED_MESSAGE, invalid_request
from .work import Abort, Close

MIN_COMMIT_MS = 100

Ending: TypeAlias = tuple[ErrorDetails | None, Close | Abort]


class Voice:
    """One connection's wire. This one changes nothing.

    It stands outermost. What the client sends is made into the provider's current (GA) messages before faults and
    session see it, and their events into what this dialect sends, after faults have had them. So a fault means the same
    in every dialect.
    """

    min_commit_ms: float = MIN_COMMIT_MS
    "Audio a commit needs at least."
    tells_buffer_start = False
    "Whether speech events come with `buffer_start_ms`: where the buffer began, in the session's time."

    def incoming(self, frame: bytes | str) -> Iterable[bytes | str | ErrorDetails]:
        """What a TEXT frame of the client means: GA frames, and errors it is answered with, in order."""
        return (frame,)

    def outgoing(self, event: Json) -> Iterable[Json]:
        """What is said for a GA event. Faults make odd ones: what is not understood goes out as it is."""
        return (event,)

    def expired(self) -> Ending:
        """How a session ends whose time is up: an error, if one is told, and what becomes of the connection."""
        return invalid_request("session_expired", EXPIRED_MESSAGE), Close(CLOSE_EXPIRED, EXPIRED_MESSAGE)


class _Kind(msgspec.Struct):
    type: str = ""


def kind_of(frame: bytes | str) -> str:
    """The `type` of a message, cheaply; empty if it has none or is none."""
    try:
        return msgspec.json.decode(frame, type=_Kind).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def fields_of(frame: bytes | str) -> Json | None:
    """The message; None if *frame* is no JSON object."""
    try:
        data = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return data if isinstance(data, dict) else None


def event_id_of(message: Json) -> str | None:
    """The client's `event_id`, which an error echoes."""
    event_id = message.get("event_id")
    return event_id if isinstance(event_id, str) else None
