"""From the stream's samples to the bytes of one connection: resampling and wire format, as a stream."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .g711 import ENCODERS
from .resample import Resampler

# What the Realtime protocol fixes for each format: `audio/pcm` is 24 kHz, `audio/pcmu` and `audio/pcma` are
# 8 kHz.
WIRE_RATES: dict[str, int] = {"pcm16": 24_000, "g711_ulaw": 8_000, "g711_alaw": 8_000}

_SILENCE_PIECE = 48_000


class WireEncoder:
    """Turns s16le mono at `in_rate` into wire bytes. One per connection: it has the resampler's state.

    After *n* samples in total (those of `silence` and `prime` included) the bytes for ``ceil(n * wire_rate /
    in_rate)`` wire samples are out, less those that `prime` swallowed. Nothing is held back.
    """

    def __init__(self, in_rate: int, wire_format: str, *, pcm_rate: int | None = None) -> None:
        """Encode to *wire_format* (`pcm16`, `g711_ulaw` or `g711_alaw`); ValueError for anything else.

        *pcm_rate* is that of `pcm16` for servers that speak another (16,000 Hz, for one).
        """
        if wire_format not in WIRE_RATES:
            raise ValueError(f"wire_format: {wire_format!r} given, must be one of {', '.join(WIRE_RATES)}")
        self.wire_format = wire_format
        self.wire_rate = WIRE_RATES[wire_format] if pcm_rate is None or wire_format != "pcm16" else pcm_rate
        self._resampler = Resampler(in_rate, self.wire_rate)
        self._compand: Callable[[bytes], bytes] | None = ENCODERS.get(wire_format)

    @property
    def bytes_per_sample(self) -> int:
        """Wire bytes of one wire sample."""
        return 2 if self._compand is None else 1

    @property
    def clips(self) -> int:
        """Samples clipped by the resampler's overshoot so far."""
        return self._resampler.clips

    @property
    def delay(self) -> float:
        """Seconds by which sound on the wire lags behind the same sound in the stream (0 to 3 ms)."""
        return self._resampler.delay

    @property
    def history(self) -> int:
        """Samples before a span that can influence its bytes."""
        return self._resampler.history

    @property
    def period(self) -> int:
        """Samples after which the input and wire sampling grids coincide again."""
        return self._resampler.period

    def encode(self, pcm: bytes) -> bytes:
        """Wire bytes of *pcm* (s16le, whole samples, else ValueError)."""
        wire = self._resampler.convert(pcm)
        return wire if self._compand is None else self._compand(wire)

    def silence(self, samples: int) -> bytes:
        """Wire bytes of *samples* zeros at `in_rate`; the stream moves on by as many."""
        if samples < 0:
            raise ValueError(f"samples: {samples} given, must not be negative")
        pieces = []
        while samples > 0:
            piece = min(samples, _SILENCE_PIECE)
            pieces.append(self.encode(bytes(2 * piece)))
            samples -= piece
        return b"".join(pieces)

    def prime(self, pcm: bytes) -> None:
        """Take *pcm* as what came before, sending nothing.

        With at least `history` samples (or all there are) that begin at a stream position divisible by
        `period`, what is encoded next has the bytes it had on an earlier connection.
        """
        if len(pcm) % 2:
            raise ValueError(f"pcm: {len(pcm)} bytes given, s16le needs an even number")
        self._resampler.prime(np.frombuffer(pcm, dtype="<i2"))
