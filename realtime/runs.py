"""A run-length list over sample positions: the one data structure behind the ledger's states and marks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class Runs(Generic[V]):
    """Values over the half-open range [start, end) of positions; equal neighbours are one run.

    Appending to the end and changing the newest run, which is what happens for every frame, take constant time.
    """

    __slots__ = ("_starts", "_values", "end")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._values: list[V] = []
        self.end = 0

    @property
    def start(self) -> int:
        """First position still covered."""
        return self._starts[0] if self._starts else self.end

    def __len__(self) -> int:
        return len(self._starts)

    def append(self, count: int, value: V) -> None:
        """Extend the covered range by *count* positions of *value*."""
        if count <= 0:
            return
        values = self._values
        if not values or (values[-1] is not value and values[-1] != value):
            self._starts.append(self.end)
            values.append(value)
        self.end += count

    def at(self, position: int) -> V:
        """The value at *position*; IndexError outside the covered range."""
        if not self.start <= position < self.end:
            raise IndexError(position)
        return self._values[bisect_right(self._starts, position) - 1]

    def runs(self, start: int, end: int) -> Iterator[tuple[int, int, V]]:
        """Yield (start, end, value) of the runs within [start, end), clipped to it. Do not change while iterating."""
        start, end = max(start, self.start), min(end, self.end)
        if start >= end:
            return
        i = bisect_right(self._starts, start) - 1
        while start < end:
            stop = self._starts[i + 1] if i + 1 < len(self._starts) else self.end
            stop = min(stop, end)
            yield start, stop, self._values[i]
            start, i = stop, i + 1

    def assign(self, start: int, end: int, value: V) -> None:
        """Set [start, end), clipped to the covered range, to *value*."""
        start, end = max(start, self.start), min(end, self.end)
        if start >= end:
            return
        starts, values = self._starts, self._values
        first = bisect_right(starts, start) - 1
        last = bisect_right(starts, end - 1) - 1
        new_starts, new_values = [start], [value]
        if starts[first] < start:
            if values[first] == value:
                new_starts[0] = starts[first]
            else:
                new_starts.insert(0, starts[first])
                new_values.insert(0, values[first])
        elif first > 0 and values[first - 1] == value:
            first -= 1
            new_starts[0] = starts[first]
        stop = starts[last + 1] if last + 1 < len(starts) else self.end
        if end < stop:
            if values[last] != value:
                new_starts.append(end)
                new_values.append(values[last])
        elif last + 1 < len(starts) and values[last + 1] == value:
            last += 1
        starts[first : last + 1] = new_starts
        values[first : last + 1] = new_values

    def drop_before(self, position: int) -> None:
        """Forget everything before *position*."""
        if position <= self.start:
            return
        if position >= self.end:
            self._starts.clear()
            self._values.clear()
            return
        i = bisect_right(self._starts, position) - 1
        del self._starts[:i]
        del self._values[:i]
        self._starts[0] = position
