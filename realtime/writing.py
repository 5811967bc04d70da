"""Putting audio, silence and commits on a connection, and keeping its books: the map, the clock, what is uncommitted.

Audio leaves only as a span taken from the ledger; padding is synthetic and has no position.
"""

from __future__ import annotations

from .connection import Connection
from .ledger import PENDING_ONLY
from .limits import MAX_STRETCHES
from .stream import Stream
from .turn import Turn

MAX_APPEND_S = 2.0
"Audio in one message at most: far below the server's 15 MiB, short enough to keep a backlog moving."
MAX_APPEND_STREAMING_S = 0.2
"The same for a backlog of a model that decodes while it listens: it gets audio at a steady pace."
MIN_COMMIT_MS = 110
"The server refuses to commit less than 100 ms; the rest is for rounding."
TAIL_MS = 400
"Models that decode while they listen get this much behind a turn before the commit (S5)."
TIMER_TOLERANCE_S = 1e-6
"A timer set to a moment may fire with a `now` that rounding puts before it."
COMMIT_MARGIN_S = 0.2
"How far a real-time decoder must be past the audio before a commit."


class Writer:
    """Makes messages and books them as sent."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._sent_until = 0

    def append(self, conn: Connection, first: int, last: int, now: float) -> bytes | None:
        """The audio of [first, last), or as much of it as one message takes; None if it is not kept any more."""
        stream = self._stream
        pcm = stream.ledger.audio(first, min(last, first + round(MAX_APPEND_S * stream.rate)))
        count = len(pcm) // 2
        if count == 0:
            return None
        last = first + count
        if conn.map.last_position != first:
            self._prime(conn, first)
        wire = conn.encoder.encode(pcm)
        stream.ledger.move(first, last, PENDING_ONLY, conn.sent_fate)
        self._written(conn, now, count, first)
        news = max(0, last - max(first, self._sent_until))  # a replay is no news to the timeline
        self._sent_until = max(self._sent_until, last)
        stream.note_sent(news, count - news, 0)
        return self._frame(conn, wire)

    def carry(self, conn: Connection, pcm: bytes, now: float) -> bytes:
        """Audio that is new and goes on with what was written: accepted and sent in one."""
        stream = self._stream
        first = stream.ledger.accepted
        count = stream.ledger.append(pcm, conn.sent_fate)
        self._written(conn, now, count, first)
        self._sent_until = first + count
        stream.note_sent(count, 0, 0)
        return self._frame(conn, conn.encoder.encode(pcm))

    def silence(self, conn: Connection, count: int, now: float) -> bytes:
        """*count* samples of silence."""
        wire = conn.encoder.silence(count)
        self._written(conn, now, count, None)
        self._stream.note_sent(0, 0, count)
        return self._frame(conn, wire)

    def _frame(self, conn: Connection, wire: bytes) -> bytes:
        """*wire* as the next frame; where the server wants to be told first that audio begins, as the one behind it."""
        begin = conn.dialect.begin()
        if begin is None:
            return conn.dialect.append(wire)
        conn.outbox.append(conn.dialect.append(wire))
        return begin

    def end_turn(self, turn: Turn, conn: Connection, now: float) -> bytes | None:
        """What ends a turn of ours whose audio is written: its padding, then its commit; None while it must wait."""
        padding = max(turn.synthetic, self._stream.samples(MIN_COMMIT_MS) - conn.uncommitted)
        if padding > 0:
            turn.synthetic = 0
            return self.silence(conn, padding, now)
        if now < self.commit_time(turn, conn):
            return None
        turn.commit_event_id = self._stream.new_id("commit")
        turn.commit_sent_at = now
        turn.committed_from, turn.committed_until = conn.map.written - conn.uncommitted, conn.map.written
        return self.commit(conn, turn.commit_event_id, now)

    def commit(self, conn: Connection, event_id: str, now: float) -> bytes:
        """Turn what the connection holds into an item."""
        conn.uncommitted = 0
        conn.unanswered[event_id] = now
        conn.commit_positions[event_id] = conn.map.last_position
        self._stream.stats.commits += 1
        return conn.dialect.commit(event_id)

    def commit_time(self, turn: Turn, conn: Connection) -> float:
        """Before this a model that decodes at real-time speed has not heard all of *turn* (S5)."""
        if not self._stream.rules.streams_before_commit:
            return 0.0
        heard = conn.audio_clock - TAIL_MS / 1000  # all but the silence behind the speech
        return min(conn.audio_clock + COMMIT_MARGIN_S, turn.not_after, max(heard, turn.hurry_after))

    def _prime(self, conn: Connection, position: int) -> None:
        """Audio that does not continue what was sent: its first output must be what it was the first time."""
        ledger = self._stream.ledger
        begin = max(ledger.kept_from, position - self._stream.samples(20))
        begin += -begin % conn.encoder.period
        conn.encoder.prime(ledger.audio(begin, position))

    def _written(self, conn: Connection, now: float, count: int, position: int | None) -> None:
        conn.map.add(count, position)
        if len(conn.map) > MAX_STRETCHES:
            conn.map.forget_before(self._stream.ledger.settled_until)
        conn.last_audio_at = now
        conn.uncommitted += count
        clock = conn.audio_clock
        conn.audio_clock = (clock if clock > now else now) + count / self._stream.rate


class Pace:
    """How fast audio that is behind goes out: a multiple of real time, after a short burst (S6)."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._behind_until = 0
        "Position: what lies before it is behind."
        self._free_at = 0.0
        "When all that was written would have been said at the speed allowed."

    @property
    def speed(self) -> float:
        """Times real time."""
        options = self._stream.options
        return options.replay_speed_streaming if self._stream.rules.streams_before_commit else options.replay_speed

    @property
    def _piece_s(self) -> float:
        return MAX_APPEND_STREAMING_S if self._stream.rules.streams_before_commit else MAX_APPEND_S

    def begin(self, now: float) -> None:
        """A connection takes over: what was accepted so far is behind."""
        self._behind_until, self._free_at = self._stream.ledger.accepted, now

    def wait_until(self, position: int, now: float) -> float | None:
        """Until when audio from *position* on must wait; None if it may leave."""
        due = self._free_at - self._piece_s / self.speed if position < self._behind_until else 0.0
        return due if now < due - TIMER_TOLERANCE_S else None

    def limit(self, first: int, last: int) -> int:
        """Where a message that begins at *first* ends."""
        if first >= self._behind_until:
            return last
        return min(last, first + round(self._piece_s * self._stream.rate))

    def written(self, first: int, last: int, now: float) -> None:
        """[first, last) was written."""
        stream = self._stream
        if first >= self._behind_until:
            return
        self._free_at = max(self._free_at, now) + (last - first) / stream.rate / self.speed
        if last >= self._behind_until and stream.ledger.accepted - last > self._piece_s * stream.rate:
            self._behind_until = stream.ledger.accepted  # more came meanwhile than goes out at once


def tail_padding(stream: Stream, speech_end: int, span_end: int) -> int:
    """Synthetic samples a turn needs behind its audio so that a streaming model hears 400 ms after the speech."""
    if not stream.rules.streams_before_commit:
        return 0
    return max(0, stream.samples(TAIL_MS) - (span_end - speech_end))
