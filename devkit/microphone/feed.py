"""What happens to a block between the device and the graph."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..transcription.latency import FinalLatency


class Feed:
    """Passes a device's blocks on, in its thread, and keeps account of them for the command's.

    Nothing here waits for the screen or for a file: sound goes on while a terminal is held.
    """

    def __init__(
        self, push: Callable[[bytes], None], sample_rate: int, channels: int, *, seconds: float | None = None
    ) -> None:
        """*seconds*: of audio, behind which nothing is passed on."""
        self._push = push
        self._bytes_per_ms = sample_rate * channels * 2 / 1000
        self._limit = None if seconds is None else max(1, round(seconds * sample_rate)) * channels * 2
        self._bytes = 0
        self._sounded = 0
        self._lock = threading.Lock()
        self._latency = FinalLatency()

    def take(self, block: bytes) -> None:
        """Pass *block* on, or what may be taken of it."""
        if self._limit is not None:
            block = block[: self._limit - self._bytes]
            if not block:
                return
        self._push(block)
        self._bytes += len(block)
        if block.strip(b"\0"):
            self._sounded = self._bytes
        with self._lock:
            self._latency.pushed(self.audio_ms, time.monotonic())

    @property
    def audio_ms(self) -> float:
        """Audio passed on so far."""
        return self._bytes / self._bytes_per_ms

    @property
    def full(self) -> bool:
        """All that was to be taken has been."""
        return self._bytes == self._limit

    @property
    def silent_ms(self) -> float:
        """For how long all of it has been zeros, which no room ever is."""
        return (self._bytes - self._sounded) / self._bytes_per_ms

    def final(self, end_ms: float, now: float) -> None:
        """A final came at *now*, whose speech ends at *end_ms*."""
        with self._lock:
            self._latency.final(end_ms, now)

    def latency_ms(self, percent: float) -> float | None:
        """See `FinalLatency.percentile`."""
        with self._lock:
            return self._latency.percentile(percent)
