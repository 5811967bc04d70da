"""Turns that we own: opened by the local detector (`local_vad`) or open all the time (`none`), closed by its end of
speech, by a finalize, or for their length."""

from __future__ import annotations

from .events import SpeechStarted
from .ledger import State
from .poison import piece_ends
from .stream import Stream
from .turn import Phase, Turn
from .writing import tail_padding

DEADLINE_RESERVE_S = 1.0
"A commit that serves a finalize leaves this long before its deadline, if the decoder has heard the speech (S5)."


class ClientTurns:
    """Opens and closes client-owned turns on a stream; does nothing where the server owns them."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._detector_open = False

    def open_turn(self) -> Turn | None:
        """The turn that takes audio now."""
        turns = self._stream.book.turns
        newest = turns[-1] if turns else None
        return newest if newest and newest.client_owned and newest.span_end is None else None

    @property
    def takes_audio(self) -> bool:
        """Whether the audio that comes next belongs to a turn, or begins one."""
        return self._detector_open or self.open_turn() is not None

    @property
    def wants_turn(self) -> bool:
        """Whether audio that comes next may begin one: see `audio_accepted`."""
        return (self._detector_open or self._stream.detection == "none") and self.open_turn() is None

    def audio_accepted(self) -> None:
        """Audio came: without a detector a turn is always open; with one, a cut turn goes on at the next sound."""
        stream = self._stream
        if stream.detection == "none" and self.open_turn() is None:
            boundary = max(stream.boundary, stream.ledger.settled_until)
            stream.new_turn(boundary, boundary, client_owned=True)
        elif self._detector_open and self.open_turn() is None:
            bounds = stream.ledger.speech_bounds(stream.boundary, stream.ledger.accepted)
            if bounds:
                self._announce(stream.new_turn(bounds[0], stream.boundary, client_owned=True))

    def started(self, position: int) -> None:
        """The detector confirmed speech since *position*: the padding in front of it goes out first."""
        stream = self._stream
        self._detector_open = True
        padding = stream.samples(stream.options.turn_detection.prefix_padding_ms)
        turn = stream.new_turn(position, max(position - padding, stream.boundary), client_owned=True)
        stream.gate_before_turn(turn.span_start, 0)
        self._announce(turn)

    def ended(self, position: int) -> None:
        """The detector heard the end of speech at *position*."""
        self._detector_open = False
        turn = self.open_turn()
        if turn is not None:
            self._close(turn, position, self._decided(turn, position))

    def _decided(self, turn: Turn, end: int) -> int:
        """Where a turn whose speech ended at *end* was found to be over: a detector may say so late, and what came
        meanwhile and has not left is the next one's."""
        stream = self._stream
        accepted = stream.ledger.accepted
        waiting = stream.ledger.next_unsent(turn.span_start, accepted)
        left = accepted if waiting is None else waiting[0]
        return min(accepted, max(end + stream.samples(stream.options.turn_detection.effective_silence_ms), left))

    def forget_detector(self) -> None:
        """Another rule for turns takes over: no detector has a turn open."""
        self._detector_open = False

    def limit_length(self) -> None:
        """A turn must not outgrow what can be replayed: cut it at a quiet place, or at the limit in any case."""
        turn, stream = self.open_turn(), self._stream
        if turn is None:
            return
        if stream.must_end(turn):
            self.cut(turn)

    def cut(self, turn: Turn) -> None:
        """End *turn* here; what follows is another's."""
        stream, accepted = self._stream, self._stream.ledger.accepted
        bounds = stream.ledger.speech_bounds(turn.span_start, accepted)
        if bounds is None and stream.detection == "none":
            return  # silence only: it is gated by age
        self._note_start(turn, bounds)
        self._close(turn, bounds[1] if bounds else accepted, accepted)

    def close_at_fence(self, now: float, timeout_s: float, *, ends: bool = False) -> None:
        """A finalize: everything accepted so far is committed, unless it is silence. *ends*: the stream stops, and
        what a decoder has not heard in that time it will not hear."""
        stream, turn = self._stream, self.open_turn()
        fence = stream.ledger.accepted
        stream.ledger.judge()
        self._detector_open = False
        if turn is not None:
            bounds = stream.ledger.speech_bounds(turn.span_start, fence)
            if bounds is not None:
                self._note_start(turn, bounds)
                self._close(turn, bounds[1], fence)
            elif stream.detection == "none":
                turn.span_start = turn.start = stream.boundary = fence
            else:
                self._close(turn, fence, fence)
        latest = max(now, now + timeout_s - DEADLINE_RESERVE_S)
        for waiting in stream.book.turns:
            if waiting.client_owned and waiting.phase is Phase.CLOSED and waiting.commit_sent_at is None:
                waiting.hurry_after = min(waiting.hurry_after, latest)
                if ends:
                    waiting.not_after = min(waiting.not_after, latest)

    def connection_lost(self, turn: Turn, now: float) -> None:
        """*turn* lived on a connection that ended: it starts over on the next one, at its place and under its id."""
        if turn.phase is Phase.READY:
            return
        if not self._stream.options.replay_window_ms:
            self._give_up_sent(turn, now)
        elif not turn.client_owned:
            turn.restart(Phase.WAITING)
        else:
            turn.restart(Phase.OPEN if turn.span_end is None else Phase.CLOSED)
            if turn.end is not None and turn.span_end is not None:
                turn.synthetic = tail_padding(self._stream, turn.end, turn.span_end)

    def part(self) -> None:
        """Connections end again and again without a text: what is sent again goes in pieces, each with its commit, so
        that only what does it can be to blame."""
        stream = self._stream
        for turn in list(stream.book.turns):
            if turn.client_owned and turn.phase is Phase.CLOSED and turn.commit_sent_at is None and not turn.promoted:
                self._part(turn)

    def _part(self, turn: Turn) -> None:
        stream = self._stream
        assert turn.end is not None and turn.span_end is not None
        whole_end, rest = turn.span_end, turn
        begin = max(turn.span_start, stream.ledger.settled_until)
        *ends, _ = piece_ends(stream.ledger, begin, whole_end, stream.rate)
        for end in ends:
            bounds = stream.ledger.speech_bounds(rest.span_start, end)
            after = stream.ledger.speech_bounds(end, whole_end)
            if bounds is None or after is None:
                continue
            self._close(rest, bounds[1], end)
            following = stream.new_turn(after[0], end, client_owned=True)
            following.hurry_after, following.late, following.replayed = rest.hurry_after, rest.late, True
            stream.book.close(following, after[1], whole_end)
            following.synthetic = tail_padding(stream, after[1], whole_end)
            rest = following

    def _give_up_sent(self, turn: Turn, now: float) -> None:
        """Replay is off: what was sent is lost (the stream reports it), the rest goes out on the next connection."""
        stream = self._stream
        end = turn.span_end if turn.span_end is not None else stream.ledger.accepted
        rest = stream.ledger.next_run(State.PENDING, turn.span_start, end)
        if not turn.client_owned or turn.commit_sent_at is not None or (rest is None and turn.span_end is not None):
            stream.book.lose(turn, "dropped", now)
            return
        position = rest[0] if rest else stream.ledger.accepted
        stream.book.withdraw(turn, stream.new_id("result"))
        turn.connection, turn.item_id = 0, ""
        turn.span_start, turn.start = position, max(turn.start, position)

    # Helpers ------------------------------------------------------------------------------------------------

    def _announce(self, turn: Turn) -> None:
        self._stream.emit(SpeechStarted(turn.result_id, "", self._stream.book.ms(turn.start)))

    def _note_start(self, turn: Turn, bounds: tuple[int, int] | None) -> None:
        if bounds is not None and self._stream.detection == "none":
            turn.start = max(turn.start, bounds[0])
            if turn.start >= self._stream.book.answered_until:
                turn.late = False  # only silence of it lies before the answer

    def _close(self, turn: Turn, end: int, span_end: int) -> None:
        stream = self._stream
        stream.book.close(turn, min(end, span_end), span_end)
        assert turn.end is not None and turn.span_end is not None
        turn.synthetic = tail_padding(stream, turn.end, turn.span_end)
        stream.boundary = max(stream.boundary, turn.span_end)
