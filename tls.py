"""Whom to trust: TLS contexts, loaded once for all clients of the process."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from typing import TypeAlias

_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"Variables that OpenSSL reads."
_KEPT = 8
_Place: TypeAlias = "tuple[str | None, float, str | None, str | None]"

_loaded: dict[_Place, ssl.SSLContext] = {}
"By all that a context depends on; the newest few."
_loading = threading.Lock()


async def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """The system's authorities, or those of a PEM file. Raises OSError (ssl.SSLError, without a certificate in it).

    A file that was changed is read again, and so is what the environment names in place of the system's.
    """
    changed = os.stat(ca_file).st_mtime if ca_file else 0.0
    file, folder = map(os.environ.get, _ENVIRONMENT)
    place = (ca_file, changed, file, folder)
    context = _loaded.get(place)
    return await asyncio.to_thread(_load, place) if context is None else context


def _load(place: _Place) -> ssl.SSLContext:
    """Takes some 20 ms: too long for the loop, and for each of many clients that dial at the same moment."""
    with _loading:
        context = _loaded.get(place)
        if context is None:
            context = ssl.create_default_context(cafile=place[0])
            if len(_loaded) >= _KEPT:
                del _loaded[next(iter(_loaded))]
            _loaded[place] = context
        return context
