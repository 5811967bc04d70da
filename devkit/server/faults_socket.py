"""A server's socket that can be told to misbehave."""

from __future__ import annotations

import asyncio
import socket as sockets
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

from .work import Abort, Freeze, PauseReading, RawFrame, WireAction

_SMALL_BUFFER = 16 * 1024
"Bytes of audio that the kernel keeps for us while we do not read; by itself it would take megabytes."


class FaultySocket:
    """Sends frames, and does what is no server's business. For the loop of the socket alone."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._read_at = 0.0
        self._narrow = False
        self.frozen = False
        "Half-open: nothing is read or written any more."

    @property
    def reading(self) -> bool:
        """Whether frames of the peer may be read now."""
        return not self.frozen and self._read_at <= self._loop.time()

    async def send(self, entry: bytes | WireAction) -> None:
        """A TEXT frame, or what else is to happen. Raises ConnectionClosed."""
        if self.frozen:
            return
        if isinstance(entry, bytes):
            await self._socket.send(entry, text=True)
        elif isinstance(entry, RawFrame):
            await self._socket.send(entry.data)
        elif isinstance(entry, Abort):
            self._abort(entry)
        elif isinstance(entry, Freeze):
            self._freeze()
        elif isinstance(entry, PauseReading):
            self._pause(entry.seconds)
        else:
            self._ignore_pings()

    def abort(self) -> None:
        """Cut TCP, without a CLOSE frame."""
        self._socket.transport.abort()

    async def close(self, code: int, reason: str) -> None:
        """Send a CLOSE frame and wait for the peer's, unless half-open."""
        if not self.frozen:
            await self._socket.close(code, reason)

    async def ready_to_read(self, closed: asyncio.Task[None]) -> None:
        """Return when the next frame may be read, or the socket is *closed*."""
        while not closed.done():
            wait = None if self.frozen else self._read_at - self._loop.time()
            if wait is not None and wait <= 0:
                return
            await asyncio.wait([closed], timeout=wait)

    def _abort(self, how: Abort) -> None:
        if how.inside is not None:
            frame = Frame(Opcode.TEXT, msgspec.json.encode(how.inside)).serialize(mask=False)
            self._socket.transport.write(frame[: len(frame) // 2])
        self.abort()

    def _freeze(self) -> None:
        self.frozen = True
        self._socket.transport.pause_reading()
        # Else the library would miss our pongs and close.
        keepalive: asyncio.Task[None] | None = getattr(self._socket, "keepalive_task", None)
        if keepalive is not None:
            keepalive.cancel()

    def _pause(self, seconds: float) -> None:
        self._read_at = max(self._read_at, self._loop.time() + seconds)
        if not self._narrow:
            self._narrow = True
            raw = self._socket.transport.get_extra_info("socket")
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, _SMALL_BUFFER)

    def _ignore_pings(self) -> None:
        protocol: Any = self._socket.protocol
        send_frame = protocol.send_frame

        def send_all_but_pongs(frame: Frame) -> None:
            if frame.opcode is not Opcode.PONG:
                send_frame(frame)

        # The library answers pings by itself, and has no switch for it.
        protocol.send_frame = send_all_but_pongs
