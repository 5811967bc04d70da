"""Answers to commands."""

from __future__ import annotations

from enum import IntEnum

from ._content import ResultContent
from .cmd import Cmd
from .error import TenError
from .msg import Msg


class StatusCode(IntEnum):
    OK = 0
    ERROR = 1


class CmdResult(Msg):
    """One result of a command; a command may have several, of which one is final."""

    _content: ResultContent

    @classmethod
    def create(cls, status_code: StatusCode, target_cmd: Cmd) -> CmdResult:
        cmd = target_cmd._content
        return cls._wrap(ResultContent(cmd.name, int(status_code), cmd.return_path))

    def clone(self) -> CmdResult:
        return CmdResult._wrap(self._content.clone())

    def get_status_code(self) -> StatusCode:
        return StatusCode(self._content.status)

    def set_final(self, is_final: bool) -> TenError | None:
        """False: more results of this command follow."""
        self._content.final = bool(is_final)
        return None

    def is_final(self) -> bool:
        """True for a receiver's last result."""
        return self._content.final

    def is_completed(self) -> bool:
        """True for the last result of all receivers together."""
        return self._content.completed
