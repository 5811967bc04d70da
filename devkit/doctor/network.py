"""The way to the server, hop by hop, as the transport goes it: name, port, proxy, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ipaddress
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from ...realtime.dialects.choice import DialectChoice
from ...tls import tls_context
from ..transcription.destination import is_on_this_machine
from .case import Case
from .report import Finding, not_needed, ok
from .troubles import trouble
from .tunnel import ProxyFailed, ProxyLogin, ProxyRefused, Streams, open_tunnel, shake_hands

ENDING_DAYS = 14
_TROUBLE_OF_CERTIFICATE = {
    9: "certificate_early", 10: "certificate_expired", 62: "certificate_other_host", 64: "certificate_other_host",
}  # fmt: skip
"By OpenSSL's number of what is wrong; all others are about who signed it."
_PORTS = {"http": 80, "https": 443}
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_SOCKS_PORT = 1080
_ESCAPES = "Let nothing follow host and port; in a user name or a password, write / ? # @ as %2F %3F %23 %40."
TLS_IN_TLS = sys.version_info >= (3, 11)
"Whether the transport can go through an https proxy to a wss server."


class Proxy(NamedTuple):
    """A proxy on the way."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    place: str
    "Where it was named."


class ProxyUnusable(Exception):
    """A URL that can be no proxy's."""

    def __init__(self, place: str, why: str, advice: str) -> None:
        super().__init__(f"{place} {why}")
        self.advice = advice


class Route(NamedTuple):
    """Where a connection goes."""

    url: str
    host: str
    port: int
    secure: bool
    proxy: Proxy | None

    @property
    def first(self) -> tuple[str, int]:
        """Whom we connect to ourselves."""
        return (self.proxy.host, self.proxy.port) if self.proxy else (self.host, self.port)

    @property
    def what(self) -> str:
        """Whose address that is."""
        return self.proxy.place if self.proxy else "params.base_url"


def route_of(case: Case) -> Route:
    """The route of *case*, found on the first call. Raises ProxyUnusable."""
    if case.route is None:
        settings = case.settings.connection
        url = DialectChoice(settings.dialect, settings.base_url).url(settings.model)
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        port = parts.port or (443 if secure else 80)
        case.route = Route(url, parts.hostname or "", port, secure, _proxy_of(url, settings.proxy))
    return case.route


def _proxy_of(url: str, configured: str | None) -> Proxy | None:
    place = "params.proxy" if configured else "the environment's proxy"
    text = configured or _proxy_of_environment(url)
    if not text:
        return None
    if "://" not in text:
        raise ProxyUnusable(place, "has no scheme", f"Write http:// before {place}, if that is what it speaks.")
    try:
        parts = urlsplit(text)
        port = parts.port or _PORTS.get(parts.scheme, _SOCKS_PORT)
    except ValueError:
        raise ProxyUnusable(place, "is not a URL", _ESCAPES) from None
    if parts.scheme not in _PROXY_SCHEMES or not parts.hostname:
        raise ProxyUnusable(place, "is no URL of a proxy", "Use one such as http://proxy.example:3128.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ProxyUnusable(place, "has something behind host and port", _ESCAPES)
    if parts.username and parts.password is None:
        raise ProxyUnusable(place, "has a user name without a password", "Write user:password@ before the host.")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(parts.scheme, parts.hostname, port, user, password, place)


def _proxy_of_environment(url: str) -> str | None:
    """What the library would take."""
    find = _finder()
    try:
        found: str | None = None if find is None else find(parse_uri(url))
    except InvalidURI:  # the dial says so, too
        return None
    return found


def _finder() -> Callable[[Any], str | None] | None:
    """The library's own way to find a proxy, which it has moved; version 14 knows none."""
    for name in ("websockets.proxy", "websockets.uri"):
        with contextlib.suppress(ImportError):
            find: Callable[[Any], str | None] | None = getattr(importlib.import_module(name), "get_proxy", None)
            if find is not None:
                return find
    return None


# The checks ---------------------------------------------------------------------------------------------------


def check_dns(case: Case) -> Finding:
    """The name of the server, or of the proxy."""
    route = route_of(case)
    host, port = route.first
    if _is_address(host):
        return not_needed(f"{host} is an address")
    if is_on_this_machine(f"ws://{host}"):
        return not_needed(f"{host} is this machine")
    begun = time.perf_counter()
    try:
        addresses = case.addresses = asyncio.run(asyncio.wait_for(_resolve(host, port), case.wait_s))
    except asyncio.TimeoutError:
        return trouble("name_late", f"no answer for {host} in {case.wait_s:g} s")
    except OSError as error:
        if getattr(error, "errno", None) == socket.EAI_AGAIN:
            return trouble("name_late", f"{host}: {error.strerror or 'no answer'}")
        return trouble("name_unknown", f"{host}: {error.strerror or 'unknown'}", what=route.what, host=host)
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    return ok(f"{host} is {addresses[0]}{more}", ms=_since(begun))


def check_tcp(case: Case) -> Finding:
    """A connection to the server, or to the proxy."""
    route = route_of(case)
    host, port = route.first
    where = f"{'the proxy ' if route.proxy else ''}{host} port {port}"
    begun = time.perf_counter()
    try:
        case.address = asyncio.run(_connect_and_leave(host, port, case.addresses, case.wait_s))
    except asyncio.TimeoutError:
        detail = f"{where} did not answer in {case.wait_s:g} s"
        return trouble("port_silent", detail, host=host, port=port)
    except ConnectionRefusedError:
        return trouble("port_closed", f"nobody listens on {where}", what=route.what)
    except OSError as error:
        return trouble("no_route", f"{where}: {error.strerror or type(error).__name__}", what=route.what)
    return ok(f"{where} takes connections", ms=_since(begun))


def check_proxy(case: Case) -> Finding:
    """The way through the proxy."""
    route = route_of(case)
    proxy = route.proxy
    if proxy is None:
        return not_needed("no proxy is set")
    where = f"the proxy {proxy.host}:{proxy.port} ({proxy.place})"
    if _finder() is None:
        return trouble("proxy_package", "websockets 14 takes no proxy", requirements="'websockets>=15'")
    begun = time.perf_counter()
    try:
        asyncio.run(_tunnel_and_leave(route, case.address, case.wait_s))
    except ProxyLogin:
        return trouble("proxy_login", f"{where} wants another login", what=proxy.place)
    except ProxyRefused as error:
        detail = f"{where} does not connect us to {route.host}:{route.port} ({error})"
        return trouble("proxy_refuses", detail, host=route.host, port=route.port)
    except ImportError:
        package = "python-socks[asyncio]"
        return trouble("proxy_package", f"{proxy.scheme} needs {package}", requirements=f"'{package}'")
    except asyncio.TimeoutError:
        return trouble("proxy_failed", f"{where} did not answer in {case.wait_s:g} s", what=proxy.place)
    except ssl.SSLCertVerificationError as error:
        return trouble("proxy_certificate", f"{where}: {error.verify_message}")
    except (ProxyFailed, OSError, EOFError) as error:
        why = str(error) if isinstance(error, ProxyFailed) else type(error).__name__
        return trouble("proxy_failed", f"{where}: {why}", what=proxy.place)
    return ok(f"{where} lets us through", ms=_since(begun))


def check_tls(case: Case) -> Finding:
    """Whether the server is who it says, by the authorities the extension trusts."""
    route = route_of(case)
    if not route.secure:
        if is_on_this_machine(route.url):
            return not_needed("ws:// on this machine")
        return trouble("plain_text", f"ws:// to {route.host}: nothing is encrypted")
    if route.proxy is not None and route.proxy.scheme == "https" and not TLS_IN_TLS:
        return trouble("tls_in_tls", f"through the https proxy {route.proxy.host}")
    ca_file = case.settings.ca_file
    begun = time.perf_counter()
    try:
        version, ends = asyncio.run(_tls_and_leave(route, case.address, ca_file, case.wait_s))
    except _CaFileUnusable as error:
        return trouble("ca_file_unusable", f"{ca_file}: {error}")
    except ssl.SSLCertVerificationError as error:
        name = _TROUBLE_OF_CERTIFICATE.get(error.verify_code, "certificate_unknown")
        return trouble(name, error.verify_message, host=route.host)
    except ssl.SSLError as error:
        return trouble("no_tls", (error.reason or "no TLS").replace("_", " ").lower())
    except asyncio.TimeoutError:
        return trouble("no_tls", f"no answer to our TLS in {case.wait_s:g} s")
    except (OSError, EOFError) as error:
        return trouble("no_tls", f"{type(error).__name__} instead of TLS")
    left = (ends - case.world.now()) / 86_400
    detail = f"{version}, certificate valid until {datetime.fromtimestamp(ends, timezone.utc):%Y-%m-%d}"
    if left < ENDING_DAYS:
        return trouble("certificate_ending", detail)
    return ok(f"{detail}, trusted by {ca_file or 'the system'}", ms=_since(begun))


# Doing it -----------------------------------------------------------------------------------------------------


class _CaFileUnusable(Exception):
    """The authorities to trust cannot be read."""


async def _resolve(host: str, port: int) -> list[str]:
    """Addresses of *host*, in a thread that nobody waits for: the system's resolver may hang for minutes."""
    if _is_address(host):
        return [host]
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(addresses: list[str], error: OSError | None) -> None:
        if not answer.done():
            answer.set_result(addresses) if error is None else answer.set_exception(error)

    def ask() -> None:
        addresses: list[str] = []
        problem: OSError | None = None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        except OSError as error:
            problem = error
        except UnicodeError:
            problem = OSError(socket.EAI_NONAME, "no name that could be asked for")
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(settle, addresses, problem)

    threading.Thread(target=ask, name="openai-asr-dns", daemon=True).start()
    return await answer


async def _connect_and_leave(host: str, port: int, addresses: Sequence[str], timeout_s: float) -> str:
    """The first of the addresses of *host* that takes a connection."""
    return await asyncio.wait_for(_connect_to_one(host, port, addresses), timeout_s)


async def _connect_to_one(host: str, port: int, addresses: Sequence[str]) -> str:
    problem: OSError | None = None
    for address in addresses or await _resolve(host, port):
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError as error:
            problem = problem or error
        else:
            writer.transport.abort()
            return address
    raise problem or OSError(socket.EAI_NONAME, "it has no address")


async def _tunnel_and_leave(route: Route, address: str, timeout_s: float) -> None:
    _, writer = await asyncio.wait_for(_reach(route, address), timeout_s)
    writer.transport.abort()


async def _reach(route: Route, address: str) -> Streams:
    """A connection to the server, through the proxy if there is one: *address* is that of whom we connect to.

    No name is left for asyncio to resolve: it does so in threads that its end waits for.
    """
    proxy = route.proxy
    if proxy is None:
        return await asyncio.open_connection(address, route.port)
    tls = await tls_context(None) if proxy.scheme == "https" else None
    host = (await _resolve(route.host, route.port))[0] if proxy.scheme in ("socks4", "socks5") else route.host
    return await open_tunnel(proxy, address, host, route.port, tls)


async def _tls_and_leave(route: Route, address: str, ca_file: str | None, timeout_s: float) -> tuple[str, float]:
    """The TLS version, and when the certificate ends (seconds since 1970)."""
    try:
        context = await tls_context(ca_file)
    except OSError as error:
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror or "it cannot be read"
        raise _CaFileUnusable(why) from None
    streams = await asyncio.wait_for(_reach(route, address), timeout_s)
    try:
        session = await asyncio.wait_for(shake_hands(streams, context, route.host), timeout_s)
    finally:
        streams[1].transport.abort()
    certificate = session.getpeercert() or {}
    return session.version() or "TLS", ssl.cert_time_to_seconds(str(certificate["notAfter"]))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
