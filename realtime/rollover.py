"""The server ends every session after a while: when to dial the next one, and when to change over (S11)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime

from .client_turns import ClientTurns
from .connection import Connection, Role
from .finalizing import Finalizer
from .sending import Sender
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


def note_lifetime(conn: Connection, expires_at: object, wall: float, stream: Stream) -> None:
    """Learn from a session's `expires_at` (seconds since 1970) when it ends, and so when the next one is dialled.

    *wall*: our own clock at the upgrade.
    """
    began = conn.server_time if conn.server_time is not None else wall
    known = isinstance(expires_at, (int, float)) and not isinstance(expires_at, bool)
    assumed = conn.dialect.session_s or ASSUMED_S
    lifetime = float(expires_at) - began if known else assumed  # type: ignore[arg-type]
    conn.lifetime = lifetime if BELIEVED_S[0] <= lifetime <= BELIEVED_S[1] else assumed
    conn.ends_at = conn.opened_at + conn.lifetime
    conn.next_dial_at = dial_time(conn, stream)


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


class Rollover:
    """The connection that is to take over, and those that have handed over."""

    def __init__(self, stream: Stream, turns: ClientTurns, finalizer: Finalizer, sender: Sender) -> None:
        self._stream = stream
        self._turns = turns
        self._finalizer = finalizer
        self._sender = sender
        self._not_before = 0.0
        self.spare: Connection | None = None
        "Dialled to take over."
        self.wants_quiet = False
        "Take over where nobody speaks, if there is such a place in time: the rule for turns changes."
        self.retired: list[Connection] = []
        "They have handed over; the texts of their last items are due."

    def spare_lost(self, next_at: float) -> None:
        """The connection that was to take over ended; another is dialled at *next_at*, if there is time."""
        self.spare, self._not_before = None, next_at

    def hurry(self, main: Connection, now: float) -> None:
        """Another session is to take over as soon as it can: dial it now."""
        main.leave, main.next_dial_at, self._not_before = True, now, now

    def spare_ready(self, main: Connection, now: float, within_s: float) -> None:
        """It can: what is open on *main* gets *within_s* to end."""
        if main.leave and main.ends_at is not None:
            main.ends_at = min(main.ends_at, now + within_s)

    def calm_down(self, main: Connection) -> None:
        """The session on *main* may live its time after all."""
        main.leave = main.ending = self.wants_quiet = False
        main.ends_at = main.opened_at + main.lifetime
        main.next_dial_at = dial_time(main, self._stream)

    def deadline(self, main: Connection) -> float:
        """When `advance` is due next; infinite if it waits for something else."""
        if self.spare is None:
            return max(main.next_dial_at, self._not_before)
        return last_moment(main, self._stream) if self.spare.ready and not main.ending else math.inf

    def advance(self, main: Connection, now: float, connect: Callable[[Role, float], Connection]) -> Connection | None:
        """Dial in time, end what is open before the end; where nothing is, the connection that takes over."""
        if main.ends_at is None:
            return None
        if self.spare is None:
            if now >= main.next_dial_at and now >= self._not_before:
                self.spare = connect(Role.NEXT, now)
        elif self.spare.ready:
            turn = open_turn(main, self._stream)
            main.ending = last = now >= last_moment(main, self._stream)
            waits = self._finalizer.probing or (self.wants_quiet and not self._stream.quiet_now())
            if turn is None and (last or not waits):
                return self._change_over(main, self.spare)
            if turn is not None and (last or (now >= cut_time(main, self._stream) and self._stream.quiet_now())):
                self._end(main, turn)
        return None

    def _end(self, main: Connection, turn: Turn) -> None:
        assert main.ends_at is not None
        if not turn.client_owned:
            main.cut = self._stream.ledger.accepted if main.cut is None else main.cut
            return
        if turn.span_end is None:
            self._turns.cut(turn)
        turn.not_after = min(turn.not_after, main.ends_at - LAST_MOMENT_S)

    def _change_over(self, old: Connection, new: Connection) -> Connection:
        """Audio behind the last turn goes to *new*, also what *old* already got: items it makes of that are void."""
        stream = self._stream
        # What waits for its turn to be heard again is not the old connection's: the new one hears it from the start.
        behind = max([stream.book.last_end, *self._committed(old)])
        boundary = min([behind, *(turn.span_start for turn in stream.book.waiting())])
        stream.gate_before_turn(boundary, old.id)
        stream.requeue(old.id, start=boundary)
        for turn in stream.book.on_connection(old.id):
            if holds_nothing(turn, stream):
                turn.connection = 0
        self._sender.rewind()
        self._finalizer.connection_lost()
        old.role = Role.RETIRED
        self.retired.append(old)
        self.spare = None
        stream.stats.rollovers += 1
        return new

    def _committed(self, conn: Connection) -> Iterator[int]:
        """Where turns of ours on *conn* end for its server, which may be behind the end of their speech."""
        for turn in self._stream.book.on_connection(conn.id):
            if turn.client_owned and turn.span_end is not None and turn.commit_sent_at is not None:
                yield turn.span_end

    def done(self) -> list[Connection]:
        """Those whose last text is there, to be closed. Each is returned once."""
        if not self.retired:
            return []
        done = [c for c in self.retired if next(self._stream.book.on_connection(c.id), None) is None]
        self.retired = [c for c in self.retired if c not in done]
        return done
