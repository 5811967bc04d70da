"""The status of a connection, and which steps between two of them are valid."""

from __future__ import annotations

from typing import NamedTuple

from .later_message import ModuleConnectionStatus as Status

_VALID = {
    Status.DISCONNECTED: {Status.CONNECTING, Status.CONNECTED},
    Status.CONNECTING: {Status.DISCONNECTED, Status.CONNECTED},
    Status.CONNECTED: {Status.CONNECTING},
}
"By the status that is entered: where it may be entered from."


class Step(NamedTuple):
    """A change of status that was made."""

    last: Status
    current: Status
    valid: bool


class ConnectionMachine:
    """Makes every step it is asked for, and says of each whether it was valid."""

    def __init__(self) -> None:
        self.status = Status.DISCONNECTED

    def enter(self, status: Status) -> Step | None:
        """Change to *status*; None when it is that already."""
        last = self.status
        if last is status:
            return None
        self.status = status
        return Step(last, status, last in _VALID[status])
