"""Writes bytes to a file, for listening to them later."""

from __future__ import annotations

import asyncio
import os
from typing import BinaryIO


class Dumper:
    """*dump_file_path* needs a folder in it: a bare file name fails, as it does with ten_ai_base."""

    def __init__(self, dump_file_path: str) -> None:
        self.dump_file_path = dump_file_path
        self._file: BinaryIO | None = None

    async def start(self) -> None:
        """Make the folder and open the file, emptied. Does nothing when it is open. Raises OSError."""
        if self._file is None:
            os.makedirs(os.path.dirname(self.dump_file_path), exist_ok=True)
            self._file = await asyncio.to_thread(open, self.dump_file_path, "wb")

    async def push_bytes(self, data: bytes) -> None:
        """Append *data*. Raises RuntimeError before :meth:`start`."""
        if self._file is None:
            raise RuntimeError(f"dumper for {self.dump_file_path} is not started")
        await asyncio.to_thread(self._file.write, data)

    async def stop(self) -> None:
        """Close the file; once is enough."""
        file, self._file = self._file, None
        if file is not None:
            await asyncio.to_thread(file.close)
