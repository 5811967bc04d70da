"""The WebSocket transport, frame by frame: what a server may say, what it may not, and how each connection ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from client_peers import tidy
from raw_peers import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Noted,
    RawPeer,
    close_frame,
    frame,
    raw_websocket,
)
from ten_packages.extension.openai_asr_python import transport as module
from ten_packages.extension.openai_asr_python.transport import Endpoint, Transport, dial_websocket

pytestmark = pytest.mark.socket


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    async with tidy():
        yield


async def started(url: str) -> tuple[Transport, Noted]:
    transport, noted = await dial_websocket(url, {"Authorization": "Bearer sk-canary"}, Endpoint()), Noted()
    transport.start(noted)
    return transport, noted


async def told(*frames: bytes) -> list[Any]:
    """All that is told of a server that says *frames* and hangs up, once its client has answered or gone."""

    async def behave(peer: RawPeer) -> None:
        peer.say(*frames)
        await peer.writer.drain()
        if frames[-1][0] & 0x0F == CLOSE:
            await peer.frame()
        else:
            peer.writer.write_eof()
            await peer.gone()

    async with raw_websocket(behave) as url:
        _, noted = await started(url)
        await noted.end()
    return noted.news


# What is said ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
async def test_frames_of_every_length_go_both_ways(size: int) -> None:
    data = bytes(number % 101 for number in range(size))

    async def behave(peer: RawPeer) -> None:
        for _ in range(2):
            opcode, heard = await peer.frame()
            assert opcode == TEXT
            peer.say(frame(TEXT, heard))
        await peer.gone()

    async with raw_websocket(behave) as url:
        transport, noted = await started(url)
        transport.send(data)
        transport.send(data)
        await noted.until(lambda: len(noted.news) >= (4 if "writable" in noted.news else 2))
        await transport.close(1000, "")
    assert [news for news in noted.news if news != "writable"] == [data, data]


async def test_a_frame_is_written_at_once() -> None:
    """Not in a task, and not in the next round of the loop: `send` is the write."""

    async def behave(peer: RawPeer) -> None:
        await peer.gone()

    async with raw_websocket(behave) as url:
        transport, _ = await started(url)
        connection = transport._connection  # type: ignore[attr-defined]
        sent: list[bytes] = []

        class Watched:
            write = staticmethod(sent.append)

        real, connection.transport = connection.transport, Watched()
        assert transport.send(b"x" * 200)
        assert len(sent) == 1 and len(sent[0]) == 200 + 8
        connection.transport = real
        await transport.close(1000, "")


async def test_every_frame_has_a_mask_of_its_own() -> None:
    done = asyncio.Event()
    masks: list[bytes] = []

    async def behave(peer: RawPeer) -> None:
        for _ in range(300):
            assert await peer.frame() == (TEXT, b"hello")
        masks.extend(peer.masks)
        done.set()
        await peer.gone()

    async with raw_websocket(behave) as url:
        transport, _ = await started(url)
        for _ in range(300):
            transport.send(b"hello")
        await asyncio.wait_for(done.wait(), 20)
        await transport.close(1000, "")
    assert len(set(masks)) > 295


async def test_fragments_are_one_message_with_pings_between() -> None:
    news = await told(
        frame(TEXT, b"a", fin=False),
        frame(PING, b"now?"),
        frame(CONT, b"", fin=False),
        frame(CONT, "ä".encode()[:1], fin=False),
        frame(CONT, "ä".encode()[1:]),
        frame(BINARY, b"\xff", fin=False),
        frame(CONT, b"\xfe"),
        close_frame(1000, b"bye"),
    )
    assert news == ["aä".encode(), b"\xff\xfe", (1000, "bye")]


async def test_pings_are_answered_and_pongs_told_in_order() -> None:
    async def behave(peer: RawPeer) -> None:
        peer.say(frame(PING, b"hello"), frame(PONG, b"nobody asked"))
        assert await peer.frame() == (PONG, b"hello")
        pings = [await peer.frame() for _ in range(3)]
        assert [opcode for opcode, _ in pings] == [PING] * 3
        peer.say(frame(PONG, pings[0][1]), frame(TEXT, b"between"), frame(PONG, pings[2][1]))
        await peer.gone()

    async with raw_websocket(behave) as url:
        transport, noted = await started(url)
        for _ in range(3):
            transport.ping()
        await noted.until(lambda: noted.news.count("pong") == 3)
        await transport.close(1000, "")
    assert noted.news == ["pong", b"between", "pong", "pong"], "a pong answers the pings before it as well"


async def test_what_comes_before_start_is_told_first_and_bounded() -> None:
    messages = [b"%d" % number + bytes(64 * 1024) for number in range(400)]
    written = asyncio.Event()

    async def behave(peer: RawPeer) -> None:
        for data in messages:
            peer.say(frame(BINARY, data))
            await peer.writer.drain()
        written.set()
        peer.say(close_frame(1000))
        await peer.gone()

    async with raw_websocket(behave) as url:
        transport = await dial_websocket(url, {}, Endpoint())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(written.wait(), 0.3)
        assert len(transport._backlog) <= module.MAX_MESSAGES  # type: ignore[attr-defined]
        noted = Noted()
        transport.start(noted)
        assert noted.news == messages[: len(noted.news)] != []
        await noted.end()
    assert noted.news == [*messages, (1000, "")]


async def test_messages_in_the_packet_of_the_upgrade_are_told() -> None:
    async def behave(peer: RawPeer) -> None:
        peer.accept(tail=frame(TEXT, b"first") + frame(TEXT, b"second") + close_frame(1013, b"busy"))
        await peer.gone()

    async with raw_websocket(behave, upgrade=False) as url:
        transport = await dial_websocket(url, {}, Endpoint())
        await asyncio.sleep(0.05)
        noted = Noted()
        transport.start(noted)
        assert noted.news[:2] == [b"first", b"second"]
        assert await noted.end() == (1013, "busy")


async def test_a_flood_leaves_the_loop_to_others() -> None:
    """A megabyte that is there at once is told in pieces, with everybody else's turns between."""
    count = 20_000

    async def behave(peer: RawPeer) -> None:
        peer.say(frame(TEXT, b"x" * 50) * count, close_frame(1000))
        await peer.gone()

    longest = 0

    async def somebody_else() -> None:
        nonlocal longest
        seen = len(noted.news)
        while not (noted.news and noted.news[-1] == (1000, "")):
            await asyncio.sleep(0)
            longest, seen = max(longest, len(noted.news) - seen), len(noted.news)

    async with raw_websocket(behave) as url:
        _, noted = await started(url)
        await asyncio.wait_for(somebody_else(), 20)
    assert len(noted.news) == count + 1
    assert longest < 400, "some 20 KB of messages"


async def test_what_was_read_is_told_before_the_end_however_sudden() -> None:
    count = 1500

    class Unlucky(Noted):
        def message(self, data: bytes) -> None:
            super().message(data)
            if len(self.news) == 1:
                wire._connection.transport.abort()  # type: ignore[attr-defined]

    async def behave(peer: RawPeer) -> None:
        await peer.hung_up()

    async with raw_websocket(behave) as url:
        wire, noted = await dial_websocket(url, {}, Endpoint()), Unlucky()
        wire.start(noted)
        wire._connection.data_received(frame(TEXT, b"x" * 50) * count)  # type: ignore[attr-defined]
        await noted.end()
    assert noted.news == [b"x" * 50] * count + [(1006, "")]


# How it ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "end"),
    [
        (close_frame(1000), (1000, "")),
        (close_frame(1001, b"going away"), (1001, "going away")),
        (close_frame(1008, b"policy"), (1008, "policy")),
        (close_frame(1011, "Über".encode()), (1011, "Über")),
        (close_frame(3000, b"invalid_request_error.invalid_api_key"), (3000, "invalid_request_error.invalid_api_key")),
        (close_frame(4999), (4999, "")),
        (frame(CLOSE), (1005, "")),
        (frame(TEXT, b"last words"), (1006, "")),
    ],
)
async def test_the_code_and_the_reason_of_the_peer(last: bytes, end: tuple[int, str]) -> None:
    assert (await told(frame(TEXT, b"x"), last))[-1] == end


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (close_frame(1000, b"\xff\xfe"), 1007),
        (close_frame(1005), 1002),
        (close_frame(999), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(TEXT, b"x", masked=True), 1002),
        (frame(TEXT, b"x", reserved=4), 1002),
        (frame(TEXT, b"x", reserved=1), 1002),
        (frame(3, b"x"), 1002),
        (frame(11, b"x"), 1002),
        (frame(CONT, b"x"), 1002),
        (frame(PING, b"x", fin=False), 1002),
        (frame(PING, bytes(126)), 1002),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
        (frame(TEXT, b"{\xff}"), 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"("), 1007),
    ],
)
async def test_what_breaks_the_protocol_ends_the_connection(wrong: bytes, code: int) -> None:
    """The peer is told the code, and so is the receiver; nothing behind the fault is believed."""
    said: list[bytes] = []

    async def behave(peer: RawPeer) -> None:
        peer.say(frame(TEXT, b"good"), wrong, frame(TEXT, b"never"))
        said.append((await peer.frame())[1])

    async with raw_websocket(behave) as url:
        _, noted = await started(url)
        ended = await noted.end()
    assert ended[0] == code and noted.news[:-1] == [b"good"]
    assert int.from_bytes(said[0][:2], "big") == code


@pytest.mark.parametrize("fragments", [1, 5])
async def test_a_message_that_is_too_large_is_not_kept(fragments: int) -> None:
    part = frame(TEXT, bytes(module.MAX_MESSAGE_BYTES + 1))[:10]
    if fragments > 1:
        size = module.MAX_MESSAGE_BYTES // 4
        part = frame(TEXT, bytes(size), fin=False) + frame(CONT, bytes(size), fin=False) * 3 + frame(CONT, b"x")

    async def behave(peer: RawPeer) -> None:
        peer.say(part)
        assert (await peer.frame())[0] == CLOSE, "told at once, not when all of it has come"

    async with raw_websocket(behave) as url:
        _, noted = await started(url)
        assert (await noted.end())[0] == 1009
    assert len(noted.news) == 1


async def test_the_largest_message_we_take() -> None:
    news = await told(frame(TEXT, bytes(module.MAX_MESSAGE_BYTES)), close_frame(1000))
    assert [len(news[0]), news[1]] == [module.MAX_MESSAGE_BYTES, (1000, "")]


@pytest.mark.parametrize("last", [close_frame(1000, b"done"), frame(3)])
async def test_a_peer_that_says_the_end_and_stays_is_left(last: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.05)

    async def behave(peer: RawPeer) -> None:
        peer.say(last)
        assert (await peer.frame())[0] == CLOSE
        await peer.hung_up()

    async with raw_websocket(behave) as url:
        transport, noted = await started(url)
        assert await noted.end() == ((1000, "done") if last[0] == 0x88 else (1002, noted.news[-1][1]))
        assert transport.send(b"too late") and len(noted.news) == 1
        transport.ping()


async def test_a_receiver_that_fails_ends_the_connection_and_its_words_go_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Faulty(Noted):
        def message(self, data: bytes) -> None:
            super().message(data)
            raise ValueError("sk-canary heard " + data.decode())

        def closed(self, code: int, reason: str) -> None:
            super().closed(code, reason)
            raise KeyError("sk-canary again")

    async def behave(peer: RawPeer) -> None:
        peer.say(frame(TEXT, b"one"), frame(TEXT, b"two"))
        await peer.gone()

    caplog.set_level(logging.DEBUG)
    async with raw_websocket(behave) as url:
        noted = Faulty()
        (await dial_websocket(url, {}, Endpoint())).start(noted)
        assert await noted.end() == (1006, "ValueError")
    assert noted.news == [b"one", (1006, "ValueError")]
    assert "ValueError" in caplog.text and "KeyError" in caplog.text and "canary" not in caplog.text
