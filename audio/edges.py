"""Where speech really began and ended, by the sound itself, near where a detector of coarse windows says so.

A model that judges windows of 32 ms says *that* somebody speaks, one to four windows late at either end and
worse for a soft first or last sound. The edge itself is found in blocks of 4 ms, in two bands: the whole
signal, and its first difference, in which an s or a released t stands out from a hum. A block is *energetic*
if one band exceeds a threshold taken from the quiet stretch beside the speech. From the model's edge the
search walks over energetic blocks and bridges gaps as short as the closure before a p, t or k.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

BLOCK = 64
"Samples of a block: 4 ms at 16 kHz, eight to a Silero window."

Powers = npt.NDArray[np.float32]
_Levels = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]

_MS = 16  # samples in a millisecond at 16 kHz

# Found by trying 80 synthesised utterances in silence and in white, pink and brown noise at several levels.
_MARGIN_DB = 3.0  # a block this far above the noise's median is no noise, ...
_SPREADS = 4.0  # ... nor one this many of its standard deviations above it, which for rough noise is more
_RANGE_DB = 46.0  # softer than the loudest block by this much is no speech but a breath, even in silence, ...
_FADE_DB = 57.0  # ... unless speech fades into it or swells out of it; then this much
_FADE_GAP = 16 * _MS
_LEAST_DB = 10.0  # nor is anything below -80 dBFS (decibels here are relative to one unit squared)
_GAP_BEFORE = 70 * _MS
_GAP_AFTER = 80 * _MS
_SEARCH = 320 * _MS  # how far from the model's edge the true one may be
_NOISE = 1000 * _MS  # how much of the quiet stretch is looked at ...
_NOISE_DISTANCE = (100 * _MS, 200 * _MS)  # ... and how far from the model's onset and end it stays
_NOISE_ENOUGH = 25  # blocks; with fewer, what was known before counts, ...
_NOISE_LEAST = 8  # ... and with fewer than these nothing is known
_LOUD_SPEECH_DB = 25.0  # what is this close to the loudest block is no noise


class BlockPowers:
    """Measures windows of many streams at once, without making an array for any of them."""

    def __init__(self, windows: int, samples: int) -> None:
        """For up to *windows* windows of *samples* each, a multiple of `BLOCK`."""
        self.rows: npt.NDArray[np.float32] = np.zeros((windows, 1 + samples), dtype=np.float32)
        "To be filled: a window a row, behind the sample that came before it."
        self._samples = samples
        self._bands = np.empty((windows, 2, samples), dtype=np.float32)
        self._sums = np.empty(windows * 2 * samples // BLOCK, dtype=np.float32)
        self._powers = np.empty_like(self._sums)

    def measure(self, count: int) -> Powers:
        """Power of each block in both bands of the first *count* rows, (count, 2, blocks); valid until the next call.

        The unit is one step of a sample, squared; an offset does not count.
        """
        rows, bands = self.rows[:count], self._bands[:count]
        bands[:, 0] = rows[:, 1:]
        np.subtract(rows[:, 1:], rows[:, :-1], out=bands[:, 1])
        blocks = bands.reshape(-1, BLOCK)
        sums, powers = self._sums[: len(blocks)], self._powers[: len(blocks)]
        # Not a product with a matrix: from some size on the linear algebra library would start threads for it.
        np.einsum("ij->i", blocks, out=sums)
        np.einsum("ij,ij->i", blocks, blocks, out=powers)
        sums *= sums
        sums *= 1 / BLOCK
        powers -= sums
        powers *= 1 / BLOCK
        return powers.reshape(count, 2, self._samples // BLOCK)


def decibels(power: float) -> float:
    """Level of a block's power, not below 0."""
    return 10 * math.log10(max(power, 1.0))


class EdgeFinder:
    """Block powers of the recent past of one 16 kHz stream, and the two searches in them.

    Positions are samples from the start of the stream; what the searches find lies on the edge of a block.
    """

    def __init__(self, keep: int) -> None:
        """Remember the last *keep* samples (the searches need 1.5 s before an edge)."""
        self._powers: Powers = np.empty((2, 0), dtype=np.float32)
        self._count = 0
        self._begin = 0
        self._floor: _Levels | None = None
        self.remember(keep)

    def remember(self, keep: int) -> None:
        """Remember the last *keep* samples from now on."""
        self._keep = keep // BLOCK

    def restart(self, position: int) -> None:
        """Forget all blocks; the next ones begin at *position*. What is known of the noise stays known."""
        self._count = 0
        self._begin = position

    def add(self, powers: Powers) -> None:
        """Take the next blocks: (2, blocks) of `BlockPowers`."""
        end = self._count + powers.shape[1]
        if end > self._powers.shape[1]:
            self._make_room(powers.shape[1])
            end = self._count + powers.shape[1]
        self._powers[:, self._count : end] = powers
        self._count = end

    def _make_room(self, more: int) -> None:
        """Let go of what is too old. There is room for a quarter more, so that this happens now and then only."""
        kept = min(self._count, self._keep)
        old = self._powers[:, self._count - kept : self._count]
        grown = np.empty((2, self._keep + max(more, self._keep // 4)), dtype=np.float32)
        grown[:, :kept] = old
        self._begin += (self._count - kept) * BLOCK
        self._powers, self._count = grown, kept

    def onset(self, heard: int, until: int, peak: float, earliest: int) -> int:
        """Position of the onset of the speech first noticed in the samples *heard* to *until*.

        *peak* is the loudest block of the speech so far in dB; nothing before *earliest* is looked at.
        """
        levels = self._levels()
        first = max(0, self._block(earliest))
        quiet_end = self._block(heard - _NOISE_DISTANCE[0])
        quiet = levels[:, max(first, quiet_end - _NOISE // BLOCK) : max(first, quiet_end)]
        energetic, faint = self._energetic(levels, quiet, peak)
        begin = max(first, self._block(heard - _SEARCH))
        found = np.flatnonzero(energetic[begin : self._block(until)]) + begin
        if not len(found) or self._position(int(found[-1])) < heard - _GAP_BEFORE:
            return max(heard, earliest)
        block = _begin_of_last_run(found, _GAP_BEFORE)
        swelling = np.append(np.flatnonzero(faint[begin:block]) + begin, block)
        return max(earliest, self._position(_begin_of_last_run(swelling, _FADE_GAP)))

    def end(self, silent: int, peak: float, latest: int) -> int:
        """Position, at most *latest*, of the end of the speech that the model hears no more from *silent* on."""
        levels = self._levels()
        quiet = levels[:, max(0, self._block(silent + _NOISE_DISTANCE[1])) :][:, : _NOISE // BLOCK]
        energetic, faint = self._energetic(levels, quiet, peak)
        first, middle = max(0, self._block(silent - _SEARCH)), max(0, self._block(silent))
        last = min(self._block(silent + _SEARCH), self._block(latest))
        before = np.flatnonzero(energetic[first:middle]) + first
        if not len(before):
            return min(silent, latest)
        found = np.append(before[-1:], np.flatnonzero(energetic[middle:last]) + middle)
        block = _end_of_first_run(found, _GAP_AFTER)
        fading = np.append(block, np.flatnonzero(faint[block + 1 : last]) + block + 1)
        return min(latest, self._position(_end_of_first_run(fading, _FADE_GAP) + 1))

    def _energetic(self, levels: _Levels, quiet: _Levels, peak: float) -> tuple[_Flags, _Flags]:
        """Blocks that are speech by themselves, and blocks that are if they adjoin such."""
        if quiet.shape[1] >= (_NOISE_LEAST if self._floor is None else _NOISE_ENOUGH):
            self._floor = _noise_threshold(quiet)
        floor = self._floor
        if floor is None:
            # Speech from the first sample on: the softest tenth of what there is, if it is soft at all.
            floor = np.minimum(_quantile(np.sort(levels, axis=1), 0.1) + _MARGIN_DB, peak - _LOUD_SPEECH_DB)
        floor = np.maximum(floor, _LEAST_DB)
        return _above(levels, np.maximum(floor, peak - _RANGE_DB)), _above(levels, np.maximum(floor, peak - _FADE_DB))

    def _levels(self) -> _Levels:
        levels = np.maximum(self._powers[:, : self._count], 1.0).astype(np.float64)
        np.log10(levels, out=levels)
        levels *= 10
        return levels

    def _block(self, position: int) -> int:
        return (position - self._begin) // BLOCK

    def _position(self, block: int) -> int:
        return self._begin + block * BLOCK


def _above(levels: _Levels, threshold: _Levels) -> _Flags:
    """Blocks in which a band exceeds its threshold."""
    loud = levels > threshold[:, np.newaxis]
    either: _Flags = loud[0] | loud[1]
    return either


def _end_of_first_run(blocks: npt.NDArray[np.intp], gap: int) -> int:
    """Last of the leading *blocks* that lie no more than *gap* samples apart."""
    wide = np.flatnonzero(np.diff(blocks) > gap // BLOCK)
    return int(blocks[wide[0]] if len(wide) else blocks[-1])


def _begin_of_last_run(blocks: npt.NDArray[np.intp], gap: int) -> int:
    """First of the trailing *blocks* that lie no more than *gap* samples apart."""
    wide = np.flatnonzero(np.diff(blocks) > gap // BLOCK)
    return int(blocks[wide[-1] + 1] if len(wide) else blocks[0])


def _noise_threshold(quiet: _Levels) -> _Levels:
    """Level for each band that noise like *quiet* does not reach.

    Median and lower quantile, because the quiet stretch may hold a breath, a click or the first sound looked
    for.
    """
    ordered = np.sort(quiet, axis=1)
    median, low = _quantile(ordered, 0.5), _quantile(ordered, 0.16)
    threshold: _Levels = median + np.maximum(_MARGIN_DB, _SPREADS * (median - low))
    return threshold


def _quantile(ordered: _Levels, part: float) -> _Levels:
    """As numpy's, of rows already in order; numpy's own costs more than all the rest of a search."""
    at = part * (ordered.shape[1] - 1)
    below = int(at)
    above = min(below + 1, ordered.shape[1] - 1)
    value: _Levels = ordered[:, below] + (at - below) * (ordered[:, above] - ordered[:, below])
    return value
