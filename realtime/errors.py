"""Errors: what each one means for the stream, and the one this project raises itself.

`row_of` and `row_of_ending` look up the table of `error_table.py`, which is all anybody knows about the errors, closes
and HTTP answers of a service: what is a refusal, what is repaired, what is not told is decided there and nowhere else.

``ConfigurationError`` is ours: somebody asked for something that cannot work. Its message names the field,
what was given and what would be right, and never contains a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from .error_table import (
    COMMIT_EMPTY,
    NO_HTTP,
    OTHER,
    OWN_CODES,
    SESSION_EXPIRED,
    TABLE,
    Outcome,
    OwnCode,
    Row,
    Where,
)

__all__ = [
    "COMMIT_EMPTY", "OTHER", "OWN_CODES", "SESSION_EXPIRED", "TABLE", "ConfigurationError", "Outcome", "OwnCode",
    "Problem", "Row", "Where", "is_expiry", "mask_keys", "row_of", "row_of_ending", "show_value",
]  # fmt: skip

_ROWS = {(row.where, code): row for row in TABLE for code in row.codes}
_GOING_AWAY = "1001"
_MAX_SHOWN = 80
# A key, what follows "Bearer", a URL's user name and password: somebody may have put one in the wrong place. The
# provider says "Missing bearer or basic authentication in header." where there is none. A password may hold anything,
# so a URL's ends at the last @.
_SECRET = re.compile(r"\b(?:sk|ek|pk|sess|rk)[-_][\w-]{4,}|(?i:\bbearer)\s+(?!or\s)\S+|(?:(?<=//)|^)[^\s\"]{1,500}@")


def mask_keys(text: str) -> str:
    """*text* with `***` for everything that looks like a key or a credential."""
    return _SECRET.sub("***", text)


def show_value(value: Any) -> str:
    """*value* for a message to the operator: short, on one line, what looks like a key replaced by ``***``.

    Objects and lists are described, not printed: their content may be anything.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        text = mask_keys(" ".join(value.split()))
        return f'"{text}"' if len(text) <= _MAX_SHOWN else f'"{text[:_MAX_SHOWN]}…" ({len(value)} characters)'
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return f"a value of type {type(value).__name__}"


def row_of(where: Where, code: str) -> Row:
    """The row of *code* (an `error.code` or its type, a close code, an HTTP status) that came *where*."""
    row = _ROWS.get((where, code))
    if row is None and where is Where.HTTP:
        row = _ROWS.get((where, f"{code[:1]}xx"))
    return row or _ROWS[where, OTHER]


def row_of_ending(code: str, error_code: str = "", reason: str = "") -> Row:
    """The row of a connection that ended, or did not come about.

    *code*: HTTP status or close code; anything else means there was neither. *error_code*: of the last `error` before
    the session was configured. What a service names, there or at the end of the close's *reason* (`type.code`), is
    worth more than the number: 1013 alone means "try later".
    """
    for name in (error_code, reason.rpartition(".")[2]):
        row = row_of(Where.SETUP, name)
        if row.outcome is Outcome.REFUSED:
            return row
    if is_expiry(error_code, code, reason):
        return row_of(Where.LIVE, SESSION_EXPIRED)
    number = int(code) if code.isascii() and code.isdigit() else 0
    if number >= 1000:
        return row_of(Where.CLOSE, code)
    return row_of(Where.HTTP, code if number else NO_HTTP)


def is_expiry(error_code: str, code: str, reason: str) -> bool:
    """Whether a connection ended because its session was as old as the service allows: nobody's fault."""
    if SESSION_EXPIRED in (error_code, reason.rpartition(".")[2]):
        return True
    return code == _GOING_AWAY and "maximum duration" in reason.lower()


class Problem(NamedTuple):
    """One thing wrong with a configuration. `given` is already safe to show."""

    field: str
    "The property as its author spelled it, e.g. ``params.turn_detection.threshold``."
    given: str
    "What was found there."
    remedy: str
    "What to do: a short sentence."

    def __str__(self) -> str:
        found = f" is {self.given}" if self.given else ""
        return f"{self.field}{found}: {self.remedy}"


class ConfigurationError(ValueError):
    """A configuration that cannot work; retrying does not help.

    *given* is shown as it is: pass it through `show_value` first, or describe it when it is a secret.
    `problems` holds everything found wrong at once; `field`, `given` and `remedy` are those of the first.
    """

    def __init__(self, field: str, given: str, remedy: str, *, more: Iterable[Problem] = ()) -> None:
        self.problems: tuple[Problem, ...] = (Problem(field, given, remedy), *more)
        super().__init__("; ".join(str(problem) for problem in self.problems))

    @property
    def field(self) -> str:
        """The property that is wrong."""
        return self.problems[0].field

    @property
    def given(self) -> str:
        """What was found there, safe to show."""
        return self.problems[0].given

    @property
    def remedy(self) -> str:
        """What would be right."""
        return self.problems[0].remedy

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> ConfigurationError:
        """One error for all *problems* (at least one)."""
        first, *more = problems
        return cls(*first, more=more)
