"""The server ends every session after a while: when to dial the next one, and when to change over (S11)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime

from .connection import Connection
from .stream import Stream
from .turn import Phase, Turn

BELIEVED_S = (2.0, 2 * 3600.0)
"A lifetime outside of this is a clock that is wrong, or a unit that is not seconds."
ASSUMED_S = 55 * 60.0
"What is assumed then: sessions end after an hour."
DIAL_AT = 0.75
"Part of the lifetime after which the next session is dialled,"
DIAL_BEFORE_S = 60.0
"or this long before the end, whichever is later."
DIAL_TAKES_S = 0.5
CUT_BEFORE_S = 10.0
"An open turn is ended at the next quiet place in the last tenth of the lifetime, at most this long before the end,"
CUT_AT_LEAST_S = 1.5
"and at least this long before the last moment: speech has a quiet place in a second, and its text needs another."
LAST_MOMENT_S = 0.3
"Before the end: then it is ended in any case."
STREAMING_S = 0.9
"Earlier by this for models that want silence and time behind a turn before its commit (S5)."


def date_of(headers: Mapping[str, str]) -> float | None:
    """The server's clock, seconds since 1970, from the `Date` header of the upgrade; None without a readable one."""
    value = next((v for k, v in headers.items() if k.lower() == "date"), "")
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()


def note_lifetime(conn: Connection, expires_at: object, wall: float) -> None:
    """Learn from a session's `expires_at` (seconds since 1970) when it ends. *wall*: our own clock at the upgrade."""
    began = conn.server_time if conn.server_time is not None else wall
    known = isinstance(expires_at, (int, float)) and not isinstance(expires_at, bool)
    lifetime = float(expires_at) - began if known else ASSUMED_S  # type: ignore[arg-type]
    conn.lifetime = lifetime if BELIEVED_S[0] <= lifetime <= BELIEVED_S[1] else ASSUMED_S
    conn.ends_at = conn.opened_at + conn.lifetime


def dial_time(conn: Connection, stream: Stream) -> float:
    """When the session that follows *conn*'s is dialled: in any case before an open turn is to be ended for it."""
    regular = conn.opened_at + max(DIAL_AT * conn.lifetime, conn.lifetime - DIAL_BEFORE_S)
    return min(regular, cut_time(conn, stream) - DIAL_TAKES_S)


def last_moment(conn: Connection, stream: Stream) -> float:
    """When an open turn is ended, whatever is being said."""
    assert conn.ends_at is not None
    return conn.ends_at - LAST_MOMENT_S - (STREAMING_S if stream.rules.streams_before_commit else 0.0)


def cut_time(conn: Connection, stream: Stream) -> float:
    """From when on an open turn is ended at the next quiet place."""
    assert conn.ends_at is not None
    tenth = min(conn.lifetime / 10, CUT_BEFORE_S)
    return min(conn.ends_at - tenth, last_moment(conn, stream) - CUT_AT_LEAST_S)


def open_turn(conn: Connection, stream: Stream) -> Turn | None:
    """The turn on *conn* that is not committed yet: until it is, the stream cannot change over."""
    for turn in stream.book.on_connection(conn.id):
        if turn.phase in (Phase.OPEN, Phase.CLOSED) and turn.commit_sent_at is None and not holds_nothing(turn, stream):
            return turn
    return None


def holds_nothing(turn: Turn, stream: Stream) -> bool:
    """Whether *turn* is only there because without a detector one is always open: nothing was said in it."""
    undetected = stream.detection == "none" and turn.client_owned and turn.span_end is None
    return undetected and not stream.ledger.has_speech(turn.span_start, stream.ledger.accepted)
