"""From a connection's own clock to the caller's: which sample each stretch of sent audio was.

A connection counts the audio written in its session. We count the same in samples of the stream's rate, because the
encoder holds nothing back: `n` samples in are `n * wire_rate / rate` out, to within one wire sample.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from .limits import MAX_MAPPED


class Stretch(NamedTuple):
    """`length` samples from `offset` on; `position` is None for synthetic audio, which was nobody's."""

    offset: int
    length: int
    position: int | None


class WireMap:
    """Piecewise map of one connection. Offsets and positions are samples at the stream's rate."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._offsets: list[int] = []
        self._lengths: list[int] = []
        self._positions: list[int | None] = []
        self.written = 0
        self.last_position: int | None = None
        "Position after the newest sample of the caller's that was written."

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """What was written, oldest first, as far as it is kept."""
        return tuple(map(Stretch, self._offsets, self._lengths, self._positions))

    @property
    def ends_in_audio(self) -> bool:
        """Whether the newest sample written was the caller's, not a synthetic one."""
        return bool(self._positions) and self._positions[-1] is not None

    def add(self, count: int, position: int | None) -> None:
        """Note that *count* samples were written: the caller's from *position* on, or synthetic ones."""
        if count <= 0:
            return
        positions = self._positions
        if position is None:
            joins = bool(positions) and positions[-1] is None
        else:
            joins = self.last_position == position and positions[-1] is not None
        if joins:
            self._lengths[-1] += count
        else:
            self._offsets.append(self.written)
            self._lengths.append(count)
            self._positions.append(position)
        self.written += count
        if position is not None:
            self.last_position = position + count

    def start_position(self, ms: float) -> int | None:
        """Position of the sample written at *ms*; inside synthetic audio, the next sample of the caller's."""
        offset = round(ms * self._rate / 1000)
        i = max(bisect_right(self._offsets, offset) - 1, 0)
        for begin, length, position in zip(self._offsets[i:], self._lengths[i:], self._positions[i:], strict=True):
            if position is not None and offset < begin + length:
                return position + max(offset - begin, 0)
        return self.last_position

    def end_position(self, ms: float) -> int | None:
        """Position after the last sample written before *ms*; inside synthetic audio, the caller's last before it."""
        offset = round(ms * self._rate / 1000)
        i = bisect_right(self._offsets, offset - 1) - 1
        while i >= 0:
            position = self._positions[i]
            if position is not None:
                return position + min(offset - self._offsets[i], self._lengths[i])
            i -= 1
        return None

    def forget_before(self, position: int) -> None:
        """Drop stretches that end at or before *position*, and what is too much; always keep the newest ones."""
        gone = max(0, len(self) - MAX_MAPPED)
        while gone < len(self) - 2:
            begin = self._positions[gone]
            if begin is not None and begin + self._lengths[gone] > position:
                break
            gone += 1
        if gone:
            del self._offsets[:gone]
            del self._lengths[:gone]
            del self._positions[:gone]
