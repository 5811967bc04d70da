"""Faults of the wire and of hearing: junk, back-pressure, unanswered pings, deafness, slow decoding."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...realtime.messages import ErrorDetails, Json
from .errors import invalid_request, server_error
from .faults_endings import Timed
from .faults_layer import APPEND, COMMITTED, COMPLETED, DELTA, Decoding, Layer, Link, Tally, head
from .work import IgnorePings, Outgoing, PauseReading, RawFrame

_INVALID = ("invalid_value", "unknown_parameter", "input_audio_buffer_commit_empty", "invalid_event", "invalid_json")


class ErrorEvent(Layer):
    """`error` events that mean no harm, again and again."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        self._when: float | None = self.begins

    def get_timer(self) -> float | None:
        """See `Middleware`."""
        return self._when

    def handle_timer(self, now: float) -> Iterator[Outgoing]:
        """See `Middleware`."""
        interval = self.arguments["interval"]
        self._when = now + interval if interval and now + interval < self.ends else None
        if self.strikes(now):
            yield self.error(self._details())

    def _details(self) -> ErrorDetails:
        code = self.arguments["code"]
        if code is None:
            return server_error("The server had an error while processing your request. Sorry about that!")
        if code in _INVALID:
            return invalid_request(code, f"A made-up error with code '{code}'.")
        return ErrorDetails(type=code, code=code, message=f"A made-up error with code '{code}'.")


class Junk(Layer):
    """After an event, something that is none, or one that nobody knows."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        self._next = itertools.count()

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        if not self.strikes(now):
            return (event,)
        return (event, self._junk(event, next(self._next)))

    def _junk(self, event: Json, number: int) -> Outgoing:
        kinds: tuple[Outgoing, ...] = (
            RawFrame("{this is not JSON"),
            RawFrame('[{"type": "error"}]'),
            RawFrame("null"),
            RawFrame(b"\x00\xff binary"),
            RawFrame(""),
            RawFrame('{"event_id": "event_without_a_type"}'),
            self.event("conversation.item.imagined", item={"id": None}, extra=[1, {"deep": []}]),
            {key: None if key != "type" else value for key, value in event.items()},
            {**event, "event_id": 17, "unknown": {"a": [1, None]}, "item_id": ["no", "text"]},
            self.event(COMPLETED, item_id=17, content_index="0", transcript=None),
            self.event("error", error=None),
            self.event("error", error="text"),
        )
        return kinds[number % len(kinds)]


class GhostItem(Layer):
    """Text of an item that nobody spoke and that was never committed."""

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        if event["type"] != COMMITTED or not self.strikes(now):
            return (event,)
        item_id = self._ids.new("item")
        ghost: Iterable[Outgoing] = (self.event(DELTA, item_id=item_id, content_index=0, delta="boo"),)
        if self.arguments["completed"]:
            usage = {"type": "duration", "seconds": 1.0}
            end = self.event(COMPLETED, item_id=item_id, content_index=0, transcript="boo", usage=usage)
            ghost = (*ghost, end)
        return (event, *ghost)


class SlowRead(Layer):
    """Reads the client's audio more slowly than it is spoken, or not at all for a while."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        self._stop: float | None = arguments["stop"]
        self._when: float | None = self.begins if self._stop is not None else None
        self._caught_up = 0.0
        self._pause = 0.0

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        """See `Middleware`."""
        if self._stop is None and self.lasts(now):
            message = head(frame)
            if message.type == APPEND:
                seconds = len(message.audio) * 3 / 4 / self.link.bytes_per_second
                self._caught_up = max(self._caught_up, now) + seconds / self.arguments["speed"]
                self._pause, self._when = self._caught_up - now, now
        return (frame,)

    def get_timer(self) -> float | None:
        """See `Middleware`."""
        return self._when

    def handle_timer(self, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        self._when = None
        if self._stop is None:
            return (PauseReading(self._pause),)
        return (PauseReading(self._stop),) if self.strikes(now) else ()


class NoPong(Timed):
    """Answers no ping."""

    def happen(self) -> Iterable[Outgoing]:
        """See `Timed`."""
        return (IgnorePings(),)


class VadDeaf(Layer):
    """Turn detection hears nothing."""

    def deaf(self, now: float) -> bool:
        """See `Layer`."""
        return self.lasts(now)


class DecodeSpeed(Layer):
    """A model that streams text hears no faster than this."""

    loses = False

    def decoding(self, now: float) -> Decoding | None:
        """See `Layer`."""
        return Decoding(self.arguments["speed"], self.loses) if self.lasts(now) else None


class CommitLosesUndecoded(DecodeSpeed):
    """The same, and a commit cuts off what it has not heard."""

    loses = True
