"""Faults of what the server says: late, lost, doubled, out of order, failed, wrong."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...realtime.messages import Json
from .faults_layer import COMMIT, COMMITTED, COMPLETED, TERMINAL, TRANSCRIPTION, Layer, Link, Tally, head
from .work import Outgoing


class Delays(Layer):
    """Holds events back; those due at the same time keep their order."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        self._held: list[tuple[float, int, Json]] = []
        self._count = itertools.count()

    def due(self, event: Json, now: float) -> float | None:
        """When *event* goes out; None is now."""
        return None

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        due = self.due(event, now)
        if due is None:
            return (event,)
        heapq.heappush(self._held, (due, next(self._count), event))
        return ()

    def get_timer(self) -> float | None:
        """See `Middleware`."""
        return self._held[0][0] if self._held else None

    def handle_timer(self, now: float) -> Iterator[Outgoing]:
        """See `Middleware`."""
        while self._held and self._held[0][0] <= now:
            yield heapq.heappop(self._held)[2]

    @property
    def delay(self) -> float:
        """The argument `ms`, in seconds."""
        return float(self.arguments["ms"]) / 1000


class LateCreated(Delays):
    """The session begins to speak late."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        self._until: float | None = None

    def due(self, event: Json, now: float) -> float | None:
        """See `Delays`. Everything waits behind the first event."""
        if event["type"] == "session.created" and self.strikes(now):
            self._until = now + self.delay
        return self._until if self._until is not None and (now < self._until or self._held) else None


class LateUpdated(Delays):
    """The session confirms its configuration late."""

    def due(self, event: Json, now: float) -> float | None:
        """See `Delays`."""
        return now + self.delay if event["type"] == "session.updated" and self.strikes(now) else None


class LateFinal(Delays):
    """Finished text comes late."""

    def due(self, event: Json, now: float) -> float | None:
        """See `Delays`."""
        return now + self.delay if event["type"] in TERMINAL and self.strikes(now) else None


class SlowAnswer(Delays):
    """Everything comes late, in order."""

    def due(self, event: Json, now: float) -> float | None:
        """See `Delays`."""
        if self.active(now):
            return now + self.delay
        # What comes after the slow time stays behind what is held.
        return max(entry[0] for entry in self._held) if self._held else None


class SwallowItem(Layer):
    """An item has no terminal event."""

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        return () if event["type"] in TERMINAL and self.strikes(now) else (event,)


class SwallowCommit(Layer):
    """A commit of the client is never seen."""

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        """See `Middleware`."""
        return () if head(frame).type == COMMIT and self.strikes(now) else (frame,)


class SwallowEvent(Layer):
    """Events of one type do not arrive."""

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        wanted = event["type"] == self.arguments["type"] or event["type"].endswith("." + self.arguments["type"])
        return () if wanted and self.strikes(now) else (event,)


class FailItem(Layer):
    """An item fails instead of being completed."""

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        if event["type"] != COMPLETED or not self.strikes(now):
            return (event,)
        error = {
            "type": self.arguments["type"],
            "code": self.arguments["code"],
            "message": f"Input transcription failed for item '{event['item_id']}'.",
            "param": None,
        }
        failed = self.event(TRANSCRIPTION + "failed", item_id=event["item_id"], content_index=0, error=error)
        return (failed,)


class EmptyFinal(Layer):
    """An item comes back without text."""

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        return ({**event, "transcript": ""},) if event["type"] == COMPLETED and self.strikes(now) else (event,)


class Duplicate(Layer):
    """Commits and finished text are told more than once."""

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        if event["type"] not in (COMMITTED, *TERMINAL) or not self.strikes(now):
            return (event,)
        return (event, *({**event, "event_id": self._ids.new("event")} for _ in range(self.arguments["copies"] - 1)))


class Reorder(Layer):
    """Finished text comes in groups, the last first."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        self._group: list[Json] = []
        self._release: float | None = None

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        if event["type"] not in TERMINAL or not self.active(now):
            return (event,)
        self._group.append(event)
        if len(self._group) == 1:
            self._release = now + self.arguments["hold"]
        return self._reversed() if len(self._group) >= self.arguments["group"] else ()

    def get_timer(self) -> float | None:
        """See `Middleware`."""
        return self._release

    def handle_timer(self, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        return self._reversed()

    def _reversed(self) -> Iterable[Outgoing]:
        group, self._group, self._release = self._group[::-1], [], None
        return group if len(group) < 2 or self.tally.strikes() else group[::-1]


class Interleave(Layer):
    """Text of several items comes mixed."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        self._held: list[Json] = []
        self._release: float | None = None

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        if not event["type"].startswith(TRANSCRIPTION) or not self.active(now):
            return (event,)
        if not self._held:
            self._release = now + self.arguments["hold"]
        self._held.append(event)
        return ()

    def get_timer(self) -> float | None:
        """See `Middleware`."""
        return self._release

    def handle_timer(self, now: float) -> Iterator[Outgoing]:
        """See `Middleware`. One event of each item in turn, the newest item first."""
        held, self._held, self._release = self._held, [], None
        queues: dict[str, deque[Json]] = {}
        for event in held:
            queues.setdefault(event["item_id"], deque()).append(event)
        if len(queues) < 2 or not self.tally.strikes():
            yield from held
            return
        while queues:
            for item_id in list(reversed(queues)):
                yield queues[item_id].popleft()
                if not queues[item_id]:
                    del queues[item_id]


class WrongEcho(Layer):
    """`session.updated` says something else than what was asked for."""

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        if event["type"] != "session.updated" or not self.strikes(now):
            return (event,)
        return ({**event, "session": _wrong(event["session"], ECHOED[self.arguments["field"]])},)


ECHOED = {
    "model": ("audio", "input", "transcription", "model"),
    "language": ("audio", "input", "transcription", "language"),
    "format": ("audio", "input", "format"),
    "turn-detection": ("audio", "input", "turn_detection"),
    "noise-reduction": ("audio", "input", "noise_reduction"),
    "include": ("include",),
}
_OTHERS: dict[str, object] = {
    "model": "another-model",
    "language": "eo",
    "noise_reduction": {"type": "near_field"},
    "include": ["item.input_audio_transcription.logprobs"],
}


def _wrong(session: Json, path: tuple[str, ...]) -> Json:
    name, *rest = path
    there = session.get(name)
    if rest:
        return {**session, name: _wrong(there if isinstance(there, dict) else {}, tuple(rest))}
    if name == "format":
        wrong: object = {"type": "audio/pcmu"} if there == {"type": "audio/pcm", "rate": 24000} else None
        wrong = wrong or {"type": "audio/pcm", "rate": 24000}
    elif name == "turn_detection":
        settings = {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
        wrong = {"type": "server_vad", **settings} if there is None else None
    else:
        wrong = _OTHERS[name] if there != _OTHERS[name] else None
    return {**session, name: wrong}
