"""Real-time transcription over a WebSocket: moves bytes for the sans-I/O session, and decides nothing itself.

The only file that opens a socket. After every input the pump does what the session wants done, tells the listener what
happened, and re-arms the one timer. Retries, deadlines and the queue of audio are the session's.

Longer than other files because the dialler, the transport and the pump stay in the one file that may touch a socket.
Usable without TEN; see the README. All methods must be called from the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import random
import ssl
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from .audio.encoder import WireEncoder
from .audio.level import LevelDetector
from .audio.pcm import FrameDecoder
from .audio.turns import TurnDetector, TurnEnded, TurnEvent, TurnStarted
from .audio.vad import SileroDetector
from .client_secret import SecretRefused, mint_client_secret
from .connect_limit import PROCESS_LIMITER
from .event_queue import EventQueue
from .local_turns import LocalTurns
from .realtime import events as ev
from .realtime.actions import Close, Connect, Ping, Send
from .realtime.dialects.choice import DialectChoice
from .realtime.endpoint import bearer, display_url
from .realtime.endpoint import headers as handshake_headers
from .realtime.errors import ConfigurationError
from .realtime.lifecycle import SessionState
from .realtime.limiter import DialLimiter
from .realtime.options import SessionOptions, TurnDetectionOptions
from .realtime.session import Session
from .tls import tls_context

__all__ = ["Endpoint", "OpenAIASRClient", "OpenAIASRListener", "Transport", "TransportClosed"]

MAX_MESSAGE_BYTES = 1024 * 1024
"Of one message of the server: an hour of words with their probabilities fits. A larger one ends the connection."
MAX_MESSAGES = 16
"Messages of the server that may wait for us; then it is no longer read."
PIECE_BYTES = 64 * 1024
"Audio taken at a time: what is pushed in one go costs no copies of its whole length."
CLOSE_TIMEOUT_S = 0.5
"The closing handshake gets this long; then the socket is dropped. Part of the bound on `stop`."
ABNORMAL_CLOSURE = 1006

log = logging.getLogger(__name__)
# The library prints handshake headers, the key among them, at DEBUG: it gets a logger that never writes.
_silent = logging.Logger("openai_asr_python.websockets", level=logging.CRITICAL + 1)

Key: TypeAlias = "str | Callable[[], str | Awaitable[str]] | None"


@dataclass(frozen=True)
class Endpoint:
    """Where to connect, and with what. `repr` shows no secret."""

    base_url: str = "wss://api.openai.com/v1"
    "ws, wss, http or https; `/realtime?intent=transcription` is added."
    api_key: Key = field(default=None, repr=False)
    "A key, an ephemeral secret, or a function (sync or async) asked before every connect."
    organization: str | None = None
    project: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    "URL of a proxy; None takes the environment's (websockets 15 or later)."
    ca_file: str | None = None
    "PEM file of the authorities to trust instead of the system's."
    dialect: str = "auto"
    "Kind of server: `auto`, or a name of `realtime.dialects.choice.DIALECTS`."


class TransportClosed(Exception):
    """The connection ended. `code` is 1006 when there was no close frame."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


class TransportRefused(Exception):
    """No connection came about. `status` is the HTTP status, 0 if it did not come to HTTP."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.headers: dict[str, str] = {**(headers or {}), "reason": reason}


class Transport(Protocol):
    """One open WebSocket. A test may pass its own; see `tests/support/scripted.py`."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the upgrade's answer."""
        ...

    async def send(self, data: bytes) -> None:
        """Write one TEXT frame; returns when the transport took it. Raises `TransportClosed`."""
        ...

    async def receive(self) -> bytes | str:
        """The next message. Raises `TransportClosed`."""
        ...

    async def ping(self) -> Awaitable[Any]:
        """Write a ping; the result is done when its pong came. Raises `TransportClosed`."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close; never raises."""
        ...


Dialler: TypeAlias = "Callable[[str, Mapping[str, str], Endpoint], Awaitable[Transport]]"


class WebSocketTransport:
    """`Transport` on the websockets library."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    @property
    def headers(self) -> Mapping[str, str]:
        """See `Transport`."""
        response = self._socket.response
        return {} if response is None else dict(response.headers.raw_items())

    async def send(self, data: bytes) -> None:
        """See `Transport`."""
        with _closing():
            await self._socket.send(data, text=True)

    async def receive(self) -> bytes | str:
        """See `Transport`."""
        with _closing():
            return await self._socket.recv(decode=False)

    async def ping(self) -> Awaitable[Any]:
        """See `Transport`."""
        with _closing():
            return await self._socket.ping()

    async def close(self, code: int, reason: str) -> None:
        """See `Transport`. Takes `CLOSE_TIMEOUT_S` at most."""
        closing = asyncio.ensure_future(self._socket.close(code, reason))
        # The library bounds the wait for the peer's answer, but not that for room in a full write buffer.
        await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT_S)
        if not closing.done():
            self._socket.transport.abort()
        with contextlib.suppress(WebSocketException, OSError, TimeoutError):
            await closing
        self._socket.transport.close()  # closed already; Python 3.10 warns of a TLS transport nobody has closed


@contextlib.contextmanager
def _closing() -> Any:
    """The library's errors stop here."""
    try:
        yield
    except ConnectionClosed as exc:
        frame = exc.rcvd or exc.sent
        code = exc.rcvd.code if exc.rcvd else (exc.sent.code if exc.sent else ABNORMAL_CLOSURE)
        raise TransportClosed(code, frame.reason if frame else "") from None
    except (WebSocketException, OSError) as exc:
        raise TransportClosed(ABNORMAL_CLOSURE, type(exc).__name__) from None


async def dial_websocket(url: str, headers: Mapping[str, str], endpoint: Endpoint) -> Transport:
    """Open a WebSocket: no compression, bounded messages, no pings of the library's own. Raises `TransportRefused`."""
    options: dict[str, Any] = {"ssl": await _tls(endpoint)} if url.startswith("wss:") else {}
    if endpoint.proxy is not None:
        if "proxy" not in inspect.signature(websockets_connect.__init__).parameters:
            raise TransportRefused(0, "params.proxy needs websockets 15 or later: pip install 'websockets>=15'")
        options["proxy"] = endpoint.proxy
    try:
        socket = await websockets_connect(
            url,
            additional_headers=dict(headers),
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_MESSAGES,
            open_timeout=None,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT_S,
            logger=_silent,
            **options,
        )
    except InvalidStatus as exc:
        status = exc.response.status_code
        answer = dict(exc.response.headers.raw_items())
        raise TransportRefused(status, f"HTTP {status} instead of an upgrade", answer) from None
    except ssl.SSLError as exc:
        why = getattr(exc, "verify_message", "") or exc.reason or "certificate not accepted"
        raise TransportRefused(0, f"TLS failed: {why}") from None
    except OSError as exc:
        raise TransportRefused(
            0, f"cannot connect to {display_url(url)}: {exc.strerror or type(exc).__name__}"
        ) from None
    except (WebSocketException, EOFError) as exc:
        raise TransportRefused(0, f"the handshake failed: {type(exc).__name__}") from None
    return WebSocketTransport(socket)


async def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        return await tls_context(endpoint.ca_file)
    except OSError as exc:  # SSLError, for a file without certificates, is one
        why = "it holds no certificate" if isinstance(exc, ssl.SSLError) else exc.strerror or type(exc).__name__
        raise TransportRefused(0, f"params.ca_file {endpoint.ca_file} cannot be used: {why}") from None


class OpenAIASRListener:
    """What the client tells its user. Override what is of interest; each may be plain or async."""

    def on_asr_start(self, event: ev.SpeechStarted) -> Awaitable[None] | None:
        """Speech began."""

    def on_asr_delta(self, event: ev.Transcript) -> Awaitable[None] | None:
        """A partial: `event.text` is the whole text of the turn so far."""

    def on_asr_completed(self, event: ev.Transcript) -> Awaitable[None] | None:
        """A final; in the order of the audio, once."""

    def on_asr_committed(self, event: ev.Committed) -> Awaitable[None] | None:
        """The server made an item of a turn's audio."""

    def on_asr_server_error(self, event: ev.ServerError) -> Awaitable[None] | None:
        """The server reported an error."""

    def on_asr_client_error(self, event: ev.ClientError) -> Awaitable[None] | None:
        """The connection, or what we expected of it, failed."""

    def on_other_event(self, event: ev.Event) -> Awaitable[None] | None:
        """Everything else: connection status, finalize answers, losses, warnings, other wire events."""


class _Link:
    """One connection's tasks and what still has to be written on it."""

    def __init__(self, action: Connect, endpoint: Endpoint) -> None:
        self.number, self.place, self.model = action.conn, action.place, action.model
        self.endpoint = endpoint
        self.transport: Transport | None = None
        self.queue: deque[Send | Ping] = deque()
        self.wake = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.closed = False


class OpenAIASRClient:
    """A stream of caller's audio and its transcripts, whatever connections that takes."""

    def __init__(
        self,
        options: SessionOptions,
        endpoint: Endpoint,
        listener: OpenAIASRListener,
        *,
        input_format: tuple[str, int, int] | None = None,
        dial: Dialler = dial_websocket,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random.random,
        limiter: DialLimiter = PROCESS_LIMITER,
    ) -> None:
        """*input_format*: encoding, channels and rate of what `push_audio` takes; None: pcm16, mono, the options' rate.

        *limiter* bounds how fast clients dial; all clients of the process share one unless they are given another.

        Raises ConfigurationError for a base URL that cannot be connected to, ValueError for an unknown dialect,
        and `audio.vad.VadUnavailable` when
        the options ask for local turns and the detector is not installed.
        """
        place = _place_of(endpoint, options)
        self._places: WeakKeyDictionary[DialectChoice, Endpoint] = WeakKeyDictionary({place: endpoint})
        self._listener = listener
        self._dialler = dial
        self._clock = clock
        self._input_format = input_format or ("pcm16", 1, options.sample_rate)
        self._decoder = FrameDecoder(*self._input_format)
        self._detector = self._new_detector(options)
        self._followed = options
        self._session = Session(
            options,
            encoder=self._new_encoder,
            level=LevelDetector(options.sample_rate),
            random=rng,
            new_id=_new_id,
            wall_time=time.time,
            limiter=limiter,
            dialects=place,
        )
        self._links: dict[int, _Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._events = EventQueue()
        self._events_wake = asyncio.Event()
        self._dispatcher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._answers: dict[str, deque[asyncio.Future[ev.FinalizeDone]]] = {}
        self._updates: dict[str, asyncio.Future[ev.Reconfigured]] = {}
        self._idle = asyncio.Event()

    # What a user calls --------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session, to read."""
        return self._session

    @property
    def connected(self) -> bool:
        """Whether a session is configured right now."""
        return self._session.connected

    @property
    def input_format(self) -> tuple[str, int, int]:
        """Encoding, channels and rate (Hz) of what `push_audio` takes."""
        return self._input_format

    def set_input_format(self, encoding: str, channels: int, rate: int) -> None:
        """Change what `push_audio` takes, between two frames.

        Before the first audio the stream takes on *rate*; later audio of another rate is converted to the stream's.
        Raises ValueError for a format that cannot be read.
        """
        if self._session.stream.ledger.accepted == 0 and rate != self._session.stream.rate:
            self._decoder = FrameDecoder(encoding, channels, rate)
            self._session.set_sample_rate(rate, LevelDetector(rate))
            self._drop_detector()
            self._detector = self._new_detector(self._session.options)
        else:
            self._decoder.set_format(encoding, channels, rate)
        self._input_format = (encoding, channels, rate)

    def _new_encoder(self, pcm_rate: int) -> WireEncoder:
        options = self._session.dialling
        return WireEncoder(options.sample_rate, options.input_audio_format, pcm_rate=pcm_rate)

    def start(self) -> None:
        """Start, or during back-off try now. Returns at once; `Connected` tells when a session is configured."""
        self._ensure_dispatcher()
        self._session.start(self._clock())
        self._pump()

    def push_audio(self, data: bytes | bytearray | memoryview) -> int:
        """Accept audio in the decoder's format, any number of bytes, in every state; never waits.

        Returns the position of the stream after it, in samples.
        """
        view = memoryview(data if isinstance(data, bytes) else bytes(data))
        for begin in range(0, len(view), PIECE_BYTES):
            pcm = self._decoder.decode(view[begin : begin + PIECE_BYTES])
            if pcm:
                now = self._clock()
                self._session.push_audio(pcm, now)
                if self._detector is not None:
                    self._detector.push(pcm)
                self._pump()
        return self._session.stream.ledger.accepted

    def finalize(self, finalize_id: str | None = None) -> asyncio.Future[ev.FinalizeDone]:
        """Ask for the text of everything pushed so far; the future is the one answer, by `finalize_timeout_ms`.

        The answer comes behind the events before it, so a callback must not wait for it.
        """
        self._ensure_dispatcher()
        finalize_id = finalize_id if finalize_id is not None else uuid.uuid4().hex
        answer: asyncio.Future[ev.FinalizeDone] = asyncio.get_running_loop().create_future()
        self._answers.setdefault(finalize_id, deque()).append(answer)
        now = self._clock()
        if self._detector is not None:
            self._turn_events(self._detector.close(self._session.stream.ledger.accepted), now)
        self._session.finalize(finalize_id, now)
        self._pump()
        return answer

    def update(self, options: SessionOptions, endpoint: Endpoint | None = None) -> asyncio.Future[ev.Reconfigured]:
        """Change the configuration while the stream runs; nothing said is lost by it. The future is the one answer.

        *endpoint*: where to connect from then on, if that changes. Raises what the constructor raises, and then nothing
        was asked. The answer comes behind the events before it, so a callback must not wait for it.
        """
        place = None if endpoint is None else _place_of(endpoint, options)
        if options.turn_detection.type == "local_vad" and self._detector is None:
            SileroDetector()  # raises now what would be too late to find out when it takes over
        if endpoint is not None and place is not None:
            self._places[place] = endpoint
        self._ensure_dispatcher()
        request = uuid.uuid4().hex
        answer: asyncio.Future[ev.Reconfigured] = asyncio.get_running_loop().create_future()
        self._session.reconfigure(request, options, self._clock(), place=place)
        self._updates[request] = answer
        self._pump()
        return answer

    def _follow_options(self) -> None:
        """The local detector goes by the options in force."""
        options = self._session.options
        if options is self._followed:
            return
        self._followed, turns = options, options.turn_detection
        if turns.type != "local_vad":
            self._drop_detector()
        elif self._detector is None:
            self._detector = self._new_detector(options, self._session.stream.ledger.accepted)
        else:
            self._detector.detector.tune(**_detector_numbers(turns))

    async def stop(self) -> None:
        """Drain for at most `stop_drain_ms`, close, tell the listener everything that is left, and return."""
        self._ensure_dispatcher()
        if self._session.state is not SessionState.STOPPED:
            now = self._clock()
            if self._detector is not None:
                self._turn_events(self._detector.close(self._session.stream.ledger.accepted), now)
                self._detector.leave()
            self._session.stop(now)
            self._pump()
        await self._idle.wait()
        if self._timer is not None:
            self._timer.cancel()
        if self._dispatcher is not None and self._dispatcher is not asyncio.current_task():  # a callback may stop us
            self._events_wake.set()
            await self._dispatcher

    def _turn_events(self, events: list[TurnEvent], now: float) -> None:
        for event in events:
            if isinstance(event, TurnStarted):
                self._session.turn_started(event.position, now)
            elif isinstance(event, TurnEnded):
                self._session.turn_ended(event.position, now)

    def _heard(self, events: list[TurnEvent]) -> None:
        self._turn_events(events, self._clock())
        self._pump()

    def _detector_failed(self, error: Exception) -> None:
        message = f"the local detector failed ({type(error).__name__}); turns go by the sound's level from now on"
        self._events.put(ev.ClientError("detector_failed", message))
        self._events_wake.set()

    def _new_detector(self, options: SessionOptions, position: int = 0) -> LocalTurns | None:
        if options.turn_detection.type != "local_vad":
            return None
        numbers = _detector_numbers(options.turn_detection)
        detector = TurnDetector(options.sample_rate, SileroDetector(), position=position, **numbers)
        return LocalTurns(detector, self._heard, self._detector_failed)

    def _drop_detector(self) -> None:
        if self._detector is not None:
            self._detector.leave()
            self._detector = None

    # The pump -----------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Do what the session wants, tell what happened, re-arm the timer."""
        self._follow_options()
        for action in self._session.actions():
            if isinstance(action, Send):
                self._enqueue(action)
            elif isinstance(action, Connect):
                self._connect(action)
            elif isinstance(action, Ping):
                self._enqueue(action)
            elif isinstance(action, Close):
                self._close(action)
        event = self._session.next_event()
        if event is not None:
            while event is not None:
                self._events.put(event)
                event = self._session.next_event()
            self._events_wake.set()
        if self._session.state is SessionState.STOPPED and not self._links:
            self._idle.set()
            self._events_wake.set()
        self._arm_timer()

    def _arm_timer(self) -> None:
        due = self._session.get_timer()
        if due == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = due
        if due is not None:
            delay = max(0.0, due - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)  # the one on get_timer()

    def _on_timer(self) -> None:
        self._timer = self._timer_at = None
        self._session.handle_timer(self._clock())
        self._pump()

    # Connections --------------------------------------------------------------------------------------------

    def _connect(self, action: Connect) -> None:
        link = self._links[action.conn] = _Link(action, self._places[action.place])
        link.tasks.append(self._spawn(self._run(link)))

    def _enqueue(self, action: Send | Ping) -> None:
        link = self._links.get(action.conn)
        if link is not None and not link.closed:
            link.queue.append(action)
            link.wake.set()

    def _close(self, action: Close) -> None:
        link = self._links.get(action.conn)
        if link is not None and not link.closed:
            link.closed = True
            self._spawn(self._hang_up(link, action))

    async def _run(self, link: _Link) -> None:
        """Dial, then read until the connection ends."""
        try:
            transport = await self._dial(link)
        except TransportRefused as exc:
            self._session.connection_refused(link.number, exc.status, exc.headers, self._clock())
            self._pump()
            return
        if link.closed:
            await transport.close(1000, "")
            return
        link.transport = transport
        self._session.connection_opened(link.number, transport.headers, self._clock())
        self._pump()
        link.tasks.append(self._spawn(self._until_lost(link, transport, self._write)))
        await self._until_lost(link, transport, self._read)

    async def _dial(self, link: _Link) -> Transport:
        try:
            url = link.place.url(link.model)
            return await self._dialler(url, await _headers(link, url), link.endpoint)
        except TransportRefused:
            raise
        except Exception as exc:  # whatever a library raises, the attempt failed; its text may hold a secret
            raise TransportRefused(0, f"the attempt failed with {type(exc).__name__}") from None

    async def _until_lost(
        self, link: _Link, transport: Transport, work: Callable[[_Link, Transport], Awaitable[None]]
    ) -> None:
        """Do *work* on a connection. However it ends, the session learns it: no connection goes silently dead."""
        try:
            await work(link, transport)
        except TransportClosed as exc:
            code, reason = exc.code, exc.reason
        except Exception as exc:
            log.error("connection %d failed with %s", link.number, type(exc).__name__)
            code, reason = ABNORMAL_CLOSURE, type(exc).__name__
        self._session.connection_lost(link.number, code, reason, self._clock())
        self._pump()

    async def _read(self, link: _Link, transport: Transport) -> None:
        while True:
            data = await transport.receive()
            self._session.receive_message(link.number, data, self._clock())
            self._pump()

    async def _write(self, link: _Link, transport: Transport) -> None:
        while True:
            while link.queue:
                await self._write_one(link, transport, link.queue.popleft())
            link.wake.clear()
            await link.wake.wait()

    async def _write_one(self, link: _Link, transport: Transport, action: Send | Ping) -> None:
        if isinstance(action, Send):
            await transport.send(action.data)
            self._session.sent(link.number, 1, self._clock())
            self._pump()
        else:
            pong = asyncio.ensure_future(await transport.ping())
            pong.add_done_callback(lambda done: self._on_pong(link, done))

    def _on_pong(self, link: _Link, done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and done.exception() is None and not link.closed:
            self._session.pong_received(link.number, self._clock())
            self._pump()

    async def _hang_up(self, link: _Link, action: Close) -> None:
        for task in link.tasks:
            task.cancel()
        await asyncio.gather(*link.tasks, return_exceptions=True)
        if link.transport is not None:
            await link.transport.close(action.code, action.reason)
        del self._links[link.number]
        self._pump()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a client task ended with %s", type(task.exception()).__name__)

    # Events -------------------------------------------------------------------------------------------------

    def _ensure_dispatcher(self) -> None:
        if self._dispatcher is None or self._dispatcher.done():  # after a stop it ends again by itself
            self._dispatcher = asyncio.get_running_loop().create_task(self._dispatch())

    async def _dispatch(self) -> None:
        """Hand events to the listener, one after the other, in order."""
        while True:
            while self._events:
                event = self._events.get()
                try:
                    result = self._handler(event)(event)
                    if result is not None:
                        await result
                except Exception as exc:  # a listener's fault must not end the stream
                    log.error("listener failed on %s: %s", type(event).__name__, type(exc).__name__)
                if isinstance(event, ev.FinalizeDone):
                    self._answer(event)
                elif isinstance(event, ev.Reconfigured) and (waiting := self._updates.pop(event.request, None)):
                    if not waiting.done():
                        waiting.set_result(event)
            if self._idle.is_set():
                return
            self._events_wake.clear()
            await self._events_wake.wait()

    def _handler(self, event: ev.Event) -> Callable[[Any], Awaitable[None] | None]:
        listener = self._listener
        if isinstance(event, ev.Transcript):
            return listener.on_asr_completed if event.final else listener.on_asr_delta
        if isinstance(event, ev.SpeechStarted):
            return listener.on_asr_start
        if isinstance(event, ev.Committed):
            return listener.on_asr_committed
        if isinstance(event, ev.ServerError):
            return listener.on_asr_server_error
        if isinstance(event, ev.ClientError):
            return listener.on_asr_client_error
        return listener.on_other_event

    def _answer(self, event: ev.FinalizeDone) -> None:
        waiting = self._answers.get(event.finalize_id)
        if waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(event)
            if not waiting:
                del self._answers[event.finalize_id]


def _place_of(endpoint: Endpoint, options: SessionOptions) -> DialectChoice:
    place = DialectChoice(endpoint.dialect, endpoint.base_url)
    place.url(options.transcription.model)  # raises what a dial would
    return place


async def _headers(link: _Link, url: str) -> dict[str, str]:
    endpoint, kind, key = link.endpoint, link.place.kind, await _key(link.endpoint)
    credentials = kind.credentials
    if kind.mints_secrets and key:
        key, credentials = await _mint(link, url, key), bearer
    try:
        return handshake_headers(
            key,
            endpoint.organization,
            endpoint.project,
            endpoint.headers,
            credentials=credentials,
            fixed=kind.fixed_headers(),
        )
    except ConfigurationError as exc:
        raise TransportRefused(0, str(exc)) from None


async def _mint(link: _Link, url: str, key: str) -> str:
    endpoint = link.endpoint
    tls = await _tls(endpoint)
    try:
        return await mint_client_secret(
            url, key, link.place.kind.credentials(key), link.model, proxy=endpoint.proxy, tls=tls
        )
    except SecretRefused as exc:
        raise TransportRefused(exc.status, str(exc), exc.headers) from None


async def _key(endpoint: Endpoint) -> str | None:
    key = endpoint.api_key
    if callable(key):
        try:
            result = key()
            key = await result if inspect.isawaitable(result) else result
        except Exception as exc:  # whatever the user's function raises: its text may hold the secret
            raise TransportRefused(0, f"the function for api_key raised {type(exc).__name__}") from None
    return key


def _new_id(purpose: str) -> str:
    return uuid.uuid4().hex if purpose == "result" else f"{purpose}_{uuid.uuid4().hex[:12]}"


def _detector_numbers(turns: TurnDetectionOptions) -> dict[str, Any]:
    return {
        "threshold": turns.threshold,
        "silence_duration_ms": turns.effective_silence_ms,
        "min_speech_ms": turns.min_speech_ms,
        "prefix_padding_ms": turns.prefix_padding_ms,
    }
