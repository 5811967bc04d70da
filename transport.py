"""WebSockets for the client: the only file that opens sockets.

`dial_websocket` opens one; from then on everything is a plain call: `send` writes at once, and what comes is told to a
`Receiver` in the call of the event loop that read it. No task, queue or lock stands between the socket and the session.
The websockets library dials, and reads and checks what comes; frames of ours are made here.

Longer than other files because all that may touch a socket stays in one.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from .realtime.endpoint import display_url
from .tls import tls_context

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without a compiled one
    from websockets.utils import apply_mask

__all__ = ["Dialler", "Endpoint", "Key", "Receiver", "Transport", "TransportRefused", "dial_websocket", "endpoint_tls"]

MAX_MESSAGE_BYTES = 1024 * 1024
"Of one message of the server: an hour of words with their probabilities fits. A larger one ends the connection."
MAX_MESSAGES = 16
"Messages of the server that may wait for `start`; then it is no longer read."
READ_BYTES = 16 * 1024
"Of what a peer sends in one go, this much is parsed and told before others on the loop get their turn."
WRITE_BYTES = 64 * 1024
"What may wait to be written before `send` gives False; a quarter of it, and there is room again."
CLOSE_TIMEOUT_S = 0.5
"The closing handshake gets this long; then the socket is dropped. Part of the bound on the client's `stop`."
ABNORMAL_CLOSURE = 1006
"The code of a connection that ended without a close frame."
INVALID_TEXT = 1007
MAX_REASON_BYTES = 123
"Of a close frame's reason, by the protocol."

_TEXT, _MASKED = 0x81, 0x80
_SMALL, _MEDIUM, _LARGE = (struct.Struct(form).pack for form in ("!BB4s", "!BBH4s", "!BBQ4s"))
_KNOWS_PROXIES = "proxy" in inspect.signature(websockets_connect.__init__).parameters

log = logging.getLogger(__name__)

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
        self.body = b""
        "What the answer said besides: for who asks what is wrong. A server may quote the key in it."


class Receiver(Protocol):
    """Who is told what happens on a connection. Every call is made on the loop, by the transport."""

    def message(self, data: bytes) -> None:
        """A whole message of the server."""
        ...

    def pong(self) -> None:
        """The answer to a ping: one for each, in order."""
        ...

    def writable(self) -> None:
        """There is room again in a write buffer that was full: after a `send` that gave False."""
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
    """`Transport` on a connection of the websockets library."""

    __slots__ = (
        "_backlog", "_closed", "_connection", "_end", "_failed", "_keys", "_lost", "_open", "_parts", "_parts_are_text",
        "_pings", "_receiver",
    )  # fmt: skip

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._receiver: Receiver | None = None
        self._backlog: list[bytes] = []
        self._parts = bytearray()
        self._parts_are_text = True
        self._pings: list[bytes] = []
        self._open, self._closed = True, False
        self._failed = self._lost = False
        self._end: tuple[int, str] | None = None
        self._keys = _mask_keys()

    # What the client calls

    @property
    def headers(self) -> Mapping[str, str]:
        """See `Transport`."""
        response = self._connection.response
        return {} if response is None else dict(response.headers.raw_items())

    def start(self, receiver: Receiver) -> None:
        """See `Transport`. What has come is told at once."""
        self._receiver = receiver
        backlog, self._backlog = self._backlog, []
        for data in backlog:
            if self._receiver is not None:
                self._tell(receiver.message, data)
        if self._receiver is None:
            return
        if self._lost:
            self._tell_end()
        else:
            self._connection.hold(False)

    def send(self, data: bytes) -> bool:
        """See `Transport`. The frame is made here: the library's coroutine costs two to three times as much."""
        if not self._open:
            return True
        size, key = len(data), next(self._keys)
        if size < 126:
            head = _SMALL(_TEXT, _MASKED | size, key)
        elif size < 65536:
            head = _MEDIUM(_TEXT, _MASKED | 126, size, key)
        else:
            head = _LARGE(_TEXT, _MASKED | 127, size, key)
        self._connection.transport.write(head + apply_mask(data, key))
        return not self._connection.paused

    def ping(self) -> None:
        """See `Transport`."""
        if self._open:
            self._pings.append(payload := next(self._keys))
            self._connection.protocol.send_ping(payload)
            self._connection.send_data()

    async def close(self, code: int, reason: str) -> None:
        """See `Transport`."""
        self._open, self._closed = False, True
        self._receiver = None
        self._backlog.clear()
        self._connection.hold(False)
        reason = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        closing = asyncio.ensure_future(self._connection.close(code, reason))
        try:
            # The library bounds the wait for the peer's answer, but not that for room in a full write buffer.
            await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT_S)
        finally:
            self._connection.transport.abort()
        with contextlib.suppress(Exception):  # whatever the library says, the socket is gone
            await closing

    # What the connection tells

    def frame(self, frame: Frame) -> None:
        """A frame came: a message, a part of one, or a pong. The library itself answers pings and closes."""
        opcode, data = frame.opcode, frame.data
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            if frame.fin:
                self._take(bytes(data), opcode is Opcode.TEXT)
            else:
                self._parts, self._parts_are_text = bytearray(data), opcode is Opcode.TEXT
        elif opcode is Opcode.CONT:
            self._parts += data
            if frame.fin:
                whole, self._parts = bytes(self._parts), bytearray()
                self._take(whole, self._parts_are_text)
        elif opcode is Opcode.PONG:
            self._pong(bytes(data))

    def has_room(self) -> None:
        """The write buffer drained."""
        if self._receiver is not None and self._open:
            self._tell(self._receiver.writable)

    def ending(self) -> None:
        """Nothing is written any more: the connection ended, or is about to."""
        self._open = False

    def lost(self, code: int, reason: str) -> None:
        """The connection is gone."""
        self._lost, self._end = True, self._end or (code, reason)
        self._tell_end()

    def _take(self, data: bytes, text: bool) -> None:
        if self._end is not None:
            return
        if text and not data.isascii() and not _is_utf8(data):
            self._end = (INVALID_TEXT, "a message is not UTF-8")
            self._connection.fail(*self._end)
        elif self._receiver is not None:
            self._tell(self._receiver.message, data)
        elif not self._closed:
            self._backlog.append(data)
            if len(self._backlog) >= MAX_MESSAGES:
                self._connection.hold(True)

    def _pong(self, data: bytes) -> None:
        """A pong answers the pings before it as well; one that nobody asked for answers none."""
        if data in self._pings:
            answered = self._pings.index(data) + 1
            del self._pings[:answered]
            for _ in range(answered):
                if self._receiver is not None:
                    self._tell(self._receiver.pong)

    def _tell(self, call: Callable[..., None], *args: bytes) -> None:
        """No connection goes silently dead: a receiver that fails is told the end."""
        if self._failed:
            return
        try:
            call(*args)
        except Exception as exc:
            _log_failure(exc)
            self._open, self._failed = False, True
            self._end = (ABNORMAL_CLOSURE, type(exc).__name__)
            self._connection.transport.abort()

    def _tell_end(self) -> None:
        if self._receiver is not None and self._end is not None:
            try:
                self._receiver.closed(*self._end)
            except Exception as exc:
                _log_failure(exc)


class _Connection(ClientConnection):
    """The library's connection, whose frames are handed on in the call that read them instead of queued for a task."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.user = WebSocketTransport(self)
        self._rest = b""
        self._next: asyncio.Handle | None = None
        self._held = False
        self._reading = True
        self._deadline: asyncio.TimerHandle | None = None

    def hold(self, held: bool) -> None:
        """Stop reading, or go on."""
        self._held = held
        self._go_on()

    def fail(self, code: int, reason: str) -> None:
        """The peer broke the protocol: tell it so, and go."""
        self.protocol.fail(code, reason)
        self.send_data()
        self._check()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`. At most `READ_BYTES` at a time are parsed and told: others want the loop as well."""
        if self._rest or self._held or len(data) > READ_BYTES:
            self._rest += data
            self._go_on()
        else:
            super().data_received(data)
            self._check()

    def _go_on(self) -> None:
        waiting = bool(self._rest)
        if waiting and self._next is None:
            self._next = self.loop.call_soon(self._parse_more)
        wanted = not waiting and not self._held
        if wanted != self._reading and not self.transport.is_closing():
            self._reading = wanted
            (self.transport.resume_reading if wanted else self.transport.pause_reading)()

    def _parse_more(self) -> None:
        self._next = None
        if not self._held:
            data, self._rest = self._rest[:READ_BYTES], self._rest[READ_BYTES:]
            super().data_received(data)
            self._check()
            self._go_on()

    def _check(self) -> None:
        """Once the end has begun the peer gets `CLOSE_TIMEOUT_S` to go: the library waits for it without limit."""
        if self._deadline is None and self.protocol.state is not State.OPEN and self.response is not None:
            self.user.ending()
            self._deadline = self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def process_event(self, event: Any) -> None:
        """See `ClientConnection`: the first event is the answer to the handshake, all others are frames."""
        if self.response is None:
            super().process_event(event)
        else:
            self.user.frame(event)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self.user.has_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`. What was read comes before the end."""
        if self._next is not None:
            self._next.cancel()
        if self._rest:
            super().data_received(self._rest)
            self._rest = b""
        self.user.ending()
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)
        ended = self.protocol.close_exc
        frame = ended.rcvd or ended.sent
        self.user.lost(frame.code if frame else ABNORMAL_CLOSURE, frame.reason if frame else "")


class _Dial(websockets_connect):
    """The library's dial, but a redirect to somewhere else is not followed: before 16.1 it would take the key there."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """See `websockets.asyncio.client.connect`."""
        try:
            target = super().process_redirect(exc)
        except WebSocketException:  # to an address of http or https
            return exc
        if isinstance(target, str) and urlsplit(target)[:2] != urlsplit(self.uri)[:2]:
            return exc
        return target


def _mask_keys() -> Iterator[bytes]:
    """What a client masks its frames with: unpredictable, as the protocol wants it; the system is asked once for 64."""
    while True:
        keys = os.urandom(256)
        for at in range(0, 256, 4):
            yield keys[at : at + 4]


def _log_failure(exc: Exception) -> None:
    """Without its text, which may hold what was said."""
    log.error("a receiver failed with %s", type(exc).__name__)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


async def dial_websocket(url: str, headers: Mapping[str, str], endpoint: Endpoint) -> Transport:
    """Open a WebSocket: no compression, bounded messages, no pings of the library's own. Raises `TransportRefused`."""
    for name, value in headers.items():
        if not set("\r\n\0").isdisjoint(name + value):
            raise TransportRefused(0, f"the header {name!r} has a line break in it, which no header can")
    options = await _proxy(url, endpoint)
    if url.startswith("wss:"):
        options["ssl"] = await endpoint_tls(endpoint)
    try:
        connection = await _Dial(
            url,
            additional_headers=dict(headers),
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=None,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT_S,
            write_limit=WRITE_BYTES,
            logger=_silent,
            create_connection=_Connection,
            **options,
        )
    except InvalidStatus as exc:
        status = exc.response.status_code
        answer = dict(exc.response.headers.raw_items())
        refused = TransportRefused(status, f"HTTP {status} instead of an upgrade", answer)
        refused.body = bytes(exc.response.body or b"")
        raise refused from None
    except ssl.SSLError as exc:
        why = getattr(exc, "verify_message", "") or exc.reason or "certificate not accepted"
        raise TransportRefused(0, f"TLS failed: {why}") from None
    except OSError as exc:
        raise TransportRefused(
            0, f"cannot connect to {display_url(url)}: {exc.strerror or type(exc).__name__}"
        ) from None
    except ImportError:
        raise TransportRefused(0, "a SOCKS proxy needs python-socks: pip install 'python-socks[asyncio]'") from None
    except (WebSocketException, EOFError, ValueError) as exc:
        raise TransportRefused(0, _why_no_handshake(exc)) from None
    assert isinstance(connection, _Connection)
    connection.request = None  # the key was in it
    return connection.user


def _why_no_handshake(exc: Exception) -> str:
    """In words, where the library's name for it says nothing; its classes for proxies came with version 15."""
    name = type(exc).__name__
    if name == "InvalidProxyStatus":
        answer = exc.response  # type: ignore[attr-defined]
        return f"the proxy answered HTTP {answer.status_code} {answer.reason_phrase}".rstrip()
    if name == "InvalidProxyMessage":
        return "the proxy closed the connection, or its answer is not HTTP"
    if isinstance(exc, EOFError) or isinstance(exc.__cause__, EOFError):
        name = "the server hung up"
    elif name in ("InvalidMessage", "ValueError"):  # ValueError: websockets 14
        name = "its answer is not HTTP"
    elif name == "SecurityError" and "redirects" in str(exc):
        name = "the server redirects us again and again"
    return f"the handshake failed: {name}"


async def _proxy(url: str, endpoint: Endpoint) -> dict[str, Any]:
    """What the library is told of proxies."""
    if not _KNOWS_PROXIES:
        if endpoint.proxy is not None:
            raise TransportRefused(0, "params.proxy needs websockets 15 or later: pip install 'websockets>=15'")
        return {}
    if endpoint.proxy is None:
        return {"proxy": True if _may_name_a_proxy() else None}
    if endpoint.proxy.startswith("https:"):
        if url.startswith("wss:") and sys.version_info < (3, 11):
            raise TransportRefused(
                0, "params.proxy of https to a URL of wss is TLS within TLS, which needs Python 3.11"
            )
        return {"proxy": endpoint.proxy, "proxy_ssl": await tls_context(None)}
    return {"proxy": endpoint.proxy}


def _may_name_a_proxy() -> bool:
    """Whether the library need look: what it does takes a quarter of the time of a dial."""
    if sys.platform in ("darwin", "win32"):
        return True  # the system's settings may
    return any(name[-6:].lower() == "_proxy" for name in os.environ)


async def endpoint_tls(endpoint: Endpoint) -> ssl.SSLContext:
    """Whom *endpoint* says to trust. Raises `TransportRefused`."""
    try:
        return await tls_context(endpoint.ca_file)
    except OSError as exc:  # SSLError, for a file without certificates, is one
        why = "it holds no certificate" if isinstance(exc, ssl.SSLError) else exc.strerror or type(exc).__name__
        raise TransportRefused(0, f"params.ca_file {endpoint.ca_file} cannot be used: {why}") from None
