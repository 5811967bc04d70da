"""WebSockets that are full, deaf, closed by us, or gone while we write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from client_peers import tidy
from raw_peers import TEXT, Noted, RawPeer, close_frame, frame, raw_websocket
from ten_packages.extension.openai_asr_python import transport as module
from ten_packages.extension.openai_asr_python.transport import Endpoint, dial_websocket

pytestmark = pytest.mark.socket


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    async with tidy():
        yield


async def test_a_peer_that_does_not_read_fills_the_buffer_and_room_is_told_once() -> None:
    go_on = asyncio.Event()
    heard: list[bytes] = []
    sent: list[bytes] = []

    async def behave(peer: RawPeer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go_on.wait()
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in sent:
            heard.append((await peer.frame())[1])
        peer.say(close_frame(1000, b"all"))
        await peer.gone()

    async with raw_websocket(behave) as url:
        transport, noted = await dial_websocket(url, {}, Endpoint()), Noted()
        transport.start(noted)
        while not sent or transport.send(sent[-1]):
            sent.append(b"%07d" % len(sent) + bytes(1300))
        waiting = transport._connection.transport.get_write_buffer_size()  # type: ignore[attr-defined]
        assert module.WRITE_BYTES < waiting <= module.WRITE_BYTES + 1400
        sent.append(b"one more")
        assert not transport.send(sent[-1]), "taken all the same"
        await asyncio.sleep(0.01)
        assert noted.news == []
        go_on.set()
        await noted.until(lambda: noted.news)
        assert noted.news == ["writable"] and transport.send(b"room")
        sent.append(b"room")
        assert await noted.end() == (1000, "all")
    assert noted.news == ["writable", (1000, "all")]
    assert heard == sent


@pytest.mark.parametrize("full", [False, True])
async def test_a_deaf_peer_is_left_in_time(full: bool) -> None:
    async def behave(peer: RawPeer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with raw_websocket(behave) as url:
        transport, noted = await dial_websocket(url, {}, Endpoint()), Noted()
        transport.start(noted)
        while full and transport.send(bytes(60_000)):
            pass
        began = time.monotonic()
        await transport.close(1000, "x" * 500)
        assert time.monotonic() - began < module.CLOSE_TIMEOUT_S + 1.0
        await asyncio.sleep(0)
        gone = transport._connection.transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert gone is None or gone.fileno() == -1
        assert transport.send(b"nobody") and noted.news == []
        await transport.close(1000, "again")


async def test_closing_says_the_code_and_the_reason_and_nothing_is_told_after_it() -> None:
    said: list[bytes] = []

    async def behave(peer: RawPeer) -> None:
        said.append((await peer.frame())[1])
        peer.say(frame(TEXT, b"late"), close_frame(1000, b"late"))
        await peer.hung_up()

    async with raw_websocket(behave) as url:
        transport, noted = await dial_websocket(url, {}, Endpoint()), Noted()
        transport.start(noted)
        await transport.close(3001, "ü" * 100)
    assert said == [(3001).to_bytes(2, "big") + ("ü" * 61).encode()] and noted.news == []


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_peer_that_goes_while_we_write(how: str, caplog: pytest.LogCaptureFixture) -> None:
    async def behave(peer: RawPeer) -> None:
        await peer.frame()
        if how == "closes":
            peer.say(close_frame(1011, b"oops"))
            await asyncio.sleep(0.01)
        peer.writer.transport.abort()

    async with raw_websocket(behave) as url:
        transport, noted = await dial_websocket(url, {}, Endpoint()), Noted()
        transport.start(noted)
        while not (noted.news and isinstance(noted.news[-1], tuple)):
            transport.send(b"x" * 1300)
            transport.ping()
            await asyncio.sleep(0)
        for _ in range(10):
            assert transport.send(b"nobody is there")
            transport.ping()
        await transport.close(1000, "")
    assert noted.news[-1] in ([(1011, "oops")] if how == "closes" else [(1006, "")])
    assert not caplog.records
