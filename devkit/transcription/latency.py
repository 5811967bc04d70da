"""How long a listener waits for words: from the end of speech to its final, in live audio."""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

MARKS = 6_000
"Pushes that are remembered: two minutes of 20 ms, twice what the extension keeps for a replay."
FINALS = 4_096
"Latencies that are remembered, the newest."


@dataclass(frozen=True)
class _Mark:
    audio_ms: float
    at: float


class FinalLatency:
    """Knows when each moment of the audio was pushed, and so how long its text took.

    Holds no clock and no lock: times are arguments, in seconds of any steady clock. `pushed` and `final` may be called
    from different threads only one at a time.
    """

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque(maxlen=MARKS)
        self._forgotten_ms = 0.0
        self._latencies: deque[float] = deque(maxlen=FINALS)

    def pushed(self, audio_ms: float, now: float) -> None:
        """The audio up to *audio_ms* from its beginning has been pushed at *now*."""
        if len(self._marks) == MARKS:
            self._forgotten_ms = self._marks[0].audio_ms
        self._marks.append(_Mark(audio_ms, now))

    def final(self, end_ms: float, now: float) -> float | None:
        """A final has come at *now* whose speech ends at *end_ms*: its latency in milliseconds.

        None when that moment is forgotten, or nothing was pushed. An end behind all that was pushed, which a server
        may round to, counts as the end of that.
        """
        if not self._marks or end_ms <= self._forgotten_ms:
            return None
        found = bisect.bisect_left(self._marks, end_ms, key=lambda mark: mark.audio_ms)
        mark = self._marks[min(found, len(self._marks) - 1)]
        latency_ms = max(0.0, 1000 * (now - mark.at))
        self._latencies.append(latency_ms)
        return latency_ms

    @property
    def count(self) -> int:
        """Latencies that `percentile` is of."""
        return len(self._latencies)

    def percentile(self, percent: float) -> float | None:
        """The latency in milliseconds that *percent* of the finals did not exceed; None before the first."""
        return percentile(self._latencies, percent)


def percentile(values: Iterable[float], percent: float) -> float | None:
    """The smallest of *values* that *percent* (0 to 100) of them do not exceed; None of none."""
    ranked = sorted(values)
    return ranked[max(1, math.ceil(len(ranked) * percent / 100)) - 1] if ranked else None
