"""The seam between a session and the wire, where faults are made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ...realtime.messages import Json


class Middleware(Protocol):
    """Stands between the session and the wire: the seam where faults are made.

    Events pass the middleware in the order given; what it returns goes on, so it may drop, change, repeat, hold
    back and invent.
    """

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        """A frame from the client."""
        ...

    def outgoing(self, event: Json, now: float) -> Iterable[Json]:
        """An event for the client."""
        ...

    def get_timer(self) -> float | None:
        """When `handle_timer` is to be called, if ever."""
        ...

    def handle_timer(self, now: float) -> Iterable[Json]:
        """Events held back until now. They do not pass `outgoing` again."""
        ...
