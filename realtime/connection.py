"""What a session knows of one connection: its encoder, its map to positions, and what is under way on it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from .dialects.base import Dialect
from .dialects.choice import DialectChoice
from .ledger import Fate, State
from .limits import MAX_EARLY
from .messages import Message
from .models import PERMISSIVE, ModelRules
from .options import SessionOptions
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

    WAITING = "waiting"
    "The process's limit on connects holds the dial back."
    DIALLING = "dialling"
    OPEN = "open"
    "The socket is open; `session.created` is due."
    CONFIGURING = "configuring"
    "`session.update` is sent; its echo is due."
    READY = "ready"
    CLOSED = "closed"


class Role(Enum):
    """What a connection is for."""

    MAIN = "main"
    "It carries the stream."
    NEXT = "next"
    "Dialled while the main one lives, to take over from it."
    RETIRED = "retired"
    "Another has taken over; the texts of its last items are due."
    REPAIR = "repair"
    "It sends the audio of one item once more."


@dataclass(eq=False)
class Connection:
    """One socket's worth of state. Times are the session's `now`, in seconds."""

    id: int
    encoder: Encoder
    map: WireMap
    dialled_at: float
    deadline: float
    "Dial to configured must be done by then; before the dial: when it may begin."
    dialect: Dialect = field(default_factory=Dialect)
    role: Role = Role.MAIN
    stage: Stage = Stage.WAITING
    opened_at: float = 0.0
    server_time: float | None = None
    "The server's clock at `opened_at`, seconds since 1970."
    ends_at: float | None = None
    "When the server ends the session."
    lifetime: float = 0.0
    "Seconds from `opened_at` to `ends_at`."
    next_dial_at: float = math.inf
    "When the session that follows is dialled."
    ending: bool = False
    "The last moment to end what is open on it has come."
    expired: bool = False
    "The server has said that the session is over."
    ready_at: float | None = None
    options: SessionOptions | None = None
    "What it is, or is to be, configured with."
    rules: ModelRules = PERMISSIVE
    "Of the model it was made for."
    model: str = ""
    place: DialectChoice = field(default_factory=DialectChoice)
    "The server it is dialled to."
    leave: bool = False
    "Another is to take over as soon as it is ready, because the configuration changes."
    update_id: str = ""
    update_tries: int = 0
    expected: dict[str, object] = field(default_factory=dict)
    "The session object we asked for."
    refusal: str = ""
    "The last error before the session was configured."
    words: str = ""
    "What the server said of it."
    unfit: bool = False
    "The server does not take the configuration."
    settled_items: int = 0
    last_event_at: float = 0.0
    answers_speech: bool = False
    "It has shown that it hears: a turn began, or text came."
    unanswered: dict[str, float] = field(default_factory=dict)
    "Commits by event id, oldest first, with when they were sent."
    commit_positions: dict[str, int | None] = field(default_factory=dict)
    "Of the same commits: how far the caller's audio went."
    cut: int | None = None
    "Server-owned turns: commit what lies before this position, whatever the detector says."
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

    def __post_init__(self) -> None:
        self.sent_fate = Fate(State.SENT, self.id)
        "Of what was sent on it."

    def lived(self, now: float) -> float:
        """Seconds since it was configured."""
        return 0.0 if self.ready_at is None else now - self.ready_at

    @property
    def was_ready(self) -> bool:
        """It was configured once, whatever became of it."""
        return self.ready_at is not None

    @property
    def client_owned(self) -> bool:
        """Turns on it end by our commits alone, whatever the stream's turn detection."""
        return self.role is Role.REPAIR

    def answered(self, event_id: str) -> float | None:
        """The server has said what came of that commit; returns when it was sent, or None if it is not known."""
        self.commit_positions.pop(event_id, None)
        return self.unanswered.pop(event_id, None)

    @property
    def frontier(self) -> int | None:
        """Where the next item ends unless the server says: at the oldest commit without an answer, not behind it."""
        oldest = next(iter(self.unanswered), "")
        return self.commit_positions.get(oldest, self.map.last_position)

    @property
    def ready(self) -> bool:
        """Audio may be sent."""
        return self.stage is Stage.READY
