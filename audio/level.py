"""A cheap guess at every sample: plainly quiet, or maybe speech. When in doubt it says speech.

It decides what may be thrown away unheard, so a soft word must never pass for silence; noise that passes for
speech only costs a little. It is no turn detector: see `turns`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .resample import check_rate

# Root mean square of 10 ms (offset removed) and peak, relative to full scale, from which a block may be
# speech. The peak finds bursts (p, t, k) too short to lift the block's mean.
RMS_THRESHOLD_DBFS = -54.0
PEAK_THRESHOLD_DBFS = -40.0

_POWER = (32768 * 10 ** (RMS_THRESHOLD_DBFS / 20)) ** 2
_PEAK = 32768 * 10 ** (PEAK_THRESHOLD_DBFS / 20)


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
        self._tail: npt.NDArray[np.float32] = np.zeros(self._block, dtype=np.float32)

    def process(self, pcm: bytes) -> list[tuple[int, bool]]:
        """Runs `(samples, maybe_speech)` that cover exactly the samples of *pcm* (s16le, whole, else
        ValueError).

        Neighbouring runs differ; no samples, no runs.
        """
        if len(pcm) % 2:
            raise ValueError(f"pcm: {len(pcm)} bytes given, s16le needs an even number")
        block = self._block
        samples = np.frombuffer(pcm, dtype="<i2")
        if not len(samples):
            return []
        recent: npt.NDArray[np.float32] = np.concatenate((self._tail, samples), dtype=np.float32)
        self._tail = recent[-block:].copy()
        whole, rest = divmod(len(samples), block)
        flags = _maybe_speech(recent[block : block + whole * block].reshape(whole, block)) if whole else []
        if rest:
            flags += _maybe_speech(self._tail[np.newaxis])
        return _runs(flags, block, len(samples))


def _maybe_speech(blocks: npt.NDArray[np.float32]) -> list[bool]:
    """One flag for each row of *blocks*."""
    # The bare ufuncs: their wrappers (mean, max) would double the cost of this function.
    length = blocks.shape[1]
    mean = np.add.reduce(blocks, axis=1) / length
    energy = np.einsum("ij,ij->i", blocks, blocks)
    loud = energy / length - mean * mean >= _POWER
    # One sample at the peak threshold has this much energy alone: blocks with less need no look.
    if not loud.all() and np.maximum.reduce(energy) >= _PEAK * _PEAK:
        peak = np.maximum(np.maximum.reduce(blocks, axis=1) - mean, mean - np.minimum.reduce(blocks, axis=1))
        loud |= peak >= _PEAK
    flags: list[bool] = loud.tolist()
    return flags


def _runs(flags: list[bool], block: int, total: int) -> list[tuple[int, bool]]:
    """Join equal neighbours; every flag stands for *block* samples, the last for what is left of *total*."""
    runs: list[tuple[int, bool]] = []
    begin = 0
    for index, flag in enumerate(flags):
        if index + 1 == len(flags) or flags[index + 1] != flag:
            end = min(total, (index + 1) * block)
            runs.append((end - begin, flag))
            begin = end
    return runs
