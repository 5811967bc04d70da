"""HTTP requests with a body on the port of the sockets, which the WebSocket library cannot read.

A client derives the address at which it mints secrets from the base URL of its sockets, so both must be on one port.
The first bytes of a connection say which it is: what begins with `POST` is answered here, the rest is the library's.
"""

from __future__ import annotations

import asyncio
import http
import http.client
import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from websockets.asyncio.server import ServerConnection

from ...realtime.messages import Json

MAX_BYTES = 64 * 1024
"Most that a request may have, head and body together."
SECONDS = 10.0
"How long a connection may take to say what it wants."
_POST = b"POST "


class HttpAnswer(NamedTuple):
    """What a plain HTTP request, or an upgrade that is refused, is answered with."""

    status: int
    body: Json | str = ""
    retry_after: int | None = None
    "Seconds."


class Post(NamedTuple):
    """A request with a body."""

    target: str
    headers: Mapping[str, str]
    "`RequestHeaders`."
    body: bytes


def reason_of(status: int) -> str:
    """The words beside *status*; also for those that `http` does not know: proxies answer with 520 to 529."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


def body_of(answer: HttpAnswer) -> tuple[str, bytes]:
    """Content type and bytes of its body."""
    if isinstance(answer.body, str):
        return "text/plain; charset=utf-8", answer.body.encode()
    return "application/json", json.dumps(answer.body).encode()


class HttpFront:
    """Stands before one server's sockets."""

    def __init__(self, answer: Callable[[Post], HttpAnswer]) -> None:
        self._answer = answer
        self._undecided: set[asyncio.Transport] = set()

    def close(self) -> None:
        """Cut what has not become a socket: the server waits for it otherwise."""
        for transport in list(self._undecided):
            transport.abort()

    def connection_class(self) -> type[ServerConnection]:
        """The library's connection, behind this front."""
        front = self

        class FrontedConnection(ServerConnection):
            """Becomes a connection of the library once it has turned out not to be a POST."""

            _said: bytearray | None = None

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                self._said, self._front_transport = bytearray(), transport
                front._undecided.add(transport)
                self._timeout = self.loop.call_later(SECONDS, transport.abort)

            def data_received(self, data: bytes) -> None:
                if self._said is None:
                    super().data_received(data)
                    return
                self._said += data
                if self._said.startswith(_POST):
                    answer = front._read(self._said, self._front_transport)
                    if answer is not None:
                        self._front_transport.write(answer)
                        self._front_transport.close()
                elif not _POST.startswith(self._said):
                    said, self._said = bytes(self._said), None
                    self._leave_front()
                    super().connection_made(self._front_transport)
                    super().data_received(said)

            def eof_received(self) -> None:
                if self._said is None:
                    super().eof_received()

            def connection_lost(self, exc: Exception | None) -> None:
                if self._said is None:
                    super().connection_lost(exc)
                else:
                    self._leave_front()

            def _leave_front(self) -> None:
                front._undecided.discard(self._front_transport)
                self._timeout.cancel()

        return FrontedConnection

    def _read(self, said: bytearray, transport: asyncio.Transport) -> bytes | None:
        """The answer to a request; None while it is not complete."""
        if len(said) > MAX_BYTES:
            return _serialize(HttpAnswer(413))
        head, end, body = bytes(said).partition(b"\r\n\r\n")
        if not end:
            return None
        line, _, rest = head.partition(b"\r\n")
        try:
            target = line.split(b" ")[1].decode("ascii")
            headers = http.client.parse_headers(io.BytesIO(rest + end))
            length = int(headers.get("Content-Length", "0"))
        except (ValueError, http.client.HTTPException):
            return _serialize(HttpAnswer(400))
        if not target.startswith("/"):
            return _serialize(HttpAnswer(400))
        if headers.get("Transfer-Encoding"):
            return _serialize(HttpAnswer(411))
        if length > MAX_BYTES:
            return _serialize(HttpAnswer(413))
        if len(body) < length:
            if not body and headers.get("Expect", "").lower() == "100-continue":
                transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        return _serialize(self._answer(Post(target, RequestHeaders(headers.items()), body[:length])))


class RequestHeaders(dict[str, str]):
    """Names in lower case, found in any. What is said several times is one list with commas, as HTTP has it."""

    def __init__(self, said: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in said:
            before = self.get(name)
            self[name.lower()] = f"{before}, {value}" if before else value

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        return super().get(key.lower(), default)


def _serialize(answer: HttpAnswer) -> bytes:
    content_type, body = body_of(answer)
    head = (
        f"HTTP/1.1 {answer.status} {reason_of(answer.status)}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
