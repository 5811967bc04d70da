"""What the parts of a session share: options, the ledger, the turns, and the way out for events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from .answer_time import MOST_S, AnswerTime
from .events import AudioSent, Event
from .ledger import PENDING, SETTLED, Fate, Ledger, State
from .limits import UNANSWERED_S
from .models import ModelRules, rules_for
from .options import SessionOptions
from .transcript import TranscriptBook
from .turn import Phase, Turn

QUIET_GRACE_S = 1.0
"Quiet audio older than the prefix padding plus this is nobody's onset any more."
LEAD_IN_MARGIN_MS = 100
"Kept with the prefix padding in front of speech: a detector's windows and ours do not begin at the same sample."
QUIET_MS = 100
WORTH_TELLING_MS = 100
"Less audio than this is told of as sent when there is more, but for the first."
LENGTH_SOFT = 0.8
"From this part of `max_turn_ms` on a turn ends at the next quiet place."
NOT_STARTED_WINDOW_S = 2.0
"What an extension that was not started, or gave up, keeps of the audio."


class LevelMarker(Protocol):
    """Marks audio as quiet or maybe speech. `audio.level.LevelDetector` is one."""

    def process(self, pcm: bytes) -> list[tuple[int, bool]]:
        """Runs of (samples, maybe speech) that cover *pcm* exactly."""
        ...


@dataclass
class SessionStats:
    """Counters since the session was made. Milliseconds are of the caller's audio."""

    sent_user_ms: float = 0.0
    sent_silence_ms: float = 0.0
    replayed_ms: float = 0.0
    events_received: int = 0
    unknown_events: int = 0
    malformed_events: int = 0
    duplicate_events: int = 0
    unknown_items: int = 0
    dials: int = 0
    reconnects: int = 0
    rollovers: int = 0
    repairs: int = 0
    commits: int = 0
    finals: int = 0
    billed_seconds: float = 0.0
    billed_tokens: int = 0


class Stream:
    """The caller's audio and its turns; owns nothing that has to do with a socket."""

    def __init__(self, options: SessionOptions, level: LevelMarker, new_id: Callable[[str], str]) -> None:
        self.options = options
        self.rate = options.sample_rate
        self.rules: ModelRules = rules_for(options.transcription.model)
        self.new_id = new_id
        self.events: deque[Event] = deque()
        self.ledger = Ledger(level.process, keep_before=self._history())
        self.book = TranscriptBook(self.ledger, self.rate, options.order_hold_ms / 1000, self.emit, new_id)
        self.boundary = 0
        "Position of the last client-owned boundary: the next client-owned turn begins here at the earliest."
        self._serial = 0
        self._gated_until = 0
        self._sent_user = self._sent_silence = 0
        "Samples sent and not told of yet; the second are synthetic ones."
        self.stats = SessionStats()
        self.text_time, self.commit_time = AnswerTime(), AnswerTime()

    def set_rate(self, options: SessionOptions, level: LevelMarker) -> None:
        """Take the rate of *options*; only before the first audio."""
        self.options, self.rate = options, options.sample_rate
        self.ledger.set_marker(level.process)
        self.ledger.set_keep_before(self._history())
        self.book.set_rate(self.rate)

    def learn_that_it_streams(self) -> bool:
        """Text came before a commit of ours: a model whose name tells nothing decodes while it listens, it seems.

        False if the model is known not to. Names are the operator's own on Azure and on servers of one's own.
        """
        if self.rules.known or self.rules.server:
            return False
        self.rules = replace(self.rules, streams_before_commit=True)
        return True

    def set_options(self, options: SessionOptions, rules: ModelRules) -> None:
        """Go by *options*, and the *rules* of their model, from now on; their sample rate is the stream's own."""
        self.options, self.rules = options, rules
        self.ledger.set_keep_before(self._history())
        self.book.set_hold(options.order_hold_ms / 1000)

    def _history(self) -> int:
        """Samples to keep in front of the oldest unsettled one: its lead-in, and what a resampler's filter wants."""
        return self.samples(self.options.turn_detection.prefix_padding_ms + 20)

    # Ways of saying things ----------------------------------------------------------------------------------

    def emit(self, event: Event) -> None:
        """Queue *event* for the user."""
        self.events.append(event)

    def note_sent(self, user: int, replayed: int, silence: int) -> None:
        """So many samples of the caller's were sent, *replayed* not for the first time, and synthetic ones."""
        self._sent_user += user
        self._sent_silence += silence
        if replayed:
            self.stats.replayed_ms += replayed * 1000 / self.rate

    def tell_sent(self, *, few: bool = True) -> None:
        """Queue `AudioSent` for what was sent since the last, and count it; if that is a *few* milliseconds, too."""
        sent = self._sent_user + self._sent_silence
        if not sent or (not few and self.stats.sent_user_ms and sent * 1000 < WORTH_TELLING_MS * self.rate):
            return
        user_ms, silence_ms = self._sent_user * 1000 / self.rate, self._sent_silence * 1000 / self.rate
        self._sent_user = self._sent_silence = 0
        self.stats.sent_user_ms += user_ms
        self.stats.sent_silence_ms += silence_ms
        last = self.events[-1] if self.events else None
        if isinstance(last, AudioSent):
            self.events.pop()
            user_ms, silence_ms = user_ms + last.user_ms, silence_ms + last.silence_ms
        self.events.append(AudioSent(user_ms, silence_ms))

    def samples(self, ms: float) -> int:
        """Samples in *ms* milliseconds."""
        return round(ms * self.rate / 1000)

    def usual_wait_s(self, turn: Turn) -> float:
        """In which a server of usual speed has the text of *turn*, which has ended."""
        assert turn.end is not None
        length_s = (turn.end - turn.start) / self.rate
        return min(self.options.item_timeout_ms / 1000 + length_s / 2, MOST_S)

    @property
    def detection(self) -> str:
        """`server_vad`, `semantic_vad`, `local_vad` or `none`."""
        return self.options.turn_detection.type

    @property
    def client_owned(self) -> bool:
        """Whether we decide where turns end."""
        return self.detection in ("local_vad", "none")

    # Turns --------------------------------------------------------------------------------------------------

    def new_turn(self, start: int, span_start: int, *, connection: int = 0, client_owned: bool = False) -> Turn:
        """Open a turn behind all others."""
        self._serial += 1
        turn = Turn(
            serial=self._serial,
            result_id=self.new_id("result"),
            start=start,
            span_start=span_start,
            connection=connection,
            client_owned=client_owned,
        )
        self.book.add(turn)
        return turn

    # Audio --------------------------------------------------------------------------------------------------

    def quiet_now(self) -> bool:
        """Whether the newest 100 ms are quiet: a place to end a turn that must end."""
        return not self.ledger.has_speech(self.ledger.accepted - self.samples(QUIET_MS), self.ledger.accepted)

    def must_end(self, turn: Turn) -> bool:
        """Whether an open turn has become as long as can be sent again: it ends at a quiet place, or at the limit."""
        limit = self._longest_turn_ms
        length = self.ledger.accepted - max(turn.span_start, self.ledger.settled_until)
        if length < self.samples(limit * LENGTH_SOFT):
            return False
        return length >= self.samples(limit) or self.quiet_now()

    def must_look_at(self) -> int:
        """Position from which on the length of an open turn matters: up to there it may grow unseen."""
        begin, settled = self.ledger.accepted, self.ledger.settled_until
        for turn in self.book.turns:
            if turn.span_end is None:
                begin = min(begin, max(turn.span_start, settled))
        return begin + self.samples(self._longest_turn_ms * LENGTH_SOFT)

    @property
    def _longest_turn_ms(self) -> int:
        options = self.options
        window = options.replay_window_ms
        return min(options.max_turn_ms, window // 2) if window else options.max_turn_ms

    def gate_old_silence(self) -> None:
        """Gate quiet audio that cannot belong to a turn any more. Works in steps of 100 ms, to be cheap."""
        padding = self.options.turn_detection.prefix_padding_ms + QUIET_GRACE_S * 1000
        before = self.ledger.accepted - self.samples(padding)
        if before - self._gated_until < self.samples(100):
            return
        for turn in self.book.turns:
            if turn.span_start < before and self._unsent(turn) and self._holds_silence(turn):
                before = turn.span_start
        if before - self._gated_until < self.samples(100):
            return
        before = self._before_waiting_speech(before)
        self._gated_until = before
        self.ledger.gate_quiet(before, frozenset({State.PENDING, State.SENT}), "silence")
        self._open_turn_skips_silence()

    def _before_waiting_speech(self, position: int) -> int:
        """*position*, or the lead-in of the first speech before it that waits for a connection.

        Pauses behind that speech go out with it.
        """
        for start, end, fate in self.ledger.fates(self.ledger.settled_until, position):
            if fate.state is State.PENDING:
                bounds = self.ledger.speech_bounds(start, end)
                if bounds is not None:
                    return bounds[0] - self.samples(self.options.turn_detection.prefix_padding_ms + LEAD_IN_MARGIN_MS)
        return position

    @staticmethod
    def _unsent(turn: Turn) -> bool:
        return turn.span_end is None or (turn.client_owned and turn.commit_sent_at is None)

    def _holds_silence(self, turn: Turn) -> bool:
        # Pauses inside an open turn are part of it; an open turn without any speech yet holds nothing.
        return not (self.detection == "none" and not self.ledger.has_speech(turn.span_start, self.ledger.accepted))

    def _open_turn_skips_silence(self) -> None:
        # Without a detector a turn is open all the time; its audio begins where the silence before it was gated.
        for turn in self.book.turns:
            if turn.client_owned and turn.span_end is None and self.detection == "none":
                turn.span_start = max(turn.span_start, self.ledger.settled_until)
                turn.start = max(turn.start, turn.span_start)

    def gate_before_turn(self, position: int, connection: int) -> None:
        """A turn begins at *position*: what no detector took before it is settled."""
        ledger = self.ledger
        for start, end, fate in list(ledger.fates(ledger.settled_until, position)):
            if (fate.state is State.SENT and fate.connection == connection) or (
                fate.state is State.PENDING and self.detection == "local_vad"
            ):
                for free in list(self._unclaimed(start, end)):
                    for first, last, speech in list(ledger.marks(*free)):
                        cause = "not_taken" if speech else "silence"
                        ledger.move(first, last, frozenset({fate.state}), Fate(State.GATED, cause=cause))

    def speech_ends(self, start: int) -> int:
        """Where speech that begins at *start* stops for as long as ends a turn; the newest sample if it does not."""
        pause = self.samples(self.options.turn_detection.effective_silence_ms)
        heard = False
        for first, last, speech in self.ledger.marks(start, self.ledger.accepted):
            if heard and not speech and last - first >= pause:
                return first
            heard = heard or speech
        return self.ledger.accepted

    def _unclaimed(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """What of [start, end) no turn has."""
        for turn in sorted(self.book.turns, key=lambda t: t.span_start):
            if turn.span_start < end and (turn.span_end is None or turn.span_end > start):
                if start < turn.span_start:
                    yield start, turn.span_start
                start = end if turn.span_end is None else turn.span_end
        if start < end:
            yield start, end

    def _claimed(self, start: int, end: int) -> bool:
        return any(t.span_start < end and (t.span_end is None or t.span_end > start) for t in self.book.turns)

    def enforce_window(self, *, window_s: float, idle_cause: str = "", answering: bool = False) -> None:
        """Let go of audio older than *window_s*.

        *idle_cause*: set while nothing is sent on purpose; that audio is gated or lost with it. *answering*: the
        connection is live, so speech the server's detector never claimed was not speech to it.
        """
        ledger = self.ledger
        limit = ledger.accepted - round(window_s * self.rate)
        if ledger.kept_from >= limit:
            return
        for start, end, fate in list(ledger.fates(ledger.settled_until, limit)):
            if fate.state is State.PENDING:
                self._expire_pending(start, end, idle_cause)
            elif fate.state is State.SENT and not self.client_owned and not self._claimed(start, end):
                if answering:
                    ledger.move(start, end, {State.SENT}, Fate(State.GATED, cause="not_taken"))
                else:
                    self._lose(start, end, State.SENT, "not_answered")
        ledger.forget_audio(limit)

    def bound(self, now: float) -> None:
        """Give up on what nobody will answer any more, so that what is remembered has an end."""
        window_s = self.options.replay_window_ms / 1000
        before = self.ledger.accepted - round((window_s + UNANSWERED_S) * self.rate)
        self.book.bound(before, now)
        if self.ledger.settled_until < before:
            self.settle_rest("not_answered", before)

    def _expire_pending(self, start: int, end: int, idle_cause: str) -> None:
        if idle_cause == "not_started":
            self.ledger.move(start, end, {State.PENDING}, Fate(State.GATED, cause=idle_cause))
            return
        for first, last, speech in list(self.ledger.marks(start, end)):
            if not speech and not self._is_pause_of_loss(first):
                self.ledger.move(first, last, {State.PENDING}, Fate(State.GATED, cause="silence"))
            elif self.detection == "local_vad" and not self._claimed(first, last):
                self.ledger.move(first, last, {State.PENDING}, Fate(State.GATED, cause="not_taken"))
            else:
                self._lose(first, last, State.PENDING, idle_cause or "window_exceeded")

    def _is_pause_of_loss(self, position: int) -> bool:
        """Quiet right behind lost speech and shorter than what ends a turn: a pause in that speech, lost with it."""
        _, end, _ = next(self.ledger.marks(position, self.ledger.accepted))
        pause = self.samples(self.options.turn_detection.effective_silence_ms)
        return end - position < pause and self.book.losses.grows_at(position)

    def _lose(self, start: int, end: int, source: State, cause: str) -> None:
        if lost := self.ledger.move(start, end, {source}, Fate(State.LOST, cause=cause)):
            self.book.losses.report_loss(start, end, cause, lost)

    def requeue(self, connection: int, *, start: int = 0) -> None:
        """A connection ended, or handed over at *start*: what it had from there on and did not answer goes out again.

        Audio of a text in hand is not sent again. What left the window, or everything when replay is off, is lost.
        """
        ledger = self.ledger
        in_hand = {turn.serial for turn in self.book.turns if turn.phase is Phase.READY}
        keep_from = ledger.kept_from if self.options.replay_window_ms else ledger.accepted
        for first, end, fate in list(ledger.fates(start)):
            if fate.connection != connection or fate.state not in (State.SENT, State.COMMITTED):
                continue
            if fate.turn and fate.turn in in_hand:
                continue
            self._let_go(first, min(end, keep_from), fate.state)
            ledger.move(max(first, keep_from), end, {fate.state}, PENDING)

    def _let_go(self, start: int, end: int, state: State) -> None:
        """Audio that cannot be sent again: speech is lost, the rest was silence."""
        for first, last, speech in list(self.ledger.marks(start, end)):
            if speech:
                self._lose(first, last, state, "dropped")
            else:
                self.ledger.move(first, last, {state}, Fate(State.GATED, cause="silence"))

    def gate_unstarted(self) -> None:
        """The stream was never started: nobody wanted what is kept of it."""
        self._expire_pending(self.ledger.settled_until, self.ledger.accepted, "not_started")

    def gate_not_taken(self, *, answered: bool) -> None:
        """Settle what a turn detector heard and did not take for speech.

        *answered*: the server has had its time for everything that was sent to it.
        """
        local = self.detection == "local_vad"
        heard = State.PENDING if local else State.SENT
        if not local and (self.client_owned or not answered):
            return
        for start, end, fate in list(self.ledger.fates()):
            for first, last, speech in list(self.ledger.marks(start, end)) if fate.state is heard else ():
                if speech and not self._claimed(first, last):
                    self.ledger.move(first, last, {heard}, Fate(State.GATED, cause="not_taken"))

    def settle_rest(self, cause: str, before: int | None = None) -> None:
        """Nothing more will happen before *before*: what may have been speech is lost, the rest was silence."""
        for start, end, fate in list(self.ledger.fates(0, before)):
            for first, last, speech in list(self.ledger.marks(start, end)):
                if speech and fate.state not in SETTLED:
                    self._lose(first, last, fate.state, cause)
                elif fate.state not in SETTLED:
                    self.ledger.move(first, last, {fate.state}, Fate(State.GATED, cause="silence"))

    # Numbers ------------------------------------------------------------------------------------------------

    @property
    def lag_ms(self) -> int:
        """Audio accepted and not yet handed to the transport, though it is meant to be."""
        if self.detection == "local_vad":
            pending = sum(
                end - start
                for turn in self.book.turns
                if turn.client_owned and turn.commit_sent_at is None
                for start, end, fate in self.ledger.fates(turn.span_start, turn.span_end)
                if fate.state is State.PENDING
            )
        else:
            pending = self.ledger.totals[State.PENDING]
        return pending * 1000 // self.rate

    @property
    def unsettled_ms(self) -> int:
        """Audio accepted that is not yet final, gated or lost."""
        totals = self.ledger.totals
        return (totals[State.PENDING] + totals[State.SENT] + totals[State.COMMITTED]) * 1000 // self.rate
