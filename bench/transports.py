"""What a frame, a message and a dial cost on each WebSocket library: `python bench/transports.py [--rounds N]`.

Prints CPU time, medians of interleaved rounds in one process, against one server in another: a frame of 20 ms (1.3 KB)
sent flat out and in its time, a received message of 200 bytes, a dial, and what an idle connection keeps in memory.
A library that is not installed is left out; `pip install aiohttp` adds that.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import importlib.util
import logging
import os
import re
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections import deque
from typing import Any

import chaos_load  # noqa: F401  (makes the extension importable)

MESSAGE = b'{"type":"input_audio_buffer.append","audio":"%b"}' % base64.b64encode(os.urandom(960))
HEARD = b"\x81\x7e" + (200).to_bytes(2, "big") + b"x" * 200
FLAT, STREAMS, PACED_S, RECEIVED, DIALS = 3000, 20, 0.6, 3000, 20
silent = logging.Logger("bench", level=logging.CRITICAL + 1)


class Sink(asyncio.Protocol):
    """The server: takes everything, and says as many messages as the path asks for."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.head = transport, b""

    def data_received(self, data: bytes) -> None:
        if self.head.endswith(b"\r\n\r\n"):
            return
        self.head += data
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", self.head)
        if key is None or not self.head.endswith(b"\r\n\r\n"):
            return
        accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        upgrade = b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        self.transport.write(upgrade + accept + b"\r\n\r\n")
        if wanted := re.match(rb"GET /say/(\d+)", self.head):
            self.task = asyncio.get_running_loop().create_task(self.say(int(wanted[1])))

    async def say(self, count: int) -> None:
        for _ in range(count):  # each in a packet of its own, as words come
            self.transport.write(HEARD)
            await asyncio.sleep(0)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Ours:
    """`transport.py`, as the client uses it."""

    name, full, heard = "transport.py", False, 0

    async def open(self, url: str) -> None:
        from ten_packages.extension.openai_asr_python.transport import Endpoint, dial_websocket

        self.wire = await dial_websocket(url, {}, Endpoint())
        self.wire.start(self)

    def message(self, data: bytes) -> None:
        self.heard += 1

    def writable(self) -> None:
        self.full = False

    def closed(self, code: int, reason: str) -> None:
        """Told at the end."""

    def send(self) -> Any:
        self.full = not self.wire.send(MESSAGE)

    async def close(self) -> None:
        await self.wire.close(1000, "")


class Picows:
    """picows alone."""

    name = "picows"

    async def open(self, url: str) -> None:
        import picows

        subject = self
        self.full, self.heard, self.text = False, 0, picows.WSMsgType.TEXT

        class Listener(picows.WSListener):  # type: ignore[misc]
            def on_ws_frame(self, transport: Any, frame: Any) -> None:
                frame.get_payload_as_bytes()
                subject.heard += 1

            def pause_writing(self) -> None:
                subject.full = True

            def resume_writing(self) -> None:
                subject.full = False

        self.wire, self.listener = await picows.ws_connect(Listener, url, logger_name=silent)

    def send(self) -> Any:
        self.wire.send(self.text, MESSAGE)

    async def close(self) -> None:
        self.wire.disconnect()
        await self.wire.wait_disconnected()


class Websockets:
    """websockets as its documentation uses it: a coroutine for each message."""

    name, full, heard = "websockets", False, 0

    async def open(self, url: str) -> None:
        from websockets.asyncio.client import connect

        self.wire = await connect(url, compression=None, ping_interval=None, logger=silent)
        self.reader = asyncio.get_running_loop().create_task(self.read())

    async def read(self) -> None:
        while True:
            await self.wire.recv(decode=False)
            self.heard += 1

    def send(self) -> Any:
        return self.wire.send(MESSAGE, text=True)

    async def close(self) -> None:
        self.reader.cancel()
        self.wire.transport.abort()
        await self.wire.wait_closed()


class SansIO(Websockets):
    """websockets, its sans-I/O half called in place of the coroutine (sending only)."""

    name = "websockets, sans-I/O"

    def send(self) -> Any:
        self.wire.protocol.send_text(MESSAGE)
        self.wire.send_data()
        self.full = self.wire.paused


class Aiohttp(Websockets):
    """aiohttp."""

    name = "aiohttp"

    async def open(self, url: str) -> None:
        import aiohttp

        self.session = aiohttp.ClientSession()
        self.wire: Any = await self.session.ws_connect(url, compress=0)
        self.kind = aiohttp.WSMsgType.TEXT
        self.reader = asyncio.get_running_loop().create_task(self.read())

    async def read(self) -> None:
        while True:
            await self.wire.receive()
            self.heard += 1

    def send(self) -> Any:
        return self.wire.send_frame(MESSAGE, self.kind)

    async def close(self) -> None:
        self.reader.cancel()
        await self.session.close()


async def flat(subject: Any) -> float:
    """CPU-µs of a frame flat out; the rest of the loop gets a turn after every 20."""
    began = time.thread_time()
    for number in range(FLAT):
        if (sending := subject.send()) is not None:
            await sending
        while subject.full or number % 20 == 19:
            await asyncio.sleep(0.0005 if subject.full else 0)
            number += 1
    return (time.thread_time() - began) / FLAT * 1e6


async def paced(subjects: list[Any]) -> float:
    """CPU-µs of a frame in its time: each stream sends one every 20 ms, none at the time of another."""
    loop, frames = asyncio.get_running_loop(), round(PACED_S * 50) * len(subjects)
    start, began = loop.time(), time.thread_time()
    for number in range(frames):
        await asyncio.sleep(max(0.0, start + number * 0.02 / len(subjects) - loop.time()))
        if (sending := subjects[number % len(subjects)].send()) is not None:
            await sending
    return (time.thread_time() - began) / frames * 1e6


async def received(subject: Any) -> float:
    """CPU-µs of a message that comes in a packet of its own."""
    began = time.thread_time()
    while subject.heard < RECEIVED:
        await asyncio.sleep(0.02)
    return (time.thread_time() - began) / RECEIVED * 1e6


async def opened(kind: Any, url: str) -> float:
    """CPU-µs of a dial."""
    subjects, began = [kind() for _ in range(DIALS)], time.thread_time()
    for subject in subjects:
        await subject.open(url)
    took = (time.thread_time() - began) / DIALS * 1e6
    await asyncio.gather(*(subject.close() for subject in subjects))
    return took


async def kept(kind: Any, url: str) -> float:
    """KB of Python's memory that an idle connection keeps."""
    await opened(kind, url)
    tracemalloc.start()
    subjects: deque[Any] = deque()
    for _ in range(100):
        subjects.append(kind())
        await subjects[-1].open(url)
    size = tracemalloc.get_traced_memory()[0] / len(subjects) / 1024
    tracemalloc.stop()
    await asyncio.gather(*(subject.close() for subject in subjects))
    return size


async def measure(url: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    wanted = {Picows: "picows", Ours: "websockets", SansIO: "websockets", Websockets: "websockets", Aiohttp: "aiohttp"}
    kinds = [kind for kind, package in wanted.items() if importlib.util.find_spec(package)]
    figures: dict[str, dict[str, list[float]]] = {kind.name: {} for kind in kinds}
    streams = {kind: [kind() for _ in range(STREAMS)] for kind in kinds}
    for subject in (subject for subjects in streams.values() for subject in subjects):
        await subject.open(f"{url}/take")
    for _ in range(rounds):
        for kind in kinds:
            note = figures[kind.name]
            note.setdefault("sent flat out, µs", []).append(await flat(streams[kind][0]))
            note.setdefault("sent in time, µs", []).append(await paced(streams[kind]))
            await (listening := kind()).open(f"{url}/say/{RECEIVED}")
            note.setdefault("received, µs", []).append(await received(listening))
            await listening.close()
            note.setdefault("dialled, µs", []).append(await opened(kind, f"{url}/take"))
    for subject in (subject for subjects in streams.values() for subject in subjects):
        await subject.close()
    for kind in kinds:
        figures[kind.name]["kept idle, KB"] = [await kept(kind, f"{url}/take")]
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.serve:
        asyncio.run(serve())
        return
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            figures = asyncio.run(measure(f"ws://127.0.0.1:{int(server.stdout.readline())}", given.rounds))
        finally:
            server.kill()
    columns = list(next(iter(figures.values())))
    floor = next(iter(figures.values()))
    print(f"{'':22}" + "".join(f"{column:>24}" for column in columns))
    for name, noted in figures.items():
        cells = [(statistics.median(noted[column]), statistics.median(floor[column])) for column in columns]
        print(f"{name:22}" + "".join(f"{value:>14.2f} ({value / base:>5.2f} x)" for value, base in cells))


if __name__ == "__main__":
    main()
