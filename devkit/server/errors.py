"""The error objects a Realtime server sends, in one place, so that every part words them the same way."""

from __future__ import annotations

from ...realtime.messages import ErrorDetails

INVALID_REQUEST = "invalid_request_error"

CLOSE_EXPIRED = 1001
CLOSE_UNAUTHORIZED = 3000
CLOSE_BAD_REQUEST = 4000

EXPIRED_MESSAGE = "Your session hit the maximum duration of 60 minutes."


class RequestRefused(Exception):
    """What the client asked for is not acceptable; nothing of it was applied."""

    def __init__(self, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def details(self, event_id: str | None = None) -> ErrorDetails:
        """The `error` object, with the client's *event_id* as an echo."""
        return invalid_request(self.code, self.message, self.param, event_id)


def invalid_request(
    code: str | None, message: str, param: str | None = None, event_id: str | None = None
) -> ErrorDetails:
    """An error that is the client's fault."""
    return ErrorDetails(type=INVALID_REQUEST, code=code, message=message, param=param, event_id=event_id)


def server_error(message: str) -> ErrorDetails:
    """An error that is the server's fault."""
    return ErrorDetails(type="server_error", message=message)


def close_reason(error: ErrorDetails) -> str:
    """Text of the CLOSE frame after a fatal *error*: its type, and its code if it has one."""
    return ".".join(str(part) for part in (error.type, error.code) if part)


def quoted_list(values: tuple[str, ...]) -> str:
    """`'a', 'b', 'c'`."""
    return ", ".join(f"'{value}'" for value in values)
