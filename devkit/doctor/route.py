"""Where a connection goes: the server's URL, and the proxy that the configuration or the environment names."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from ...realtime.dialects.choice import DialectChoice
from .case import Case

_PORTS = {"http": 80, "https": 443}
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_SOCKS_PORT = 1080
_ESCAPES = "Let nothing follow host and port; in a user name or a password, write / ? # @ as %2F %3F %23 %40."


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
    text = configured or _proxy_of_environment(url)
    if not text:
        return None
    place = "params.proxy" if configured else _variable_of(url, text)
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
    find = finder()
    try:
        found: str | None = None if find is None else find(parse_uri(url))
    except InvalidURI:  # the dial says so, too
        return None
    return found


def _variable_of(url: str, proxy: str) -> str:
    """The variable that the library took *proxy* from, in the order in which it looks; not all systems need one."""
    schemes = ("wss", "socks", "https") if url.startswith("wss:") else ("ws", "socks", "https", "http")
    for scheme in schemes:
        names = [name for name, value in os.environ.items() if name.lower() == f"{scheme}_proxy" and value]
        # Of two spellings the small one counts.
        for name in sorted(names, key=str.islower, reverse=True):
            if proxy.endswith(os.environ[name].partition("://")[2] or os.environ[name]):
                return name
    return "the system's proxy settings"


def finder() -> Callable[[Any], str | None] | None:
    """The library's own way to find a proxy, which it has moved; version 14 knows none."""
    for name in ("websockets.proxy", "websockets.uri"):
        with contextlib.suppress(ImportError):
            find: Callable[[Any], str | None] | None = getattr(importlib.import_module(name), "get_proxy", None)
            if find is not None:
                return find
    return None
