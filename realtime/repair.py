"""A second chance for an item that failed or was not answered: its audio once more, on a short connection of its own.

Never on a buffer that holds live audio. One repair at a time, one commit each, once per turn (S7). A connection that
drops is no failure: the attempt starts over, as long as there is time.
"""

from __future__ import annotations

import math
from collections import deque

from .connection import Connection
from .ledger import Fate, State
from .stream import LEAD_IN_MARGIN_MS, Stream
from .turn import Phase, Turn
from .writing import TAIL_MS, Pace, Writer

ANSWER_S = 6.0
"What a repair may take, besides the time of its audio at the pace of a replay; longer on a slow server."
_ON_THE_WAY = frozenset({State.SENT, State.COMMITTED})


class Repairer:
    """The turns that wait for their second chance, and the one that has it."""

    def __init__(self, stream: Stream, writer: Writer) -> None:
        self._stream = stream
        self._writer = writer
        self._queue: deque[Turn] = deque()
        self._pace = Pace(stream)
        self._cursor = 0
        self._deadline = math.inf
        self._dial_at = 0.0
        self._wake_at = math.inf
        self._paused = False
        "The stream has no connection: no time runs."
        self.turn: Turn | None = None
        "The one under way."
        self.conn: Connection | None = None

    def take(self, turn: Turn, now: float) -> bool:
        """Give *turn* its second chance; False if it had it, or its audio is not all there any more."""
        stream = self._stream
        if turn.repairs or turn.end is None or turn.span_end is None or not stream.options.replay_window_ms:
            return False
        if not self._is_kept(turn, turn.span_end):
            return False
        stream.book.supersede(turn)
        self._release(turn)
        turn.repairs += 1
        turn.restart(Phase.REPAIR)
        self._queue.append(turn)
        stream.stats.repairs += 1
        self._advance_queue(now)
        return True

    def _is_kept(self, turn: Turn, span_end: int) -> bool:
        """Whether there is speech in *turn*, and its audio; silence in front of it may be forgotten."""
        bounds = self._stream.ledger.speech_bounds(turn.span_start, span_end)
        return bounds is not None and self._stream.ledger.kept_from <= bounds[0]

    def _release(self, turn: Turn) -> None:
        assert turn.span_end is not None
        pending = Fate(State.PENDING, turn=turn.serial)
        self._stream.ledger.move(turn.span_start, turn.span_end, _ON_THE_WAY, pending)

    def _advance_queue(self, now: float) -> None:
        while self.turn is None and self._queue:
            turn = self._queue.popleft()
            if turn.phase is Phase.REPAIR:
                self.turn, self._dial_at = turn, now
                self._begin_time(turn, now)

    def _begin_time(self, turn: Turn, now: float) -> None:
        assert turn.span_end is not None
        audio_s = (turn.span_end - turn.span_start) / self._stream.rate
        self._deadline = now + self._stream.text_time.wait_s(ANSWER_S) + audio_s / self._pace.speed

    # Its connection -----------------------------------------------------------------------------------------

    def may_dial(self, now: float) -> bool:
        """Whether a connection is wanted now."""
        return not self._paused and self.turn is not None and self.conn is None and now >= self._dial_at

    def dialled(self, conn: Connection) -> None:
        """*conn* is under way."""
        self.conn = conn

    def lost(self, now: float, delay: float) -> None:
        """The connection ended before its answer; the next attempt follows in *delay* seconds."""
        self.conn, self._dial_at = None, now + delay
        if self.turn is not None and self.turn.phase in (Phase.REPAIR, Phase.COMMITTED):
            self._release(self.turn)
            self.turn.restart(Phase.REPAIR)

    def pause(self) -> None:
        """The stream has no connection: one is not dialled for this, and the time begins anew when it is back.

        What is under way may come to its end if it can: its connection is another one.
        """
        self._paused = True

    def resume(self, now: float) -> None:
        """The service is back."""
        if self._paused and self.turn is not None:
            self._begin_time(self.turn, now)
        self._paused = False

    def next_message(self, conn: Connection, now: float) -> bytes | None:
        """The next message for the repair's connection."""
        self._wake_at = math.inf
        if conn.outbox:
            return conn.outbox.popleft()
        turn = self.turn
        if turn is None or turn.span_end is None or turn.commit_sent_at is not None:
            return None
        if turn.connection != conn.id:
            if not self._is_kept(turn, turn.span_end):
                self._give_up("window_exceeded", now)  # it waited for too long: what is left is not the turn
                return None
            lead_in = self._stream.options.turn_detection.prefix_padding_ms + LEAD_IN_MARGIN_MS
            begin = max(turn.span_start, turn.start - self._stream.samples(lead_in))
            turn.connection, self._cursor = conn.id, max(begin, self._stream.ledger.kept_from)
            turn.synthetic = self._stream.samples(TAIL_MS)
            self._pace.begin(now)
        if self._cursor >= turn.span_end:
            self._wake_at = self._writer.commit_time(turn, conn)
            return self._writer.end_turn(turn, conn, now)
        wait_until = self._pace.wait_until(self._cursor, now)
        if wait_until is not None:
            self._wake_at = wait_until
            return None
        last = self._pace.limit(self._cursor, turn.span_end)
        message = self._writer.append(conn, self._cursor, last, now)
        if message is None:
            self._give_up("window_exceeded", now)
            return None
        assert conn.map.last_position is not None
        self._pace.written(self._cursor, conn.map.last_position, now)
        self._cursor = conn.map.last_position
        return message

    # Its end ------------------------------------------------------------------------------------------------

    def finished(self, now: float) -> Connection | None:
        """The connection to close, if the repair under way has come to its end."""
        if self.turn is not None and now >= self._deadline and not self._paused:
            self._give_up("no_transcript", now)
        if self.turn is not None and self.turn.phase not in (Phase.READY, Phase.SETTLED):
            return None
        conn, self.conn, self.turn = self.conn, None, None
        self._deadline = math.inf
        self._advance_queue(now)
        return conn

    def _give_up(self, cause: str, now: float) -> None:
        if self.turn is not None and self.turn.phase not in (Phase.READY, Phase.SETTLED):
            self._stream.book.lose(self.turn, cause, now)

    def deadline(self) -> float:
        """When something is due next; infinite if nothing is."""
        turn, conn = self.turn, self.conn
        if turn is None:
            return math.inf
        if conn is None:
            return min(self._deadline, self._dial_at)
        waits = conn.ready and conn.in_flight == 0 and turn.commit_sent_at is None
        return min(self._deadline, self._wake_at) if waits else self._deadline
