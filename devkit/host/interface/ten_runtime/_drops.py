"""The record of messages that never reached a handler."""

from __future__ import annotations

import logging
import threading
from typing import Any, NamedTuple

from ._content import Content
from ._log import note

INVALID_OUT = "invalid schema (out)"
INVALID_IN = "invalid schema (in)"
UNCONNECTED = "not connected"
LOCKED = "buffer locked"
CLOSED = "receiver closed"


class DroppedMessage(NamedTuple):
    """One message that was dropped: its *kind* in the graph's words, who sent it, who should have had it, why.

    *cause* is one of the constants of this module, *reason* the sentence for people. *properties* are the
    message's own (not a copy: nobody else has them any more).
    """

    cause: str
    kind: str
    name: str
    sender: str
    receiver: str
    reason: str
    properties: dict[str, Any]

    @property
    def invalid_schema(self) -> bool:
        """True when a type was wrong, on either side."""
        return self.cause in (INVALID_OUT, INVALID_IN)


_KEPT = 10_000


class DropLog:
    """Collects drops from any thread; each is logged as it happens, an unconnected name only the first time.

    The first ten thousand are kept, *count* counts them all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drops: list[DroppedMessage] = []
        self._warned: set[tuple[str, str, str]] = set()
        self.count = 0

    def add(self, cause: str, content: Content, sender: str, receiver: str, reason: str) -> DroppedMessage:
        """Record one drop and return it."""
        drop = DroppedMessage(cause, content.kind, content.name, sender, receiver, reason, content.props)
        level = logging.DEBUG if cause == CLOSED else logging.WARNING
        with self._lock:
            self.count += 1
            if self.count <= _KEPT:
                self._drops.append(drop)
            if cause == UNCONNECTED:
                key = (sender, content.kind, content.name)
                level = logging.DEBUG if key in self._warned else level
                self._warned.add(key)
        way = f"{sender} -> {receiver}" if receiver else sender
        note(level, f"dropped {content.kind} {content.name!r} ({way}): {cause}: {reason}", sender)
        return drop

    def all(self) -> list[DroppedMessage]:
        """Return what was dropped so far, in order."""
        with self._lock:
            return list(self._drops)
