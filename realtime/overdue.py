"""What a server owes and does not give, though its connection lives (S8).

Three things can be overdue: the answer to a commit, the text of an item, and any sign that speech was heard. A server
that is only slow owes nothing: its time for an item begins when the item before it is done, and an unanswered commit
counts only once a ping sent behind it has come back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from .connection import Connection
from .stream import Stream
from .turn import Phase, Turn

OVERDUE = "overdue"
"Stands where a close code stands, when we end a connection for what it owes."
CONFIRM_S = 0.5
"After the pong of a ping sent behind an unanswered commit."
DEAF_SPEECH_S = 2.0
"So much speech without a break must be heard,"
DEAF_AFTER_S = 8.0
"within this time, or more on a slow server."
ALIVE_S = 1.0
"An item is taken for swallowed if the server said something so long after it began to be due."


class Overdue(NamedTuple):
    """What did not come. *turn*: the one item the server keeps to itself while it answers for others."""

    what: str
    turn: Turn | None = None


class Watchdog:
    """Watches the connection that carries the stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._confirm_at: float | None = None
        "The answer to the oldest commit is late; when that is sure (infinite until the pong)."
        self._deaf_since: float | None = None
        self._deaf_from = 0
        "What was said before this position has had its reconnect."
        self._looked_at = 0

    def renew(self) -> None:
        """Another connection carries the stream."""
        self._confirm_at = self._deaf_since = None

    # Speech that is not heard -------------------------------------------------------------------------------

    def listen(self, conn: Connection, now: float) -> None:
        """Note whether speech goes on that the server shows no sign of. Looks every 100 ms of audio."""
        accepted = self._stream.ledger.accepted
        if not conn.answers_speech or accepted - self._looked_at < self._stream.samples(100):
            return
        self._looked_at = accepted
        if not self._unheard(conn):
            self._deaf_since = None
        elif self._deaf_since is None:
            self._deaf_since = now

    def heard(self, conn: Connection) -> None:
        """A turn began, or text came."""
        self._deaf_since = None
        if self._stream.client_owned:
            self._deaf_from = max(self._deaf_from, conn.map.last_position or 0)

    def _unheard(self, conn: Connection) -> bool:
        stream = self._stream
        sent = conn.map.last_position or 0
        if stream.client_owned:
            turn = next((t for t in stream.book.on_connection(conn.id) if t.client_owned and t.span_end is None), None)
            if turn is None or not stream.rules.streams_before_commit:
                return False
            start = turn.span_start
        else:
            if any(t.phase is Phase.OPEN for t in stream.book.on_connection(conn.id)):
                return False
            start = stream.book.last_end
        need = stream.samples(DEAF_SPEECH_S * 1000)
        runs = stream.ledger.marks(max(start, self._deaf_from), sent)
        return any(speech and last - first >= need for first, last, speech in runs)

    # What is due --------------------------------------------------------------------------------------------

    def _items(self, conn: Connection) -> Iterator[tuple[float, Turn]]:
        stream = self._stream
        for turn in stream.book.on_connection(conn.id):
            if turn.phase is Phase.COMMITTED and not turn.repairs and turn.end is not None:
                yield turn.waits_since + stream.text_time.wait_s(stream.usual_wait_s(turn)), turn

    def _commit_due(self, conn: Connection) -> float:
        if not conn.unanswered:
            return math.inf
        oldest = next(iter(conn.unanswered.values()))
        return oldest + self._stream.commit_time.wait_s(self._stream.options.commit_timeout_ms / 1000)

    def _deaf_due(self) -> float:
        if self._deaf_since is None:
            return math.inf
        return self._deaf_since + self._stream.text_time.wait_s(DEAF_AFTER_S)

    def check(self, conn: Connection, now: float) -> Overdue | None:
        """The first thing that is overdue."""
        if now < self._commit_due(conn):
            self._confirm_at = None
        elif self._confirm_at is None:
            self._confirm_at = math.inf
            conn.on_pong.append(self._confirm)
            conn.ping_at = 0.0
        elif now >= self._confirm_at:
            self._stream.commit_time.missed()
            return Overdue("the answer to a commit")
        for due, turn in self._items(conn):
            if now >= due:
                alive = conn.last_event_at > turn.waits_since + ALIVE_S
                self._stream.text_time.missed()
                return Overdue("the text of an item", turn if alive else None)
        if now >= self._deaf_due():
            self._stream.text_time.missed()
            self._deaf_from, self._deaf_since = self._stream.ledger.accepted, None
            return Overdue("any sign that speech is heard")
        return None

    def _confirm(self, now: float) -> None:
        if self._confirm_at is not None:
            self._confirm_at = now + CONFIRM_S

    def deadline(self, conn: Connection) -> float:
        """When `check` is due next; infinite if nothing is owed."""
        commit = self._commit_due(conn) if self._confirm_at is None else self._confirm_at
        due = min(commit, self._deaf_due())
        return min([due, *(until for until, _ in self._items(conn))]) if self._stream.book.turns else due
