"""The audio ledger: every sample of the caller has a position and exactly one state.

    pending ──▶ sent ──▶ committed ──▶ final
       │          │          ├───────▶ gated   (silence, or audio no turn detector took)
       ├──────────┼──────────┼───────▶ lost    (with its cause)
       ▲          │          │
       └──────────┴──────────┘                 (a connection or an item failed)

A position counts the caller's own mono samples at the stream's rate; nothing ever resets it. Replay, the order of
finals, their times, what a finalize still waits for, usage and gap reports all read this one book.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import Enum
from typing import NamedTuple

from .audio_store import BYTES_PER_SAMPLE, AudioStore
from .runs import Runs

Marker = Callable[[bytes], "list[tuple[int, bool]]"]
"Runs of (samples, maybe speech) that cover s16le mono exactly."


class State(Enum):
    """Where a sample is."""

    # Enum's own hash is Python code, and this is looked up for every frame.
    __hash__ = object.__hash__

    PENDING = "pending"
    SENT = "sent"
    COMMITTED = "committed"
    FINAL = "final"
    GATED = "gated"
    LOST = "lost"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.SENT, State.GATED, State.LOST}),
    State.SENT: frozenset({State.COMMITTED, State.PENDING, State.GATED, State.LOST}),
    State.COMMITTED: frozenset({State.FINAL, State.PENDING, State.GATED, State.LOST}),
    State.FINAL: frozenset(),
    State.GATED: frozenset(),
    State.LOST: frozenset(),
}
SETTLED = frozenset({State.FINAL, State.GATED, State.LOST})


class Fate(NamedTuple):
    """State of a run of samples, with what explains it."""

    state: State
    connection: int = 0
    "Connection the audio was sent on (sent, committed)."
    turn: int = 0
    "Turn it belongs to (committed, final), or whose repair will send it (pending)."
    cause: str = ""
    "Why it was gated or lost."


PENDING = Fate(State.PENDING)
PENDING_ONLY = frozenset({State.PENDING})


class Ledger:
    """The book itself. All positions and counts are samples; audio is mono s16le at the stream's rate."""

    def __init__(self, mark: Marker, *, keep_before: int = 0) -> None:
        """*mark* tells quiet audio from what may be speech; it is asked when somebody wants to know, for all that came
        since: that is cheaper than frame by frame.

        *keep_before*: samples kept in front of the oldest unsettled one, to prime a resampler with.
        """
        self._mark = mark
        self._fates: Runs[Fate] = Runs()
        self._marked: Runs[bool] = Runs()
        self._audio = AudioStore()
        self._keep_before = keep_before
        self.final_until = 0
        "No sample before this position may be sent again, as far as history is forgotten."
        self.totals: dict[State, int] = dict.fromkeys(State, 0)

    def set_marker(self, mark: Marker) -> None:
        """Judge audio by *mark* from now on."""
        self._mark = mark

    def set_keep_before(self, samples: int) -> None:
        """Keep *samples* in front of the oldest unsettled one from now on."""
        self._keep_before = samples

    # What is known ------------------------------------------------------------------------------------------

    @property
    def accepted(self) -> int:
        """Samples ever pushed; the position of the next one."""
        return self._fates.end

    @property
    def settled_until(self) -> int:
        """Every sample before this position is final, gated or lost."""
        return self._fates.start

    @property
    def kept_from(self) -> int:
        """First position whose audio is still kept."""
        return self._audio.start

    @property
    def kept_bytes(self) -> int:
        """Bytes of audio held right now."""
        return self._audio.held_bytes

    @property
    def run_count(self) -> int:
        """Runs held right now, states and marks together (memory is bounded by it)."""
        return len(self._fates) + len(self._marked)

    def judge(self) -> None:
        """Tell quiet audio from maybe speech up to here, so that what comes next has no part in it."""
        marked, end = self._marked, self._fates.end
        if marked.end < end:
            for length, speech in self._mark(self._audio.read(marked.end, end)):
                marked.append(min(length, end - marked.end), speech)
            marked.append(end - marked.end, True)  # short marks never hide speech

    @property
    def _marks(self) -> Runs[bool]:
        """Runs of maybe speech, up to the newest sample."""
        self.judge()
        return self._marked

    def audio(self, start: int, end: int) -> bytes:
        """The kept audio of [start, end), clipped to what is kept."""
        return self._audio.read(start, end)

    def fates(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, Fate]]:
        """Runs of unsettled history within [start, end)."""
        return self._fates.runs(start, self.accepted if end is None else end)

    def next_run(self, state: State, start: int, end: int) -> tuple[int, int] | None:
        """First stretch of *state* within [start, end)."""
        for first, last, fate in self._fates.runs(start, end):
            if fate.state is state:
                return first, last
        return None

    def next_unsent(self, start: int, end: int) -> tuple[int, int] | None:
        """First stretch of [start, end) that is to be sent with the stream; what a repair sends is not."""
        if not self.totals[State.PENDING]:
            return None
        for first, last, fate in self._fates.runs(start, end):
            if fate.state is State.PENDING and not fate.turn:
                return first, last
        return None

    def marks(self, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Runs of (start, end, maybe speech) within [start, end), as far as history is kept."""
        return self._marks.runs(start, end)

    def has_speech(self, start: int, end: int) -> bool:
        """Whether any sample of [start, end) is marked as maybe speech."""
        return any(speech for _, _, speech in self._marks.runs(start, end))

    def speech_bounds(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last-plus-one `maybe speech` position within [start, end)."""
        bounds = None
        for first, last, speech in self._marks.runs(start, end):
            if speech:
                bounds = (bounds[0] if bounds else first, last)
        return bounds

    def unsettled_speech(self, start: int, end: int, states: Collection[State]) -> bool:
        """Whether a `maybe speech` sample of [start, end) is in one of *states*."""
        return any(
            fate.state in states and self.has_speech(first, last) for first, last, fate in self._fates.runs(start, end)
        )

    # What happens -------------------------------------------------------------------------------------------

    def append(self, pcm: bytes, fate: Fate = PENDING) -> int:
        """Accept *pcm* (s16le mono); returns its samples. *fate*: sent, if it leaves in this very moment."""
        count = len(pcm) // BYTES_PER_SAMPLE
        self._fates.append(count, fate)
        self._audio.append(pcm)
        self.totals[fate.state] += count
        return count

    def move(self, start: int, end: int, sources: Collection[State], fate: Fate) -> int:
        """Give *fate* to the samples of [start, end) that are in one of the states *sources*; return how many.

        Only edges of the table are possible: a source that cannot reach the new state is an error of ours.
        """
        bad = [source for source in sources if fate.state not in TRANSITIONS[source]]
        if bad:
            raise ValueError(f"no edge from {bad[0].value} to {fate.state.value}")
        hits = [(a, b, old) for a, b, old in self._fates.runs(start, end) if old.state in sources]
        moved = 0
        for first, last, old in hits:
            self._fates.assign(first, last, fate)
            self.totals[old.state] -= last - first
            moved += last - first
        self.totals[fate.state] += moved
        if moved and fate.state in SETTLED:
            self._forget_settled()
        return moved

    def gate_quiet(self, before: int, sources: Collection[State], cause: str) -> int:
        """Gate the quiet samples before *before* that are in *sources*; return how many."""
        hits = [
            (a, b)
            for first, last, fate in self._fates.runs(self.settled_until, before)
            if fate.state in sources
            for a, b, speech in self._marks.runs(first, last)
            if not speech
        ]
        return sum(self.move(a, b, sources, Fate(State.GATED, cause=cause)) for a, b in hits)

    def forget_audio(self, before: int) -> None:
        """Drop the audio before *before*: those samples can never be sent again. States stay."""
        if before > self._marked.end:
            self.judge()  # while it is there
        self._audio.forget(before)

    def _forget_settled(self) -> None:
        position = self._fates.start
        for first, last, fate in self._fates.runs(position, self._fates.end):
            if fate.state not in SETTLED:
                position = first
                break
            position = last
            if fate.state is not State.GATED:
                self.final_until = last
        self._marks.drop_before(position)  # judged up to here first
        self._fates.drop_before(position)
        self.forget_audio(position - self._keep_before)
