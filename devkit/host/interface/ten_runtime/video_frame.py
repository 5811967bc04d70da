"""Video frames: carried through graphs, never looked into."""

from __future__ import annotations

from enum import IntEnum

from ._buffer import BufferMsg
from ._content import VideoContent


class PixelFmt(IntEnum):
    RGB24 = 1
    RGBA = 2
    BGR24 = 3
    BGRA = 4
    I422 = 5
    I420 = 6
    NV21 = 7
    NV12 = 8


class VideoFrame(BufferMsg):
    """A named picture with its buffer."""

    _content: VideoContent

    @classmethod
    def create(cls, name: str) -> VideoFrame:
        return cls._wrap(VideoContent(name))

    def clone(self) -> VideoFrame:
        return VideoFrame._wrap(self._content.clone())

    def get_buf(self) -> bytearray:
        """Return a copy of the buffer. Raises SystemError when none was allocated, as TEN's frames do."""
        buf = self._content.buf
        if buf is None:
            raise SystemError(f"video frame {self.get_name()!r} has no buffer")
        return bytearray(buf)

    def get_width(self) -> int:
        return self._content.width

    def set_width(self, width: int) -> None:
        self._content.width = width

    def get_height(self) -> int:
        return self._content.height

    def set_height(self, height: int) -> None:
        self._content.height = height

    def get_timestamp(self) -> int:
        return self._content.timestamp

    def set_timestamp(self, timestamp: int) -> None:
        self._content.timestamp = timestamp

    def get_pixel_fmt(self) -> int:
        return self._content.pixel_fmt

    def set_pixel_fmt(self, pixel_fmt: PixelFmt) -> None:
        self._content.pixel_fmt = int(pixel_fmt)

    def is_eof(self) -> bool:
        return self._content.eof

    def set_eof(self, is_eof: bool) -> None:
        self._content.eof = bool(is_eof)
