"""Real-time transcription over a WebSocket: moves bytes for the sans-I/O session, and decides nothing itself.

Sockets are opened in `transport.py`. After every input the pump does what the session wants done, tells the listener
what happened, and re-arms the one timer. Retries, deadlines and the queue of audio are the session's.

Longer than other files because a client and its links hang together: one pump serves them all.
Usable without TEN; see the README. All methods must be called from the event loop's thread.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from .audio.encoder import WireEncoder
from .audio.level import LevelDetector
from .audio.pcm import FrameDecoder
from .audio.turns import TurnDetector, TurnEnded, TurnEvent, TurnStarted
from .audio.vad import SileroDetector
from .client_secret import SecretRefused, mint_client_secret
from .connect_limit import PROCESS_LIMITER
from .listener import OpenAIASRListener, Teller
from .local_turns import LocalTurns
from .realtime import events as ev
from .realtime.actions import Action, Close, Connect, Ping, Send
from .realtime.dialects.choice import DialectChoice
from .realtime.endpoint import bearer
from .realtime.endpoint import headers as handshake_headers
from .realtime.errors import ConfigurationError
from .realtime.lifecycle import SessionState
from .realtime.limiter import DialLimiter
from .realtime.options import SessionOptions, TurnDetectionOptions
from .realtime.session import Session
from .transport import ABNORMAL_CLOSURE, Dialler, Endpoint, Transport, TransportRefused, dial_websocket, endpoint_tls

__all__ = ["Endpoint", "OpenAIASRClient", "OpenAIASRListener", "Transport"]

PIECE_BYTES = 64 * 1024
"Audio taken at a time: what is pushed in one go costs no copies of its whole length."
log = logging.getLogger(__name__)


class _Link:
    """One connection of a client: the task that dials and hangs up, and its socket, to which it is the `Receiver`."""

    def __init__(self, client: OpenAIASRClient, action: Connect, endpoint: Endpoint) -> None:
        self.number, self.place, self.model = action.conn, action.place, action.model
        self.endpoint = endpoint
        self.hung_up = False
        self._full = False
        "The transport has taken a message and wants no more for now."
        self._pings = 0
        "Pings that wait for it."
        self._client = client
        self._session = client.session
        self._transport: Transport | None = None
        self._task = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        client, session = self._client, self._session
        try:
            transport = await client.dial(self)
        except TransportRefused as exc:
            session.connection_refused(self.number, exc.status, exc.headers, client.now())
            client.pump()
            return
        self._transport = transport
        try:
            session.connection_opened(self.number, transport.headers, client.now())
            client.pump()
            transport.start(self)
        except Exception as exc:
            self._fail(exc)

    # What the client wants -----------------------------------------------------------------------------------

    def send(self, action: Action) -> bool:
        """Write one TEXT frame; the session learns when the transport took it. False: it has not yet."""
        assert self._transport is not None and isinstance(action, Send), "sent before the connection was open"
        try:
            if self._transport.send(action.data):
                self._session.sent(self.number, 1, self._client.now())
                return True
            self._full = True
        except Exception as exc:
            self._fail(exc)
        return False

    def ping(self) -> None:
        """Write a ping, behind what still has to be written."""
        if self._full:
            self._pings += 1
        elif self._transport is not None:
            self._transport.ping()

    def close(self, action: Close) -> None:
        """Hang up, whatever is under way; nothing more is told of this connection."""
        self.hung_up = True
        self._task = asyncio.get_running_loop().create_task(self._hang_up(self._task, action))

    async def _hang_up(self, dialling: asyncio.Task[None], action: Close) -> None:
        dialling.cancel()
        await asyncio.wait({dialling})
        if self._transport is not None:
            await self._transport.close(action.code, action.reason)
        self._client.gone(self)

    # What the transport tells --------------------------------------------------------------------------------

    def message(self, data: bytes) -> None:
        """See `Receiver`."""
        if self.hung_up:
            return
        try:
            if self._session.receive_message(self.number, data, self._client.now()):
                self._client.tell()
            else:
                self._client.pump()
        except Exception as exc:
            self._fail(exc)

    def pong(self) -> None:
        """See `Receiver`."""
        if not self.hung_up:
            self._session.pong_received(self.number, self._client.now())
            self._client.pump()

    def writable(self) -> None:
        """See `Receiver`."""
        if self.hung_up or self._transport is None:
            return
        self._full = False
        for _ in range(self._pings):
            self._transport.ping()
        self._pings = 0
        self._session.sent(self.number, 1, self._client.now())
        self._client.pump()

    def closed(self, code: int, reason: str) -> None:
        """See `Receiver`."""
        if not self.hung_up:
            self._session.connection_lost(self.number, code, reason, self._client.now())
            self._client.pump()

    def _fail(self, exc: Exception) -> None:
        """A fault of ours. The connection is renewed, so that none goes silently dead."""
        log.error("connection %d failed with %s", self.number, type(exc).__name__)
        self.closed(ABNORMAL_CLOSURE, type(exc).__name__)


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
        self._pumping = False
        self._teller = Teller(listener, self._told)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
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
        self._session.start(self._clock())
        self.pump()

    def push_audio(self, data: bytes | bytearray | memoryview) -> int:
        """Accept audio in the decoder's format, any number of bytes, in every state; never waits.

        Returns the position of the stream after it, in samples.
        """
        if len(data) <= PIECE_BYTES:
            if pcm := self._decoder.decode(data):
                self._take(pcm)
        else:
            view = memoryview(data)
            for begin in range(0, len(view), PIECE_BYTES):
                if pcm := self._decoder.decode(view[begin : begin + PIECE_BYTES]):
                    self._take(pcm)
        return self._session.stream.ledger.accepted

    def _take(self, pcm: bytes) -> None:
        """Audio of the stream. This runs for every frame: what needs no more than to be sent gets no more."""
        session, now = self._session, self._clock()
        if session.push_audio(pcm, now):
            taken = True
            for send in session.actions():
                taken = self._links[send.conn].send(send)
            if not taken or not session.steady:
                self.pump()
        else:
            self.pump()
        if self._detector is not None:
            self._detector.push(pcm)

    def finalize(self, finalize_id: str | None = None) -> asyncio.Future[ev.FinalizeDone]:
        """Ask for the text of everything pushed so far; the future is the one answer, by `finalize_timeout_ms`.

        The answer comes behind the events before it, so a callback must not wait for it.
        """
        finalize_id = finalize_id if finalize_id is not None else uuid.uuid4().hex
        answer: asyncio.Future[ev.FinalizeDone] = asyncio.get_running_loop().create_future()
        self._answers.setdefault(finalize_id, deque()).append(answer)
        now = self._clock()
        if self._detector is not None:
            self._turn_events(self._detector.close(self._session.stream.ledger.accepted), now)
        self._session.finalize(finalize_id, now)
        self.pump()
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
        request = uuid.uuid4().hex
        answer: asyncio.Future[ev.Reconfigured] = asyncio.get_running_loop().create_future()
        self._session.reconfigure(request, options, self._clock(), place=place)
        self._updates[request] = answer
        self.pump()
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
        if self._session.state is not SessionState.STOPPED:
            now = self._clock()
            if self._detector is not None:
                self._turn_events(self._detector.close(self._session.stream.ledger.accepted), now)
                self._detector.leave()
            self._session.stop(now)
            self.pump()
        await self._idle.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._teller.wait()

    def _turn_events(self, events: list[TurnEvent], now: float) -> None:
        for event in events:
            if isinstance(event, TurnStarted):
                self._session.turn_started(event.position, now)
            elif isinstance(event, TurnEnded):
                self._session.turn_ended(event.position, now)

    def _heard(self, events: list[TurnEvent]) -> None:
        self._turn_events(events, self._clock())
        self.pump()

    def _detector_failed(self, error: Exception) -> None:
        message = f"the local detector failed ({type(error).__name__}); turns go by the sound's level from now on"
        self._teller.put(ev.ClientError("detector_failed", message))

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

    def pump(self) -> None:
        """Do what the session wants, tell what happened, re-arm the timer. For the client's links."""
        if self._pumping:  # what a send led to; it is seen to when the send returns
            return
        self._pumping, session = True, self._session
        try:
            self._follow_options()
            while actions := session.actions():
                for action in actions:
                    self._do(action)
                self._follow_options()
        finally:
            self._pumping = False
        self.tell()
        if session.state is SessionState.STOPPED and not self._links:
            self._idle.set()
        self._arm_timer()

    def tell(self) -> None:
        """What happened goes to the listener. For the client's links."""
        while (event := self._session.next_event()) is not None:
            self._teller.put(event)

    def _do(self, action: Action) -> None:
        if isinstance(action, Connect):
            self._links[action.conn] = _Link(self, action, self._places[action.place])
            return
        link = self._links.get(action.conn)
        if link is None or link.hung_up:
            return
        if isinstance(action, Send):
            link.send(action)
        elif isinstance(action, Ping):
            link.ping()
        else:
            link.close(action)

    def _arm_timer(self) -> None:
        """A timer that is due too early costs a look at the clock; one set anew for every event would cost more."""
        due = self._session.get_timer()
        if self._timer is not None:
            if due is not None and self._timer_at <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            delay = max(0.0, due - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)  # the one on get_timer()
            self._timer_at = due

    def _on_timer(self) -> None:
        self._timer = None
        self._session.handle_timer(self._clock())
        self.pump()

    # Connections --------------------------------------------------------------------------------------------

    def now(self) -> float:
        """The session's time. For the client's links."""
        return self._clock()

    async def dial(self, link: _Link) -> Transport:
        """Open the socket of *link*. Raises `TransportRefused`."""
        try:
            url = link.place.url(link.model)
            return await self._dialler(url, await _headers(link, url), link.endpoint)
        except TransportRefused:
            raise
        except Exception as exc:  # whatever a library raises, the attempt failed; its text may hold a secret
            raise TransportRefused(0, f"the attempt failed with {type(exc).__name__}") from None

    def gone(self, link: _Link) -> None:
        """Nothing of *link* is left."""
        del self._links[link.number]
        self.pump()

    # Events -------------------------------------------------------------------------------------------------

    def _told(self, event: ev.Event) -> None:
        """The listener has heard *event*: who waits for it in person is answered."""
        if isinstance(event, ev.FinalizeDone):
            waiting = self._answers.get(event.finalize_id)
            if waiting:
                _resolve(waiting.popleft(), event)
                if not waiting:
                    del self._answers[event.finalize_id]
        elif isinstance(event, ev.Reconfigured) and (answer := self._updates.pop(event.request, None)) is not None:
            _resolve(answer, event)


def _resolve(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


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
    tls = await endpoint_tls(endpoint)
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
