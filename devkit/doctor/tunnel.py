"""Through a proxy to a server, without a WebSocket yet: what the proxy says to it is what is of interest."""

from __future__ import annotations

import asyncio
import base64
import importlib
import socket
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from .route import Proxy

_CHUNK = 16 * 1024
_LOGIN_NEEDED = 407


class ProxyLogin(Exception):
    """The proxy wants credentials, or others."""


class ProxyRefused(Exception):
    """The proxy does not connect us; the text is its status."""


class ProxyFailed(Exception):
    """It does not speak as such a proxy does."""


Streams: TypeAlias = "tuple[asyncio.StreamReader, asyncio.StreamWriter]"


async def open_tunnel(proxy: Proxy, address: str, host: str, port: int, tls: ssl.SSLContext | None) -> Streams:
    """Connect to *host* through *proxy* at *address*; *tls* is for a proxy that wants TLS itself.

    Raises ProxyLogin, ProxyRefused, ProxyFailed, OSError, EOFError, and ImportError for what a SOCKS proxy needs.
    """
    if proxy.scheme.startswith("socks"):
        return await asyncio.open_connection(sock=await _through_socks(proxy, address, host, port))
    name = proxy.host if tls is not None else None
    reader, writer = await asyncio.open_connection(address, proxy.port, ssl=tls, server_hostname=name)
    try:
        writer.write(_connect_request(proxy, host, port))
        _judge(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.LimitOverrunError:
        writer.transport.abort()
        raise ProxyFailed("its answer has no end") from None
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


class Tls(NamedTuple):
    """TLS on a connection, and what was received of it."""

    session: ssl.SSLObject
    incoming: ssl.MemoryBIO


async def shake_hands(streams: Streams, context: ssl.SSLContext, host: str) -> Tls:
    """TLS on whatever *streams* go through, TLS of a proxy's included; asyncio's own way hides why that fails.

    Raises ssl.SSLError, OSError.
    """
    reader, writer = streams
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=host)
    while True:
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            data = await reader.read(_CHUNK)
            if not data:
                raise ConnectionResetError("the connection ended in the handshake") from None
            incoming.write(data)
        else:
            writer.write(outgoing.read())
            return Tls(session, incoming)


async def hear(streams: Streams, tls: Tls) -> None:
    """Wait for the first word, or the end, behind a handshake. Raises ssl.SSLError for an alert, and OSError."""
    while True:
        try:
            tls.session.read(1)
        except ssl.SSLWantReadError:
            data = await streams[0].read(_CHUNK)
            if not data:
                return
            tls.incoming.write(data)
        else:
            return


def _connect_request(proxy: Proxy, host: str, port: int) -> bytes:
    to = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {to} HTTP/1.1", f"Host: {to}"]
    if proxy.user:
        credentials = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _judge(answer: bytes) -> None:
    words = answer.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
    if not words[0].startswith("HTTP/") or len(words) < 2 or not words[1].isdigit():
        raise ProxyFailed("its answer is not HTTP")
    if int(words[1]) == _LOGIN_NEEDED:
        raise ProxyLogin
    if not words[1].startswith("2"):
        raise ProxyRefused(f"HTTP {words[1]}")


async def _through_socks(proxy: Proxy, address: str, host: str, port: int) -> socket.socket:
    """By the package that the WebSocket library itself uses for it. Raises ImportError without it."""
    socks: Any = importlib.import_module("python_socks")
    connecting: Any = importlib.import_module("python_socks.async_.asyncio")
    kind = socks.ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else socks.ProxyType.SOCKS5
    # socks5h, socks4a: the proxy looks the name up.
    remote = proxy.scheme.endswith(("h", "a"))
    way = connecting.Proxy.create(
        kind, address, proxy.port, username=proxy.user or None, password=proxy.password or None, rdns=remote
    )
    try:
        opened: socket.socket = await way.connect(dest_host=host, dest_port=port)
    except socks.ProxyError as error:
        if "auth" in str(error).lower():
            raise ProxyLogin from None
        code = getattr(error, "error_code", None)
        if code is None:
            raise ProxyFailed("it does not speak SOCKS") from None
        raise ProxyRefused(f"SOCKS error {code}") from None
    except socks.ProxyConnectionError:
        raise ProxyFailed("it hung up") from None
    except socks.ProxyTimeoutError:
        raise ProxyFailed("it did not answer") from None
    return opened
