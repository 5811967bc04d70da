"""Configuring a connection: what the server's echo of our configuration must say."""

from __future__ import annotations

from typing import Any

import msgspec

from .errors import show_value
from .events import ClientError, ServerError

GRAVE_PATHS = (
    ("audio", "input", "transcription", "model"),
    ("audio", "input", "format"),
    ("audio", "input", "turn_detection"),
)
"What must be as we asked: with another model, format or turn detection the stream would mean something else."
MISSING = object()


class Differences(msgspec.Struct):
    """Where the echo is not what was asked, as sentences."""

    grave: list[str] = []
    minor: list[str] = []


def check_echo(asked: dict[str, Any], echo: dict[str, Any]) -> Differences:
    """Compare what was *asked* with the *echo* of `session.updated`; fields we did not send are the server's own."""
    differences = Differences()
    _compare((), asked, echo, differences)
    return differences


def _compare(path: tuple[str, ...], asked: Any, echo: Any, out: Differences) -> None:
    if isinstance(asked, dict) and isinstance(echo, dict):
        for key, value in asked.items():
            _compare((*path, key), value, echo.get(key, MISSING), out)
        return
    if _same(asked, echo):
        return
    got = "nothing" if echo is MISSING else _show(path, echo)
    sentence = f"the server has {got} for session.{'.'.join(path)} where {_show(path, asked)} was asked"
    grave = any(path[: len(p)] == p or p[: len(path)] == path for p in GRAVE_PATHS)
    # An echo that leaves a field out says nothing about it; one that names another value does.
    (out.grave if grave and echo is not MISSING else out.minor).append(sentence)


def _show(path: tuple[str, ...], value: Any) -> str:
    # A prompt or keyword may be somebody's words: those are never quoted.
    return "another value" if path[-1:] in (("prompt",), ("keywords",)) else show_value(value)


def _same(asked: Any, echo: Any) -> bool:
    if asked in (None, [], "") and echo in (None, [], "", MISSING):
        return True
    if isinstance(asked, float) and isinstance(echo, (int, float)):
        return abs(asked - echo) < 1e-6
    return bool(asked == echo)


def config_error(error: ServerError) -> ClientError:
    """What to tell the user when the server discards our configuration."""
    field_name = f" (field {error.param})" if error.param else ""
    reason = (error.message or error.code).rstrip(".")
    return ClientError(
        "config_refused",
        f"the server refused the session's configuration{field_name}: {reason}. "
        "Change that property; until then no text can come",
        vendor_code=error.code,
        vendor_message=error.message,
    )
