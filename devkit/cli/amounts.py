"""Numbers on the command line that commands wait for, or play at."""

from __future__ import annotations

from ..transcription.failure import wrong_use

MOST = 1_000_000.0
"Eleven days, in seconds; in milliseconds it is still a number that a configuration takes."


def check_amount(option: str, value: float | None, kind: str = "a number of seconds") -> None:
    """Raises CommandError unless *value* of *option* is None, or above 0 and not beyond all bounds (nan is neither)."""
    if value is not None and not 0 < value <= MOST:
        raise wrong_use(f"{option} {value:g}: it must be {kind} above 0 and at most {MOST:.0f}.")
