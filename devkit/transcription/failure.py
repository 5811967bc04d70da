"""What ends a command with a sentence instead of a traceback, and the exit codes there are."""

from __future__ import annotations

DONE = 0
FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130


class CommandError(Exception):
    """Ends the command with exit code *code*. The message is one sentence that says what to do."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def wrong_use(message: str) -> CommandError:
    """The error of a command line that cannot mean anything: nothing was started, nothing was sent."""
    return CommandError(message, WRONG_USE)
