"""TEN's log calls, carried by Python's ``logging`` under the logger name ``ten``.

A record keeps TEN's ``category`` and ``fields`` as attributes and names its node in ``ten_extension``.
"""

from __future__ import annotations

import logging
from typing import Any

from .error import TenError, TenErrorCode
from .log_level import LogLevel
from .log_option import LogOption
from .value import Value

logger = logging.getLogger("ten")

_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}
_NAMES = {"off": logging.CRITICAL + 1, "debug": 10, "info": 20, "warn": 30, "error": 40}


def write(
    level: LogLevel,
    message: str,
    category: str | None,
    fields: Value | dict[str, Any] | None,
    option: LogOption,
    node: str,
) -> TenError | None:
    """Write one record. Raises TypeError for a message that is no text."""
    if not isinstance(message, str):
        raise TypeError(f"log message must be str, not {type(message).__name__}")
    number = _LEVELS.get(LogLevel(level))
    if number is None:
        return TenError.create(TenErrorCode.ErrorCodeInvalidArgument, f"no log level {level!r}")
    if logger.isEnabledFor(number):
        plain = None if fields is None else Value.from_python(fields).to_python()
        extra = {"category": category, "fields": plain, "ten_extension": node}
        # TEN counts from its internal logger, two frames below the caller of log_info(); logging from ours, four.
        logger.log(number, message, stacklevel=option.skip + 2, extra=extra)
    return None


def note(level: int, message: str, node: str = "", error: BaseException | None = None) -> None:
    """Write a record of the host's own, at a level of ``logging``, with the traceback of *error*."""
    extra = {"category": None, "fields": None, "ten_extension": node}
    logger.log(level, message, stacklevel=2, extra=extra, exc_info=error)


def configure(log_config: Any) -> None:
    """Take the lowest level of a TEN log configuration as ours; where records go is up to ``logging``."""
    levels = [
        _NAMES[matcher["level"]]
        for handler in (log_config or {}).get("handlers", ())
        for matcher in handler.get("matchers", ())
        if matcher.get("level") in _NAMES
    ]
    if levels:
        logger.setLevel(min(levels))
