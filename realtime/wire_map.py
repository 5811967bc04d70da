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
        self._stretches: list[Stretch] = []
        self._offsets: list[int] = []
        self.written = 0

    def __len__(self) -> int:
        return len(self._stretches)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """What was written, oldest first, as far as it is kept."""
        return tuple(self._stretches)

    @property
    def ends_in_audio(self) -> bool:
        """Whether the newest sample written was the caller's, not a synthetic one."""
        return bool(self._stretches) and self._stretches[-1].position is not None

    def add(self, count: int, position: int | None) -> None:
        """Note that *count* samples were written: the caller's from *position* on, or synthetic ones."""
        if count <= 0:
            return
        if self._stretches:
            last = self._stretches[-1]
            joins = (
                position is None
                if last.position is None
                else position is not None and last.position + last.length == position
            )
            if joins:
                self._stretches[-1] = Stretch(last.offset, last.length + count, last.position)
                self.written += count
                return
        self._stretches.append(Stretch(self.written, count, position))
        self._offsets.append(self.written)
        self.written += count

    def start_position(self, ms: float) -> int | None:
        """Position of the sample written at *ms*; inside synthetic audio, the next sample of the caller's."""
        offset = round(ms * self._rate / 1000)
        i = max(bisect_right(self._offsets, offset) - 1, 0)
        while i < len(self._stretches):
            stretch = self._stretches[i]
            if stretch.position is not None and offset < stretch.offset + stretch.length:
                return stretch.position + max(offset - stretch.offset, 0)
            i += 1
        return self.last_position

    def end_position(self, ms: float) -> int | None:
        """Position after the last sample written before *ms*; inside synthetic audio, the caller's last before it."""
        offset = round(ms * self._rate / 1000)
        i = bisect_right(self._offsets, offset - 1) - 1
        while i >= 0:
            stretch = self._stretches[i]
            if stretch.position is not None:
                return stretch.position + min(offset - stretch.offset, stretch.length)
            i -= 1
        return None

    @property
    def last_position(self) -> int | None:
        """Position after the newest sample of the caller's that was written."""
        for stretch in reversed(self._stretches):
            if stretch.position is not None:
                return stretch.position + stretch.length
        return None

    def forget_before(self, position: int) -> None:
        """Drop stretches that end at or before *position*, and what is too much; always keep the newest ones."""
        gone = max(0, len(self._stretches) - MAX_MAPPED)
        for stretch in self._stretches[gone:-2]:
            if stretch.position is not None and stretch.position + stretch.length > position:
                break
            gone += 1
        if gone:
            del self._stretches[:gone]
            del self._offsets[:gone]
