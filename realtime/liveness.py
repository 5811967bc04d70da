"""Whether a connection lives: deadlines from the dial to the configuration, pings, and sends that do not leave."""

from __future__ import annotations

import math

from .connection import Connection, Stage
from .options import SessionOptions

_AWAITED = {
    Stage.DIALLING: "the end of the handshake",
    Stage.OPEN: "session.created",
    Stage.CONFIGURING: "session.updated",
}


def deadline(conn: Connection, options: SessionOptions) -> float:
    """When `trouble` or `ping_due` is to be asked next; infinite if never."""
    due = math.inf if conn.ready else conn.deadline
    ping = conn.pong_deadline if conn.pong_deadline is not None else conn.ping_at
    if ping is not None and ping < due:
        due = ping
    stall = _stall_deadline(conn, options)
    return due if stall is None or stall > due else stall


def trouble(conn: Connection, options: SessionOptions, now: float) -> tuple[str, str] | None:
    """What stands for a close code, and a reason, if *conn* is dead; None while it is not."""
    stall = _stall_deadline(conn, options)
    if conn.stage in _AWAITED and now >= conn.deadline:
        return "timeout", f"{_AWAITED[conn.stage]} did not come in time"
    if conn.pong_deadline is not None and now >= conn.pong_deadline:
        return "1006", "no pong: the connection is half open"
    if stall is not None and now >= stall:
        return "1006", "the server stopped reading"
    return None


def ping_due(conn: Connection, options: SessionOptions, now: float) -> bool:
    """Whether a ping goes out now; if so it is booked. Only one is under way at a time."""
    if conn.ping_at is None or now < conn.ping_at or conn.pong_deadline is not None or not conn.ready:
        return False
    conn.pong_deadline = now + options.ping_timeout_ms / 1000
    conn.ping_at = now + options.ping_interval_ms / 1000
    conn.pong_callbacks, conn.on_pong = conn.pong_callbacks + conn.on_pong, []
    return True


def _stall_deadline(conn: Connection, options: SessionOptions) -> float | None:
    return None if conn.blocked_since is None else conn.blocked_since + options.send_stall_ms / 1000
