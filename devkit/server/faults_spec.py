"""What a fault is told: its arguments, their kinds, and how they are written on a command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .tones import LABELS

Kind = Literal["seconds", "ms", "count", "factor", "status", "close-code", "text", "flag", "numbers", "label"]


class FaultError(ValueError):
    """A fault that cannot be; the message names it, what was given and what would be right."""


@dataclass(frozen=True)
class Argument:
    """One argument of a fault, as `name=value`."""

    name: str
    kind: Kind
    default: Any
    doc: str
    choices: tuple[str, ...] = ()

    def read(self, given: object) -> Any:
        """*given* (text of a command line, or a JSON value) as what the fault works with.

        Raises ValueError with what would be right.
        """
        if self.choices:
            wanted = str(given).replace("_", "-")
            if wanted not in self.choices:
                raise ValueError(f"one of {', '.join(self.choices)}")
            return wanted
        return _READERS[self.kind](given)


def _number(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise ValueError
    value = float(given)
    if not math.isfinite(value):
        raise ValueError
    return value


def _seconds(given: object) -> float:
    try:
        value = _number(given)
    except ValueError:
        value = -1.0
    if value < 0:
        raise ValueError("a number of seconds, 0 or more")
    return value


def _milliseconds(given: object) -> float:
    try:
        return _seconds(given)
    except ValueError:
        raise ValueError("a number of milliseconds, 0 or more") from None


def _whole(given: object, least: int, wanted: str) -> int:
    try:
        value = _number(given)
    except ValueError:
        value = least - 1
    if value < least or value != int(value):
        raise ValueError(wanted)
    return int(value)


def _status(given: object) -> int:
    wanted = "an HTTP status from 300 to 599"
    value = _whole(given, 300, wanted)
    if value > 599:
        raise ValueError(wanted)
    return value


def _close_code(given: object) -> int:
    # 1004 to 1006 and 1015 are never sent (RFC 6455, 7.4.1); 1016 to 2999 are for the protocol's own future.
    wanted = "1000 to 1003, 1007 to 1014 or 3000 to 4999"
    value = _whole(given, 1000, wanted)
    if value not in (*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)):
        raise ValueError(wanted)
    return value


def _label(given: object) -> int:
    wanted = f"the number of a block of tones, 0 to {LABELS - 1}"
    value = _whole(given, 0, wanted)
    if value >= LABELS:
        raise ValueError(wanted)
    return value


def _factor(given: object) -> float:
    try:
        value = _number(given)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise ValueError("a number above 0")
    return value


def _flag(given: object) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    value = known.get(str(given).lower())
    if value is None:
        raise ValueError("true or false")
    return value


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError("text")
    return given


def _numbers(given: object) -> tuple[int, int | None]:
    first, dash, last = str(given).partition("-")
    try:
        begin = int(first)
        end = int(last) if last else None if dash else begin
    except ValueError:
        begin, end = 0, None
    if begin < 1 or (end is not None and end < begin):
        raise ValueError("a number from 1 on, or a range: 3, 1-4, 2-")
    return begin, end


_READERS = {
    "seconds": _seconds,
    "ms": _milliseconds,
    "count": lambda given: _whole(given, 1, "a whole number, 1 or more"),
    "status": _status,
    "close-code": _close_code,
    "factor": _factor,
    "text": _text,
    "flag": _flag,
    "numbers": _numbers,
    "label": _label,
}

AT = Argument("at", "seconds", 0.0, "not before this time after the start of the server")
AFTER = Argument("after", "seconds", None, "not before this time after the connection was made")
FOR = Argument(
    "for", "seconds", None, "no longer than this: from `at` on, with `after` on each connection from then on"
)
CONNECTIONS = Argument("connections", "numbers", None, "only these, counted from 1: `3`, `1-4`, `2-`")
TIMES = Argument("times", "count", None, "no more often than this, over all connections")
COMMON = (AT, AFTER, FOR, CONNECTIONS, TIMES)
"Arguments that every fault takes."


def written(value: Any, kind: Kind) -> str:
    """*value* as it stands on a command line."""
    if kind == "numbers":
        begin, end = value
        return str(begin) if begin == end else f"{begin}-{end or ''}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_arguments(name: str, known: Mapping[str, Argument], given: Mapping[str, object]) -> dict[str, Any]:
    """All arguments of the fault *name*, defaults filled in. Raises FaultError."""
    values = {argument.name: argument.default for argument in known.values()}
    for key, value in given.items():
        key = key.replace("_", "-")
        argument = known.get(key)
        if argument is None:
            raise FaultError(f"fault {name}: no argument {key!r}; it takes {', '.join(sorted(known))}")
        try:
            values[key] = argument.read(value)
        except ValueError as error:
            raise FaultError(f"fault {name}: {key}: {value!r} given, must be {error}") from None
    return values


def split_arguments(name: str, text: str) -> dict[str, str]:
    """`key=value,key=value`, or `key,…` for flags. Raises FaultError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        key = key.strip().replace("_", "-")
        if key in found:
            raise FaultError(f"fault {name}: {key!r} given twice")
        found[key] = value.strip() if equals else "true"
    return found
