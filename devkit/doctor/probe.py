"""One session with the server, by the extension's own client, and what was seen of it. No audio is sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...listener import OpenAIASRListener
from ...openai_asr_client import OpenAIASRClient
from ...realtime import events as ev
from ...realtime.messages import decode_json
from ...realtime.options import SessionOptions
from ...transport import Endpoint, Receiver, Transport, TransportRefused, dial_websocket

log = logging.getLogger(__name__)

PINGS = 3
UPGRADED = 101
_HTTP_DIGITS = 3
_LATE_S = 1.0
"The client's own deadlines come first; this much later it has none."


@dataclass
class Seen:
    """What became of the session. Times are milliseconds."""

    key_sent: bool = False
    status: int = 0
    "HTTP status of the answer to the handshake; 0 if there was none."
    reason: str = ""
    "Why there is no connection."
    headers: Mapping[str, str] = field(default_factory=dict)
    "Of that answer."
    body: bytes = b""
    answered_at: float = 0.0
    "Our clock in the middle of that round trip, seconds since 1970."
    connect_ms: float | None = None
    "From the dial to the configured session; None if it did not come to that."
    created: dict[str, Any] | None = None
    "The session of `session.created`."
    errors: list[ev.ServerError] = field(default_factory=list)
    complaints: list[ev.ClientError] = field(default_factory=list)
    warned: list[ev.Warned] = field(default_factory=list)
    ended: ev.Disconnected | None = None
    "The server, or the client, gave the connection up."
    pongs_ms: list[float] = field(default_factory=list)
    unanswered_pings: int = 0
    confirmed: bool = False
    "It said what it is configured with. Not all kinds of server do."

    @property
    def answered(self) -> bool:
        """Whether the handshake had an answer."""
        return self.status > 0

    @property
    def body_error(self) -> dict[str, Any]:
        """The `error` object of an HTTP answer; empty if there is none."""
        data = decode_json(self.body)
        error = data.get("error") if isinstance(data, dict) else None
        return error if isinstance(error, dict) else {}


async def look(options: SessionOptions, endpoint: Endpoint, timeout_s: float, now: Callable[[], float]) -> Seen:
    """Dial, configure, ping, hang up. Takes a few times *timeout_s* at most; nothing a server does makes it raise."""
    # A library that stumbles over a connection's end tells the loop, with a traceback; what it means is told below.
    asyncio.get_running_loop().set_exception_handler(_note)
    seen = Seen()
    wire = _Wire(seen, now)
    listener = _Listener(seen)
    options = options.replace(connect_timeout_ms=max(1, round(timeout_s * 1000)), stop_drain_ms=0)
    client = OpenAIASRClient(options, endpoint, listener, dial=wire.dial)
    client.start()
    try:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(listener.decided.wait(), timeout_s + _LATE_S)
        if client.connected:
            await wire.ping(timeout_s)
    finally:
        await client.stop()
    ended = seen.ended
    if not seen.answered and ended is not None and len(ended.code) == _HTTP_DIGITS and ended.code.isdigit():
        # A secret was to be bought first, over HTTP, and the socket was never dialled.
        seen.status, seen.key_sent = int(ended.code), True
    return seen


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.info("%s", context.get("message", "an error in a callback"), exc_info=context.get("exception"))


class _Listener(OpenAIASRListener):
    """Keeps what is of interest, and knows when there is nothing more to wait for."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self.decided = asyncio.Event()

    def on_asr_server_error(self, event: ev.ServerError) -> None:
        self._seen.errors.append(event)

    def on_asr_client_error(self, event: ev.ClientError) -> None:
        self._seen.complaints.append(event)
        if event.fatal:
            self.decided.set()

    def on_other_event(self, event: ev.Event) -> None:
        seen = self._seen
        if isinstance(event, ev.WireEvent) and event.type.endswith("session.created"):
            session = event.data.get("session")
            seen.created = session if isinstance(session, dict) else {}
        elif isinstance(event, ev.WireEvent) and event.type.endswith("session.updated"):
            seen.confirmed = True
        elif isinstance(event, ev.Connected):
            seen.connect_ms = event.connect_delay_ms
            self.decided.set()
        elif isinstance(event, ev.Disconnected) and seen.ended is None:
            seen.ended = event
            self.decided.set()
        elif isinstance(event, ev.Warned):
            seen.warned.append(event)


class _Wire:
    """Dials as the client does, and looks on."""

    def __init__(self, seen: Seen, now: Callable[[], float]) -> None:
        self._seen = seen
        self._now = now
        self._transport: _Watched | None = None

    async def dial(self, url: str, headers: Mapping[str, str], endpoint: Endpoint) -> Transport:
        """See `transport.dial_websocket`. Of several attempts the last one counts."""
        seen = self._seen
        seen.key_sent = any(name.lower() in ("authorization", "api-key") for name in headers)
        begun = self._now()
        try:
            transport = await dial_websocket(url, headers, endpoint)
        except TransportRefused as refused:
            self._answered(refused.status, refused.headers, begun)
            seen.reason, seen.body = str(refused), refused.body
            raise
        self._answered(UPGRADED, transport.headers, begun)
        self._transport = _Watched(transport)
        return self._transport

    def _answered(self, status: int, headers: Mapping[str, str], begun: float) -> None:
        self._seen.status, self._seen.headers = status, dict(headers)
        self._seen.answered_at = (begun + self._now()) / 2

    async def ping(self, timeout_s: float) -> None:
        """Some round trips, one after the other, until one is not answered."""
        assert self._transport is not None
        for _ in range(PINGS):
            begun = time.perf_counter()
            try:
                await asyncio.wait_for(self._transport.round_trip(), timeout_s)
            except asyncio.TimeoutError:
                self._seen.unanswered_pings += 1
                return
            self._seen.pongs_ms.append((time.perf_counter() - begun) * 1000)


class _Watched:
    """A transport, and its receiver's ears for pongs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._receiver: Receiver | None = None
        self._ponged = asyncio.Event()

    @property
    def headers(self) -> Mapping[str, str]:
        """See `Transport`."""
        return self._transport.headers

    def start(self, receiver: Receiver) -> None:
        """See `Transport`."""
        self._receiver = receiver
        self._transport.start(self)

    def send(self, data: bytes) -> bool:
        """See `Transport`."""
        return self._transport.send(data)

    def ping(self) -> None:
        """See `Transport`."""
        self._transport.ping()

    async def close(self, code: int, reason: str) -> None:
        """See `Transport`."""
        await self._transport.close(code, reason)

    async def round_trip(self) -> None:
        """Ping, and wait for the answer."""
        self._ponged.clear()
        self._transport.ping()
        await self._ponged.wait()

    # As the transport's receiver

    def message(self, data: bytes) -> None:
        """See `Receiver`."""
        assert self._receiver is not None
        self._receiver.message(data)

    def pong(self) -> None:
        """See `Receiver`."""
        assert self._receiver is not None
        self._ponged.set()
        self._receiver.pong()

    def writable(self) -> None:
        """See `Receiver`."""
        assert self._receiver is not None
        self._receiver.writable()

    def closed(self, code: int, reason: str) -> None:
        """See `Receiver`."""
        assert self._receiver is not None
        self._receiver.closed(code, reason)
