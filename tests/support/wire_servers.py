"""Servers for tests that must misbehave: each connection is played by a coroutine of the test.

    async def behaviour(peer: Peer) -> None:
        await peer.configure()
        await peer.heard("input_audio_buffer.commit")
        await peer.say({"type": "error", "error": {"type": "server_error", "code": None, "message": "oops"}})

    with FakeServer(behaviour) as server:
        ...

Written from the protocol alone; nothing of the product is imported here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Json = dict[str, Any]
APPEND = "input_audio_buffer.append"
COMMIT = "input_audio_buffer.commit"
TRANSCRIPTION = "conversation.item.input_audio_transcription."
_PATIENCE_S = 40.0
# The library logs whole frames and headers at DEBUG; what this server hears is not what the extension logs.
_silent = logging.Logger("wire_servers", level=logging.CRITICAL + 1)


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.received: list[Json] = []
        self.path = socket.request.path if socket.request else ""
        self.headers = dict(socket.request.headers.raw_items()) if socket.request else {}
        self.close_code: int | None = None
        "How the connection ended; None while it lives."
        self._items = 0
        self._news = asyncio.Condition()

    async def read(self) -> None:
        """Keep everything the client says, until the connection ends."""
        with contextlib.suppress(ConnectionClosed):
            async for frame in self.socket:
                async with self._news:
                    self.received.append(json.loads(frame))
                    self._news.notify_all()
        self.close_code = self.socket.protocol.close_code
        async with self._news:
            self._news.notify_all()

    async def until(self, what: str, ready: Callable[[], Any]) -> Any:
        """Wait until *ready* gives something true, asked after each message."""

        async def wait() -> Any:
            async with self._news:
                while not (value := ready()):
                    if self.close_code is not None:
                        raise ConnectionResetError(f"the client went before {what}")
                    await self._news.wait()
                return value

        return await asyncio.wait_for(wait(), _PATIENCE_S)

    def all(self, kind: str) -> list[Json]:
        """Messages of one type so far."""
        return [message for message in self.received if message["type"] == kind]

    async def heard(self, kind: str, count: int = 1) -> Json:
        """Wait for the *count*-th message of a type, and return it."""
        message: Json = await self.until(kind, lambda: self.all(kind)[count - 1 : count])
        return message[0]  # type: ignore[no-any-return]

    @property
    def audio(self) -> bytes:
        """Everything appended so far, as raw wire bytes."""
        return b"".join(base64.b64decode(message["audio"]) for message in self.all(APPEND))

    async def heard_audio(self, wire_bytes: int) -> None:
        """Wait until that much audio has come."""
        await self.until(f"{wire_bytes} bytes of audio", lambda: len(self.audio) >= wire_bytes)

    async def say(self, *events: Json | str | bytes) -> None:
        """Send events; text and bytes go as they are."""
        for event in events:
            await self.socket.send(json.dumps(event) if isinstance(event, dict) else event)

    async def configure(self, **changes: Any) -> Json:
        """Create the session, take the client's configuration, and echo it (*changes*: to the echo's top level)."""
        await self.say({"type": "session.created", "event_id": "event_1", "session": {"type": "transcription"}})
        update = await self.heard("session.update")
        await self.say({"type": "session.updated", "event_id": "event_2", "session": {**update["session"], **changes}})
        session: Json = update["session"]
        return session

    def new_item(self) -> str:
        """An id for the next item."""
        self._items += 1
        return f"item_{id(self) % 10_000}_{self._items}"

    async def committed(self, item: str, previous: str | None = None) -> None:
        await self.say({"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": previous})

    async def delta(self, item: str, text: str) -> None:
        await self.say({"type": TRANSCRIPTION + "delta", "item_id": item, "content_index": 0, "delta": text})

    async def completed(self, item: str, text: str, **more: Any) -> None:
        event = {"type": TRANSCRIPTION + "completed", "item_id": item, "content_index": 0, "transcript": text}
        await self.say({**event, **more})

    async def transcribe(self, text: str, commit: int = 1) -> str:
        """Wait for the *commit*-th commit of this connection, and make an item with *text* of it."""
        await self.heard(COMMIT, commit)
        item = self.new_item()
        await self.committed(item)
        await self.completed(item, text)
        return item

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)

    def abort(self) -> None:
        """End the connection without a word."""
        self.socket.transport.abort()


Behaviour = Callable[[Peer], Awaitable[None]]


class FakeServer:
    """Plays the behaviours, one a connection; the last one plays all that follow. *refuse*: HTTP status per dial."""

    def __init__(self, *behaviours: Behaviour, refuse: Callable[[int], int | None] = lambda dial: None) -> None:
        self.peers: list[Peer] = []
        self.dials = 0
        self.faults: list[BaseException] = []
        "What behaviours raised: asserted to be nothing when the server stops."
        self._behaviours = behaviours
        self._refuse = refuse
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake-server", daemon=True)
        self._started = threading.Event()
        self._stop: asyncio.Event | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> FakeServer:
        self._thread.start()
        assert self._started.wait(_PATIENCE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE_S)
        assert not self._thread.is_alive()
        if error is None:
            assert not self.faults, self.faults

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server: Server = await serve(
            self._connection,
            "127.0.0.1",
            0,
            process_request=self._process_request,
            compression=None,
            max_size=None,
            ping_interval=None,
            close_timeout=0.5,
            logger=_silent,
        )
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        await server.wait_closed()

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.dials += 1
        status = self._refuse(self.dials)
        return None if status is None else connection.respond(status, "no\n")

    async def _connection(self, socket: ServerConnection) -> None:
        peer = Peer(socket)
        self.peers.append(peer)
        behaviour = self._behaviours[min(len(self.peers), len(self._behaviours)) - 1]
        reader = asyncio.create_task(peer.read())
        try:
            await behaviour(peer)
        except (ConnectionClosed, ConnectionResetError):
            pass
        except (Exception, AssertionError) as error:
            self.faults.append(error)
        await reader


async def mute(peer: Peer) -> None:
    """Accepts the connection and never says anything."""


async def configured_and_mute(peer: Peer) -> None:
    """Configures the session and never says anything more."""
    await peer.configure()


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """URL of a port that completes no handshake: the kernel accepts, nobody answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/v1"


@contextlib.contextmanager
def dead_port() -> Iterator[str]:
    """URL of a port that refuses connections; nobody else gets it meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{holder.getsockname()[1]}/v1"
