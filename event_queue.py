"""What the client has still to tell its listener: in order, and never more than a listener that hangs may cost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from .realtime import events as ev

MAX_EVENTS = 4_096
"Events that may wait: over a minute of the busiest call."
MAX_CHARACTERS = 4 * 1024 * 1024
"Characters of the transcripts among them."
_PASSING = (ev.SpeechStarted, ev.SpeechStopped, ev.Committed, ev.WireEvent)


class EventQueue:
    """A queue that joins neighbouring `AudioSent` and, when it is full, lets go of what the user needs least.

    First that is news which pass (partials, speech started, wire events), oldest first; then, of a listener that takes
    nothing any more, the oldest of the rest. How many is told by a `ClientError` as soon as somebody listens. Answers
    to requests always stay: each has a caller who waits.
    """

    def __init__(self) -> None:
        self._events: deque[ev.Event] = deque()
        self._characters = 0
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._events) + bool(self._dropped)

    @property
    def characters(self) -> int:
        """Characters of the transcripts that wait."""
        return self._characters

    def put(self, event: ev.Event) -> None:
        """Queue *event* behind all others."""
        last = self._events[-1] if self._events else None
        if isinstance(event, ev.AudioSent) and isinstance(last, ev.AudioSent):
            self._events[-1] = ev.AudioSent(last.user_ms + event.user_ms, last.silence_ms + event.silence_ms)
            return
        self._events.append(event)
        self._characters += _size(event)
        if len(self._events) > MAX_EVENTS or self._characters > MAX_CHARACTERS:
            self._make_room()

    def get(self) -> ev.Event:
        """The next event; IndexError if there is none."""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return ev.ClientError(
                "listener_slow",
                f"{dropped} event(s) were not told: the listener did not keep up and {MAX_EVENTS} waited",
            )
        event = self._events.popleft()
        self._characters -= _size(event)
        return event

    def _make_room(self) -> None:
        """Let go of enough that this is rare: half of what passes, and only if that was not enough, of the rest."""
        kept = self._without(_passes, _with_one_audio_sent(self._events), 0.5)
        if len(kept) > MAX_EVENTS or sum(map(_size, kept)) > MAX_CHARACTERS:
            kept = self._without(_may_go, kept, 0.9)
        self._events = deque(kept)
        self._characters = sum(map(_size, kept))

    def _without(self, expendable: Callable[[ev.Event], bool], events: list[ev.Event], part: float) -> list[ev.Event]:
        """*events* without the oldest that are *expendable*, down to *part* of what may wait."""
        too_many = len(events) - MAX_EVENTS * part
        too_long = sum(map(_size, events)) - MAX_CHARACTERS * part
        kept: list[ev.Event] = []
        for event in events:
            if (too_many > 0 or too_long > 0) and expendable(event):
                too_many, too_long = too_many - 1, too_long - _size(event)
                self._dropped += 1
            else:
                kept.append(event)
        return kept


def _with_one_audio_sent(events: Iterable[ev.Event]) -> list[ev.Event]:
    """*events* with all `AudioSent` joined where the first one is: sums, which need no place of their own."""
    kept: list[ev.Event] = []
    place: int | None = None
    user_ms = silence_ms = 0.0
    for event in events:
        if isinstance(event, ev.AudioSent):
            user_ms, silence_ms = user_ms + event.user_ms, silence_ms + event.silence_ms
            if place is not None:
                continue
            place = len(kept)
        kept.append(event)
    if place is not None:
        kept[place] = ev.AudioSent(user_ms, silence_ms)
    return kept


def _passes(event: ev.Event) -> bool:
    return isinstance(event, _PASSING) or (isinstance(event, ev.Transcript) and not event.final)


def _may_go(event: ev.Event) -> bool:
    return not isinstance(event, (ev.FinalizeDone, ev.Reconfigured, ev.AudioSent))


def _size(event: ev.Event) -> int:
    return len(event.text) + len(event.delta) if isinstance(event, ev.Transcript) else 0
