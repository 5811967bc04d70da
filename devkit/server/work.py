"""What a session wants done outside of it: recognition, the end of the connection, and faults of the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ...realtime.messages import Json
from .recognizers import RecognitionRequest


class Close(NamedTuple):
    """The CLOSE frame to send."""

    code: int
    reason: str


@dataclass(frozen=True)
class UtteranceStarted:
    """A recogniser is to listen to the audio that follows for *item_id*."""

    item_id: str
    request: RecognitionRequest


@dataclass(frozen=True)
class UtteranceAudio:
    """More of it: 16 kHz mono s16le."""

    item_id: str
    pcm: bytes


@dataclass(frozen=True)
class UtteranceEnded:
    """That was all; the text is awaited (`completed` or `failed`)."""

    item_id: str


@dataclass(frozen=True)
class UtteranceDropped:
    """The audio was cleared; no text is awaited."""

    item_id: str


Work: TypeAlias = UtteranceStarted | UtteranceAudio | UtteranceEnded | UtteranceDropped


@dataclass(frozen=True)
class RawFrame:
    """A frame that is no event: text goes out as TEXT, bytes as BINARY."""

    data: str | bytes


@dataclass(frozen=True)
class Abort:
    """Cut the TCP connection, without a CLOSE frame."""

    inside: Json | None = None
    "Cut it in the middle of the frame that carries this event."


@dataclass(frozen=True)
class Freeze:
    """Read and write nothing any more, and close nothing: the connection is half-open."""


@dataclass(frozen=True)
class PauseReading:
    """Read nothing for *seconds*, and let the peer feel it early (a small receive buffer)."""

    seconds: float


@dataclass(frozen=True)
class IgnorePings:
    """Answer no PING any more."""


WireAction: TypeAlias = RawFrame | Abort | Freeze | PauseReading | IgnorePings
"What no server does on purpose."

Outgoing: TypeAlias = Json | WireAction | Close
"What may be told to go out, in order: an event, a fault of the wire, the CLOSE frame that ends it all."
