"""When to dial again. Pure: the random number is an argument."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .errors import Outcome, row_of_ending

USEFUL_MAX_S = 0.25
"After a useful connection the next dial waits at most this: long enough that many streams do not move in step."
BASE_S = 0.5
CAP_S = 8.0
USEFUL_AFTER_S = 2.0
"A configured connection that lived this long was useful, whatever ended it."


REFUSED_BASE_S = 2.0
REFUSALS = 6
"A key, model or quota refused this often in a row is refused for good,"
REFUSED_FOR_S = 30.0
"but not before this long after the first: keys take a moment to become valid."


def is_refusal(code: str, error_code: str, reason: str = "") -> bool:
    """Whether trying again cannot help by itself. *code*: HTTP status or close code; *error_code*: the last error's."""
    return row_of_ending(code, error_code, reason).outcome is Outcome.REFUSED


class Backoff(msgspec.Struct):
    """Full jitter over useless attempts only: a dropped call comes back at once, a dead server is left alone."""

    useless: int = 0
    "Attempts in a row that brought nothing: refused, never configured, or closed at once."
    refusals: int = 0
    "Refusals in a row."
    first_refusal: float = 0.0

    def refused(self, now: float, random: float) -> float | None:
        """Seconds to wait after a refusal; None when it is final."""
        if self.refusals == 0:
            self.first_refusal = now
        self.refusals += 1
        if self.refusals >= REFUSALS and now - self.first_refusal >= REFUSED_FOR_S:
            return None
        delay = REFUSED_BASE_S * 2.0 ** min(self.refusals - 1, 4) * (0.5 + random / 2)
        if self.refusals >= REFUSALS - 1:  # the last attempt must not come before it may be final
            delay = max(delay, self.first_refusal + REFUSED_FOR_S - now)
        return delay

    def accepted(self) -> None:
        """A session was configured: nothing is refused any more."""
        self.refusals = 0

    def next_delay(self, useful: bool, random: float, retry_after: float = 0.0) -> float:
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
