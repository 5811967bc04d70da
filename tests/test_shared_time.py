"""The clock that several threads share (tests/support/shared_time.py): what tests may rely on."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from shared_time import shared_time


def test_minutes_pass_in_a_moment_and_what_was_sent_arrives_before_time_goes_on() -> None:
    """Two loops in two threads: each message is answered at the time it was sent, though a reader is slow."""
    address: list[int] = []
    listening, over = threading.Event(), threading.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            time.sleep(0.002)  # a busy machine
            await asyncio.sleep(0.25)
            writer.write(line)
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            address.append(server.sockets[0].getsockname()[1])
            listening.set()
            while not over.is_set():
                await asyncio.sleep(1)

    async def ask() -> list[float]:
        clock = asyncio.get_running_loop().time
        reader, writer = await asyncio.open_connection("127.0.0.1", address[0])
        began, answered = clock(), []
        for _ in range(60):
            writer.write(b"hello\n")
            assert await asyncio.wait_for(reader.readline(), 0.3) == b"hello\n"
            answered.append(clock() - began)
            await asyncio.sleep(4.75)
        writer.close()
        return answered

    with shared_time() as clock:
        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            assert listening.wait(10)
            before, began = clock.now(), time.monotonic()
            answered = asyncio.run(ask())
            assert answered == pytest.approx([5 * n + 0.25 for n in range(60)], abs=1e-6)
            assert clock.now() - before == pytest.approx(300, abs=2) and time.monotonic() - began < 30
        finally:
            over.set()
            thread.join(10)
    assert not thread.is_alive()


def test_a_timeout_is_kept_to_the_microsecond() -> None:
    async def wait() -> float:
        clock = asyncio.get_running_loop().time
        began = clock()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 40)
        return clock() - began

    with shared_time():
        assert asyncio.run(wait()) == pytest.approx(40, abs=1e-6)
