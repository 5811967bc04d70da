"""What the server's events mean for the turns: one method per wire event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec.structs import replace

from . import messages as wire
from .connection import Connection, Role
from .errors import COMMIT_EMPTY
from .events import Committed, ServerError, SpeechStarted, SpeechStopped, WireEvent
from .finalizing import Finalizer
from .ledger import Fate, State
from .limits import MAX_SEGMENTS
from .stream import Stream
from .turn import Phase, Turn, confidence_of, language_of, usage_of

REPLAY_TOLERANCE_MS = 1000
"A detector hears the same onset again within this."
UNHEARD_S = 1.0
"`usage` counts in seconds, and padding or not; what is missing must be more than that."
WORD_MS = 500
"A sound that began so shortly before is one word with what follows."
TextMessage: TypeAlias = (
    "wire.TranscriptionDelta | wire.TranscriptionCompleted | wire.TranscriptionSegment | wire.TranscriptionFailed"
)
PADDING_MS = 1000
"More than is ever written behind a turn."
VENDOR_FAILED = "vendor_failed"
"Cause of a loss: the server failed the item, and its repair."
ITEM_FAILED = "item_failed"
"Cause of a loss that could not be repaired; a `ServerError` with its times has told it."


class Receiver:
    """Applies the events of a configured connection. Never raises for anything a server can send."""

    def __init__(
        self,
        stream: Stream,
        finalizer: Finalizer,
        repair: Callable[[Turn, float], bool],
        report: Callable[[ServerError, float], None],
    ) -> None:
        """*repair* gives a turn whose item failed a second chance, or says that it had it."""
        self._stream = stream
        self._book = stream.book
        self._finalizer = finalizer
        self._repair = repair
        self._report = report
        self._handlers: dict[type[wire.Message], Callable[[Connection, Any, float], None]] = {
            wire.SpeechStarted: self._handle_speech_started,
            wire.SpeechStopped: self._handle_speech_stopped,
            wire.InputAudioBufferCommitted: self._handle_committed,
            wire.TranscriptionDelta: self._handle_delta,
            wire.TranscriptionCompleted: self._handle_completed,
            wire.TranscriptionSegment: self._handle_segment,
            wire.TranscriptionFailed: self._handle_failed,
            wire.ErrorMessage: self._handle_error,
        }

    def receive(self, conn: Connection, message: wire.Message, data: dict[str, Any], now: float) -> None:
        """Apply one event."""
        conn.last_event_at = now
        handler = self._handlers.get(type(message))
        if handler is None:
            self._stream.emit(WireEvent(message.type, True, data))
        else:
            handler(conn, message, now)

    # Speech -------------------------------------------------------------------------------------------------

    def _handle_speech_started(self, conn: Connection, message: wire.SpeechStarted, now: float) -> None:
        if conn.role is not Role.MAIN:
            return  # the audio it began in has gone to another connection
        conn.answers_speech = conn.announces_items = True
        if self._book.find(conn.id, message.item_id) or self._book.was_settled(conn.id, message.item_id):
            self._stream.stats.duplicate_events += 1
            return
        start = conn.map.start_position(message.audio_start_ms)
        if start is None:
            start = self._book.last_end
        # A server begins its items one behind the other: what was open has ended, though it has not said so yet.
        before = list(self._book.on_connection(conn.id))
        start = max([start, *(t.end if t.end is not None else t.start for t in before)])
        for other in before:
            if other.end is None:
                self._book.close(other, start, start)
        turn = self._begin(conn, start, now)
        turn.item_id = message.item_id
        self._stream.gate_before_turn(turn.span_start, conn.id)
        self._stream.emit(SpeechStarted(turn.result_id, turn.item_id, self._book.ms(turn.start)))

    def _begin(self, conn: Connection, start: int, now: float) -> Turn:
        """Speech begins at *start*: a new turn, or one whose connection ended and whose audio went out again."""
        turn = next((t for t in self._book.waiting() if (t.end or self._stream.speech_ends(t.start)) > start), None)
        # What the old connection had heard before this, this one has not: it was nothing after all.
        self._book.retire_waiting(turn.start if turn else start, now)
        if turn is None or start < turn.start - self._stream.samples(REPLAY_TOLERANCE_MS):
            return self._stream.new_turn(start, start, connection=conn.id)
        turn.phase, turn.connection, turn.held_since = Phase.OPEN, conn.id, now
        turn.span_start = min(turn.span_start, max(start, self._book.settled_end))
        turn.end = turn.span_end = None
        return turn

    def _handle_speech_stopped(self, conn: Connection, message: wire.SpeechStopped, now: float) -> None:
        turn = self._book.find(conn.id, message.item_id)
        if turn is None or turn.phase is not Phase.OPEN:
            return
        end = conn.map.end_position(message.audio_end_ms)
        end = turn.start if end is None else end
        self._book.close(turn, end, end)
        self._book.retire_waiting(turn.end or end, now)
        self._stream.emit(SpeechStopped(turn.result_id, turn.item_id, self._book.ms(turn.end or end)))

    def _handle_committed(self, conn: Connection, message: wire.InputAudioBufferCommitted, now: float) -> None:
        done_with = self._book.was_settled(conn.id, message.item_id)
        if done_with or self._book.superseded(conn.id, message.item_id):  # an echo
            self._stream.stats.duplicate_events += 1
            return
        conn.announces_items = True
        turn = self._book.find(conn.id, message.item_id) or self._awaiting_commit(conn)
        if turn is None and conn.role is Role.MAIN:
            turn = self._unannounced(conn, now)
        if turn is None or turn.phase not in (Phase.OPEN, Phase.CLOSED, Phase.REPAIR):
            self._stream.stats.duplicate_events += 1
            return
        frontier = conn.frontier or turn.start
        self._answered(conn, turn, now)
        turn.waits_since = now
        turn.item_id = message.item_id
        turn.previous_item_id = message.previous_item_id if isinstance(message.previous_item_id, str) else None
        if turn.end is None:
            self._book.close(turn, frontier, frontier)
        self._commit(turn, conn)
        assert turn.end is not None
        start_ms = self._book.ms(turn.start)
        duration = max(1, self._book.ms(turn.end) - start_ms)
        self._stream.emit(Committed(turn.result_id, turn.item_id, turn.previous_item_id, start_ms, duration))
        early = [m for m in conn.early if getattr(m, "item_id", "") == turn.item_id]
        for text in early:
            conn.early.remove(text)
            self._handlers[type(text)](conn, text, now)

    def _commit(self, turn: Turn, conn: Connection) -> None:
        turn.phase = Phase.COMMITTED
        if turn.span_end is not None:
            fate = Fate(State.COMMITTED, conn.id, turn.serial)
            self._stream.ledger.move(turn.span_start, turn.span_end, {State.SENT}, fate)

    def _awaiting_commit(self, conn: Connection) -> Turn | None:
        """The oldest client-owned turn whose commit is unanswered. Commits are answered in order: an id that was
        guessed from text before the answer was a guess."""
        for turn in self._book.on_connection(conn.id):
            if turn.commit_sent_at is not None and turn.phase in (Phase.CLOSED, Phase.REPAIR):
                return turn
        return None

    def _answered(self, conn: Connection, turn: Turn, now: float) -> None:
        """The commit of *turn* was answered, in one way or another; one without a turn of ours is the oldest."""
        key = turn.commit_event_id if turn.commit_event_id else next(iter(conn.unanswered), "")
        sent_at = conn.answered(key)
        if sent_at is not None:
            self._stream.commit_time.answered(now - sent_at, self._stream.options.commit_timeout_ms / 1000)

    def _unannounced(self, conn: Connection, now: float) -> Turn:
        """A turn nobody announced: it begins where the last one ended. Some servers send no speech events."""
        ledger = self._stream.ledger
        frontier = conn.frontier or ledger.accepted
        start = max(self._book.last_end, ledger.settled_until)
        bounds = ledger.speech_bounds(start, frontier)
        waiting = next(self._book.waiting(), None)
        if waiting is not None:
            return self._begin(conn, waiting.start, now)
        return self._stream.new_turn(bounds[0] if bounds else start, start, connection=conn.id)

    # Text ---------------------------------------------------------------------------------------------------

    def _turn_of(self, conn: Connection, message: TextMessage, now: float) -> Turn | None:
        """The turn that *message* belongs to; None if its item is settled, or nobody's (yet)."""
        item_id = message.item_id
        turn = self._book.find(conn.id, item_id)
        if turn is not None:
            return turn
        if self._book.was_settled(conn.id, item_id):
            self._stream.stats.duplicate_events += 1
            return None
        first = self._book.superseded(conn.id, item_id)
        if first is not None:  # it was given up, and speaks after all: before its repair does, or never
            return first if isinstance(message, wire.TranscriptionCompleted) else None
        turn = self._turn_without_item(conn, now)
        if turn is None:
            self._stream.stats.unknown_items += 1
            conn.early.append(message)
            return None
        turn.item_id = item_id
        return turn

    def _turn_without_item(self, conn: Connection, now: float) -> Turn | None:
        """The turn that text for an item nobody announced must belong to, if there is one."""
        streaming = conn.rules.streams_before_commit
        if conn.announces_items and not streaming:
            return None  # this server announces its items: text for another is none of ours
        if not self._stream.client_owned and not conn.client_owned:
            return self._unannounced(conn, now) if conn.role is Role.MAIN else None
        for turn in self._book.on_connection(conn.id):
            # Streaming models send text before the item is announced: it is the oldest turn that has none (S5).
            ours = turn.client_owned or conn.client_owned
            if ours and not turn.item_id and turn.phase in (Phase.OPEN, Phase.CLOSED, Phase.REPAIR):
                if turn.commit_sent_at is None and not streaming and not self._stream.learn_that_it_streams():
                    return None
                return turn
        return None

    def _handle_delta(self, conn: Connection, message: wire.TranscriptionDelta, now: float) -> None:
        turn = self._turn_of(conn, message, now) if message.delta else None
        if turn is not None and message.delta:
            conn.answers_speech = True
            self._note_speech(turn)
            self._book.add_delta(turn, message.delta)

    def _handle_completed(self, conn: Connection, message: wire.TranscriptionCompleted, now: float) -> None:
        turn = self._turn_of(conn, message, now)
        if turn is None:
            return
        if turn.end is None:
            frontier = conn.frontier or turn.start
            self._book.close(turn, frontier, frontier)
        self._stream.text_time.answered(now - turn.waits_since, self._stream.usual_wait_s(turn))
        self._ended(conn, turn, now)
        turn.language = language_of(message.languages)
        turn.confidence = confidence_of(message.logprobs)
        turn.usage = usage_of(message.usage)
        self._bill(turn.usage)
        text = message.transcript or ""
        if conn.rules.streams_before_commit and len(turn.partial.strip()) > len(text.strip()):
            text = turn.partial  # the final of a model that streams never says less than its partials did (S5)
        conn.settled_items += 1
        if conn.rules.streams_before_commit:
            self._repair_unheard(conn, turn, now)
        conn.answers_speech = True
        self._stream.stats.finals += 1
        self._book.complete(turn, text, now)

    def _repair_unheard(self, conn: Connection, turn: Turn, now: float) -> None:
        """A model that decodes while it listens may not have been through when the commit came: by `usage` it heard
        less than was committed. What it did not hear is an item of its own, and gets its second chance (S5)."""
        heard = turn.usage.get("seconds")
        if not isinstance(heard, (int, float)) or heard <= 0 or turn.repairs or turn.span_end is None:
            return
        rate, end = self._stream.rate, turn.span_end
        until = turn.committed_from + round(heard * rate)
        if turn.committed_until - until <= UNHEARD_S * rate:
            return
        position = conn.map.start_position(until * 1000 / rate)
        if position is None or not turn.start < position < end:
            return
        for first, last, speech in self._stream.ledger.marks(turn.start, end):
            if speech and first < position < last and position - first <= self._stream.samples(WORD_MS):
                position = first  # in the middle of a word: it was not heard
        bounds = self._stream.ledger.speech_bounds(position, end)
        if bounds is None or position <= turn.start:
            return
        self._book.close(turn, min(turn.end or position, position), position)
        tail = self._stream.new_turn(bounds[0], position, client_owned=turn.client_owned)
        tail.late = turn.late
        self._book.close(tail, bounds[1], end)
        if not self._repair(tail, now):
            self._book.lose(tail, "not_heard", now)

    def _ended(self, conn: Connection, turn: Turn, now: float) -> None:
        """The server is done with *turn*'s item: the later ones have waited for nothing but it until now."""
        self._answered(conn, turn, now)
        for later in self._book.on_connection(conn.id):
            if later.start > turn.start:
                later.waits_since = now

    def _bill(self, usage: dict[str, Any]) -> None:
        seconds, tokens = usage.get("seconds"), usage.get("total_tokens")
        if isinstance(seconds, (int, float)):
            self._stream.stats.billed_seconds += seconds
        if isinstance(tokens, int):
            self._stream.stats.billed_tokens += tokens

    def _handle_segment(self, conn: Connection, message: wire.TranscriptionSegment, now: float) -> None:
        turn = self._turn_of(conn, message, now)
        if turn is None:
            return
        if len(turn.segments) >= MAX_SEGMENTS:
            return
        # Whatever the server says, a segment lies within what was spoken and the padding behind it.
        begin, newest = self._book.ms(turn.span_start), self._book.ms(self._stream.ledger.accepted) + PADDING_MS
        start, end = (min(max(begin + round(s * 1000), begin), newest) for s in (message.start, message.end))
        duration = max(1, end - start)
        turn.segments.append({"word": message.text or "", "start_ms": start, "duration_ms": duration, "stable": True})
        turn.speaker = turn.speaker or message.speaker

    def _note_speech(self, turn: Turn) -> None:
        """Without a detector a turn's start is the first sound in it; learn it before text is shown."""
        if turn.client_owned and self._stream.detection == "none" and turn.end is None and not turn.shown:
            bounds = self._stream.ledger.speech_bounds(turn.span_start, self._stream.ledger.accepted)
            if bounds:
                turn.start = max(turn.start, bounds[0])

    # Trouble ------------------------------------------------------------------------------------------------

    def _handle_failed(self, conn: Connection, message: wire.TranscriptionFailed, now: float) -> None:
        turn = self._turn_of(conn, message, now)
        if turn is None:
            return
        self._ended(conn, turn, now)
        self._item_failed(turn, message.error, now)

    def _handle_error(self, conn: Connection, message: wire.ErrorMessage, now: float) -> None:
        error = message.error
        event_id = error.event_id or ""
        conn.answered(event_id)
        turn = next((t for t in self._book.turns if event_id and t.commit_event_id == event_id), None)
        if turn is not None and turn.phase in (Phase.COMMITTED, Phase.READY):
            return  # the server had ended the turn by itself: its item is not the one that our commit did not make
        if str(error.code) == COMMIT_EMPTY:
            if turn is not None:
                self._book.settle_empty(turn, now)
            else:
                self._finalizer.commit_refused(event_id, empty=True)
            return
        if turn is not None:
            self._item_failed(turn, error, now)
        else:
            self._report(server_error(error), now)
            self._finalizer.commit_refused(event_id, empty=False)

    def _item_failed(self, turn: Turn, error: wire.ErrorDetails, now: float) -> None:
        """The server will have no text for *turn*'s item: told once, with its times, and tried once more."""
        if turn.repairs:
            self._book.lose(turn, VENDOR_FAILED, now)
            return
        end = turn.end if turn.end is not None else self._stream.ledger.accepted
        start_ms = self._book.ms(turn.start)
        duration_ms = max(1, self._book.ms(end) - start_ms)
        details = server_error(error, item_id=turn.item_id, start_ms=start_ms, duration_ms=duration_ms)
        again = self._repair(turn, now)
        self._report(replace(details, repairing=again), now)
        if not again:
            self._book.lose(turn, ITEM_FAILED, now)


def server_error(
    error: wire.ErrorDetails,
    *,
    item_id: str = "",
    start_ms: int | None = None,
    duration_ms: int | None = None,
) -> ServerError:
    """The vendor's error object as an event; a missing code falls back to its type."""
    return ServerError(
        code=str(error.code or error.type or "unknown"),
        message=error.message or "",
        type=error.type or "",
        param=error.param or "",
        event_id=error.event_id or "",
        item_id=item_id,
        start_ms=start_ms,
        duration_ms=duration_ms,
    )
