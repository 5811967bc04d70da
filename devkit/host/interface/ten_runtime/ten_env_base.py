"""What all environments share: logging in a node's name."""

from __future__ import annotations

from typing import Any

from . import _log
from .error import TenError, TenErrorCode
from .log_level import LogLevel
from .log_option import DefaultLogOption, LogOption
from .value import Value

Fields = Value | dict[str, Any] | None


class TenEnvBase:
    """Logging is synchronous and may be called from any thread; after the end it returns an error, never raises."""

    def _log_name(self) -> str | None:
        """Name for the records, None once the environment is closed."""
        return ""

    def log(
        self,
        level: LogLevel,
        msg: str,
        category: str | None = None,
        fields: Fields = None,
        option: LogOption = DefaultLogOption,
    ) -> TenError | None:
        return self._write(level, msg, category, fields, option)

    def log_debug(
        self, msg: str, category: str | None = None, fields: Fields = None, option: LogOption = DefaultLogOption
    ) -> TenError | None:
        return self._write(LogLevel.DEBUG, msg, category, fields, option)

    def log_info(
        self, msg: str, category: str | None = None, fields: Fields = None, option: LogOption = DefaultLogOption
    ) -> TenError | None:
        return self._write(LogLevel.INFO, msg, category, fields, option)

    def log_warn(
        self, msg: str, category: str | None = None, fields: Fields = None, option: LogOption = DefaultLogOption
    ) -> TenError | None:
        return self._write(LogLevel.WARN, msg, category, fields, option)

    def log_error(
        self, msg: str, category: str | None = None, fields: Fields = None, option: LogOption = DefaultLogOption
    ) -> TenError | None:
        return self._write(LogLevel.ERROR, msg, category, fields, option)

    def _write(
        self, level: LogLevel, msg: str, category: str | None, fields: Fields, option: LogOption
    ) -> TenError | None:
        name = self._log_name()
        if name is None:
            return TenError.create(TenErrorCode.ErrorCodeTenIsClosed, "logging after the end of the extension")
        return _log.write(level, msg, category, fields, option, name)
