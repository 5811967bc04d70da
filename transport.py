"""WebSockets for the client: the only file that opens sockets.

`dial_websocket` opens one; from then on everything is a plain call: `send` writes at once, and what comes is told to a
`Receiver` in the call of the event loop that read it. No task, queue or lock stands between the socket and the session.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from .realtime.endpoint import display_url
from .tls import tls_context

__all__ = ["Dialler", "Endpoint", "Key", "Receiver", "Transport", "TransportRefused", "dial_websocket"]

MAX_MESSAGE_BYTES = 1024 * 1024
"Of one message of the server: an hour of words with their probabilities fits. A larger one ends the connection."
MAX_MESSAGES = 16
"Messages of the server that may wait for us; then it is no longer read."
CLOSE_TIMEOUT_S = 0.5
"The closing handshake gets this long; then the socket is dropped. Part of the bound on the client's `stop`."
ABNORMAL_CLOSURE = 1006
"The code of a connection that ended without a close frame."

# The library prints handshake headers, the key among them, at DEBUG: it gets a logger that never writes.
_silent = logging.Logger("openai_asr_python.websockets", level=logging.CRITICAL + 1)

Key: TypeAlias = "str | Callable[[], str | Awaitable[str]] | None"


@dataclass(frozen=True)
class Endpoint:
    """Where to connect, and with what. `repr` shows no secret."""

    base_url: str = "wss://api.openai.com/v1"
    "ws, wss, http or https; `/realtime?intent=transcription` is added."
    api_key: Key = field(default=None, repr=False)
    "A key, an ephemeral secret, or a function (sync or async) asked before every connect."
    organization: str | None = None
    project: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    "URL of a proxy; None takes the environment's (websockets 15 or later)."
    ca_file: str | None = None
    "PEM file of the authorities to trust instead of the system's."
    dialect: str = "auto"
    "Kind of server: `auto`, or a name of `realtime.dialects.choice.DIALECTS`."


class TransportRefused(Exception):
    """No connection came about. `status` is the HTTP status, 0 if it did not come to HTTP."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.headers: dict[str, str] = {**(headers or {}), "reason": reason}


class Receiver(Protocol):
    """Who is told what happens on a connection. Every call is made on the loop, by the transport."""

    def message(self, data: bytes) -> None:
        """A whole message of the server."""
        ...

    def pong(self) -> None:
        """The answer to a ping: one for each, in order."""
        ...

    def writable(self) -> None:
        """There is room again, after a `send` that gave False."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """The connection ended. Once, and the last call; none after our own `close`."""
        ...


class Transport(Protocol):
    """One open WebSocket. A test may pass its own; see `tests/support/scripted.py`."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the upgrade's answer."""
        ...

    def start(self, receiver: Receiver) -> None:
        """Tell *receiver* from now on; what came since the handshake comes first."""
        ...

    def send(self, data: bytes) -> bool:
        """Write one TEXT frame. False: taken, but enough is waiting to be written; `writable` tells when there is room.

        On a connection that is gone it does nothing, and gives True.
        """
        ...

    def ping(self) -> None:
        """Write a ping; `pong` tells when it was answered."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close, within `CLOSE_TIMEOUT_S`; never raises."""
        ...


Dialler: TypeAlias = "Callable[[str, Mapping[str, str], Endpoint], Awaitable[Transport]]"


class WebSocketTransport:
    """`Transport` on the websockets library."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._receiver: Receiver | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._gone = False

    @property
    def headers(self) -> Mapping[str, str]:
        """See `Transport`."""
        response = self._socket.response
        return {} if response is None else dict(response.headers.raw_items())

    def start(self, receiver: Receiver) -> None:
        """See `Transport`."""
        self._receiver = receiver
        self._reader = asyncio.get_running_loop().create_task(self._read(receiver))

    def send(self, data: bytes) -> bool:
        """See `Transport`."""
        if self._gone or self._socket.protocol.state.name != "OPEN":
            return True
        self._socket.protocol.send_text(data)
        self._socket.send_data()
        if not self._socket.paused:
            return True
        self._spawn(self._drain())
        return False

    def ping(self) -> None:
        """See `Transport`."""
        if not self._gone:
            self._spawn(self._ping())

    async def close(self, code: int, reason: str) -> None:
        """See `Transport`."""
        self._gone = True
        for task in (*self._tasks, *([self._reader] if self._reader else [])):
            task.cancel()
        closing = asyncio.ensure_future(self._socket.close(code, reason))
        await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT_S)
        if not closing.done():
            self._socket.transport.abort()
        with contextlib.suppress(WebSocketException, OSError, TimeoutError):
            await closing
        self._socket.transport.close()

    async def _read(self, receiver: Receiver) -> None:
        try:
            while True:
                receiver.message(await self._socket.recv(decode=False))
        except ConnectionClosed as exc:
            frame = exc.rcvd or exc.sent
            self._gone = True
            receiver.closed(frame.code if frame else ABNORMAL_CLOSURE, frame.reason if frame else "")

    async def _drain(self) -> None:
        await self._socket.drain()
        if self._receiver is not None and not self._gone:
            self._receiver.writable()

    async def _ping(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            await (await self._socket.ping())
            if self._receiver is not None and not self._gone:
                self._receiver.pong()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def dial_websocket(url: str, headers: Mapping[str, str], endpoint: Endpoint) -> Transport:
    """Open a WebSocket: no compression, bounded messages, no pings of the library's own. Raises `TransportRefused`."""
    options: dict[str, Any] = {"ssl": await _tls(endpoint)} if url.startswith("wss:") else {}
    if endpoint.proxy is not None:
        if "proxy" not in inspect.signature(websockets_connect.__init__).parameters:
            raise TransportRefused(0, "params.proxy needs websockets 15 or later: pip install 'websockets>=15'")
        options["proxy"] = endpoint.proxy
    try:
        socket = await websockets_connect(
            url,
            additional_headers=dict(headers),
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_MESSAGES,
            open_timeout=None,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT_S,
            logger=_silent,
            **options,
        )
    except InvalidStatus as exc:
        status = exc.response.status_code
        answer = dict(exc.response.headers.raw_items())
        raise TransportRefused(status, f"HTTP {status} instead of an upgrade", answer) from None
    except ssl.SSLError as exc:
        why = getattr(exc, "verify_message", "") or exc.reason or "certificate not accepted"
        raise TransportRefused(0, f"TLS failed: {why}") from None
    except OSError as exc:
        raise TransportRefused(
            0, f"cannot connect to {display_url(url)}: {exc.strerror or type(exc).__name__}"
        ) from None
    except (WebSocketException, EOFError) as exc:
        raise TransportRefused(0, f"the handshake failed: {type(exc).__name__}") from None
    return WebSocketTransport(socket)


async def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        return await tls_context(endpoint.ca_file)
    except OSError as exc:  # SSLError, for a file without certificates, is one
        why = "it holds no certificate" if isinstance(exc, ssl.SSLError) else exc.strerror or type(exc).__name__
        raise TransportRefused(0, f"params.ca_file {endpoint.ca_file} cannot be used: {why}") from None
