"""How many connections a process may open per second. Pure: the time is an argument.

A network that comes back, or a server that is restarted, drops every stream of a process at once. The jitter of
`backoff.py` keeps them from dialling in step; this keeps them from dialling faster than a process and an account stand.
"""

from __future__ import annotations

import math
from typing import Protocol

ROUNDING_S = 1e-6
"Slots are sums of floats: one that lies this little ahead is due."


class DialLimiter(Protocol):
    """What a session asks before each dial."""

    def reserve(self, now: float) -> float:
        """Take the next free slot; the dial may begin that many seconds after *now*."""
        ...


class Unlimited:
    """A `DialLimiter` that holds nobody back."""

    def reserve(self, now: float) -> float:
        """See `DialLimiter`."""
        return 0.0


class ConnectLimiter:
    """A token bucket: *burst* dials at once, then *per_second*; whoever asks first dials first.

    In any span of T seconds at most `burst + per_second * T` dials begin. All that share a limiter must share a clock.
    A slot is taken for good: one that is not used, since its session was stopped meanwhile, passes unused.
    Not thread-safe by itself.
    """

    def __init__(self, per_second: float, burst: int = 1) -> None:
        """Raises ValueError unless both are positive."""
        if not 0 < per_second < math.inf:
            raise ValueError(f"per_second: {per_second!r} is not a positive number of connects per second")
        if burst < 1:
            raise ValueError(f"burst: {burst!r} lets nobody connect; it must be 1 or more")
        self._interval = 1 / per_second
        self._credit = (burst - 1) * self._interval
        "How long ago a slot may lie and still be taken."
        self._next_slot = -math.inf

    def reserve(self, now: float) -> float:
        """See `DialLimiter`."""
        slot = max(self._next_slot, now - self._credit)
        self._next_slot = slot + self._interval
        wait = slot - now
        return wait if wait > ROUNDING_S else 0.0
