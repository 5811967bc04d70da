"""Who may come in: the server's key, and client secrets, which are minted for it and do not live long."""

from __future__ import annotations

import hmac
import string
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

from .session_config import SessionConfig

_KEY_PROTOCOL = "openai-insecure-api-key."
_ALPHABET = string.ascii_letters + string.digits
_MAX_SECRETS = 10_000


class Secret(NamedTuple):
    """A key that starts sessions of one configuration until it expires."""

    value: str
    expires_at: int
    "Epoch seconds. A session it has started outlives it."
    config: SessionConfig


class Access:
    """The keys of one server."""

    def __init__(self, api_key: str | None, *, seed: object, clock: Callable[[], float]) -> None:
        """*api_key*: None takes any. *seed*: secrets are the same for the same one. *clock*: epoch seconds."""
        self.api_key = api_key
        self._clock = clock
        self._random = Random(f"{seed}/secrets")
        self._secrets: dict[str, Secret] = {}

    def opens(self, key: str) -> bool:
        """Whether *key* is the server's."""
        if self.api_key is None:
            return True
        return hmac.compare_digest(key.encode(errors="surrogateescape"), self.api_key.encode())

    def mint(self, seconds: int, config: SessionConfig) -> Secret:
        """A new secret that is good for so long."""
        value = "ek_" + "".join(self._random.choices(_ALPHABET, k=32))
        secret = self._secrets[value] = Secret(value, int(self._clock()) + seconds, config)
        while len(self._secrets) > _MAX_SECRETS:
            del self._secrets[next(iter(self._secrets))]
        return secret

    def secret(self, key: str) -> Secret | None:
        """The secret that *key* is; None if it was never minted or has expired."""
        secret = self._secrets.get(key)
        if secret is not None and secret.expires_at <= self._clock():
            del self._secrets[key]
            return None
        return secret


def bearer_of(headers: Mapping[str, str]) -> str:
    """The token of `Authorization: Bearer`, which may stand beside a login from the URL; empty if there is none."""
    for said in headers.get("Authorization", "").split(","):
        scheme, _, token = said.strip().partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    return ""


def key_of(headers: Mapping[str, str]) -> str:
    """The key of a request, wherever a client may put it; empty if there is none."""
    token = bearer_of(headers)
    if token:
        return token
    for protocol in headers.get("Sec-WebSocket-Protocol", "").split(","):
        if protocol.strip().startswith(_KEY_PROTOCOL):
            return protocol.strip()[len(_KEY_PROTOCOL) :]
    return headers.get("api-key", "").strip()
