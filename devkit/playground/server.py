"""The web server under the playground."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from .app import Playground

_MAX_MESSAGE = 4 * 1024 * 1024
"Bytes of one message of a page. A larger one ends its connection; what is too large below that is refused in words."
_GOODBYE_S = 5
"For open pages to be told, and their graphs to end."


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    pages: Playground,
    listener: socket.socket,
    told: asyncio.Future[Any],
    *,
    tls_cert: str | None = None,
    tls_key: str | None = None,
) -> None:
    """Serve on *listener* until *told* is done; open pages are closed with 1012 then.

    *tls_cert* and *tls_key* are PEM files; with them it speaks https and wss.
    """
    # Its lines hold whole URLs, and so tokens, and from level DEBUG on what pages send.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    server = _Server(
        uvicorn.Config(
            pages.asgi(),
            log_config=None,
            access_log=False,
            interface="asgi3",
            lifespan="off",
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=_MAX_MESSAGE,
            ws_per_message_deflate=False,
            ssl_certfile=tls_cert,
            ssl_keyfile=tls_key,
            timeout_graceful_shutdown=_GOODBYE_S,
        )
    )
    serving = asyncio.ensure_future(server.serve([listener]))
    told.add_done_callback(lambda _: setattr(server, "should_exit", True))
    await serving
