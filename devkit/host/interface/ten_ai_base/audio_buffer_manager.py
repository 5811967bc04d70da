"""Collects audio until there is enough of it to be worth sending."""

from __future__ import annotations

import asyncio
from typing import Any


class AudioBufferManager:
    """For one consumer: chunks of *threshold* bytes, at most *max_buffer_size* bytes waiting."""

    def __init__(self, threshold: int = 1280, max_buffer_size: int = 100 * 1024 * 1024, logger: Any = None) -> None:
        self.threshold = threshold
        self.max_buffer_size = max_buffer_size
        self.logger = logger
        self._buffer = bytearray()
        self._closed = False
        self._changed = asyncio.Condition()

    async def push_audio(self, data: bytes) -> None:
        """Append *data*. Raises ValueError when it does not fit."""
        async with self._changed:
            if len(self._buffer) + len(data) > self.max_buffer_size:
                raise ValueError(f"audio buffer is full: {self.max_buffer_size} bytes")
            self._buffer += data
            self._changed.notify_all()

    async def pull_chunk(self) -> bytes:
        """Wait for *threshold* bytes and take them; after :meth:`close` what is left, then ``b""``."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or len(self._buffer) >= self.threshold)
            chunk = bytes(self._buffer[: self.threshold])
            del self._buffer[: self.threshold]
            return chunk

    def close(self) -> None:
        """No more audio comes."""
        self._closed = True
        # Waiters look again at their next notification; one is due now, and only the loop may give it.
        asyncio.get_running_loop().create_task(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def get_buffer_info(self) -> dict[str, Any]:
        """Return how full the buffer is."""
        return {"size": len(self._buffer), "threshold": self.threshold, "max_size": self.max_buffer_size}
