"""What a session wants done outside of it: recognition, and the end of the connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

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
