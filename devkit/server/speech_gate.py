"""What a recogniser is spared: the noise before somebody speaks."""

from __future__ import annotations

import numpy as np

from .vad import RATE, WINDOW, SpeechDetector

# The gate: three windows of speech (96 ms) open it, and half a second before them is passed on.
_SPEECH = 0.5
_SPEECH_WINDOWS = 3
_BYTES_PER_MS = RATE * 2 // 1000
_WINDOW_BYTES = WINDOW * 2
_LEAD_BYTES = 500 * _BYTES_PER_MS + _SPEECH_WINDOWS * _WINDOW_BYTES


class SpeechGate:
    """Holds audio back until somebody speaks: a recogniser reads words into noise."""

    def __init__(self, detector: SpeechDetector) -> None:
        self._detector = detector
        self._held = bytearray()
        self._heard = 0
        self._run = 0
        self.open = False
        self.skipped_ms = 0
        "Audio that was not passed on, from the beginning."

    def pass_on(self, pcm: bytes) -> bytes:
        """What of *pcm* (16 kHz s16le), and of what was held back, the recogniser is to hear now."""
        if self.open:
            return pcm
        self._held += pcm
        while len(self._held) - self._heard >= _WINDOW_BYTES:
            window = np.frombuffer(self._held, dtype="<i2", count=WINDOW, offset=self._heard)
            speech = self._detector.probability(window.astype(np.int16)) >= _SPEECH
            del window  # or the buffer cannot be resized
            self._heard += _WINDOW_BYTES
            self._run = self._run + 1 if speech else 0
            if self._run >= _SPEECH_WINDOWS:
                self.open = True
                break
        surplus = max(0, self._heard - _LEAD_BYTES)
        del self._held[:surplus]
        self._heard -= surplus
        self.skipped_ms += surplus // _BYTES_PER_MS
        if not self.open:
            return b""
        held, self._held = bytes(self._held), bytearray()
        return held
