"""The states of a session and the only ways between them. `docs/session.md` is drawn from this table.

Two rules: `Session` changes its state nowhere but through this table, and nothing in here knows what a state does.
"""

from __future__ import annotations

from enum import Enum


class SessionState(Enum):
    """Where the session is."""

    IDLE = "idle"
    "Not started: audio is accepted, the last seconds are kept."
    CONNECTING = "connecting"
    "A dial or the configuration of a connection is under way."
    READY = "ready"
    "A connection is configured: audio flows."
    BACKOFF = "backoff"
    "Waiting for the next dial."
    FAILED = "failed"
    "Refused for good: inert until it is started again."
    DRAINING = "draining"
    "Stopping: open turns get a moment to finish."
    STOPPED = "stopped"


S = SessionState
TRANSITIONS: dict[SessionState, frozenset[SessionState]] = {
    S.IDLE: frozenset({S.CONNECTING, S.STOPPED}),
    S.CONNECTING: frozenset({S.READY, S.BACKOFF, S.FAILED, S.DRAINING, S.STOPPED}),
    S.READY: frozenset({S.BACKOFF, S.FAILED, S.DRAINING, S.STOPPED}),
    S.BACKOFF: frozenset({S.CONNECTING, S.STOPPED}),
    S.FAILED: frozenset({S.CONNECTING, S.STOPPED}),
    S.DRAINING: frozenset({S.STOPPED}),
    S.STOPPED: frozenset(),
}
