"""The way to the server, hop by hop, as the transport goes it: name, port, proxy, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timezone

from ...tls import tls_context
from ..transcription.destination import is_on_this_machine
from .authorities import CaFileUnusable, untrusted, why_unusable
from .case import Case
from .report import Finding, not_needed, ok
from .route import Route, finder, route_of
from .troubles import trouble
from .tunnel import ProxyFailed, ProxyLogin, ProxyRefused, Streams, hear, open_tunnel, shake_hands

ENDING_DAYS = 14
_TROUBLE_OF_CERTIFICATE = {
    9: "certificate_early", 10: "certificate_expired", 62: "certificate_other_host", 64: "certificate_other_host",
}  # fmt: skip
"By OpenSSL's number of what is wrong; all others are about who signed it."
TLS_IN_TLS = sys.version_info >= (3, 11)
"Whether the transport can go through an https proxy to a wss server."


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
        whom = "the proxy" if route.proxy else "the server"
        return trouble("port_closed", f"nobody listens on {where}", whom=whom, what=route.what)
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
    if finder() is None:
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
        found = trouble("proxy_certificate", f"{where}: {error.verify_message}")
        return found if error.verify_code in _TROUBLE_OF_CERTIFICATE else untrusted(found)
    except _NameUnknown as error:
        detail = f"{where} is given addresses, and this machine has none of {route.host} ({error})"
        return trouble("proxy_name", detail, scheme="socks5h" if proxy.scheme == "socks5" else "socks4a")
    except (ProxyFailed, OSError, EOFError) as error:
        why = str(error) if isinstance(error, ProxyFailed) else _in_words(error)
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
    except CaFileUnusable as error:
        return trouble("ca_file_unusable", f"{ca_file}: {error}", place="params.ca_file")
    except ssl.SSLCertVerificationError as error:
        name = _TROUBLE_OF_CERTIFICATE.get(error.verify_code, "certificate_unknown")
        found = trouble(name, error.verify_message, host=route.host)
        return untrusted(found) if name == "certificate_unknown" and ca_file is None else found
    except asyncio.TimeoutError:
        return trouble("no_tls", f"no answer to our TLS in {case.wait_s:g} s")
    except (OSError, EOFError) as error:
        return trouble("no_tls", _in_words(error))
    left = (ends - case.world.now()) / 86_400
    detail = f"{version}, certificate valid until {datetime.fromtimestamp(ends, timezone.utc):%Y-%m-%d}"
    if left < ENDING_DAYS:
        return trouble("certificate_ending", detail)
    return ok(f"{detail}, trusted by {ca_file or 'the system'}", ms=_since(begun))


def wants_certificate(case: Case) -> str:
    """What a server that wants a certificate of its clients says to us; empty for any other.

    In TLS 1.3 it says so behind the handshake, which is over for us then.
    """
    route = route_of(case)
    try:
        asyncio.run(asyncio.wait_for(_listen(route, case.address, case.settings.ca_file), case.wait_s))
    except ssl.SSLError as error:
        words = _in_words(error)
        return words if "certificate required" in words else ""
    except (asyncio.TimeoutError, OSError, EOFError, ProxyLogin, ProxyRefused, ProxyFailed):
        pass  # whatever it is, it is told already
    return ""


# Doing it -----------------------------------------------------------------------------------------------------


class _NameUnknown(Exception):
    """This machine does not know the address of the server, and the proxy wants that."""


def _in_words(error: OSError | EOFError) -> str:
    """What happened to a connection."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no TLS").replace("_", " ").lower()
    if isinstance(error, (ConnectionError, EOFError)):
        return "it hung up"
    return error.strerror or type(error).__name__


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
    host = route.host
    if proxy.scheme in ("socks4", "socks5"):
        try:
            host = (await _resolve(host, route.port))[0]
        except OSError as error:
            raise _NameUnknown(error.strerror or "unknown") from None
    return await open_tunnel(proxy, address, host, route.port, tls)


async def _tls_and_leave(route: Route, address: str, ca_file: str | None, timeout_s: float) -> tuple[str, float]:
    """The TLS version, and when the certificate ends (seconds since 1970)."""
    try:
        context = await tls_context(ca_file)
    except OSError as error:
        raise CaFileUnusable(why_unusable(error)) from None
    streams = await asyncio.wait_for(_reach(route, address), timeout_s)
    try:
        session = (await asyncio.wait_for(shake_hands(streams, context, route.host), timeout_s)).session
    finally:
        streams[1].transport.abort()
    certificate = session.getpeercert() or {}
    return session.version() or "TLS", ssl.cert_time_to_seconds(str(certificate["notAfter"]))


async def _listen(route: Route, address: str, ca_file: str | None) -> None:
    """Hear what comes first behind the TLS handshake."""
    streams = await _reach(route, address)
    try:
        await hear(streams, await shake_hands(streams, await tls_context(ca_file), route.host))
    finally:
        streams[1].transport.abort()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
