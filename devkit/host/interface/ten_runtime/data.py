"""Data messages: properties and an optional buffer."""

from __future__ import annotations

from ._buffer import BufferMsg
from ._content import Content


class Data(BufferMsg):
    """A named data message."""

    @classmethod
    def create(cls, name: str) -> Data:
        return cls._wrap(Content(name))

    def clone(self) -> Data:
        return Data._wrap(self._content.clone())
