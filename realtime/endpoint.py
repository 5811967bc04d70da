"""Where to connect and with which headers: the GA transcription URL from any base an operator may write."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit, urlunsplit

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


def realtime_url(base_url: str, *, field: str = "base_url") -> str:
    """The WebSocket URL of a GA transcription session under *base_url*.

    A bare host gets `/v1`; `/realtime` is added unless the path ends in it; `http` and `https` become `ws`
    and `wss`. The base's own query stays and `intent=transcription` joins it. The model is never put in the
    URL, because the service refuses it there. Raises ConfigurationError, naming *field*, for what is no such
    URL.
    """
    parts = _split(base_url, field)
    path = parts.path.rstrip("/")
    if not path.endswith("/realtime"):
        path = f"{path or '/v1'}/realtime"
    names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    query = parts.query.strip("&")
    if "intent" not in names:
        query = f"{query}&intent=transcription" if query else "intent=transcription"
    return urlunsplit((_SCHEMES[parts.scheme.lower()], parts.netloc, path, query, ""))


def display_url(url: str) -> str:
    """*url* as a log may show it: no user name, password or private query value. Never raises."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return "(not a URL)"
    if not parts.netloc:
        # Without a host there is no telling which part is secret: it may be a key in the wrong place.
        return "(not a URL)"
    query = "&".join(
        f"{quote(name)}={quote(value) if name.lower() in _PUBLIC_QUERY else '***'}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def needs_key(base_url: str) -> bool:
    """Whether the host of *base_url* (the provider, Azure) is known to refuse sessions without a key."""
    try:
        host = (urlsplit(base_url.strip()).hostname or "").lower()
    except ValueError:
        return False
    return f".{host}".endswith((".openai.com", ".azure.com"))


def _header_value(field: str, value: str) -> str:
    """*value* trimmed, or ConfigurationError (without the value: it may be a secret)."""
    text = value.strip()
    if not text.isascii() or not text.isprintable():
        raise ConfigurationError(
            field, f"{len(value)} characters", "remove line breaks, control and non-ASCII characters"
        )
    return text


def headers(
    api_key: str | None,
    organization: str | None = None,
    project: str | None = None,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The HTTP headers of the WebSocket handshake.

    *extra* headers replace ours of the same name, whatever its case. Raises ConfigurationError, without
    quoting any value, for what cannot be sent in a header.
    """
    result: dict[str, str] = {}
    if api_key and api_key.strip():
        key = _header_value("api_key", api_key)
        if " " in key:
            raise ConfigurationError("api_key", f"{len(key)} characters", "a key contains no spaces")
        result["Authorization"] = f"Bearer {key}"
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
