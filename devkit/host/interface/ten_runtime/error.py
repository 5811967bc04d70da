"""Errors as TEN reports them: returned beside a value, hardly ever raised."""

from __future__ import annotations

from enum import IntEnum


class TenErrorCode(IntEnum):
    """The codes TEN's Python binding names. The runtime has more (a missing value, for one)."""

    ErrorCodeGeneric = 1
    ErrorCodeInvalidJSON = 2
    ErrorCodeInvalidArgument = 3
    ErrorCodeInvalidType = 4
    ErrorCodeInvalidGraph = 5
    ErrorCodeTenIsClosed = 6
    ErrorCodeMsgNotConnected = 7
    ErrorCodeTimeout = 8


# The runtime answers a missing property with a code its Python enum does not list; callers treat any error alike.
VALUE_NOT_FOUND = 9


class TenError:
    """One failed call. Made by :meth:`create` only, as in TEN."""

    _code: int
    _message: str

    def __init__(self) -> None:
        raise NotImplementedError("use TenError.create(error_code, error_message)")

    @classmethod
    def create(cls, error_code: TenErrorCode | int, error_message: str | None = None) -> TenError:
        """Return an error; *error_message* defaults to an empty text."""
        error = cls.__new__(cls)
        error._code = int(error_code)
        error._message = error_message or ""
        return error

    def error_code(self) -> int:
        return self._code

    def error_message(self) -> str:
        return self._message

    def __str__(self) -> str:
        return f"{self._message} (code {self._code})"

    def __repr__(self) -> str:
        return f"TenError(code={self._code}, message={self._message!r})"


class HostError(RuntimeError):
    """What makes the real runtime end the process; the embedded host raises it instead.

    The message names the extension and the hook; the original exception is the ``__cause__``.
    """
