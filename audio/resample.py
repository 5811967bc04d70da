"""Streaming resampler that holds nothing back: a polyphase windowed-sinc filter between integer rates.

Output *t* lies at input time ``t * in_rate / out_rate`` and is given out as soon as the input sample at or
just before that time has come. So after *n* input samples in total, exactly ``ceil(n * out_rate / in_rate)``
output samples are out, however the input was cut. The price is a constant shift (`Resampler.delay`, 1.5 ms
with both rates at 16 kHz or above, 3 ms if one is 8 kHz): the filter looks at the past only.

Cutting the input differently gives the same bits, not just nearly: coefficients lie on a grid of 2**-24, so
every product and every partial sum is an integer times 2**-24 below 2**53 and float64 holds it exactly, in
whatever order the linear algebra library adds.

The rates' ratio is reduced to ``up / down``. `down` input samples make `up` output samples, and then the
pattern repeats; a number of such periods make a block, and a block of outputs is one row times one matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

Samples = npt.NDArray[np.int16]
_Floats = npt.NDArray[np.float64]

MIN_RATE = 8_000
MAX_RATE = 48_000

# Filter length in samples of the lower rate. With the Kaiser window below, the transition reaches from 7/16
# to 9/16 of that rate (7 to 9 kHz for 16 kHz): flat to 0.01 dB below it, more than 90 dB down above it.
_TAPS = 48
_KAISER_BETA = 9.4
_GRID = 1 << 24
# Inputs of a block, roughly: long rows copy less, short ones compute less that is not wanted.
_BLOCK = 32
# Above this many coefficients in the block matrix (only rates with next to no common divisor), look
# coefficients up for each output instead.
_MAX_MATRIX = 1 << 17
# A longer call is worked off in pieces, so that memory stays bounded.
_MAX_PIECE = 1600
"A larger product makes the linear algebra library start threads, which cost a hundred times what they save here."


@dataclass(frozen=True)
class _Tables:
    """Everything about a pair of rates that does not change; shared by all streams of the process."""

    up: int
    down: int
    taps: int
    "Input samples each output looks at."
    block: int
    "Inputs of a block, a multiple of `down`."
    phases: _Floats
    "(up, taps): coefficients of each phase, oldest sample first. Empty if `matrix` is used."
    matrix: _Floats
    "(taps - 1 + block, outputs of a block). Empty if `phases` is used."


class Resampler:
    """One stream of mono int16 samples from `in_rate` to `out_rate` (whole numbers, 8,000 to 48,000 Hz)."""

    def __init__(self, in_rate: int, out_rate: int) -> None:
        """Raise ValueError for a rate outside 8,000 to 48,000 Hz."""
        check_rate("in_rate", in_rate)
        check_rate("out_rate", out_rate)
        self.in_rate = in_rate
        self.out_rate = out_rate
        self.clips = 0
        "Output samples so far that had to be clipped to 16 bits."
        self._tables = _tables(in_rate, out_rate)
        # Scratch: taps - 1 past samples, `_held` samples of the block under way, then room for what comes.
        self._buffer: _Floats = np.zeros(0)
        self._held = 0
        self.clear()

    @property
    def delay(self) -> float:
        """Seconds by which the output lags behind the input: half the filter; 0 when the rates are equal."""
        return self._tables.taps / 2 / self.in_rate if self.in_rate != self.out_rate else 0.0

    @property
    def history(self) -> int:
        """Input samples that can still influence the next output: what `prime` needs at least."""
        return max(0, self._tables.taps - 1)

    @property
    def period(self) -> int:
        """Input samples after which input and output grids coincide again (2 for 16 to 24 kHz)."""
        return self._tables.down

    def clear(self) -> None:
        """Forget the past, as if new; `clips` goes on counting."""
        tables = self._tables
        self._buffer = np.zeros(max(0, tables.taps - 1) + tables.block)
        self._held = 0

    def prime(self, samples: Samples) -> None:
        """Take *samples* as the past: like `process`, but nothing is computed and nothing comes out.

        To get the bits of an earlier run from a stream position on, give at least `history` samples before
        it (or all there are), beginning at a multiple of `period`.
        """
        if self.in_rate == self.out_rate:
            return
        tables = self._tables
        past = tables.taps - 1
        known = np.concatenate((self._buffer[: past + self._held], samples.astype(np.float64)))
        self._held = (self._held + len(samples)) % tables.block
        keep = past + self._held
        self._buffer[:keep] = known[len(known) - keep :]

    def process(self, samples: Samples) -> Samples:
        """Convert *samples* (1-d int16, any length). Returns all outputs due, rounded and clipped."""
        if self.in_rate == self.out_rate:
            return samples.astype(np.int16, copy=True)
        if len(samples) <= _MAX_PIECE:
            return self._piece(samples)
        pieces = [self._piece(samples[i : i + _MAX_PIECE]) for i in range(0, len(samples), _MAX_PIECE)]
        return np.concatenate(pieces)

    def _piece(self, samples: Samples) -> Samples:
        tables = self._tables
        past, block = tables.taps - 1, tables.block
        begin = past + self._held
        total = self._held + len(samples)
        blocks = -(-total // block)
        need = past + blocks * block
        if need > len(self._buffer):
            grown = np.zeros(need)
            grown[:begin] = self._buffer[:begin]
            self._buffer = grown
        buffer = self._buffer
        buffer[begin : past + total] = samples
        # Outputs of the block under way that are already out, and outputs due now.
        first = -(-self._held * tables.up // tables.down)
        last = -(-total * tables.up // tables.down)
        if len(tables.matrix):
            rows = as_strided(buffer, (blocks, past + block), (block * buffer.itemsize, buffer.itemsize))
            # Samples behind the newest are stale scratch: they only enter outputs that are not due yet.
            result = (np.ascontiguousarray(rows) @ tables.matrix).reshape(-1)[first:last]
        else:
            result = _look_up(buffer, tables, first, last)
        done = total - total % block
        self._held = total - done
        keep = past + self._held
        buffer[:keep] = buffer[done : done + keep]
        return self._to_int16(result)

    def _to_int16(self, values: _Floats) -> Samples:
        if not len(values):
            return np.zeros(0, dtype=np.int16)
        np.rint(values, out=values)
        if np.maximum.reduce(values) > 32767 or np.minimum.reduce(values) < -32768:
            self.clips += int(np.count_nonzero((values > 32767) | (values < -32768)))
            np.clip(values, -32768, 32767, out=values)
        return values.astype(np.int16)


def check_rate(field: str, rate: int) -> None:
    """Raise ValueError, naming *field*, unless *rate* is an integer from 8,000 to 48,000 Hz."""
    if isinstance(rate, bool) or not isinstance(rate, int) or not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"{field}: {rate!r} given, must be a whole number of Hz from {MIN_RATE} to {MAX_RATE}")


def _look_up(buffer: _Floats, tables: _Tables, first: int, last: int) -> _Floats:
    """Outputs *first* to *last* of the block, each by its own window and phase."""
    times = np.arange(first, last) * tables.down
    windows = np.lib.stride_tricks.sliding_window_view(buffer, tables.taps)
    result: _Floats = np.einsum("ij,ij->i", windows[times // tables.up], tables.phases[times % tables.up])
    return result


@lru_cache(maxsize=32)
def _tables(in_rate: int, out_rate: int) -> _Tables:
    divisor = math.gcd(in_rate, out_rate)
    up, down = out_rate // divisor, in_rate // divisor
    none = np.zeros((0, 0))
    if up == down:
        return _Tables(1, 1, 1, 1, none, none)
    taps = -(-_TAPS * max(in_rate, out_rate) // out_rate) if in_rate > out_rate else _TAPS
    phases = _phases(up, down, taps, min(1.0, out_rate / in_rate))
    periods = max(1, _BLOCK // down)
    block, outputs = periods * down, periods * up
    if (taps - 1 + block) * outputs > _MAX_MATRIX:
        return _Tables(up, down, taps, block, phases, none)
    matrix = np.zeros((taps - 1 + block, outputs))
    for output in range(outputs):
        newest, phase = divmod(output * down, up)
        matrix[newest : newest + taps, output] = phases[phase]
    matrix.setflags(write=False)
    return _Tables(up, down, taps, block, none, matrix)


def _phases(up: int, down: int, taps: int, cutoff: float) -> _Floats:
    """(up, taps) windowed-sinc coefficients, oldest first; *cutoff* is relative to half the input rate."""
    # Phase p lies p / up behind the newest sample; the filter's centre lies taps / 2 before the output's
    # time.
    age = np.arange(taps - 1, -1, -1) + np.arange(up)[:, None] / up
    offset = age - taps / 2
    # Rates without a common divisor have millions of coefficients: the Bessel function is looked up, not
    # computed.
    grid = np.linspace(0, 1, 1 << 15)
    kaiser = np.i0(_KAISER_BETA * np.sqrt(1 - grid**2))
    phases = np.sinc(cutoff * offset) * np.interp(np.abs(2 * offset / taps), grid, kaiser)
    # Each phase passes a constant unchanged: without this the phases would differ by a hum at in_rate / up.
    phases /= phases.sum(axis=1, keepdims=True)
    phases = np.rint(phases * _GRID) / _GRID
    result: _Floats = phases
    result.setflags(write=False)
    return result
