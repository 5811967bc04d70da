"""Detectors of speech for server-side turn detection: one probability per window of 32 ms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ...audio.vad import SileroDetector, VadUnavailable, load

Samples = npt.NDArray[np.int16]
DetectorName = Literal["auto", "energy", "silero"]

RATE = 16000
WINDOW = 512
"Samples of a window at 16 kHz."


class SpeechDetector(Protocol):
    """Hears one stream, window by window."""

    def probability(self, window: Samples) -> float:
        """How likely the window (512 samples, 16 kHz) is speech, 0 to 1."""
        ...


class EnergyDetector:
    """Takes for speech whatever is loud enough: deterministic, and right for test tones."""

    def __init__(self, threshold_dbfs: float = -42.0) -> None:
        """*threshold_dbfs*: RMS level, relative to a full-scale square wave, at which the answer is 0.5."""
        self._threshold = threshold_dbfs

    def probability(self, window: Samples) -> float:
        """See `SpeechDetector`. 3 dB above the threshold give 0.82, 3 dB below 0.18."""
        power = float(np.mean(np.square(window.astype(np.float64)))) / 32768.0**2
        level = 10 * math.log10(power) if power > 0 else -120.0
        return 1 / (1 + math.exp((self._threshold - level) / 2))


def detector_factory(name: DetectorName) -> Callable[[], SpeechDetector]:
    """A maker of detectors, one for each stream. `auto` is Silero where it is installed, else energy.

    Raises ValueError for a name that does not exist, VadUnavailable for `silero` where it is not installed.
    """
    if name not in ("auto", "energy", "silero"):
        raise ValueError(f"vad: {name!r} given, must be one of 'auto', 'energy', 'silero'")
    if name == "energy":
        return EnergyDetector
    try:
        SileroDetector()
        load()
    except VadUnavailable:
        if name == "silero":
            raise
        return EnergyDetector
    return SileroDetector
