"""The local Realtime server: a socket, a session for each client, one recogniser for all."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from .access import Access
from .connection import MAX_LAG_SECONDS, Connection
from .dialects import make_dialect
from .dialects.base import Dialect
from .faults import Faults
from .faults_registry import Fault
from .handshake import Refusal
from .http_front import HttpAnswer, HttpFront, Post, RequestHeaders, body_of, reason_of
from .identifiers import Identifiers
from .middleware import Middleware
from .recognizers import Recognizer, make_recognizer
from .server_session import ServerSession
from .vad import DetectorName, detector_factory

_log = logging.getLogger("openai_asr.server")
# The library writes whole frames, with speech and keys in them, to its logger at level DEBUG. Not to ours.
_quiet_log = logging.getLogger("openai_asr.server.websockets")
_quiet_log.setLevel(logging.ERROR)

MAX_FRAME = 24 * 1024 * 1024
"15 MiB of audio as base64, and room for the JSON around it."
PING_SECONDS = 20.0


class LocalServer:
    """Serves transcription sessions on *host* and *port* (0: any free one; see `port` after the start).

        async with LocalServer(port=0) as server:
            print(server.url)

    *api_key*: the key clients must send; None takes any. *recognizer*: a name (see `recognizers.RECOGNIZERS`) or an
    object. *model_path*: folder or name of its model, where it needs one. *session_seconds*: life of a session; the
    default is the dialect's. *seed*: ids are the same for the same seed and order of connections. *dialect*: a name
    (see `dialects.DIALECTS`) or an object. *vad*: speech detector; the default is what suits the recogniser. *refuse*:
    judges each connection before the usual rules do. *middleware*: makes the layers between a session and its socket.
    *faults*: what goes wrong on purpose; `faults` of the server can be told more while it runs.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8765,
        *,
        api_key: str | None = None,
        recognizer: str | Recognizer = "pocketsphinx",
        model_path: str | None = None,
        session_seconds: float | None = None,
        seed: int = 0,
        vad: DetectorName | None = None,
        refuse: Callable[[Request], Refusal | None] | None = None,
        middleware: Callable[[], Sequence[Middleware]] = tuple,
        max_lag_seconds: float = MAX_LAG_SECONDS,
        faults: Faults | Iterable[Fault | str] = (),
        dialect: str | Dialect = "openai",
    ) -> None:
        if session_seconds is not None and session_seconds <= 0:
            raise ValueError(f"session_seconds: {session_seconds} given, must be above 0")
        self.host = host
        self._port = port
        self.dialect = make_dialect(dialect) if isinstance(dialect, str) else dialect
        self._access = Access(api_key, seed=seed, clock=time.time)
        self._identifiers = Identifiers(f"{seed}/http")
        self._recognizer = make_recognizer(recognizer, model_path) if isinstance(recognizer, str) else recognizer
        self._session_seconds = self.dialect.session_seconds if session_seconds is None else session_seconds
        self._seed = seed
        self._new_detector = detector_factory(vad or self._recognizer.vad)
        self._refuse = refuse
        self._middleware = middleware
        self._max_lag_seconds = max_lag_seconds
        self._server: Server | None = None
        self._front = HttpFront(self._answer_post)
        self.faults = faults if isinstance(faults, Faults) else Faults(faults)

    @property
    def port(self) -> int:
        """The port it listens on; before the start, the one asked for."""
        if self._server is not None:
            for socket in self._server.sockets:
                return int(socket.getsockname()[1])
        return self._port

    @property
    def url(self) -> str:
        """Base URL for clients, like `ws://127.0.0.1:8765/v1`."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        host = f"[{host}]" if ":" in host else host
        return f"ws://{host}:{self.port}{self.dialect.base_path}"

    async def start(self) -> None:
        """Load the recogniser and listen.

        Raises RecognizerUnavailable, or OSError if the address cannot be had.
        """
        await self._recognizer.start()
        self.faults.start(asyncio.get_running_loop(), time.monotonic(), self._seed)
        try:
            self._server = await serve(
                self._serve_connection,
                self.host,
                self._port,
                process_request=self._process_request,
                create_connection=self._front.connection_class(),
                select_subprotocol=_select_subprotocol,
                compression=None,
                max_size=MAX_FRAME,
                ping_interval=PING_SECONDS,
                ping_timeout=PING_SECONDS,
                logger=_quiet_log,
            )
        except BaseException:
            await self._recognizer.stop()
            raise
        _log.info("listening on %s", self.url)

    async def stop(self) -> None:
        """Close all connections (1001) and give everything back."""
        server, self._server = self._server, None
        if server is not None:
            self._port = server.sockets[0].getsockname()[1] if server.sockets else self._port
            self.faults.stop()
            self._front.close()
            server.close()
            await server.wait_closed()
        await self._recognizer.stop()

    async def __aenter__(self) -> LocalServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path.partition("?")[0] == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "ok\n")
        answer: HttpAnswer | None = self.dialect.nowhere()
        if self.dialect.serves(request.path):
            refused = self.faults.refusal(time.monotonic())
            if refused is None:
                answer = self.dialect.answer_upgrade(request.path, _headers(request), self._access)
            else:
                wait = None if refused.retry_after is None else math.ceil(refused.retry_after)
                answer = HttpAnswer(refused.status, "refused on purpose\n", wait)
        return None if answer is None else _response(connection, answer)

    def _answer_post(self, post: Post) -> HttpAnswer:
        return self.dialect.answer_post(post, self._access, self._identifiers)

    async def _serve_connection(self, socket: ServerConnection) -> None:
        request = socket.request
        assert request is not None
        stack = self.faults.open(time.monotonic(), time.time())
        number = stack.link.number
        refusal = self._refuse(request) if self._refuse is not None else None
        if refusal is None:
            refusal = self.dialect.refuse(request.path, _headers(request), self._access)
        config = self.dialect.config(request.path, _headers(request), self._access)
        session = ServerSession(
            Identifiers(f"{self._seed}/{number}"),
            now=stack.link.opened,
            epoch=stack.link.epoch,
            session_seconds=self._session_seconds,
            detector=stack.detector(self._new_detector()),
            refusal=refusal,
            middleware=(*self._middleware(), stack),
            config=replace(config, knows_language=self._recognizer.knows_language),
            voice=self.dialect.voice(request.path, stack.link.epoch),
        )
        _log.info("connection %d: %s", number, "refused" if refusal else f"session {session.id}")
        connection = Connection(
            socket,
            session,
            self._recognizer,
            clock=time.monotonic,
            log=_log,
            max_lag_seconds=self._max_lag_seconds,
            decoding=stack.decoding,
        )
        with self.faults.serving(stack, connection):
            await connection.serve()


def _headers(request: Request) -> RequestHeaders:
    """The library's own raise for a name that is there twice."""
    return RequestHeaders(request.headers.raw_items())


def _response(connection: ServerConnection, answer: HttpAnswer) -> Response:
    content_type, body = body_of(answer)
    response = connection.respond(http.HTTPStatus.OK, body.decode())
    response.status_code, response.reason_phrase = answer.status, reason_of(answer.status)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = content_type
    if answer.retry_after is not None:
        response.headers["Retry-After"] = str(answer.retry_after)
    return response


def _select_subprotocol(connection: ServerConnection, offered: Sequence[Any]) -> Any | None:
    """Browsers offer `realtime` beside the key; a server that picks nothing loses them."""
    return "realtime" if "realtime" in offered else None


@contextlib.contextmanager
def run_in_thread(host: str = "127.0.0.1", port: int = 0, **options: Any) -> Iterator[LocalServer]:
    """A running `LocalServer` in a thread and event loop of its own, beside whatever the caller does.

    Takes the arguments of `LocalServer`, and raises what its `start` raises.
    """
    server = LocalServer(host, port, **options)
    running: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = (
        concurrent.futures.Future()
    )
    started: concurrent.futures.Future[None] = concurrent.futures.Future()

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        running.set_result((asyncio.get_running_loop(), task))
        try:
            await server.start()
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(None)
        try:
            await asyncio.Event().wait()  # until it is cancelled
        finally:
            await server.stop()

    def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(run())

    thread = threading.Thread(target=work, name="openai-asr-server", daemon=True)
    thread.start()
    try:
        started.result()
        yield server
    finally:
        loop, task = running.result()
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
