"""What was said in a simulated call, block by block, and what became of each: a final, a reported loss, or nothing."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

import soak_load  # noqa: F401  (makes the names below importable)
from ten_packages.extension.openai_asr_python.devkit.server.tones import LABELS
from ten_packages.extension.openai_asr_python.realtime import events as ev

_WORD = re.compile(r"b(\d+)")


@dataclass
class Said:
    """A block of tones in the caller's audio."""

    label: int
    start_ms: float
    end_ms: float
    said_at: float
    unheard: bool = False
    "The server was mute meanwhile: one that finds the turns itself may have taken it for no speech."
    finals: int = 0
    lost_ms: float = 0.0
    late: bool = False
    "Its text came after it had been given up."
    promoted: bool = False
    "Its text was a partial that went out because a finalize could not wait."

    @property
    def fate(self) -> str:
        """What became of it; those in `WRONG` must not be.

        Two have a text and a report that it is lost: `late` text came after all, and of `promoted` text the rest never.
        """
        mostly_lost = self.lost_ms > (self.end_ms - self.start_ms) / 2
        if self.finals > 1:
            return "doubled"
        if self.finals:
            excuse = "late" if self.late else "promoted" if self.promoted else "both"
            return excuse if mostly_lost else "final"
        return "lost" if self.lost_ms else "not taken" if self.unheard else "missing"


class Truth:
    """Keeps a block until nothing can be said of it any more, *horizon_s* after it was said; then only counts it."""

    def __init__(self, horizon_s: float) -> None:
        self.horizon_s = horizon_s
        self.fates: Counter[str] = Counter()
        self.examples: deque[str] = deque(maxlen=5)
        "The newest of those that went wrong."
        self._open: dict[int, Said] = {}
        "By label; the oldest first."
        self._next = 0

    def next_label(self) -> int:
        """For the next block. Labels come again only after longer than the horizon."""
        label, self._next = self._next, (self._next + 1) % LABELS
        if label in self._open:
            raise ValueError(f"horizon_s: {self.horizon_s} given, too long for {LABELS} labels at this rate of speech")
        return label

    def say(self, said: Said) -> None:
        """It is being said."""
        self._open[said.label] = said

    def hear(self, events: Iterable[ev.Event]) -> None:
        """Take what the session tells."""
        for event in events:
            if isinstance(event, ev.Transcript) and event.final:
                self._final(event)
            elif isinstance(event, ev.AudioLost):
                self._lost(event.start_ms, event.start_ms + event.duration_ms)

    def _final(self, event: ev.Transcript) -> None:
        for word in _WORD.findall(event.text):
            said = self._open.get(int(word))
            if said is None:
                self._wrong("invented", event)
            else:
                said.finals += 1
                said.late = event.late or said.lost_ms > 0
                said.promoted = event.promoted

    def _lost(self, start_ms: float, end_ms: float) -> None:
        for said in self._open.values():
            said.lost_ms += max(0.0, min(end_ms, said.end_ms) - max(start_ms, said.start_ms))

    def settle(self, now: float) -> None:
        """Count what is older than the horizon."""
        done = [said for said in self._open.values() if said.said_at + self.horizon_s <= now]
        for said in done:
            del self._open[said.label]
            self.fates[said.fate] += 1
            if said.fate in WRONG:
                self.examples.append(f"{said.fate}: {said}")

    def _wrong(self, fate: str, what: object) -> None:
        self.fates[fate] += 1
        self.examples.append(f"{fate}: {what}")

    @property
    def said(self) -> int:
        """Blocks judged so far."""
        return self.fates.total() - self.fates["invented"]

    @property
    def wrong(self) -> int:
        """Blocks with a fate that must not be."""
        return sum(self.fates[fate] for fate in WRONG)


WRONG = ("doubled", "both", "missing", "invented")
