"""What goes on the wire next, for a connection that is ready for one more message.

Audio leaves only as a span taken from the ledger; padding is synthetic and has no position. Order on the wire is the
order of the caller's audio: a commit or a padding that belongs to a boundary leaves when all audio before it has, and
before any audio behind it.
"""

from __future__ import annotations

from .audio_store import BYTES_PER_SAMPLE
from .connection import Connection
from .finalizing import Finalizer, Request
from .ledger import Fate, State
from .stream import Stream
from .turn import Phase, Turn
from .writing import TIMER_TOLERANCE_S, Pace, Writer

AHEAD_S = 0.06
"Audio that is so far ahead of its own speed is gathered into fewer messages,"
GATHER_S = 0.01
"for this long at a time,"
GATHER_MS = 500
"or until so much has come."
AHEAD_PACE = 0.8
"A source may run ahead of time by a quarter for ever: no clock is that wrong, and a file that is played is no flood."


class Sender:
    """Chooses the next message. With server-owned turns it keeps a cursor: nothing before it is pending."""

    def __init__(self, stream: Stream, finalizer: Finalizer, writer: Writer) -> None:
        self._stream = stream
        self._finalizer = finalizer
        self._writer = writer
        self._pace = Pace(stream)
        self._cursor = 0
        self.careful = False
        "One commit at a time, until its text is there: if the connection ends now, it is known for which (S6)."
        self.wake_at: float | None = None
        "When what waits may leave: for the decoder, its interval or its pace. Known after `next_message` gave None."
        self._heard_at = 0.0
        "When what the caller said since would have been said, a little faster than anybody speaks."
        self._gather_until = 0.0

    def next_message(self, conn: Connection, now: float) -> bytes | None:
        """The next message for *conn*, booked as sent; None if there is nothing to send now."""
        self.wake_at = None
        if conn.outbox:
            return conn.outbox.popleft()
        if self._stream.client_owned:
            return self._next_of_client_turns(conn, now)
        return self._next_of_server_turns(conn, now)

    def rewind(self) -> None:
        """Audio that was sent is pending again."""
        self._cursor = 0

    def begin(self, now: float) -> None:
        """A connection carries the stream from now on: what waits goes out at the speed of catching up."""
        self._pace.begin(now)

    def _too_early(self, conn: Connection, now: float) -> bool:
        """Audio goes out in packets of `send_interval_ms`; nothing that a boundary needs waits for it."""
        until = self._packet_due(conn)
        if self._gather_until > until and not self._gathered_enough(conn):
            until = self._gather_until
        if now >= until - TIMER_TOLERANCE_S:
            return False
        if self._stream.lag_ms:
            self.wake_at = until
        return True

    # Steady audio -------------------------------------------------------------------------------------------

    def carry(self, conn: Connection, pcm: bytes, now: float) -> bytes | None:
        """The message with audio that just came, for *conn*, which `keeps_up`; None if it is gathered: see `wake_at`.

        At the pace of speech each frame leaves at once. What comes in a flood leaves in fewer messages.
        """
        stream = self._stream
        ahead = self._heard_at - now  # of what came before, so that one long frame is no flood
        self._heard_at = max(self._heard_at, now) + len(pcm) * AHEAD_PACE / (BYTES_PER_SAMPLE * stream.rate)
        if ahead > AHEAD_S or stream.options.send_interval_ms:
            self._gather_until = now + GATHER_S if ahead > AHEAD_S else 0.0
            until = max(self._packet_due(conn), self._gather_until)
            if now < until - TIMER_TOLERANCE_S:
                self.wake_at = until
                stream.ledger.append(pcm)
                return None
        return self._writer.carry(conn, pcm, now)

    def _packet_due(self, conn: Connection) -> float:
        interval_ms = self._stream.options.send_interval_ms
        return conn.last_audio_at + interval_ms / 1000 if interval_ms else 0.0

    def gathers(self, conn: Connection, now: float) -> bool:
        """Whether audio for *conn* goes on waiting for more."""
        if self.wake_at is None or now >= self.wake_at:
            return False
        return self.wake_at > self._gather_until or not self._gathered_enough(conn)

    def _gathered_enough(self, conn: Connection) -> bool:
        stream = self._stream
        return stream.ledger.accepted - (conn.map.last_position or 0) >= stream.samples(GATHER_MS)

    def keeps_up(self, conn: Connection) -> bool:
        """Whether all audio that *conn* may be sent is written or gathered, and what comes next goes on with it."""
        ledger, written = self._stream.ledger, conn.map.last_position
        if written is None:
            return False
        if self._stream.client_owned:
            turn = self._current_turn()
            if turn is None or turn.span_end is not None or turn.connection != conn.id:
                return False
        if written == ledger.accepted:
            return self.wake_at is None
        return self.wake_at is not None and ledger.next_unsent(written, ledger.accepted) == (written, ledger.accepted)

    # Server-owned turns -------------------------------------------------------------------------------------

    def _next_of_server_turns(self, conn: Connection, now: float) -> bytes | None:
        stream, probe = self._stream, self._finalizer.current_probe(conn)
        end = stream.ledger.accepted if conn.cut is None else conn.cut
        if probe is not None and probe.fence <= end:
            return self._audio(conn, now, probe.fence) or self._probe(probe, conn, now)
        if conn.cut is not None:
            return self._audio(conn, now, end) or self._cut(conn, now)
        return None if self._too_early(conn, now) else self._audio(conn, now, end)

    def _probe(self, probe: Request, conn: Connection, now: float) -> bytes | None:
        if self._pending(0, probe.fence):
            return None
        if not probe.padded and self._stream.detection != "semantic_vad":
            probe.padded = True
            silence = self._stream.options.turn_detection.effective_silence_ms + 200
            self._finalizer.wait_for_server(probe, conn)
            return self._writer.silence(conn, self._stream.samples(silence), now)
        if not probe.padded or self._finalizer.commit_due(probe, now):
            return self._writer.commit(conn, self._finalizer.commit_probe(probe), now)
        return None

    def _cut(self, conn: Connection, now: float) -> bytes | None:
        """End the server's open turn where we want it to end."""
        assert conn.cut is not None
        if self._pending(0, conn.cut):
            return None
        position, conn.cut = conn.cut, None
        for turn in self._stream.book.on_connection(conn.id):
            if turn.phase is Phase.OPEN:
                self._stream.book.close(turn, position, position)
                turn.commit_event_id, turn.commit_sent_at = self._stream.new_id("commit"), now
                return self._writer.commit(conn, turn.commit_event_id, now)
        return None  # it has ended by itself

    # Client-owned turns -------------------------------------------------------------------------------------

    def _current_turn(self) -> Turn | None:
        for turn in self._stream.book.turns:
            if turn.client_owned and turn.commit_sent_at is None and turn.phase in (Phase.OPEN, Phase.CLOSED):
                return turn
        return None

    def _unanswered(self, conn: Connection) -> bool:
        """Whether the last commit waits for its answer. Until it is there no other commit leaves: the answer does not
        name the commit, so that if one were never seen, the answer to the next would be taken for its own, and from
        then on each text for that of the turn before."""
        until_text = self.careful or conn.dialect.one_at_a_time
        due = (Phase.CLOSED, Phase.COMMITTED) if until_text else (Phase.CLOSED,)
        return any(
            t.client_owned and t.commit_sent_at is not None and t.phase in due
            for t in self._stream.book.on_connection(conn.id)
        )

    def _next_of_client_turns(self, conn: Connection, now: float) -> bytes | None:
        turn = self._current_turn()
        if turn is None:
            return None
        unanswered = self._unanswered(conn)
        if unanswered and self._stream.rules.streams_before_commit:
            return None  # a model that decodes while it listens gets nothing new either (S5)
        if turn.span_end is None and self._too_early(conn, now):
            return None
        end = turn.span_end if turn.span_end is not None else self._stream.ledger.accepted
        message = self._audio(conn, now, end, start=turn.span_start)
        if message is not None:
            turn.connection = conn.id
            return message
        if turn.span_end is None or self._pending(turn.span_start, turn.span_end):
            return None
        if turn.connection != conn.id:
            # Its audio never reached this connection and none is left to send: nothing can be committed for it.
            self._stream.book.lose(turn, "window_exceeded", now)
            return self._next_of_client_turns(conn, now)
        if unanswered:
            return None
        message = self._writer.end_turn(turn, conn, now)
        if message is None:
            self.wake_at = self._writer.commit_time(turn, conn)
        return message

    # Audio --------------------------------------------------------------------------------------------------

    def _pending(self, start: int, end: int) -> tuple[int, int] | None:
        return self._stream.ledger.next_unsent(max(start, self._cursor), end)

    def _audio(self, conn: Connection, now: float, end: int, start: int = 0) -> bytes | None:
        """One append with the next pending audio of [start, end)."""
        stream = self._stream
        run = self._pending(start, end)
        if run is None:
            return None
        first, last = self._with_pauses(conn, *run, start, end)
        wait_until = self._pace.wait_until(first, now)
        if wait_until is not None:
            self.wake_at = wait_until
            return None
        if self._must_pause(conn, first):
            silence = stream.samples(stream.options.turn_detection.effective_silence_ms + 200)
            return self._writer.silence(conn, silence, now)
        message = self._writer.append(conn, first, self._pace.limit(first, last), now)
        if message is None:  # only if the bytes were let go and the state was not: never send what we do not have
            lost = stream.ledger.move(first, last, {State.PENDING}, Fate(State.LOST, cause="window_exceeded"))
            stream.book.losses.report_loss(first, last, "window_exceeded", lost)
            return self._audio(conn, now, end, start)
        assert conn.map.last_position is not None
        self._pace.written(first, conn.map.last_position, now)
        if not stream.client_owned:
            self._cursor = conn.map.last_position
        return message

    def _with_pauses(self, conn: Connection, first: int, last: int, start: int, end: int) -> tuple[int, int]:
        """A pending stretch with the short pauses around it that were gated meanwhile.

        Quiet audio is gated by its age, also between two words. When those words go out again they must not run
        together, and the first of them needs what came before it.
        """
        stream, ledger = self._stream, self._stream.ledger
        padding = stream.options.turn_detection.prefix_padding_ms
        if conn.map.last_position != first:
            floor = max(ledger.kept_from, ledger.final_until, stream.book.told_until(first))
            begin = max(start, first - stream.samples(padding), floor)
            for _, end_of_run, fate in ledger.fates(begin, first):
                begin = begin if fate.state is State.GATED else end_of_run
            written = conn.map.last_position
            first = written if written is not None and begin < written < first else begin
        longest = stream.samples(padding + stream.options.turn_detection.effective_silence_ms)
        while last < end:
            gap = next(ledger.fates(last, end), None)
            if gap is None or gap[2].state is not State.GATED or gap[1] - gap[0] > longest:
                break
            run = ledger.next_unsent(gap[1], end)
            if run is None or run[0] != gap[1]:
                break
            last = run[1]
        return first, last

    def _must_pause(self, conn: Connection, first: int) -> bool:
        """With server-owned turns, audio that does not continue what was written needs silence in between."""
        if self._stream.client_owned:
            return False
        return conn.map.ends_in_audio and conn.map.last_position != first
