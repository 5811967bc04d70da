"""A cheap guess at every sample: plainly quiet, or maybe speech. When in doubt it says speech.

It decides what may be thrown away unheard, so a soft word must never pass for silence; noise that passes for
speech only costs a little. It is no turn detector: see `turns`.

The sums are of whole numbers that float64 holds exactly, so a flag depends on nothing but the samples: not on the
processor, not on what else is in the call.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .resample import check_rate

# Root mean square of 10 ms (offset removed) and peak, relative to full scale, from which a block may be
# speech. The peak finds bursts (p, t, k) too short to lift the block's mean.
RMS_THRESHOLD_DBFS = -54.0
PEAK_THRESHOLD_DBFS = -40.0

_POWER = (32768 * 10 ** (RMS_THRESHOLD_DBFS / 20)) ** 2
_PEAK = 32768 * 10 ** (PEAK_THRESHOLD_DBFS / 20)

_MAX_PRODUCT = 9_000
"More multiplications than 9,216 of a matrix with a vector make OpenBLAS start threads."
_INT16 = np.dtype("<i2")
_Floats = npt.NDArray[np.float64]


class LevelDetector:
    """Classifies a stream of s16le mono in blocks of 10 ms, holding nothing back.

    Each chunk is cut into whole blocks from its first sample and a shorter rest. A block is judged by its
    own samples, a rest by the last 10 ms up to its end: one judged alone would be at the mercy of a zero
    crossing.
    """

    def __init__(self, rate: int) -> None:
        """*rate* in Hz, 8,000 to 48,000, else ValueError."""
        check_rate("rate", rate)
        self._block = rate // 100
        self._tail = bytes(2 * self._block)
        self._rows = _MAX_PRODUCT // (2 * self._block)
        self._spare = _spare(self._block)

    def process(self, pcm: bytes) -> list[tuple[int, bool]]:
        """Runs `(samples, maybe_speech)` that cover exactly the samples of *pcm* (s16le, whole, else
        ValueError).

        Neighbouring runs differ; no samples, no runs.
        """
        if len(pcm) % 2:
            raise ValueError(f"pcm: {len(pcm)} bytes given, s16le needs an even number")
        size = 2 * self._block
        whole, rest = divmod(len(pcm), size)
        flags: list[bool] = []
        for begin in range(0, whole, self._rows):
            flags += self._maybe_speech(pcm, begin, min(self._rows, whole - begin))
        if whole and not rest:
            self._tail = pcm[-size:]
        elif rest:
            self._tail = pcm[-size:] if whole else (self._tail + pcm)[-size:]
            flags += self._maybe_speech(self._tail, 0, 1)
        return _runs(flags, self._block, len(pcm) // 2)

    def _maybe_speech(self, pcm: bytes, begin: int, rows: int) -> list[bool]:
        """One flag for each of *rows* blocks of *pcm* from block *begin* on."""
        block = self._block
        try:
            space = self._spare.pop()
        except IndexError:
            space = _WorkSpace(block, self._rows)
        both, samples, squares, result = space[rows]
        samples[...] = np.ndarray(samples.shape, _INT16, pcm, 2 * block * begin)
        np.multiply(samples, samples, squares)
        both.dot(space.ones, result)
        values: list[float] = result.tolist()
        loud, perhaps = space.loud, space.perhaps
        flags, doubtful = [], []
        for row in range(rows):
            total = values[row]
            spread = block * values[rows + row] - total * total
            flags.append(spread >= loud)
            if perhaps <= spread < loud:
                doubtful.append(row)
        for row in _with_peak(samples, values, doubtful) if doubtful else ():
            flags[row] = True
        self._spare.append(space)
        return flags


def _with_peak(samples: _Floats, totals: list[float], rows: list[int]) -> list[int]:
    """Those of *rows* in which a sample lies so far from the row's mean that it may be a burst."""
    length = samples.shape[1]
    peak = _PEAK * length
    # Most often not even the extremes of all rows are so far away.
    high, low = _extremes(samples)
    far = [row for row in rows if high * length - totals[row] >= peak or totals[row] - low * length >= peak]
    found = []
    for row in far:
        high, low = _extremes(samples[row])
        if high * length - totals[row] >= peak or totals[row] - low * length >= peak:
            found.append(row)
    return found


def _extremes(samples: _Floats) -> tuple[float, float]:
    """Highest and lowest; the reductions of numpy would cost four times as much."""
    return samples.item(samples.argmax()), samples.item(samples.argmin())


_Views = tuple[_Floats, _Floats, _Floats, _Floats]


class _WorkSpace(dict[int, _Views]):
    """Arrays for one call at a time, shared by all streams: for a number of blocks (both, samples, squares, sums)."""

    def __init__(self, block: int, rows: int) -> None:
        super().__init__()
        self._both: _Floats = np.zeros((2 * rows, block))
        self._result: _Floats = np.zeros(2 * rows)
        self.ones: _Floats = np.ones(block)
        # Bounds of a block's variance, times the square of its length.
        self.loud = _POWER * block * block
        # One sample at the peak threshold does as much alone: blocks below need no look.
        self.perhaps = _PEAK * _PEAK * block

    def __missing__(self, rows: int) -> _Views:
        both = self._both[: 2 * rows]
        views = self[rows] = (both, both[:rows], both[rows:], self._result[: 2 * rows])
        return views


@lru_cache(maxsize=32)
def _spare(block: int) -> list[_WorkSpace]:
    """Work spaces for blocks of this length that are not in use: as many as threads were ever here at once."""
    return []


def _runs(flags: list[bool], block: int, total: int) -> list[tuple[int, bool]]:
    """Join equal neighbours; every flag stands for *block* samples, the last for what is left of *total*."""
    if True not in flags or False not in flags:
        return [(total, flags[0])] if flags else []
    runs: list[tuple[int, bool]] = []
    begin = 0
    for index, flag in enumerate(flags):
        if index + 1 == len(flags) or flags[index + 1] != flag:
            end = min(total, (index + 1) * block)
            runs.append((end - begin, flag))
            begin = end
    return runs
