"""When to dial again. Pure: the random number is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

USEFUL_MAX_S = 0.25
"After a useful connection the next dial waits at most this: long enough that many streams do not move in step."
BASE_S = 0.5
CAP_S = 8.0
USEFUL_AFTER_S = 2.0
"A configured connection that lived this long was useful, whatever ended it."


@dataclass
class Backoff:
    """Full jitter over useless attempts only: a dropped call comes back at once, a dead server is left alone."""

    useless: int = 0
    "Attempts in a row that brought nothing: refused, never configured, or closed at once."

    def next_delay(self, *, useful: bool, random: float, retry_after: float = 0.0) -> float:
        """Seconds to wait before the next dial. *random* in [0, 1); *retry_after*: floor the server asked for."""
        if useful:
            self.useless = 0
            delay = USEFUL_MAX_S * random
        else:
            delay = min(CAP_S, BASE_S * 2.0**self.useless) * random
            self.useless = min(self.useless + 1, 16)
        return max(delay, retry_after)


def retry_after_seconds(headers: Mapping[str, str] | None) -> float:
    """Seconds from a `Retry-After` header, in whatever case it is written; 0 if absent, or a date."""
    value = next((v for k, v in (headers or {}).items() if k.lower() == "retry-after"), "")
    try:
        return max(0.0, float(value))
    except ValueError:
        return 0.0
