"""Buffers of data and frames: allocated, locked to write, copied to read."""

from __future__ import annotations

import ctypes

from .msg import Msg


class BufferMsg(Msg):
    """A message with one memory buffer."""

    def alloc_buf(self, size: int) -> None:
        """Give the message *size* zero bytes. Raises ValueError unless *size* is positive."""
        if size <= 0:
            raise ValueError(f"buffer size must be positive, not {size}")
        self._content.buf = bytearray(size)

    def lock_buf(self) -> memoryview:
        """Return a writable view of the message's memory. Raises RuntimeError when none was allocated.

        The message cannot be sent until :meth:`unlock_buf` was called as often as this.
        """
        content = self._content
        if content.buf is None:
            raise RuntimeError(f"message {content.name!r} has no buffer to lock: call alloc_buf first")
        content.locks += 1
        return memoryview(content.buf)

    def unlock_buf(self, buf: memoryview) -> None:
        """End one lock. Raises ValueError for an empty view, RuntimeError when *buf* is not what was locked."""
        content = self._content
        if len(buf) == 0:
            raise ValueError("unlock_buf needs the view that lock_buf returned, not an empty one")
        if content.locks == 0 or content.buf is None:
            raise RuntimeError(f"the buffer of message {content.name!r} is not locked")
        if not _starts_at(buf, content.buf):
            raise RuntimeError(f"unlock_buf got a view that does not start where {content.name!r}'s buffer does")
        content.locks -= 1

    def get_buf(self) -> bytearray:
        """Return a copy of the buffer, empty when none was allocated."""
        buf = self._content.buf
        return bytearray() if buf is None else bytearray(buf)


def _starts_at(view: memoryview, memory: bytearray) -> bool:
    if view.obj is not memory or not view.c_contiguous:
        return False
    if view.nbytes == len(memory):
        return True
    first = ctypes.c_char.from_buffer
    return ctypes.addressof(first(view)) == ctypes.addressof(first(memory))
