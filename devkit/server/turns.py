"""Server-side turn detection: where speech begins and ends, in samples since the session began.

Positions count 16 kHz samples. Everything happens in audio time: what is not sent does not pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...realtime.messages import Json
from .vad import RATE, WINDOW, Samples, SpeechDetector

_MS = RATE // 1000

# Windows of speech in a row before it counts: 64 ms.
_ONSET_WINDOWS = 2
# Speech goes on while the probability stays above the threshold less this: it flickers inside of words.
_HYSTERESIS = 0.15
# A semantic detector ends a turn when the sentence sounds finished. We only hear silence, so eagerness stands for
# the pause we take for the end.
_EAGERNESS_SILENCE_MS = {"high": 500, "medium": 900, "auto": 900, "low": 1600}
_SEMANTIC_THRESHOLD = 0.5
_SEMANTIC_PREFIX_MS = 300


class SpeechBegan(NamedTuple):
    """Speech from *position* on, prefix padding included."""

    position: int


class SpeechEnded(NamedTuple):
    """Silence has lasted long enough at *position*; it is included."""

    position: int


class TurnDetector:
    """Cuts one stream into turns according to the session's `turn_detection`."""

    def __init__(self, detector: SpeechDetector) -> None:
        self._detector = detector
        self._rest: Samples = np.zeros(0, dtype=np.int16)
        self._position = 0
        self._floor = 0
        self._run = 0
        self._onset = 0
        self._last_speech = 0
        self.speaking = False
        self._threshold, self._prefix, self._silence = 0.5, 0, 0

    @property
    def position(self) -> int:
        """Samples seen so far."""
        return self._position + len(self._rest)

    def configure(self, turn_detection: Json) -> None:
        """Take new numbers; they hold from the next window on."""
        if turn_detection["type"] == "semantic_vad":
            self._threshold = _SEMANTIC_THRESHOLD
            self._prefix = _SEMANTIC_PREFIX_MS * _MS
            self._silence = _EAGERNESS_SILENCE_MS[turn_detection["eagerness"]] * _MS
        else:
            self._threshold = turn_detection["threshold"]
            self._prefix = turn_detection["prefix_padding_ms"] * _MS
            self._silence = turn_detection["silence_duration_ms"] * _MS

    def cut(self, position: int) -> None:
        """The buffer was emptied at *position*: nothing before it belongs to a later turn."""
        self._floor = position
        self._run = 0
        self.speaking = False

    def skip(self, samples: int) -> None:
        """*samples* go by unheard (detection is off)."""
        self._position = self.position + samples
        self._rest = self._rest[:0]
        self.cut(self._position)

    def feed(self, samples: Samples) -> Iterator[SpeechBegan | SpeechEnded]:
        """Hear *samples*. Yields what was found, in order; `cut` may be called in between."""
        self._rest = np.concatenate((self._rest, samples))
        while len(self._rest) >= WINDOW:
            window, self._rest = self._rest[:WINDOW], self._rest[WINDOW:]
            probability = self._detector.probability(window)
            begin, self._position = self._position, self._position + WINDOW
            found = self._hear(probability, begin)
            if found is not None:
                yield found

    def _hear(self, probability: float, begin: int) -> SpeechBegan | SpeechEnded | None:
        end = begin + WINDOW
        if self.speaking:
            if probability >= self._threshold - _HYSTERESIS:
                self._last_speech = end
            elif end - self._last_speech >= self._silence:
                self.cut(end)
                return SpeechEnded(end)
            return None
        if probability < self._threshold:
            self._run = 0
            return None
        if not self._run:
            self._onset = begin
        self._run += 1
        if self._run < _ONSET_WINDOWS:
            return None
        self.speaking = True
        self._last_speech = end
        return SpeechBegan(max(self._onset - self._prefix, self._floor, 0))
