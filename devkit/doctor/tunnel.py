"""Through a proxy to a server, without a WebSocket yet: what the proxy says to it is what is of interest."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .network import Proxy

_LONGEST_ANSWER = 16 * 1024
_LOGIN_NEEDED = 407


class ProxyLogin(Exception):
    """The proxy wants credentials, or others."""


class ProxyRefused(Exception):
    """The proxy does not connect us; the text is its status."""


class ProxyFailed(Exception):
    """It does not speak as such a proxy does."""


class Tunnel:
    """A connection through a proxy."""

    def __init__(self, opened: socket.socket | asyncio.StreamWriter) -> None:
        self._opened = opened

    @property
    def socket(self) -> socket.socket | None:
        """What to go on with; None inside of TLS."""
        return self._opened if isinstance(self._opened, socket.socket) else None

    def close(self) -> None:
        """Hang up."""
        if isinstance(self._opened, asyncio.StreamWriter):
            self._opened.transport.abort()
        else:
            self._opened.close()


async def open_tunnel(proxy: Proxy, host: str, port: int, tls: ssl.SSLContext | None) -> Tunnel:
    """Connect to *host* through *proxy*; *tls* is for a proxy that wants TLS itself.

    Raises ProxyLogin, ProxyRefused, ProxyFailed, OSError, EOFError, and ImportError for what a SOCKS proxy needs.
    """
    if proxy.scheme.startswith("socks"):
        return Tunnel(await _through_socks(proxy, host, port))
    if tls is not None:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port, ssl=tls)
        writer.write(_connect_request(proxy, host, port))
        _judge(await reader.readuntil(b"\r\n\r\n"))
        return Tunnel(writer)
    loop = asyncio.get_running_loop()
    sock = await _connected(proxy.host, proxy.port)
    try:
        await loop.sock_sendall(sock, _connect_request(proxy, host, port))
        answer = b""
        # Byte by byte: what comes behind the head is the server's.
        while not answer.endswith(b"\r\n\r\n"):
            byte = await loop.sock_recv(sock, 1)
            if not byte or len(answer) > _LONGEST_ANSWER:
                raise ProxyFailed("it hangs up" if not byte else "its answer has no end")
            answer += byte
        _judge(answer)
    except BaseException:
        sock.close()
        raise
    return Tunnel(sock)


async def _connected(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    problem: OSError = ConnectionError("no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            problem = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise problem


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


async def _through_socks(proxy: Proxy, host: str, port: int) -> socket.socket:
    """By the package that the WebSocket library itself uses for it. Raises ImportError without it."""
    socks: Any = importlib.import_module("python_socks")
    connecting: Any = importlib.import_module("python_socks.async_.asyncio")
    kind = socks.ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else socks.ProxyType.SOCKS5
    # socks5h, socks4a: the proxy looks the name up.
    remote = proxy.scheme.endswith(("h", "a"))
    way = connecting.Proxy.create(
        kind, proxy.host, proxy.port, username=proxy.user or None, password=proxy.password or None, rdns=remote
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
    except (socks.ProxyConnectionError, socks.ProxyTimeoutError) as error:
        raise ProxyFailed(type(error).__name__) from None
    with contextlib.suppress(OSError):
        opened.setblocking(False)
    return opened
