"""The errors this project raises itself, by who is to blame.

``ConfigurationError`` is ours: somebody asked for something that cannot work. Its message names the field,
what was given and what would be right, and never contains a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

_MAX_SHOWN = 80
# A key, what follows "Bearer", a URL's user name and password: somebody may have put one in the wrong place.
_SECRET = re.compile(r"\b(?:sk|ek|pk|sess|rk)[-_][\w-]{4,}|(?i:\bbearer)\s+\S+|(?:(?<=//)|^)[^/\s@]+@")


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
