"""What a message carries, apart from the Python object a user holds.

Sending moves the content out of the sender's object into a new one for the receiver, so a frame costs no copy on
its way, and the sender's object is empty afterwards as TEN's is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._values import copy_value
from .loc import Loc

NOWHERE = Loc()


class Content:
    """Name, properties, addresses and buffer of one message. *kind* is the graph's word for its type."""

    __slots__ = ("buf", "dests", "locks", "name", "props", "source")
    kind = "data"

    def __init__(self, name: str) -> None:
        self.name = name
        self.props: dict[str, Any] = {}
        self.source = NOWHERE
        self.dests: list[Loc] = []
        self.buf: bytearray | None = None
        self.locks = 0

    def clone(self) -> Content:
        """Return an independent copy; locks stay with the original."""
        copy = type(self).__new__(type(self))
        self._copy_into(copy)
        return copy

    def _copy_into(self, copy: Content) -> None:
        copy.name = self.name
        copy.props = copy_value(self.props)
        copy.source = self.source
        copy.dests = list(self.dests)
        copy.buf = None if self.buf is None else bytearray(self.buf)
        copy.locks = 0


class AudioContent(Content):
    """An audio frame: the fields are whatever the sender set, 0 when it set none."""

    __slots__ = (
        "bytes_per_sample",
        "data_fmt",
        "eof",
        "line_size",
        "number_of_channels",
        "sample_rate",
        "samples_per_channel",
        "timestamp",
    )
    kind = "audio_frame"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.timestamp = 0
        self.sample_rate = 0
        self.samples_per_channel = 0
        self.bytes_per_sample = 0
        self.number_of_channels = 0
        self.data_fmt = 1
        self.line_size = 0
        self.eof = False

    def _copy_into(self, copy: Content) -> None:
        super()._copy_into(copy)
        for field in AudioContent.__slots__:
            setattr(copy, field, getattr(self, field))


class VideoContent(Content):
    """A video frame; carried, never looked into."""

    __slots__ = ("eof", "height", "pixel_fmt", "timestamp", "width")
    kind = "video_frame"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.width = 0
        self.height = 0
        self.timestamp = 0
        self.pixel_fmt = 0
        self.eof = False

    def _copy_into(self, copy: Content) -> None:
        super()._copy_into(copy)
        for field in VideoContent.__slots__:
            setattr(copy, field, getattr(self, field))


ReturnPath = Callable[["ResultContent"], bool]
"""Takes one result towards the sender of the command; False when nobody waits for it any more."""


class CmdContent(Content):
    """A command. *return_path* is where its results go, known once it was delivered."""

    __slots__ = ("return_path",)
    kind = "cmd"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.return_path: ReturnPath | None = None

    def _copy_into(self, copy: Content) -> None:
        super()._copy_into(copy)
        assert isinstance(copy, CmdContent)
        copy.return_path = self.return_path


class ResultContent(Content):
    """The answer to a command; its name is the command's."""

    __slots__ = ("completed", "final", "return_path", "status")
    kind = "cmd_result"

    def __init__(self, name: str, status: int, return_path: ReturnPath | None) -> None:
        super().__init__(name)
        self.status = status
        self.final = True
        self.completed = False
        self.return_path = return_path

    def _copy_into(self, copy: Content) -> None:
        super()._copy_into(copy)
        for field in ResultContent.__slots__:
            setattr(copy, field, getattr(self, field))
