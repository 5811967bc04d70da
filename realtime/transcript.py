"""Deltas and completions in, ordered partials and finals out.

Partials are kept per turn and never mixed. Finals leave in the order of the audio, each once: a final that is ready
waits for the turns before it, at most `order_hold_ms` from the moment it was ready, then the missing turn is given up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from .events import ClientError, Event, Transcript
from .ledger import Fate, Ledger, State
from .limits import MAX_TEXT, MAX_TURNS
from .losses import Losses
from .promotion import rest_of
from .turn import Phase, Turn

SETTLED_REMEMBERED = 512
_UNSENT_OR_OPEN = frozenset({State.PENDING, State.SENT, State.COMMITTED})


class TranscriptBook:
    """All turns whose text is not settled yet, in audio order."""

    def __init__(
        self,
        ledger: Ledger,
        rate: int,
        order_hold_s: float,
        emit: Callable[[Event], None],
        new_id: Callable[[str], str],
    ) -> None:
        self._ledger = ledger
        self._new_id = new_id
        self._rate = rate
        self._hold_s = order_hold_s
        self._emit = emit
        self._last_end_ms = 0
        self.losses = Losses(self.ms, emit)
        self._settled_items: dict[str, None] = {}
        "The newest, with their connections: one string each, since hundreds of them are kept."
        self.on_settled: Callable[[float], None] = lambda now: None
        "Called after each turn that `advance` settles, so that an answer can follow right behind its text."
        self.on_missing: Callable[[Turn, float], bool] = lambda turn, now: False
        "Asked before a turn that holds the order for too long is given up; True if something else is done about it."
        self._superseded: dict[tuple[int, str], Turn] = {}
        self.turns: list[Turn] = []
        self.unsaid = 0
        "Texts that came late and did not begin with what had been promoted."
        self.settled_end = 0
        "Position behind the last turn that is done with."
        self.answered_until = 0
        "Fence of the newest answer: what turns out to be speech before it from now on is late."

    def set_rate(self, rate: int) -> None:
        """Read positions at *rate* (Hz) from now on; only before the first audio."""
        self._rate = rate

    def set_hold(self, hold_s: float) -> None:
        """Wait that long for a turn that holds the order."""
        self._hold_s = hold_s

    def ms(self, position: int) -> int:
        """Milliseconds of the caller's audio before *position*."""
        return position * 1000 // self._rate

    def find(self, connection: int, item_id: str) -> Turn | None:
        """The turn of an item, by the id the server gave it on that connection."""
        for turn in self.turns:
            if turn.connection == connection and turn.item_id == item_id:
                return turn
        return None

    def was_settled(self, connection: int, item_id: str) -> bool:
        """Whether that item's turn is done with: what still comes for it is an echo, or too late."""
        return f"{connection} {item_id}" in self._settled_items

    def supersede(self, turn: Turn) -> None:
        """*turn* starts over elsewhere; text of the item it had is taken only if it comes first."""
        if turn.item_id:
            self._superseded[turn.connection, turn.item_id] = turn

    def superseded(self, connection: int, item_id: str) -> Turn | None:
        """The turn that had that item before it started over."""
        return self._superseded.get((connection, item_id))

    def on_connection(self, connection: int) -> Iterator[Turn]:
        """Unsettled turns that live on *connection*."""
        return (turn for turn in list(self.turns) if turn.connection == connection)

    def unsettled_before(self, position: int) -> Iterator[Turn]:
        """Turns whose speech begins before *position* and whose text is still due."""
        return (turn for turn in self.turns if turn.start < position)

    def add(self, turn: Turn) -> None:
        """A new turn, at its place in the audio; it begins behind the end of the one before it."""
        index = next((i for i, other in enumerate(self.turns) if other.start > turn.start), len(self.turns))
        before = self.turns[index - 1] if index else None
        floor = max(self.settled_end, self._behind(before) if before else 0)
        turn.start = max(turn.start, floor)
        turn.span_start = max(turn.span_start, floor)
        turn.late = turn.start < self.answered_until
        self.turns.insert(index, turn)

    @staticmethod
    def _behind(turn: Turn) -> int:
        """Where another may begin: the quiet end of what we committed is ours, though nothing was said in it."""
        if turn.client_owned and turn.span_end is not None:
            return turn.span_end
        return turn.end or turn.start

    @property
    def last_end(self) -> int:
        """Position behind the newest turn: nothing before it can be claimed by a new one."""
        newest = self.turns[-1] if self.turns else None
        return max(self.settled_end, (newest.end or newest.start) if newest else 0)

    def told_until(self, position: int) -> int:
        """End of the last text, emitted or in hand, before *position*: no audio of it is sent again."""
        in_hand = [t.end for t in self.turns if t.phase is Phase.READY and t.end is not None and t.end <= position]
        return max([self.settled_end if self.settled_end <= position else 0, *in_hand])

    def waiting(self) -> Iterator[Turn]:
        """Server-owned turns whose audio goes out again."""
        return (turn for turn in list(self.turns) if turn.phase is Phase.WAITING and not turn.client_owned)

    def retire_waiting(self, before: int, now: float) -> None:
        """Turns that waited for their replay and begin before *before* did not come again: take back what was shown."""
        for turn in self.waiting():
            if turn.start < before:
                self._retract(turn)
                self._settle(turn, claimed=False)
        self.advance(now)

    def close(self, turn: Turn, end: int, span_end: int) -> None:
        """The turn's speech ended at *end*, its audio at *span_end*."""
        turn.end = max(end, turn.start)
        turn.span_end = max(span_end, turn.end)
        turn.speech = self._may_be_speech(turn, turn.span_end)
        if turn.phase is Phase.OPEN:
            turn.phase = Phase.CLOSED

    # Text ---------------------------------------------------------------------------------------------------

    def add_delta(self, turn: Turn, delta: str) -> None:
        """Append *delta* and show the turn's text so far."""
        if not delta or turn.phase in (Phase.READY, Phase.SETTLED):
            return
        before = turn.partial
        if len(before) + len(delta) > MAX_TEXT:
            return  # the final says the whole
        text = before + delta
        turn.deltas = [text]
        if (
            text.strip()
            and len(text) > len(turn.shown_before)
            and not turn.promoted
            and (turn.shown or self._is_speech(turn))
        ):
            turn.shown = True
            self._emit(self._transcript(turn, text, final=False, delta=delta))

    def complete(self, turn: Turn, text: str, now: float) -> None:
        """The turn's text is in hand. An empty *text* behind deltas means the deltas are the text."""
        if turn.phase in (Phase.READY, Phase.SETTLED):
            return
        turn.text = text if text.strip() else turn.partial
        turn.phase = Phase.READY
        turn.ready_at = now
        self._claim(turn)
        self.advance(now)

    def _claim(self, turn: Turn) -> int:
        """The audio of a text in hand is the turn's: whatever becomes of its connection, it is not sent again."""
        end = turn.span_end if turn.span_end is not None else self._ledger.accepted
        for start, last, fate in list(self._ledger.fates(turn.span_start, end)) if turn.repairs else ():
            if fate.state is State.PENDING and fate.turn == turn.serial:  # it was sent, for its first item
                self._ledger.move(start, last, frozenset({State.PENDING}), Fate(State.SENT, turn.connection))
        fate = Fate(State.COMMITTED, turn.connection, turn.serial)
        self._ledger.move(turn.span_start, end, frozenset({State.SENT}), fate)
        return end

    def lose(self, turn: Turn, cause: str, now: float) -> None:
        """No text will come for *turn*: its speech is lost, reported with its times."""
        if turn.settled:
            return
        end = turn.span_end if turn.span_end is not None else self._ledger.accepted
        if turn.promoted:  # what is known of its text was said
            self._ledger.move(
                turn.span_start, self._claim(turn), {State.COMMITTED}, Fate(State.FINAL, turn=turn.serial)
            )
        speech = self._ledger.speech_bounds(turn.span_start, end)
        on_the_way = _UNSENT_OR_OPEN if turn.phase is not Phase.OPEN else frozenset({State.SENT, State.COMMITTED})
        lost = self._ledger.move(*speech, on_the_way, Fate(State.LOST, cause=cause)) if speech else 0
        if speech and lost:
            self.losses.report_loss(*speech, cause, lost)
        self._ledger.move(turn.span_start, end, on_the_way, Fate(State.GATED, cause="silence"))
        self._retract(turn)
        self._settle(turn)
        self.advance(now)

    def settle_empty(self, turn: Turn, now: float, cause: str = "empty") -> None:
        """Nothing was said in *turn* after all."""
        end = turn.span_end if turn.span_end is not None else self._ledger.accepted
        self._ledger.move(turn.span_start, end, _UNSENT_OR_OPEN, Fate(State.GATED, cause=cause))
        self._retract(turn)
        self._settle(turn)
        self.advance(now)

    def disclaim(self, turn: Turn) -> None:
        """*turn* is nobody's any more; its audio stays as it is, for another."""
        self._retract(turn)
        self._settle(turn, claimed=False)

    def withdraw(self, turn: Turn, result_id: str) -> None:
        """Take back what was shown of *turn*; it starts over under *result_id*."""
        if turn.shown:
            self._retract(turn)
            turn.result_id, turn.shown = result_id, False
        turn.deltas = []

    def advance(self, now: float) -> None:
        """Emit every final whose turn it is; give up on what held the order for too long."""
        while self._advance_once(now):
            self.on_settled(now)

    def _advance_once(self, now: float) -> bool:
        blocking: Turn | None = None
        for turn in self.turns:
            if turn.phase is Phase.READY:
                if blocking is None:
                    self._emit_final(turn)
                    return True
                if now < self._held_until(turn, blocking):
                    return False
                if not self.on_missing(blocking, now):
                    self.lose(blocking, "no_transcript", now)
                return True
            if not turn.late and blocking is None:
                blocking = turn
        return False

    def _held_until(self, ready: Turn, blocking: Turn) -> float:
        """How long *ready* waits for *blocking*: from when it was ready, or from when the other went out again."""
        if blocking.phase is Phase.WAITING or blocking.repairs:
            return math.inf
        assert ready.ready_at is not None
        return max(ready.ready_at, blocking.held_since or ready.ready_at) + self._hold_s

    def hold_deadline(self) -> float:
        """When the turn that holds the order is given up; infinite when nothing waits."""
        if len(self.turns) < 2:
            return math.inf
        blocking: Turn | None = None
        for turn in self.turns:
            if turn.phase is Phase.READY and blocking is not None:
                return self._held_until(turn, blocking)
            if turn.phase is not Phase.READY and not turn.late and blocking is None:
                blocking = turn
        return math.inf

    def release_before(self, position: int, now: float) -> list[Turn]:
        """A finalize gave up waiting: what is ready before *position* goes out, what was shown is promoted to a
        final, the rest may come late. Returns the turns that were missing.
        """
        missing = []
        for turn in list(self.unsettled_before(position)):
            if turn.phase is Phase.READY:
                self.advance(now)
            elif not turn.settled:
                self._promote(turn, position)
                turn.late = True
                missing.append(turn)
        self.advance(now)
        return missing

    def _promote(self, turn: Turn, position: int) -> None:
        """What is known of *turn*'s text goes out as its final. The last millisecond is left for what comes late."""
        text = turn.best_partial
        if turn.late or turn.promoted or not text.strip() or not self._is_speech(turn):
            return
        end = turn.end if turn.end is not None else max(turn.start, min(position, self._ledger.accepted))
        whole = self._transcript(turn, text, final=True)
        until = max(whole.start_ms + 1, self.ms(end) - 1)
        turn.promoted, turn.promoted_end_ms = text, until
        self._last_end_ms = max(self._last_end_ms, until)
        self._emit(replace(whole, duration_ms=until - whole.start_ms, promoted=True))
        turn.result_id, turn.shown, turn.shown_before = self._new_id("result"), False, ""

    def bound(self, give_up_before: int, now: float) -> None:
        """Let go of turns nothing can come of: never sent and their audio gone, too many, or begun before
        *give_up_before* and still without a text. What of their speech was not reported yet is reported now."""
        while self.turns and self._is_out_of_reach(self.turns[0]):
            self.lose(self.turns[0], "window_exceeded", now)
        while True:
            oldest = next((t for t in self.turns if t.phase is not Phase.READY and not t.takes_audio), None)
            if oldest is None or (len(self.turns) <= MAX_TURNS and oldest.span_start >= give_up_before):
                return
            self.lose(oldest, "not_answered", now)

    def _is_out_of_reach(self, turn: Turn) -> bool:
        """No connection has it, and the audio that one would need is gone."""
        unsent = turn.connection == 0 and turn.phase in (Phase.WAITING, Phase.CLOSED)
        return unsent and turn.span_end is not None and turn.span_end <= self._ledger.settled_until

    # Helpers ------------------------------------------------------------------------------------------------

    def _is_speech(self, turn: Turn) -> bool:
        if turn.speech is not None:
            return turn.speech
        return self._may_be_speech(turn, self._ledger.accepted if turn.span_end is None else turn.span_end)

    def _may_be_speech(self, turn: Turn, end: int) -> bool:
        if turn.start < self._ledger.settled_until:
            return True  # history is gone: never hide text for lack of it
        return self._ledger.has_speech(turn.span_start, end)

    def _emit_final(self, turn: Turn) -> None:
        whole = turn.span_end or turn.start
        unsent = self._ledger.next_run(State.PENDING, turn.start, turn.end or turn.start)
        if unsent is not None:  # a server that answers for more than it was sent is believed for what it was sent
            turn.end = turn.span_end = unsent[0]
        end = self._claim(turn)
        speech = self._is_speech(turn)
        fate = Fate(State.FINAL, turn=turn.serial) if speech else Fate(State.GATED, cause="silence")
        self._ledger.move(turn.span_start, end, frozenset({State.COMMITTED}), fate)
        for first, last, found in list(self._ledger.fates(end, whole)):
            if found.turn == turn.serial:  # it was sent, around what waits to be sent again
                self._ledger.move(first, last, frozenset({State.COMMITTED}), fate)
        if turn.promoted:
            self._emit_rest(turn)
        elif turn.text.strip() and speech:
            self._emit(self._transcript(turn, turn.text, final=True))
        else:
            self._retract(turn)
        self._settle(turn)

    def _emit_rest(self, turn: Turn) -> None:
        """Part of the text was promoted: only the rest is said, if it is a rest."""
        rest = rest_of(turn.promoted, turn.text)
        if rest:
            late = self._transcript(turn, rest, final=True)
            self._emit(replace(late, start_ms=turn.promoted_end_ms, duration_ms=1))
        elif rest is None:
            self.unsaid += 1
            span = f"{self.ms(turn.start)} ms to {self.ms(turn.end or turn.start)} ms"
            self._emit(
                ClientError(
                    "unsaid",
                    f"the text of the audio from {span} went out before it was complete, because a finalize could not "
                    "wait, and the server has changed what went out since; the change is not said. If this happens "
                    "often, raise params.finalize_timeout_ms",
                )
            )

    def _retract(self, turn: Turn) -> None:
        if turn.shown:
            self._emit(replace(self._transcript(turn, "", final=True), retracted=True))

    def _settle(self, turn: Turn, *, claimed: bool = True) -> None:
        turn.phase = Phase.SETTLED
        self.turns.remove(turn)
        if turn.item_id:
            self._remember(turn.connection, turn.item_id)
        for item in [item for item, other in self._superseded.items() if other is turn]:
            del self._superseded[item]
            self._remember(*item)
        if claimed:
            self.settled_end = max(self.settled_end, self._behind(turn) if turn.end is not None else 0)

    def _remember(self, connection: int, item_id: str) -> None:
        """That item is done with; of too many the oldest is forgotten."""
        if len(self._settled_items) >= SETTLED_REMEMBERED:
            del self._settled_items[next(iter(self._settled_items))]
        self._settled_items[f"{connection} {item_id}"] = None

    def _transcript(self, turn: Turn, text: str, *, final: bool, delta: str = "") -> Transcript:
        end = turn.end if turn.end is not None else self._ledger.accepted
        start_ms, end_ms = self.ms(turn.start), self.ms(end)
        if final and not turn.late:
            start_ms = max(start_ms, self._last_end_ms)
            end_ms = max(end_ms, start_ms + 1)
            self._last_end_ms = end_ms
        return Transcript(
            result_id=turn.result_id,
            item_id=turn.item_id,
            text=text,
            final=final,
            start_ms=start_ms,
            duration_ms=max(1, end_ms - start_ms),
            start_position=turn.start,
            delta=delta,
            language=turn.language,
            confidence=turn.confidence,
            usage=turn.usage,
            words=tuple(turn.segments),
            speaker=turn.speaker,
            late=turn.late and final,
            replayed=turn.replayed,
            connection=turn.connection,
        )
