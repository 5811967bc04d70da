"""What a session knows of one connection: its encoder, its map to positions, and what is under way on it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from .limits import MAX_EARLY
from .messages import Message
from .wire_map import WireMap


class Encoder(Protocol):
    """Caller's samples to wire bytes, as one stream. `audio.encoder.WireEncoder` is one."""

    @property
    def period(self) -> int:
        """Samples after which input and output grids coincide again: what `prime` takes begins at a multiple."""
        ...

    def encode(self, pcm: bytes) -> bytes:
        """Wire bytes of *pcm* (s16le mono at the stream's rate); holds nothing back."""
        ...

    def silence(self, samples: int) -> bytes:
        """Wire bytes of *samples* zeros, as part of the same stream."""
        ...

    def prime(self, pcm: bytes) -> None:
        """Take *pcm* as the past, without output."""
        ...


class Stage(Enum):
    """Life of a connection; it only moves down."""

    DIALLING = "dialling"
    OPEN = "open"
    "The socket is open; `session.created` is due."
    CONFIGURING = "configuring"
    "`session.update` is sent; its echo is due."
    READY = "ready"
    CLOSED = "closed"


@dataclass(eq=False)
class Connection:
    """One socket's worth of state. Times are the session's `now`, in seconds."""

    id: int
    encoder: Encoder
    map: WireMap
    dialled_at: float
    deadline: float
    "Dial to configured must be done by then."
    stage: Stage = Stage.DIALLING
    ready_at: float | None = None
    update_id: str = ""
    update_tries: int = 0
    expected: dict[str, object] = field(default_factory=dict)
    "The session object we asked for."
    refusal: str = ""
    "The last error before the session was configured."
    settled_items: int = 0
    early: deque[Message] = field(default_factory=lambda: deque(maxlen=MAX_EARLY))
    "Text for items nobody announced yet; it counts when they are, and never otherwise."
    announces_items: bool = False
    "The server sent `committed`: items it does not announce are not ours."
    # sending
    outbox: deque[bytes] = field(default_factory=deque)
    "Control messages that wait for nothing."
    in_flight: int = 0
    blocked_since: float | None = None
    last_audio_at: float = -math.inf
    audio_clock: float = 0.0
    "When a decoder at real-time speed would be through with what was appended."
    uncommitted: int = 0
    "Samples appended since the last commit, synthetic ones included."
    # pings
    ping_at: float | None = None
    pong_deadline: float | None = None
    on_pong: list[Callable[[float], None]] = field(default_factory=list)
    "Wait for a ping still to be sent."
    pong_callbacks: list[Callable[[float], None]] = field(default_factory=list)
    "Wait for the pong of the ping under way."

    @property
    def was_ready(self) -> bool:
        """It was configured once, whatever became of it."""
        return self.ready_at is not None

    @property
    def ready(self) -> bool:
        """Audio may be sent."""
        return self.stage is Stage.READY
