"""How ten_ai_base takes secrets out of what it shows."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

SECRET_NAMES = frozenset(
    {
        "accesskey", "apikey", "appkey", "authorization", "key", "password", "secret", "secretid", "secretkey",
        "ststoken", "token", "vendorkey", "vendorsecret", "xapikey",
    }
)  # fmt: skip
"Names of secrets, lower case and without anything but letters and digits."


def ends(key: str) -> str:
    """Return the two ends of *key*, at most five characters each; anything under five characters comes back whole."""
    shown = min(len(key) // 5, 5)
    return f"{key[:shown]}...{key[-shown:]}" if shown else key


def mask_secret(secret: str) -> str:
    """Return the ends of *secret* and a fingerprint that tells two secrets apart."""
    return f"{ends(secret)}#{hashlib.sha256(secret.encode()).hexdigest()[:8]}" if secret else ""


@functools.lru_cache(maxsize=256)
def is_secret_name(name: str) -> bool:
    """Whether a value of that name is a secret."""
    return re.sub("[^a-z0-9]", "", name.lower()) in SECRET_NAMES


def redact_json(value: Any) -> Any:
    """Return a copy of *value* with every secret in it masked, told by its name alone."""
    if isinstance(value, Mapping):
        return {name: _redact_named(str(name), inner) for name, inner in value.items()}
    return [redact_json(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return *headers* with the secret ones masked."""
    return {name: mask_secret(value) if is_secret_name(name) else value for name, value in headers.items()}


def redact_url(url: str) -> str:
    """Return *url* with secrets of its query masked, and without the password of its user."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    pairs = [pair.partition("=") for pair in parts.query.split("&")] if parts.query else []
    query = "&".join(
        f"{name}{sep}{mask_secret(value) if is_secret_name(name) else value}" for name, sep, value in pairs
    )
    return urlunsplit(parts._replace(netloc=host, query=query))


def _redact_named(name: str, value: Any) -> Any:
    return mask_secret(value) if isinstance(value, str) and is_secret_name(name) else redact_json(value)
