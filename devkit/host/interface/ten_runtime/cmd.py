"""Commands: messages that are answered."""

from __future__ import annotations

from ._content import CmdContent
from .msg import Msg


class Cmd(Msg):
    """A named command."""

    _content: CmdContent

    @classmethod
    def create(cls, name: str) -> Cmd:
        return cls._wrap(CmdContent(name))

    def clone(self) -> Cmd:
        return type(self)._wrap(self._content.clone())
