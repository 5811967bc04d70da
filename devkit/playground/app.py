"""The playground as a web application: the page's files, and a WebSocket for each page."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from ...realtime.dialects.choice import DialectChoice
from ...realtime.models import MODEL_FAMILIES, ModelRules, shutdown_notice
from ..transcription.destination import Destination, configuration
from ..transcription.graphs import TranscriptionGraph
from ..transcription.job import Received
from .access import Access
from .page import Page
from .recording import SETTINGS, Recording
from .relay import Relay

STATIC = Path(__file__).parent / "static"
MAX_PAGES = 8
"Pages that may talk at the same time; each recording is a graph with its threads."
TOO_MANY = 4429
"Close code."

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_NO_TOKEN = "This playground wants its token: open the address that `openai-asr playground` printed.\n"
_NOT_HERE = "There is no playground of that name here: open it as http://127.0.0.1 or http://localhost.\n"


class Playground:
    """Pages for *graph*, whose audio goes to *destination*, which *note* describes in a sentence."""

    def __init__(
        self,
        graph: TranscriptionGraph,
        destination: Destination,
        *,
        version: str,
        note: str,
        access: Access,
        local: bool = False,
        tls: bool = False,
        max_pages: int = MAX_PAGES,
    ) -> None:
        self._graph = graph
        self._access = access
        self._tls = tls
        self._max_pages = max_pages
        self._target, cut_note = way_to(graph)
        self.hello = {
            "type": "hello",
            "version": version,
            "destination": {"url": destination.url, "model": destination.model, "local": local, "note": note},
            "can_cut": self._target is not None,
            "cut_note": cut_note,
            "models": [_model(rules) for rules in MODEL_FAMILIES],
            "settings": _settings_of(graph),
            "max_pages": max_pages,
        }
        "What a page is told first."
        self._pages = 0

    def asgi(self) -> ASGIApp:
        """The application."""
        app = Starlette(
            routes=[
                Route("/", self._index),
                Mount("/static", StaticFiles(directory=STATIC)),
                WebSocketRoute("/live", self._live),
            ]
        )
        return functools.partial(self._guard, app)

    async def _guard(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in who may come in, and say with every answer what the page may do."""
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        refusal = self._refusal(HTTPConnection(scope))
        if refusal is None:
            await app(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            await refusal(scope, receive, _with_headers(send))
        else:
            await WebSocket(scope, receive, send).close()

    def _refusal(self, connection: HTTPConnection) -> Response | None:
        host = connection.headers.get("host", "")
        if not self._access.knows_host(host):
            return PlainTextResponse(_NOT_HERE, 421)
        is_socket = connection.scope["type"] == "websocket"
        if is_socket and not self._access.is_own_origin(connection.headers.get("origin"), host):
            return PlainTextResponse("", 403)
        brought = connection.query_params.get("token")
        opens = not is_socket and connection.url.path == "/" and self._access.token is not None
        if opens and brought is not None and self._access.admits(brought):
            # Into a cookie, and out of the address bar, the history and every Referer: each time it is brought.
            response = RedirectResponse("/", 303)
            cookie = self._cookie(connection)
            response.set_cookie(cookie, brought, httponly=True, samesite="lax", secure=self._tls, path="/")
            return response
        if self._access.admits(connection.cookies.get(self._cookie(connection))):
            return None
        return PlainTextResponse(_NO_TOKEN, 401)

    @staticmethod
    def _cookie(connection: HTTPConnection) -> str:
        """Cookies are shared by all ports of a host."""
        return f"openai_asr_playground_{connection.url.port or 0}"

    async def _index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def _live(self, socket: WebSocket) -> None:
        await socket.accept()
        if self._pages >= self._max_pages:
            message = f"{self._max_pages} pages are open already, and that is all this playground serves: close one."
            await socket.send_json({"type": "problem", "message": message})
            await socket.close(TOO_MANY)
            return
        self._pages += 1
        try:
            await Page(socket, self.hello, self._new_recording).talk()
        finally:
            self._pages -= 1

    def _new_recording(
        self, sample_rate: Any, settings: dict[str, Any], take: Callable[[Recording, Received], None]
    ) -> Recording:
        relay = Relay(*self._target) if self._target is not None else None
        return Recording(self._graph, relay, sample_rate=sample_rate, settings=settings, take=take)


def way_to(graph: TranscriptionGraph) -> tuple[tuple[str, int] | None, str]:
    """Host and port for a relay; None where there can be none, and why."""
    settings = configuration(graph).connection
    try:
        from websockets.proxy import get_proxy
        from websockets.uri import parse_uri
    except ImportError:
        return None, "Cutting needs websockets 15 or later: pip install 'websockets>=15'"
    dialled = parse_uri(DialectChoice(settings.dialect, settings.base_url).url(settings.model))
    if settings.proxy is not None or get_proxy(dialled) is not None:
        return None, "The way to the server is a proxy; it cannot be cut from here."
    return (dialled.host, dialled.port), ""


def _model(rules: ModelRules) -> dict[str, Any]:
    return {
        "name": rules.family,
        "streams": rules.streams_before_commit,
        "server_turns": rules.allows_server_vad,
        "note": shutdown_notice(rules.family, date.today()) or "",
    }


def _settings_of(graph: TranscriptionGraph) -> dict[str, Any]:
    """What a page may set, as it is unless a page sets it."""
    config = configuration(graph)
    return {
        name: {key: value for key, value in getattr(config, name).model_dump(mode="json").items() if key in keys}
        for name, keys in SETTINGS.items()
    }


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return sending
