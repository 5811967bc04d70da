"""Short-lived secrets: what a key buys over HTTP, for services whose socket does not take the key itself.

The vendor's SDK does the talking. It is big, so it is imported only here, by those who need it, and off the loop.
"""

from __future__ import annotations

import asyncio
import importlib
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

SECONDS = 60
"A secret is used at once, for one dial: it need not live long. The service's least is 10."


class SecretRefused(Exception):
    """There is no secret. `status` is the HTTP status, 0 if it did not come to HTTP; the text holds no credentials."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = dict(headers or {})


def http_base(url: str) -> str:
    """The HTTP base URL that belongs to a session's WebSocket *url*."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}[parts.scheme]
    return urlunsplit((scheme, parts.netloc, parts.path.removesuffix("/realtime"), "", ""))


async def mint_client_secret(
    url: str, key: str, credentials: Mapping[str, str], model: str, *, proxy: str | None, tls: ssl.SSLContext
) -> str:
    """Buy a secret for one transcription session at the service of *url*. Raises `SecretRefused`.

    *credentials*: the headers that carry *key*. The caller bounds the time.
    """
    openai: Any = await asyncio.to_thread(importlib.import_module, "openai")
    transport: dict[str, Any] = {"verify": tls}  # its own would be loaded anew each time, TLS or not
    if proxy is not None:
        transport["proxy"] = proxy
    try:
        async with openai.AsyncOpenAI(
            api_key=key,
            base_url=http_base(url),
            default_headers=dict(credentials),
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(**transport),
        ) as client:
            answer = await client.realtime.client_secrets.create(
                expires_after={"anchor": "created_at", "seconds": SECONDS},
                session={"type": "transcription", "audio": {"input": {"transcription": {"model": model}}}},
            )
    except openai.APIStatusError as exc:
        status = exc.response.status_code
        raise SecretRefused(status, f"HTTP {status} when asked for a client secret", exc.response.headers) from None
    except openai.OpenAIError as exc:
        raise SecretRefused(0, f"asking for a client secret failed with {type(exc).__name__}") from None
    value = getattr(answer, "value", None)
    if not isinstance(value, str) or not value:
        raise SecretRefused(0, "the service's answer holds no client secret")
    return value
