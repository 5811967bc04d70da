"""How fast a recording may go into a graph: as fast as the other side settles it, and no audio at risk.

The extension keeps audio until it is settled (transcribed, known to be silence, or lost) and can send it again
after a drop only while it is kept. So the source stays a bounded distance ahead of what is settled. It slows down
and never stops: the extension reports as audio goes in, and a turn may need more audio to end.
"""

from __future__ import annotations

from dataclasses import dataclass

AHEAD_MS = 20_000
"From this far ahead of what is settled on, the source goes at the speed of speech."

LAG_MS = 5_000
"Likewise from this much audio on that the extension could not hand to the transport yet."

LIMIT_MS = 45_000
"From here on it crawls: above the longest turn (30 s), which must be able to end, below what is kept (60 s)."

CRAWL = 0.2


# One frame every 20 ms is what calls send. Flat out, larger frames cost less and nobody hears the difference.
_CALL_BLOCK_MS, _FLAT_OUT_BLOCK_MS = 20, 100
_CALL_SPEED = 2.0


def block_ms(speed: float | None) -> int:
    """How long the blocks are that audio goes into a graph in at *speed*."""
    return _CALL_BLOCK_MS if speed is not None and speed <= _CALL_SPEED else _FLAT_OUT_BLOCK_MS


@dataclass
class Pacer:
    """Decides when the next block may go. Holds no clock: every time is an argument, in seconds."""

    speed: float | None = None
    "Times real time; None is as fast as audio settles."
    sent_ms: float = 0.0
    settled_ms: float = 0.0
    lag_ms: float = 0.0
    _next: float = 0.0

    def report(self, *, settled_ms: float, lag_ms: float) -> None:
        """Take what the extension says: audio settled since the start, and audio it could not send yet."""
        self.settled_ms = max(self.settled_ms, settled_ms)
        self.lag_ms = lag_ms

    @property
    def ahead_ms(self) -> float:
        """Audio sent into the graph and not settled."""
        return self.sent_ms - self.settled_ms

    def sent(self, duration_ms: float, now: float) -> None:
        """A block of *duration_ms* has gone at *now*."""
        self.sent_ms += duration_ms
        # A source that fell behind does not make up for it in a burst: at most one block is due at once.
        begin = max(self._next, now - duration_ms / 1000)
        speed = self._speed_now()
        self._next = begin if speed is None else begin + duration_ms / 1000 / speed

    def _speed_now(self) -> float | None:
        if self.ahead_ms >= LIMIT_MS:
            return CRAWL
        if self.ahead_ms >= AHEAD_MS or self.lag_ms >= LAG_MS:
            return min(1.0, self.speed or 1.0)
        return self.speed

    def delay(self, now: float) -> float:
        """Seconds from *now* until the next block is due; 0 if it is."""
        return max(0.0, self._next - now)
