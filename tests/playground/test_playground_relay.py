"""The way to the server that can be cut: it leads where it should and nowhere else, and a cut is a cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from ten_packages.extension.openai_asr_python.devkit.playground.relay import Relay

pytestmark = pytest.mark.socket

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    """Says back what it hears; its port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[Relay]:
    relay = Relay("127.0.0.1", port)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


async def ask(relay: Relay, line: str) -> tuple[str, Streams]:
    """What the relay answers to a first line, and the connection."""
    streams = await asyncio.open_connection("127.0.0.1", urlsplit(relay.url).port)
    streams[1].write(f"{line}\r\nHost: any\r\n\r\n".encode())
    head = await asyncio.wait_for(streams[0].readuntil(b"\r\n\r\n"), 10)
    return head.decode().partition("\r\n")[0], streams


async def test_it_leads_to_its_server() -> None:
    async with echo_server() as port, relay_to(port) as relay:
        answer, (reader, writer) = await ask(relay, f"CONNECT 127.0.0.1:{port} HTTP/1.1")
        assert answer.split()[1] == "200"
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 10) == b"hello"
        writer.close()


@pytest.mark.parametrize(
    "line",
    ["CONNECT example.com:443 HTTP/1.1", "CONNECT 127.0.0.1:1 HTTP/1.1", "GET http://127.0.0.1/ HTTP/1.1", "x", ""],
)
async def test_it_leads_nowhere_else(line: str) -> None:
    async with echo_server() as port, relay_to(port) as relay:
        answer, (reader, writer) = await ask(relay, line)
        assert answer.split()[1] == "403"
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_server_that_is_not_there_is_told() -> None:
    async with echo_server() as port:
        pass
    async with relay_to(port) as relay:
        answer, (_, writer) = await ask(relay, f"CONNECT 127.0.0.1:{port} HTTP/1.1")
        assert answer.split()[1] == "502"
        writer.close()


async def test_a_cut_resets_what_is_open_and_lets_nothing_new_through_for_its_time() -> None:
    async with echo_server() as port, relay_to(port) as relay:
        line = f"CONNECT 127.0.0.1:{port} HTTP/1.1"
        _, (reader, writer) = await ask(relay, line)
        assert relay.cut(seconds=30) == 1
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 10)
        writer.close()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await ask(relay, line)
        assert relay.cut() == 0  # nothing was open, and the way is free again
        answer, (_, writer) = await ask(relay, line)
        assert answer.split()[1] == "200"
        writer.close()


async def test_a_stop_ends_what_is_open() -> None:
    async with echo_server() as port:
        relay = Relay("127.0.0.1", port)
        await relay.start()
        _, (reader, writer) = await ask(relay, f"CONNECT 127.0.0.1:{port} HTTP/1.1")
        await relay.stop()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
