"""Faults that end a connection, or leave it open and dead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...realtime.messages import ErrorDetails, Json
from .errors import CLOSE_EXPIRED, CLOSE_UNAUTHORIZED, EXPIRED_MESSAGE, close_reason, invalid_request
from .faults_layer import Layer, Link, Tally
from .faults_moments import Moment, phase_named
from .work import Abort, Close, Freeze, Outgoing

CLOSE_TRY_LATER = 1013


class Timed(Layer):
    """Happens once to a connection, when its time has come."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        self._when: float | None = self.begins

    def get_timer(self) -> float | None:
        """See `Middleware`."""
        return self._when

    def handle_timer(self, now: float) -> Iterator[Outgoing]:
        """See `Middleware`."""
        self._when = None
        if self.strikes(now):
            yield from self.happen()

    def happen(self) -> Iterable[Outgoing]:
        """What goes out at that time."""
        return ()


class Drop(Timed):
    """Cuts TCP at a time, at random times, or at a moment of a kind."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        chance = link.random(("drop", tuple(sorted(arguments.items(), key=str))))
        self._moment: Moment | None = None
        if arguments["phase"] is not None:
            self._when = None
            self._moment = Moment(phase_named(arguments["phase"]), link, chance)
        elif arguments["interval"] is not None:
            self._when = self.begins + chance.expovariate(1 / max(arguments["interval"], 0.001))

    def happen(self) -> Iterable[Outgoing]:
        """See `Timed`."""
        return (Abort(),)

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        """See `Middleware`."""
        if self._moment is not None and self.active(now) and self._moment.incoming(frame):
            self._moment = None
            if self.tally.strikes():
                self._when = now
                return ()
        return (frame,)

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        if self._moment is not None and self.active(now):
            instead = self._moment.outgoing(event)
            if instead is not None:
                self._moment = None
                if self.tally.strikes():
                    return instead
        return (event,)

    def handle_timer(self, now: float) -> Iterator[Outgoing]:
        """See `Middleware`."""
        if self.arguments["phase"] is not None:  # counted when the moment came
            self._when = None
            yield Abort()
        else:
            yield from super().handle_timer(now)


class Kill(Layer):
    """Cuts every connection there is, at the same time."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        first, interval = tally.origin + arguments["at"], arguments["interval"]
        turn = 0 if first > link.opened else int((link.opened - first) // interval) + 1 if interval else None
        times = arguments["times"]
        self._when: float | None = None
        if turn is not None and (times is None or turn < times):
            self._when = first + turn * (interval or 0.0)

    def get_timer(self) -> float | None:
        """See `Middleware`."""
        return self._when

    def handle_timer(self, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        due = self._when is not None and self.begins <= self._when < self.ends
        self._when = None
        if due:
            self.tally.count()
        return (Abort(),) if due else ()


class CloseEarly(Timed):
    """Sends a CLOSE frame."""

    def happen(self) -> Iterable[Outgoing]:
        """See `Timed`."""
        return (Close(self.arguments["code"], self.arguments["reason"]),)


class SessionLimit(Timed):
    """Ends the session as the hour does, earlier."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        self._when = self.begins + arguments["seconds"]
        self._expires_at = int(link.epoch + self._when - link.opened)

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        session = event.get("session")
        if self.arguments["told"] and self.active(now) and isinstance(session, dict) and "expires_at" in session:
            event = {**event, "session": {**session, "expires_at": self._expires_at}}
        return (event,)

    def happen(self) -> Iterable[Outgoing]:
        """See `Timed`."""
        if self.arguments["event"]:
            yield self.error(invalid_request("session_expired", EXPIRED_MESSAGE))
        yield Close(CLOSE_EXPIRED, EXPIRED_MESSAGE)


class Refused(Timed):
    """An error and a CLOSE frame, as the first thing on the connection or later."""

    details: ErrorDetails
    code: int

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`. The session is refused before its first word."""
        if self._when is not None and self._when <= now:
            ending = tuple(self.handle_timer(now))
            if ending:
                return ending
        return (event,)

    def happen(self) -> Iterable[Outgoing]:
        """See `Timed`."""
        yield self.error(self.details)
        yield Close(self.code, close_reason(self.details))


class BadKey(Refused):
    """As if the key were wrong."""

    details = invalid_request("invalid_api_key", "Incorrect API key provided: ***.")
    code = CLOSE_UNAUTHORIZED

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        if tally.origin + arguments["at"] > link.opened:
            self._when = None  # keys are looked at when a connection is made


class Quota(Refused):
    """As if the account were out of credit."""

    details = ErrorDetails(
        type="insufficient_quota",
        code="insufficient_quota",
        message="You exceeded your current quota, please check your plan and billing details.",
    )
    code = CLOSE_TRY_LATER


class HalfOpen(Timed):
    """The server goes away without a word."""

    def happen(self) -> Iterable[Outgoing]:
        """See `Timed`."""
        return (Freeze(),)


class Mute(Layer):
    """The server says nothing any more, but is there."""

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        return () if self.lasts(now) else (event,)
