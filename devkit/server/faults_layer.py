"""What all faults have in common: when they strike, on which connections, how often."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from ...realtime.messages import ErrorDetails, Json
from .identifiers import Identifiers
from .work import Outgoing

TRANSCRIPTION = "conversation.item.input_audio_transcription."
DELTA = TRANSCRIPTION + "delta"
COMPLETED = TRANSCRIPTION + "completed"
TERMINAL = (COMPLETED, TRANSCRIPTION + "failed")
COMMITTED = "input_audio_buffer.committed"
SPEECH_STOPPED = "input_audio_buffer.speech_stopped"
APPEND = "input_audio_buffer.append"
COMMIT = "input_audio_buffer.commit"
CLEAR = "input_audio_buffer.clear"


class Decoding(NamedTuple):
    """How fast a model that streams text hears."""

    speed: float
    "Times real time."
    commit_loses_undecoded: bool
    "What it has not heard when the commit comes, it never hears."


@dataclass
class Link:
    """What faults know of the connection they are on. Times are of the clock that the session is given."""

    number: int
    "Of the upgrades of this server, from 1."
    opened: float
    epoch: float
    "Wall clock at `opened`, seconds since 1970."
    seed: str
    audio_format: Json
    "The wire's `format` object, as last confirmed by the session."

    def random(self, purpose: object) -> random.Random:
        """Chance that is the same for the same seed, connection and *purpose*."""
        return random.Random(f"{self.seed}/{self.number}/{purpose}")

    @property
    def bytes_per_second(self) -> int:
        """Of raw audio in the session's format."""
        return 2 * int(self.audio_format["rate"]) if self.audio_format["type"] == "audio/pcm" else 8000


class Tally:
    """One fault over all connections of a server. For several threads."""

    def __init__(self, every: int, times: int | None, origin: float) -> None:
        """*origin*: when its `at` begins to count: the start of the server, or when the fault was added."""
        self.origin = origin
        self._every = every
        self._left = math.inf if times is None else times
        self._seen = 0
        self._lock = threading.Lock()
        self.struck = 0
        "How often the fault has happened."

    def strikes(self) -> bool:
        """One more occasion: does it happen this time?"""
        with self._lock:
            if self._left <= 0:
                return False
            self._seen += 1
            if self._seen % self._every:
                return False
            self._left -= 1
            self.struck += 1
            return True

    def count(self) -> None:
        """It has happened, whatever `every` and `times` say."""
        with self._lock:
            self.struck += 1


class Layer:
    """One fault on one connection; does nothing by itself. See `Middleware` for the methods."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        self.arguments = arguments
        self.tally = tally
        self.link = link
        at, after, length = tally.origin + arguments["at"], arguments["after"], arguments["for"]
        self.begins: float = max(at, max(link.opened, tally.origin) + (after or 0.0))
        self.ends: float = math.inf if length is None else (at if after is None else self.begins) + length
        self._chosen: bool | None = None
        self._ids = Identifiers(f"{link.seed}/{link.number}/{type(self).__name__}/{arguments}")

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        """See `Middleware`."""
        return (frame,)

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        return (event,)

    def get_timer(self) -> float | None:
        """See `Middleware`."""
        return None

    def handle_timer(self, now: float) -> Iterable[Outgoing]:
        """See `Middleware`. Called only when it is due."""
        return ()

    def deaf(self, now: float) -> bool:
        """Whether the session's turn detection hears nothing."""
        return False

    def decoding(self, now: float) -> Decoding | None:
        """How fast its recogniser hears, if not as fast as it can."""
        return None

    def active(self, now: float) -> bool:
        """Whether *now* is within the fault's time."""
        return self.begins <= now < self.ends

    def strikes(self, now: float) -> bool:
        """An occasion came: does the fault happen this time?"""
        return self.active(now) and self.tally.strikes()

    def lasts(self, now: float) -> bool:
        """Whether a fault that is a state, not an event, is on. Counts once a connection."""
        if not self.active(now):
            return False
        if self._chosen is None:
            self._chosen = self.tally.strikes()
        return self._chosen

    def error(self, details: ErrorDetails) -> Json:
        """An `error` event."""
        return self.event("error", error=msgspec.to_builtins(details))

    def event(self, kind: str, **fields: object) -> Json:
        """An event that the session does not know of."""
        return {"type": kind, "event_id": self._ids.new("event"), **fields}


class Head(msgspec.Struct):
    """What faults read of a client's message."""

    type: str = ""
    audio: str = ""


def head(frame: bytes | str) -> Head:
    """The type and audio of a client's message; empty if it is none."""
    try:
        return msgspec.json.decode(frame, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Head()
