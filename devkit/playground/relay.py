"""A way to the server that can be cut: an HTTP proxy on loopback, which leads to one host and port only.

The extension is told to use it as its `proxy`. So what the button of the page does to it is what a network does: its
connection is reset, and for as long as wanted no other can be made.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Coroutine

_CHUNK = 64 * 1024
_HEAD_SECONDS = 10.0
_RESET = struct.pack("ii", 1, 0)
"SO_LINGER of zero seconds: closing sends RST, not FIN."


class Relay:
    """Leads to *host* and *port*. Belongs to the event loop that starts it."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._tunnels: set[asyncio.Task[None]] = set()
        self._writers: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._out_until = 0.0
        self._stopped = False

    @property
    def url(self) -> str:
        """For the property `proxy`; once started."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def out_s(self) -> float:
        """For how long it still lets no connection through."""
        return max(0.0, self._out_until - time.monotonic())

    async def start(self) -> None:
        """Listen on a port of loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """End every connection."""
        self._stopped = True
        if self._server is not None:
            self._server.close()
        for task in self._tunnels:
            task.cancel()
        await asyncio.gather(*self._tunnels, return_exceptions=True)

    def cut(self, seconds: float = 0.0) -> int:
        """Reset every connection and refuse others for *seconds*; how many there were."""
        self._out_until = time.monotonic() + seconds
        count = sum(1 for writers in self._writers.values() if len(writers) == 2)
        for writers in self._writers.values():
            for writer in writers:
                _reset(writer)
        return count

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._stopped:  # it was accepted just before
            writer.close()
            return
        self._tunnels.add(task)
        self._writers[task] = [writer]
        try:
            await self._tunnel(reader, writer, self._writers[task])
        # An end of either side ends the other; who was there is told by its own end, nobody asks us.
        # A cancellation is `stop`; on Python 3.11 asyncio complains of a connection that ends with one.
        except (
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            asyncio.TimeoutError,
            asyncio.CancelledError,
        ):
            pass
        finally:
            self._tunnels.discard(task)
            for each in self._writers.pop(task):
                each.close()

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, writers: list[asyncio.StreamWriter]
    ) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
        if time.monotonic() < self._out_until:
            _reset(writer)
            return
        if not self._leads_there(head):
            writer.write(_refusal("403 this relay leads to one server only"))
            await writer.drain()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError as error:
            # The extension tells the status line, and nobody knows of a proxy here.
            why = error.strerror or type(error).__name__
            line = f"502 cannot connect to {self._target[0]} port {self._target[1]}: {why}"
            writer.write(_refusal(line))
            await writer.drain()
            return
        writers.append(far_writer)
        for each in writers:
            with contextlib.suppress(OSError):
                each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await _either(_copy(reader, far_writer), _copy(far_reader, writer))

    def _leads_there(self, head: bytes) -> bool:
        """Whether it asks for our host and port: `CONNECT host:port HTTP/1.1`."""
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or words[0] != "CONNECT":
            return False
        host, _, port = words[1].rpartition(":")
        return (host.strip("[]").lower(), port) == (self._target[0].lower(), str(self._target[1]))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


async def _either(*directions: Coroutine[None, None, None]) -> None:
    """Run both until one ends."""
    tasks = [asyncio.ensure_future(direction) for direction in directions]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _refusal(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode("latin-1", "replace")


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
