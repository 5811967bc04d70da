"""Proxies for tests: an HTTP one (CONNECT), with or without TLS, and a SOCKS5 one. Each notes who asked for what."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator

from raw_serving import serving


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, yes: bytes) -> None:
    there, back = await asyncio.open_connection(host, port)
    writer.write(yes)
    try:
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
    finally:
        back.transport.abort()


@contextlib.asynccontextmanager
async def http_proxy(asked: list[str], *, tls: ssl.SSLContext | None = None, user: str = "") -> AsyncIterator[int]:
    """Port of a proxy that tunnels for *user* (`name:password`), or for everybody; *asked* gets the targets."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        assert method == "CONNECT"
        asked.append(target)
        if user and f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        host, port = target.rsplit(":", 1)
        await _relay(reader, writer, host, int(port), b"HTTP/1.1 200 Connection established\r\n\r\n")

    async with serving(talk, tls) as port:
        yield port


@contextlib.asynccontextmanager
async def socks5_proxy(asked: list[str], *, user: str) -> AsyncIterator[int]:
    """Port of a SOCKS5 proxy for *user* (`name:password`)."""
    name, password = (part.encode() for part in user.split(":"))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        assert 2 in await reader.readexactly(count), "user and password"
        writer.write(b"\x05\x02")
        _, size = await reader.readexactly(2)
        given = (await reader.readexactly(size), await reader.readexactly((await reader.readexactly(1))[0]))
        if given != (name, password):
            writer.write(b"\x01\x01")
            await writer.drain()
            return
        writer.write(b"\x01\x00")
        *_, kind = await reader.readexactly(4)
        if kind == 1:
            host = ".".join(map(str, await reader.readexactly(4)))
        else:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        asked.append(f"{host}:{port}")
        await _relay(reader, writer, host, port, b"\x05\x00\x00\x01" + bytes(6))

    async with serving(talk) as port:
        yield port
