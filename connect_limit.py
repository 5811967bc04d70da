"""The one limit on connects that all clients of this process share, unless they are given another."""

from __future__ import annotations

import threading

from .realtime.limiter import ConnectLimiter

PER_SECOND = 50.0
"""What one process can do: the TLS handshake of a dial, with a trust store to load, costs it 15 to 20 ms of CPU. More
at once would hold up the event loop, and with it the streams that are connected."""
BURST = 50
"Up to this many streams never wait."


class SharedLimiter(ConnectLimiter):
    """A `ConnectLimiter` that the event loops of several threads may share."""

    def __init__(self, per_second: float = PER_SECOND, burst: int = BURST) -> None:
        super().__init__(per_second, burst)
        self._lock = threading.Lock()

    def reserve(self, now: float) -> float:
        """See `DialLimiter`."""
        with self._lock:
            return super().reserve(now)


PROCESS_LIMITER = SharedLimiter()
"In the time of `time.monotonic`, which every client goes by unless told otherwise."
