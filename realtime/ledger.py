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

from collections.abc import Collection, Iterator
from enum import Enum
from typing import NamedTuple

from .runs import Runs

BYTES_PER_SAMPLE = 2


class State(Enum):
    """Where a sample is."""

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


class Ledger:
    """The book itself. All positions and counts are samples; audio is mono s16le at the stream's rate."""

    def __init__(self, *, keep_before: int = 0) -> None:
        """*keep_before*: samples kept in front of the oldest unsettled one, to prime a resampler with."""
        self._fates: Runs[Fate] = Runs()
        self._marks: Runs[bool] = Runs()
        self._audio = bytearray()
        self._audio_start = 0
        self._keep_before = keep_before
        self.final_until = 0
        "No sample before this position may be sent again, as far as history is forgotten."
        self.totals: dict[State, int] = dict.fromkeys(State, 0)

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
        return self._audio_start

    @property
    def kept_bytes(self) -> int:
        """Bytes of audio held right now."""
        return len(self._audio)

    @property
    def run_count(self) -> int:
        """Runs held right now, states and marks together (memory is bounded by it)."""
        return len(self._fates) + len(self._marks)

    def audio(self, start: int, end: int) -> bytes:
        """The kept audio of [start, end), clipped to what is kept."""
        first = max(start, self._audio_start) - self._audio_start
        last = max(end - self._audio_start, first)
        return bytes(memoryview(self._audio)[first * BYTES_PER_SAMPLE : last * BYTES_PER_SAMPLE])

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

    def append(self, pcm: bytes, marks: list[tuple[int, bool]]) -> None:
        """Accept *pcm* (s16le mono). *marks*: runs of (count, maybe speech) that cover it exactly."""
        count = len(pcm) // BYTES_PER_SAMPLE
        self._fates.append(count, PENDING)
        for length, speech in marks:
            self._marks.append(length, speech)
        self._marks.append(self._fates.end - self._marks.end, True)  # short marks never hide speech
        self._audio += pcm
        self.totals[State.PENDING] += count

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
        count = min(before, self.accepted) - self._audio_start
        if count > 0:
            del self._audio[: count * BYTES_PER_SAMPLE]
            self._audio_start += count

    def _forget_settled(self) -> None:
        position = self._fates.start
        for first, last, fate in self._fates.runs(position, self._fates.end):
            if fate.state not in SETTLED:
                position = first
                break
            position = last
            if fate.state is not State.GATED:
                self.final_until = last
        self._fates.drop_before(position)
        self._marks.drop_before(position)
        self.forget_audio(position - self._keep_before)
