"""Where to connect and with which headers: the GA transcription URL from any base an operator may write."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, parse_qsl, quote, unquote, unquote_plus, urlencode, urlsplit, urlunsplit

from .errors import ConfigurationError, show_value

DEFAULT_BASE_URL = "wss://api.openai.com/v1"

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_BASE_REMEDY = "use a ws, wss, http or https URL such as wss://api.openai.com/v1"
# Query parameters whose values are worth reading in a log. Some servers take the key itself in the query.
_PUBLIC_QUERY = frozenset({"intent", "model", "api-version", "deployment", "language", "transcription_model"})
_HEADER_NAME = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def _split(url: str, field: str) -> SplitResult:
    """*url* in parts, or ConfigurationError if it cannot be connected to."""

    text = url.strip()

    def wrong(remedy: str) -> ConfigurationError:
        # Text without a dot, slash or colon is no attempt at a URL: it may be a key in the wrong place.
        shown = display_url(text) if "://" in text or not set(text) & set("./:") else text.partition("?")[0]
        return ConfigurationError(field, show_value(shown), remedy)

    if any(char.isspace() or not char.isprintable() for char in text):
        raise wrong("remove the spaces or control characters from the URL")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        # urllib's text may quote the host part, which holds any user name and password.
        raise wrong(f"it is not a valid URL; {_BASE_REMEDY}") from exc.with_traceback(None)
    if parts.scheme.lower() not in _SCHEMES:
        raise wrong(_BASE_REMEDY)
    if not host:
        raise wrong(f"it names no host; {_BASE_REMEDY}")
    if parts.fragment:
        raise wrong("remove the part after #, a WebSocket URL has none")
    return parts


def realtime_url(
    base_url: str,
    *,
    field: str = "base_url",
    path: str = "/v1",
    intent: str = "transcription",
    query: Mapping[str, str] | None = None,
) -> str:
    """The WebSocket URL of a transcription session under *base_url*.

    A bare host gets *path*; `/realtime` is added unless the path ends in it; `http` and `https` become `ws` and
    `wss`. The base's own query stays; *intent* and *query* join it where it does not name them. (GA's URL never has
    the model: the service refuses it there.) Raises ConfigurationError, naming *field*, for what is no such URL.
    """
    parts = _split(base_url, field)
    own = parts.path.rstrip("/")
    if not own.endswith("/realtime"):
        own = f"{own or path}/realtime"
    names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    wanted = {**({"intent": intent} if intent else {}), **(query or {})}
    ours = urlencode({name: value for name, value in wanted.items() if name not in names}, quote_via=quote)
    joined = "&".join(part for part in (parts.query.strip("&"), ours) if part)
    return urlunsplit((_SCHEMES[parts.scheme.lower()], parts.netloc, own, joined, ""))


def display_url(url: str) -> str:
    """*url* as a log may show it: no user name, password or private query value. Never raises."""
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        return "(not a URL)"
    if not parts.netloc:
        # Without a host there is no telling which part is secret: it may be a key in the wrong place.
        return "(not a URL)"
    if "@" in parts.path + parts.query + parts.fragment:
        # A password with an unescaped / ? or # looks like this: host and port are then its beginning.
        return f"{parts.scheme}://***"
    query = "&".join(
        f"{quote(name)}={quote(value) if name.lower() in _PUBLIC_QUERY else '***'}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def secrets_of(url: str) -> set[str]:
    """What `display_url` does not show of *url*, as it is written and as it is meant; all of it if it is no URL."""
    text = url.strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        return {text}
    # Up to the last @, whatever ends the host by the rules: a password may hold / ? or # as it is.
    login = (text.partition("://")[2] or text).rpartition("@")[0]
    pairs = [pair.partition("=") for pair in parts.query.split("&")]
    hidden = [value for name, _, value in pairs if unquote_plus(name).lower() not in _PUBLIC_QUERY]
    user, _, password = login.partition(":")
    secrets = {user, password, *re.split(r"[:/?#@]", login), *hidden}
    return {form for secret in secrets for form in (secret, unquote(secret), unquote_plus(secret)) if form}


def host_of(base_url: str) -> str:
    """The host of *base_url* in lower case; empty if it has none."""
    try:
        return (urlsplit(base_url.strip()).hostname or "").lower()
    except ValueError:
        return ""


def is_azure(base_url: str) -> bool:
    """Whether *base_url* is a resource of Azure."""
    return f".{host_of(base_url)}".endswith((".azure.com", ".azure.us", ".azure.cn"))


def needs_key(base_url: str) -> bool:
    """Whether the host of *base_url* (the provider, Azure) is known to refuse sessions without a key."""
    return f".{host_of(base_url)}".endswith(".openai.com") or is_azure(base_url)


def _header_value(field: str, value: str) -> str:
    """*value* trimmed, or ConfigurationError (without the value: it may be a secret)."""
    text = value.strip()
    if not text.isascii() or not text.isprintable():
        raise ConfigurationError(
            field, f"{len(value)} characters", "remove line breaks, control and non-ASCII characters"
        )
    return text


def bearer(key: str) -> dict[str, str]:
    """The header most services want a key in."""
    return {"Authorization": f"Bearer {key}"}


def headers(
    api_key: str | None,
    organization: str | None = None,
    project: str | None = None,
    extra: Mapping[str, str] | None = None,
    *,
    credentials: Callable[[str], Mapping[str, str]] = bearer,
    fixed: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The HTTP headers of the WebSocket handshake.

    *credentials* makes the headers that carry the key, *fixed* are more of ours. *extra* headers replace ours of the
    same name, whatever its case. Raises ConfigurationError, without quoting any value, for what cannot be sent in a
    header.
    """
    result: dict[str, str] = dict(fixed or {})
    if api_key and api_key.strip():
        key = _header_value("api_key", api_key)
        if " " in key:
            raise ConfigurationError("api_key", f"{len(key)} characters", "a key contains no spaces")
        result.update(credentials(key))
    if organization:
        result["OpenAI-Organization"] = _header_value("organization", organization)
    if project:
        result["OpenAI-Project"] = _header_value("project", project)
    for name, value in (extra or {}).items():
        if not name or not set(name.lower()) <= _HEADER_NAME:
            raise ConfigurationError("headers", show_value(name), "that is not a header name")
        for ours in [known for known in result if known.lower() == name.lower()]:
            del result[ours]
        result[name] = _header_value(f"headers.{name}", value)
    return result
