"""Audio that ends every connection it is committed on: it must not hold up the stream for ever (S6).

Only losses right after a piece's own commit, with nothing else unanswered, speak against the piece; and only several
in a row over some time, because a service that is restarting looks the same for a moment.
"""

from __future__ import annotations

import msgspec

from .connection import Connection
from .ledger import Ledger
from .stream import Stream
from .turn import Phase, Turn

PIECE_S = 5.0
"After a second loss without a new final, turns of ours are sent again in pieces of at most this."
QUIET_S = 0.1
"They are parted in pauses of at least this, where there are some."
SOON_S = 1.0
"A loss this soon after the commit may be the piece's doing."
LOSSES = 5
SPREAD_S = 20.0


class PoisonWatch(msgspec.Struct):
    """Counts losses in a row, and those of them that speak against one turn."""

    losses: int = 0
    "Of configured connections, since the last text."
    _suspect: int = 0
    _strikes: int = 0
    _since: float = 0.0

    def text_came(self) -> None:
        """A connection gave a text: whatever ended the ones before, it goes on."""
        self.losses = 0

    def lost(self, conn: Connection, stream: Stream, now: float) -> Turn | None:
        """A configured connection ended; the turn that has done it once too often, if one has."""
        self.losses += 1
        waiting = [t for t in stream.book.on_connection(conn.id) if _committed_at(t) is not None]
        turn = waiting[0] if len(waiting) == 1 else None
        at = _committed_at(turn) if turn is not None else None
        if turn is None or at is None or now - at > SOON_S:
            self._suspect = self._strikes = 0
            return None
        if turn.serial != self._suspect:
            self._suspect, self._strikes, self._since = turn.serial, 0, now
        self._strikes += 1
        if self._strikes < LOSSES or now - self._since < SPREAD_S:
            return None
        self._suspect = self._strikes = 0
        return turn

    @property
    def wants_pieces(self) -> bool:
        """Whether what is sent again is to be cut into pieces."""
        return self.losses >= 2


def _committed_at(turn: Turn) -> float | None:
    """When the commit of *turn* was sent or told, if its text is due."""
    if turn.phase is Phase.COMMITTED:
        return turn.commit_sent_at if turn.commit_sent_at is not None else turn.waits_since
    return turn.commit_sent_at if turn.phase in (Phase.OPEN, Phase.CLOSED) else None


def piece_ends(ledger: Ledger, start: int, end: int, rate: int) -> list[int]:
    """Where to part [start, end): in the last pause before each piece is full, or where it is full; ends with *end*."""
    ends: list[int] = []
    most = round(PIECE_S * rate)
    while end - start > most:
        pauses = [
            (first + last) // 2
            for first, last, speech in ledger.marks(start + rate // 2, start + most)
            if not speech and last - first >= QUIET_S * rate
        ]
        start = pauses[-1] if pauses else start + most
        ends.append(start)
    return [*ends, end]
