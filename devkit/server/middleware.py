"""The seam between a session and the wire, where faults are made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ...realtime.messages import Json
from .work import Outgoing


class Middleware(Protocol):
    """Stands between the session and the wire: the seam where faults are made.

    Events pass the middleware in the order given; what it returns goes on, so it may drop, change, repeat, hold
    back and invent; and it may tell the wire what to do (`work.WireAction`) or end the session (`work.Close`).
    """

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        """A TEXT frame from the client. What is due at once because of it, `handle_timer` says right afterwards."""
        ...

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """An event for the client."""
        ...

    def get_timer(self) -> float | None:
        """When `handle_timer` is to be called, if ever."""
        ...

    def handle_timer(self, now: float) -> Iterable[Outgoing]:
        """Events held back until now. They do not pass `outgoing` again."""
        ...
