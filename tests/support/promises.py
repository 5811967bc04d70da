"""What must be true of a history at every step, and when it has ended: the ten invariants of docs/plants.md."""

from __future__ import annotations

import numpy as np
from histories import MS, RATE, Item, Simulation
from sessions import LEEWAY
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.ledger import State
from ten_packages.extension.openai_asr_python.realtime.limits import MAX_EARLY, MAX_MAPPED, MAX_TURNS
from ten_packages.extension.openai_asr_python.realtime.session import SessionState
from ten_packages.extension.openai_asr_python.realtime.turn import Phase

FINAL, LOST = list(State).index(State.FINAL), list(State).index(State.LOST)
FINALIZE_S = 2.0
LONGEST_FRAME = RATE
REFUSED, FIRST_REFUSAL_S = "401", 1.0
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.25, 4.0
"With a random number of 0.5: half of what the jitter is taken from."


def ms(position: int) -> int:
    return position * 1000 // RATE


class Promises:
    """Looks at a simulation again and again; every look takes the events that came since the last one."""

    def __init__(self, simulation: Simulation) -> None:
        self.s = simulation
        self.d = simulation.d
        self._seen = 0
        self._end = 0
        self._spans: list[tuple[int, int]] = []
        self._said = np.zeros(1 << 17, bool)
        self._said_items: set[str] = set()
        self._shown: dict[str, ev.Transcript] = {}
        self._ended: set[str] = set()
        self._promoted: dict[int, ev.Transcript] = {}
        self._answers: list[ev.FinalizeDone] = []
        self._lost: list[tuple[int, int]] = []
        self._service = "down"
        self._useless = 0
        self._down: ev.Disconnected | None = None
        self._down_at = 0.0

    def check(self) -> None:
        """Everything that holds at every step."""
        self.d.book.compare(self.d.session.stream.ledger)
        self._check_fates()
        self._check_bounds()
        while self._seen < len(self.d.events):
            event, at = self.d.events[self._seen], self.d.times[self._seen]
            self._seen += 1
            if isinstance(event, ev.Transcript):
                self._check_final(event) if event.final else self._check_partial(event)
            elif isinstance(event, ev.FinalizeDone):
                self._check_answer(event, at)
            elif isinstance(event, ev.AudioLost):
                self._check_loss(event)
            else:
                self._check_service(event, at)
        for finalize_id, asked_at in self.s.asked[len(self._answers) :]:
            assert self.d.now <= asked_at + FINALIZE_S + 1e-6, f"{finalize_id} is overdue"

    # 1 and 10: states and bounds

    def _check_fates(self) -> None:
        """Speech that is on its way is on a connection that lives, or its text is in hand."""
        stream = self.d.session.stream
        live = {conn.id for conn in self.d.session._connections()}
        in_hand = {turn.serial for turn in stream.book.turns if turn.phase is Phase.READY}
        rounding = 0 if self.s.ours else MS  # a server's turns end at whole milliseconds
        for start, end, fate in stream.ledger.fates():
            speech = np.count_nonzero(self.d.book.speech[start:end])
            if fate.state in (State.SENT, State.COMMITTED) and speech > rounding:
                known = fate.connection in live or (fate.turn and fate.turn in in_hand)
                assert known, f"{start} to {end}: {fate.state} on a connection that is gone"

    def _check_bounds(self) -> None:
        session, ledger = self.d.session, self.d.session.stream.ledger
        window = (self.s.window_ms or 10_000) * RATE // 1000
        assert ledger.kept_bytes <= 2 * (window + LONGEST_FRAME + LEEWAY) and ledger.kept_from <= ledger.accepted
        assert len(session.stream.book.turns) <= MAX_TURNS + 1
        for conn in session._connections():
            assert len(conn.map) <= MAX_MAPPED and len(conn.early) <= MAX_EARLY
        due = session.get_timer()
        assert due is None or session.state is not SessionState.STOPPED

    # 3, 5, 8: texts

    def _check_partial(self, partial: ev.Transcript) -> None:
        assert partial.result_id not in self._ended, "an id is not used after its final"
        before = self._shown.get(partial.result_id)
        self._shown[partial.result_id] = partial
        assert self.s.items[partial.item_id].text.startswith(partial.text), "partials are never mixed"
        if before is not None:
            assert partial.start_position == before.start_position, "an id shows one span only"
            assert len(partial.text) > len(before.text), "partials never shrink"

    def _check_final(self, final: ev.Transcript) -> None:
        assert final.result_id not in self._ended, "an id is not used after its final"
        self._ended.add(final.result_id)
        start, end = final.start_ms, final.start_ms + final.duration_ms
        assert final.duration_ms >= 1
        assert end <= ms(self.d.book.count) + 1 or final.duration_ms == 1, "nothing is said of what was not pushed"
        if final.retracted:
            assert final.text == "" and final.result_id in self._shown, "only what was shown is taken back"
            return
        assert final.text.strip(), "no result is blank"
        if not final.late:
            assert start >= self._end, "finals in order"
            self._end = end
            fence = self.d.fences[len(self._answers) - 1] if self._answers else 0
            assert final.start_position >= fence, "only late text follows the answer"
        else:
            owned = self.s.ours
            answered = zip(self._answers, self.d.fences, strict=False)
            outcomes = [answer.outcome for answer, fence in answered if fence > final.start_position]
            known = {"final"} if owned else set()  # a server may find speech where it had found none
            assert set(outcomes) - known, "text is late only when an answer could not wait for it"
        self._check_text(final)
        # A server's own turn that goes out again may come back as one with what lies behind it, said or not.
        merged = final.late and final.replayed and not self.s.ours
        for a, b in self._spans if not merged else []:  # a turn of one sample is said to last a millisecond
            assert b <= start or end <= a or min(b - a, end - start) == 1, "finals never overlap"
        if not (final.promoted and not self.s.ours):  # where a server's own turn ends is a guess
            self._spans.append((start, end))

    def _check_text(self, final: ev.Transcript) -> None:
        said = (item for item in self.s.items.values() if item.text == final.text)
        item = self.s.items[final.item_id] if final.item_id else next(said, None)
        head = self._promoted.get(final.start_ms)
        if final.promoted:
            shown = self._shown.get(final.result_id)
            assert (shown and shown.text == final.text) or (item and item.text.startswith(final.text))
            self._promoted[final.start_ms + final.duration_ms] = final
        elif item and head is not None and final.late and final.duration_ms == 1:
            assert f"{head.text} {final.text}" == item.text, "of a promoted text only the rest is said"
        else:
            assert item and final.text == item.text
            self._check_audio(final, item)

    def _check_audio(self, final: ev.Transcript, item: Item) -> None:
        """The server made the item of the audio that the final names, and none of it was in another final."""
        assert item.id not in self._said_items, "a text is said once"
        self._said_items.add(item.id)
        while len(self._said) < len(self.d.book.speech):
            self._said = np.concatenate([self._said, np.zeros_like(self._said)])
        for start, end in item.audio:
            speech = self.d.book.speech[start:end]
            assert not (self._said[start:end] & speech).any(), "no sample is in two finals"
            self._said[start:end] |= speech
        if self.s.ours:
            self._check_span(final, item.audio)

    def _check_span(self, final: ev.Transcript, audio: list[tuple[int, int]]) -> None:
        """A final lies where its speech does: from the onset that the detector named, or from the first sound on."""
        first, last = audio[0][0], audio[-1][1]
        start, end = final.start_ms, final.start_ms + final.duration_ms
        if (self.d.book.states[final.start_position : end * RATE // 1000] == LOST).any():
            return  # a turn that waited for longer than the window: what is left of it may be silence
        assert ms(first) - 1 <= start and end <= max(ms(last), start) + 1
        bounds = [found for part in audio if (found := self._speech_in(*part))]
        assert bounds or self._lost or self.s.detection == "local_vad", "text for silence is not said"
        onsets = {bounds[0][0] if bounds else first, *self.s.onsets}
        assert final.start_position in onsets or self._lost, "a final begins where its speech does"
        if self.s.detection == "none" and bounds and not final.late:
            assert abs(end - max(ms(bounds[-1][1]), start)) <= 1, "a final ends where its speech does"

    def _speech_in(self, start: int, end: int) -> tuple[int, int] | None:
        found = np.flatnonzero(self.d.book.speech[start:end])
        return (start + int(found[0]), start + int(found[-1]) + 1) if len(found) else None

    # 6 and 7: finalize

    def _check_answer(self, answer: ev.FinalizeDone, at: float) -> None:
        finalize_id, asked_at = self.s.asked[len(self._answers)]
        fence = self.d.fences[len(self._answers)]
        self._answers.append(answer)
        assert answer.finalize_id == finalize_id, "in the order of the requests"
        assert answer.fence_ms == ms(fence), "the fence is where the request came"
        if answer.outcome in ("final", "empty"):
            if self.s.ours:
                assert not self.d.book.unsettled_speech(fence), "everything before the fence is settled"
        elif answer.outcome == "timeout":
            assert at >= asked_at + FINALIZE_S - 1e-6, "not before its deadline"

    # 2: losses

    def _check_loss(self, loss: ev.AudioLost) -> None:
        start, end = loss.start_ms, loss.start_ms + loss.duration_ms
        assert loss.duration_ms >= 1 and loss.cause
        self._lost.append((start, end))

    # 9 and 10: service

    def _check_service(self, event: ev.Event, at: float) -> None:
        if isinstance(event, ev.Connecting):
            assert self._service == "down"
            self._service = "connecting"
            if self._down is None or self._down.retry_in_ms:  # else the next session's dial was under way already
                self._check_dial(at)
        elif isinstance(event, ev.Connected):
            assert self._service == "connecting", "connected once, and said to be connecting before"
            self._service = "up"
        elif isinstance(event, ev.Disconnected):
            self._service = "down"
            self._down, self._down_at = event if event.retry_in_ms is not None else None, at

    def _check_dial(self, at: float) -> None:
        """After a connection that brought nothing the next dial waits, and longer each time."""
        if self._down is None or self.s.stopping:  # the last seconds may be used
            return
        waited = at - self._down_at + 1e-3
        if self._down.code == REFUSED:
            assert waited >= FIRST_REFUSAL_S, "a refused key is not hammered"
            return
        useful = self.s.was_useful(self._down.connection, self._down_at)
        self._useless = 0 if useful else self._useless + 1
        if self._useless:
            least = min(FIRST_BACKOFF_S * 2.0 ** (self._useless - 1), LONGEST_BACKOFF_S)
            assert waited >= least, f"dialled too soon after {self._useless} useless connections"

    # The end

    def finish(self) -> None:
        """Stop, and see that nothing is left open."""
        self.s.stop()
        self.check()
        book, totals = self.d.book, self.d.session.stream.ledger.totals
        assert self.d.session.state is SessionState.STOPPED
        assert totals[State.FINAL] + totals[State.GATED] + totals[State.LOST] == book.count
        assert len(self._answers) == len(self.s.asked)
        assert set(self._shown) <= self._ended, "what was shown ends in a final, or is taken back"
        self._check_losses()
        self.check_heard()

    def check_heard(self) -> None:
        """Speech with a text was in an item of some server: the session cannot have it from anywhere else."""
        if not self.s.ours or self._promoted:
            return  # a server's turns end at whole milliseconds, and what is promoted stands for a whole turn
        heard = np.zeros(self.d.book.count, bool)
        for item in self.s.items.values():
            for start, end in item.audio:
                heard[start:end] = True
        states, speech = (part[: len(heard)] for part in (self.d.book.states, self.d.book.speech))
        assert not (speech & (states == FINAL) & ~heard).any(), "no server has heard it"

    def _check_losses(self) -> None:
        """What is lost is told, to the millisecond; what is told is lost, or a pause in it."""
        lost = self.d.book.states[: self.d.book.count] == LOST
        told = np.zeros(len(lost), bool)
        losses = self.d.of(ev.AudioLost)
        assert sum(loss.lost_ms for loss in losses) == ms(int(np.count_nonzero(lost))), "in milliseconds"
        assert all(loss.duration_ms >= loss.lost_ms - 1 for loss in losses)
        for start, end in self._lost:
            told[start * RATE // 1000 : (end + 1) * RATE // 1000] = True
        assert not (lost & ~told).any(), "what is lost is told"
        for start, end in self._lost:
            assert lost[start * RATE // 1000 : end * RATE // 1000 + 1].any(), "what is told is lost"
