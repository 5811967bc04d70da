"""Whom to trust: TLS contexts, loaded once for all clients of the process."""

from __future__ import annotations

import asyncio
import functools
import os
import ssl

_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"Variables that OpenSSL reads."


async def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """The system's authorities, or those of a PEM file. Raises OSError (ssl.SSLError, without a certificate in it).

    A file that was changed is read again, and so is what the environment names in place of the system's.
    """
    changed = os.stat(ca_file).st_mtime if ca_file else 0.0
    return await asyncio.to_thread(_load, ca_file, (changed, *map(os.environ.get, _ENVIRONMENT)))


@functools.lru_cache(maxsize=8)
def _load(ca_file: str | None, state: tuple[object, ...]) -> ssl.SSLContext:
    """Takes some 20 ms: too long for the loop, and for every dial of every client. *state*: what it depends on."""
    return ssl.create_default_context(cafile=ca_file)
