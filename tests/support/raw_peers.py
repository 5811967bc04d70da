"""Servers that speak WebSocket byte by byte, and somebody who notes what a transport tells.

Written from RFC 6455 alone: neither the product nor a WebSocket library has a part in what is sent.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from raw_serving import serving

TEXT, BINARY, CLOSE, PING, PONG, CONT = 1, 2, 8, 9, 10, 0
PATIENCE_S = 20.0


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = False) -> bytes:
    """One frame of a server; *masked* ones are against the protocol."""
    first, mask = (fin << 7) | (reserved << 4) | opcode, masked << 7
    if len(data) < 126:
        head = struct.pack("!BB", first, mask | len(data))
    elif len(data) < 65536:
        head = struct.pack("!BBH", first, mask | 126, len(data))
    else:
        head = struct.pack("!BBQ", first, mask | 127, len(data))
    return head + (bytes(4) if masked else b"") + data


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


class RawPeer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.path = ""
        self.headers: dict[str, str] = {}
        self.masks: list[bytes] = []

    async def request(self) -> None:
        """Read the request."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        self.path = first.split(" ")[1]
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    def accept(self, more: str = "", tail: bytes = b"") -> None:
        """Answer the upgrade; *tail* goes out in the same write."""
        key = self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        digest = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        answer = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{more}"
        self.writer.write(f"{answer}Sec-WebSocket-Accept: {digest}\r\n\r\n".encode() + tail)

    async def frame(self) -> tuple[int, bytes]:
        """The client's next frame, unmasked."""
        first, second = await self.reader.readexactly(2)
        assert first & 0xF0 == 0x80 and second & 0x80, "whole frames without reserved bits, masked"
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        mask = await self.reader.readexactly(4)
        self.masks.append(mask)
        data = await self.reader.readexactly(size)
        pad = mask * (size // 4 + 1)
        return first & 0x0F, (int.from_bytes(data, "big") ^ int.from_bytes(pad[:size], "big")).to_bytes(size, "big")

    def say(self, *frames: bytes) -> None:
        """Write as it is."""
        self.writer.write(b"".join(frames))

    async def gone(self) -> None:
        """Wait until the client closed, and answer that, or hung up."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (await asyncio.wait_for(self.frame(), PATIENCE_S))[0] != CLOSE:
                pass
            self.say(frame(CLOSE))
            await self.writer.drain()

    async def hung_up(self) -> None:
        """Wait until the client hung up, and answer nothing."""
        with contextlib.suppress(ConnectionError):
            while await asyncio.wait_for(self.reader.read(65536), PATIENCE_S):
                pass


Behaviour = Callable[[RawPeer], Awaitable[None]]


@contextlib.asynccontextmanager
async def raw_websocket(
    behave: Behaviour, *, tls: ssl.SSLContext | None = None, upgrade: bool = True
) -> AsyncIterator[str]:
    """URL of a server whose connections are played by *behave*, once the upgrade is done unless *upgrade* is off."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = RawPeer(reader, writer)
        await peer.request()
        if upgrade:
            peer.accept()
        await behave(peer)

    async with serving(talk, tls) as port:
        yield f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/v1/realtime"


class Noted:
    """A receiver that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.news: list[Any] = []
        "Messages as bytes, `pong`, `writable`, and (code, reason)."
        self._arrived = asyncio.Event()

    def message(self, data: bytes) -> None:
        self._note(data)

    def pong(self) -> None:
        self._note("pong")

    def writable(self) -> None:
        self._note("writable")

    def closed(self, code: int, reason: str) -> None:
        self._note((code, reason))

    def _note(self, news: Any) -> None:
        self.news.append(news)
        self._arrived.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Return once *condition* holds; it is asked again after each piece of news."""

        async def watch() -> None:
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()

        await asyncio.wait_for(watch(), PATIENCE_S)

    async def end(self) -> tuple[int, str]:
        """How the connection ended, which is the last that is told."""
        await self.until(lambda: self.news and isinstance(self.news[-1], tuple))
        ended: tuple[int, str] = self.news[-1]
        return ended
