"""What goes on the wire next, for a connection that is ready for one more message.

Audio leaves only as a span taken from the ledger; padding is synthetic and has no position. Order on the wire is the
order of the caller's audio: a commit or a padding that belongs to a boundary leaves when all audio before it has, and
before any audio behind it.
"""

from __future__ import annotations

from .connection import Connection
from .events import AudioSent
from .finalizing import Finalizer
from .ledger import Fate, State
from .limits import MAX_STRETCHES
from .messages import InputAudioBufferCommit, encode, encode_append
from .stream import Stream
from .turn import Phase, Turn

MAX_APPEND_S = 2.0
"Audio in one message at most: far below the server's 15 MiB, short enough to keep a backlog moving."
MIN_COMMIT_MS = 110
"The server refuses to commit less than 100 ms; the rest is for rounding."
TAIL_MS = 400
"Models that decode while they listen get this much behind a turn before the commit (S5)."
COMMIT_MARGIN_S = 0.2
"How far a real-time decoder must be past the audio before a commit."
DEADLINE_RESERVE_S = 1.0
"A commit that serves a finalize leaves this long before its deadline, whatever the decoder's clock says."


class Sender:
    """Chooses the next message. With server-owned turns it keeps a cursor: nothing before it is pending."""

    def __init__(self, stream: Stream, finalizer: Finalizer) -> None:
        self._stream = stream
        self._finalizer = finalizer
        self._cursor = 0
        self._sent_until = 0

    def next_message(self, conn: Connection, now: float) -> bytes | None:
        """The next message for *conn*, booked as sent; None if there is nothing to send now."""
        if conn.outbox:
            return conn.outbox.popleft()
        if self._stream.client_owned:
            return self._next_of_client_turns(conn, now)
        return self._next_of_server_turns(conn, now)

    def rewind(self) -> None:
        """Audio that was sent is pending again."""
        self._cursor = 0

    def deadline(self, conn: Connection) -> float | None:
        """When a commit that waits for the decoder, or audio that waits for its interval, may leave."""
        interval = self._stream.options.send_interval_ms / 1000
        if interval and self._stream.lag_ms:
            return conn.last_audio_at + interval
        return self._commit_deadline(conn)

    def _too_early(self, conn: Connection, now: float) -> bool:
        """Audio goes out in packets of `send_interval_ms`; nothing that a boundary needs waits for it."""
        return now < conn.last_audio_at + self._stream.options.send_interval_ms / 1000 - 1e-6

    def _commit_deadline(self, conn: Connection) -> float | None:
        turn = self._current_turn()
        if turn is None or turn.span_end is None or not conn.ready or not self._may_send(conn):
            return None
        if self._pending(turn.span_start, turn.span_end) or turn.connection != conn.id:
            return None
        return self._commit_time(turn, conn)

    # Server-owned turns -------------------------------------------------------------------------------------

    def _next_of_server_turns(self, conn: Connection, now: float) -> bytes | None:
        probe = self._finalizer.current_probe(conn)
        if probe is None and self._too_early(conn, now):
            return None
        message = self._audio(conn, now, probe.fence if probe else self._stream.ledger.accepted)
        if message is not None or probe is None:
            return message
        if not probe.padded:
            probe.padded = True
            silence = self._stream.options.turn_detection.effective_silence_ms + 200
            if self._stream.detection == "semantic_vad":
                return self._finalizer.commit_probe(probe, conn)
            conn.outbox.append(self._silence(conn, now, self._stream.samples(silence)))
            self._finalizer.wait_for_server(probe, conn)
            return conn.outbox.popleft()
        if self._finalizer.commit_due(probe, now):
            return self._finalizer.commit_probe(probe, conn)
        return None

    # Client-owned turns -------------------------------------------------------------------------------------

    def _current_turn(self) -> Turn | None:
        for turn in self._stream.book.turns:
            if turn.client_owned and turn.commit_sent_at is None and turn.phase in (Phase.OPEN, Phase.CLOSED):
                return turn
        return None

    def _may_send(self, conn: Connection) -> bool:
        """Models that decode while listening get nothing new until the last commit is answered (S5)."""
        if not self._stream.rules.streams_before_commit:
            return True
        return not any(
            t.client_owned and t.commit_sent_at is not None and t.phase is Phase.CLOSED
            for t in self._stream.book.on_connection(conn.id)
        )

    def _next_of_client_turns(self, conn: Connection, now: float) -> bytes | None:
        turn = self._current_turn()
        if turn is None or not self._may_send(conn):
            return None
        if turn.span_end is None and self._too_early(conn, now):
            return None
        end = turn.span_end if turn.span_end is not None else self._stream.ledger.accepted
        message = self._audio(conn, now, end, start=turn.span_start)
        if message is not None:
            turn.connection = conn.id
            return message
        if turn.span_end is None:
            return None
        if turn.connection != conn.id:
            # Its audio never reached this connection and none is left to send: nothing can be committed for it.
            self._stream.book.lose(turn, "window_exceeded", now)
            return self._next_of_client_turns(conn, now)
        return self._end_turn(turn, conn, now)

    def _end_turn(self, turn: Turn, conn: Connection, now: float) -> bytes | None:
        stream = self._stream
        padding = max(turn.synthetic, stream.samples(MIN_COMMIT_MS) - conn.uncommitted)
        if padding > 0:
            turn.synthetic = 0
            return self._silence(conn, now, padding)
        if now < self._commit_time(turn, conn):
            return None
        turn.commit_event_id = stream.new_id("commit")
        turn.commit_sent_at = now
        conn.uncommitted = 0
        stream.stats.commits += 1
        return encode(InputAudioBufferCommit(event_id=turn.commit_event_id))

    def _commit_time(self, turn: Turn, conn: Connection) -> float:
        if not self._stream.rules.streams_before_commit:
            return 0.0
        return min(conn.audio_clock + COMMIT_MARGIN_S, turn.not_after)

    # Audio --------------------------------------------------------------------------------------------------

    def _pending(self, start: int, end: int) -> tuple[int, int] | None:
        return self._stream.ledger.next_run(State.PENDING, max(start, self._cursor), end)

    def _audio(self, conn: Connection, now: float, end: int, start: int = 0) -> bytes | None:
        """One append with the next pending audio of [start, end)."""
        stream = self._stream
        run = self._pending(start, end)
        if run is None:
            return None
        first, last = self._with_pauses(conn, *run, start, end)
        if self._must_pause(conn, first):
            return self._silence(conn, now, stream.samples(stream.options.turn_detection.effective_silence_ms + 200))
        last = min(last, first + round(MAX_APPEND_S * stream.rate))
        pcm = stream.ledger.audio(first, last)
        count = len(pcm) // 2
        if count == 0:  # only if the bytes were let go and the state was not: never send what we do not have
            stream.ledger.move(first, last, {State.PENDING}, Fate(State.LOST, cause="window_exceeded"))
            stream.book.report_loss(first, last, "window_exceeded")
            return self._audio(conn, now, end, start)
        if conn.map.last_position != first:
            self._prime(conn, first)
        wire = conn.encoder.encode(pcm)
        stream.ledger.move(first, last, {State.PENDING}, Fate(State.SENT, conn.id))
        if not stream.client_owned:
            self._cursor = last
        self._written(conn, now, count, first)
        news = max(0, last - max(first, self._sent_until))  # a replay is no news to the timeline
        self._sent_until = max(self._sent_until, last)
        stream.stats.sent_user_ms += news * 1000 / stream.rate
        stream.stats.replayed_ms += (count - news) * 1000 / stream.rate
        stream.emit(AudioSent(news * 1000 / stream.rate, 0.0))
        return encode_append(wire)

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
            first = begin
        longest = stream.samples(padding + stream.options.turn_detection.effective_silence_ms)
        while last < end:
            gap = next(ledger.fates(last, end), None)
            if gap is None or gap[2].state is not State.GATED or gap[1] - gap[0] > longest:
                break
            run = ledger.next_run(State.PENDING, gap[1], end)
            if run is None or run[0] != gap[1]:
                break
            last = run[1]
        return first, last

    def _must_pause(self, conn: Connection, first: int) -> bool:
        """With server-owned turns, audio that does not continue what was written needs silence in between."""
        if self._stream.client_owned:
            return False
        return conn.map.ends_in_audio and conn.map.last_position != first

    def _prime(self, conn: Connection, position: int) -> None:
        """Audio that does not continue what was sent: its first output must be what it was the first time."""
        ledger = self._stream.ledger
        begin = max(ledger.kept_from, position - self._stream.samples(20))
        begin += -begin % conn.encoder.period
        conn.encoder.prime(ledger.audio(begin, position))

    def _silence(self, conn: Connection, now: float, count: int) -> bytes:
        stream = self._stream
        wire = conn.encoder.silence(count)
        self._written(conn, now, count, None)
        stream.stats.sent_silence_ms += count * 1000 / stream.rate
        stream.emit(AudioSent(0.0, count * 1000 / stream.rate))
        return encode_append(wire)

    def _written(self, conn: Connection, now: float, count: int, position: int | None) -> None:
        conn.map.add(count, position)
        if len(conn.map) > MAX_STRETCHES:
            conn.map.forget_before(self._stream.ledger.settled_until)
        conn.last_audio_at = now
        conn.uncommitted += count
        conn.audio_clock = max(conn.audio_clock, now) + count / self._stream.rate


def tail_padding(stream: Stream, speech_end: int, span_end: int) -> int:
    """Synthetic samples a turn needs behind its audio so that a streaming model hears 400 ms after the speech."""
    if not stream.rules.streams_before_commit:
        return 0
    return max(0, stream.samples(TAIL_MS) - (span_end - speech_end))
