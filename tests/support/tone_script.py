"""Audio that knows what it says and when: labelled tones at places the test chose."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ten_packages.extension.openai_asr_python.devkit.server.tones import GUARD_MS, make_block


class Spoken(NamedTuple):
    """One label and where its sound begins and ends, in milliseconds of the script."""

    label: int
    start_ms: float
    end_ms: float


class ToneScript:
    """Tones and pauses, in order: `ToneScript().pause(500).say(17).pause(300)`."""

    def __init__(self, rate: int = 16_000) -> None:
        self.rate = rate
        self.spoken: list[Spoken] = []
        self._pieces: list[bytes] = []
        self._samples = 0

    @property
    def pcm(self) -> bytes:
        """Mono s16le at `rate`."""
        return b"".join(self._pieces)

    @property
    def ms(self) -> float:
        """Length so far."""
        return self._samples * 1000 / self.rate

    @property
    def words(self) -> str:
        """The text a recogniser of tones makes of it."""
        return " ".join(f"b{spoken.label}" for spoken in self.spoken)

    def pause(self, ms: int) -> ToneScript:
        """Digital silence."""
        self._add(bytes(2 * (self.rate * ms // 1000)))
        return self

    def say(self, *labels: int, ms: int = 200) -> ToneScript:
        """Blocks with these labels, each *ms* long."""
        for label in labels:
            begin = self.ms
            self._add(make_block(label, ms, self.rate))
            self.spoken.append(Spoken(label, begin + GUARD_MS, self.ms - GUARD_MS))
        return self

    def _add(self, pcm: bytes) -> None:
        self._pieces.append(pcm)
        self._samples += len(pcm) // 2


def stereo(mono: bytes) -> bytes:
    """The same sound on both of two interleaved channels."""
    return np.frombuffer(mono, dtype="<i2").repeat(2).tobytes()
