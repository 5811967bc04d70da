"""A configuration that changes while the stream runs: what it takes, and how far each change has come.

A change is *ours alone* (deadlines, the local detector), *live* (a `session.update` on the connection that carries the
stream) or a *switch* (a new session takes over, by the machinery of `rollover.py`). Without a connection it is taken
for the next one. Changes are dealt with one after the other; each gets exactly one answer, in a bounded time. Until a
change is in force, nothing of it counts: the options in force are those of the connection that carries the stream.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import msgspec

from .connection import Connection
from .dialects.choice import DialectChoice
from .events import Event, Reconfigured
from .handshake import Differences
from .lifecycle import SessionState
from .options import SessionOptions

SERVER_TYPES = ("server_vad", "semantic_vad")
SOON_S = 3.5
"A turn that is open when the new session is ready ends at the next quiet place, and in any case after about this."
_AT_REST = (SessionState.IDLE, SessionState.BACKOFF, SessionState.FAILED)
_ENDING = (SessionState.DRAINING, SessionState.STOPPED)

APPLIED = "applied"
TAKEN = "taken for the next session: none is connected now"
STAYS = "the configuration before it stays in force"


class Way(Enum):
    """What a change takes."""

    OURS = "ours"
    LIVE = "live"
    SWITCH = "switch"


class Step(Enum):
    """What the session is to do with the change whose turn it is."""

    INSTALL = "install"
    ASK = "ask"
    SWITCH = "switch"
    GIVE_UP = "give up"


class Progress(Enum):
    """How far a change has come."""

    WAITING = "waiting"
    ASKED = "asked"
    "`session.update` is sent on the live connection."
    CONFIRMED = "confirmed"
    "Its echo came."
    SWITCHING = "switching"
    "A new session is dialled with it."


class Change(msgspec.Struct, eq=False):
    """One request. `place`: the server that connections with it are dialled to."""

    request: str
    options: SessionOptions
    place: DialectChoice
    deadline: float
    progress: Progress = Progress.WAITING
    update_id: str = ""
    expected: dict[str, object] = {}
    "The session object that was asked for."
    reason: str = ""
    "Why the last attempt to connect with it failed."
    warnings: list[str] = []
    "What of it the model does not take."
    unsure: bool = False
    "The live connection was asked and did not say no: it may have any of two configurations."


def way_of(old: SessionOptions, new: SessionOptions, before: Mapping[str, Any], after: Mapping[str, Any]) -> Way:
    """What it takes to get from *old* to *new*; *before* and *after* are the wire's session objects of the two."""
    kinds = {old.turn_detection.type, new.turn_detection.type}
    if len(kinds) > 1 and not kinds.issubset(SERVER_TYPES):
        return Way.SWITCH
    if before == after:
        return Way.OURS
    if old.transcription.model != new.transcription.model or old.input_audio_format != new.input_audio_format:
        return Way.SWITCH
    if before.get("include") != after.get("include") or (len(kinds) == 1 and _takes_back(before, after)):
        return Way.SWITCH
    return Way.LIVE


def _takes_back(before: object, after: object) -> bool:
    """Whether something is not there any more: an update that leaves it out leaves it as it was."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return False
    return any(key not in after or _takes_back(value, after[key]) for key, value in before.items())


class Reconfigurer:
    """The changes that were asked for and are not in force yet."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._changes: deque[Change] = deque()

    @property
    def current(self) -> Change | None:
        """The one that is dealt with."""
        return self._changes[0] if self._changes else None

    @property
    def switching(self) -> Change | None:
        """The one that a new session is dialled for."""
        change = self.current
        return change if change is not None and change.progress is Progress.SWITCHING else None

    def add(self, change: Change) -> None:
        """Queue *change* behind those before it."""
        self._changes.append(change)

    def newest_place(self, place: DialectChoice) -> DialectChoice:
        """Where connections go when all changes are in force; *place* if none changes it."""
        return self._changes[-1].place if self._changes else place

    def step(self, state: SessionState, way: Callable[[Change], Way], now: float) -> Step | None:
        """What to do now; None while there is nothing, or something else must happen first."""
        while (change := self.current) is not None:
            if state in _ENDING:
                self.answer("stopped", f"stopped before it was applied; {STAYS}")
            elif state in _AT_REST:
                return Step.INSTALL
            elif state is SessionState.CONNECTING:
                if now < change.deadline:
                    return None
                self.answer("refused", f"no session could be configured in time; {STAYS}")
            elif change.progress is Progress.WAITING:
                return {Way.OURS: Step.INSTALL, Way.LIVE: Step.ASK, Way.SWITCH: Step.SWITCH}[way(change)]
            elif change.progress is Progress.CONFIRMED:
                return Step.INSTALL
            elif now < change.deadline:
                return None
            elif change.progress is Progress.ASKED:
                change.unsure = True
                return Step.SWITCH
            else:
                return Step.GIVE_UP
        return None

    def answer(self, outcome: str, message: str) -> None:
        """The change that is dealt with is done with: it is in force, or it is not to be."""
        change = self._changes.popleft()
        kept = outcome in ("applied", "taken")
        self._emit(Reconfigured(change.request, outcome, "; ".join([message, *(change.warnings if kept else ())])))

    # What the server says of it -----------------------------------------------------------------------------

    def asked(self, update_id: str, expected: dict[str, object], deadline: float) -> None:
        """The live connection was asked for it."""
        change = self._changes[0]
        change.progress, change.update_id, change.expected = Progress.ASKED, update_id, expected
        change.deadline = deadline

    def awaited(self, conn: Connection, main: Connection | None) -> Change | None:
        """The change that a `session.updated` on *conn* confirms."""
        change = self.current
        return change if change and conn is main and change.progress is Progress.ASKED else None

    def echoed(self, differences: Differences, now: float) -> None:
        """The live connection answered: as asked, or with something else (then a new session is to do it)."""
        change = self._changes[0]
        if differences.grave:
            change.reason, change.deadline, change.unsure = "; ".join(differences.grave), now, True
        else:
            change.progress = Progress.CONFIRMED

    def refused_by(self, event_id: str, param: str) -> bool:
        """Whether an error on the live connection says no to what was asked."""
        change = self.current
        if change is None or change.progress is not Progress.ASKED:
            return False
        return event_id == change.update_id or (not event_id and param.startswith("session."))

    # A new session for it -----------------------------------------------------------------------------------

    def began_switch(self, deadline: float) -> None:
        """A new session is dialled for it."""
        change = self._changes[0]
        change.progress, change.deadline = Progress.SWITCHING, deadline

    def ready_to_switch(self) -> None:
        """The new session is configured: it takes over soon, whatever is said."""
        self._changes[0].deadline = math.inf

    def deadline(self) -> float:
        """When `step` has something to do; infinite if it waits for something else."""
        change = self.current
        return math.inf if change is None else change.deadline


def refusal(words: str) -> str:
    """The message of a change the server does not want."""
    return f"the server refused it: {words}; {STAYS}"
