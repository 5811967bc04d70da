"""One client's socket: moves frames between it, its session and the recogniser."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from .faults_layer import Decoding
from .faults_socket import FaultySocket
from .recognizers import RecognitionFailed, Recognizer
from .server_session import ServerSession
from .utterances import BYTES_PER_SECOND, DecodeClock, Utterance
from .work import UtteranceAudio, UtteranceDropped, UtteranceEnded, UtteranceStarted, Work

Clock = Callable[[], float]

MAX_LAG_SECONDS = 60.0
"""Audio of one connection that may wait for the recogniser (1.9 MB) before its socket is not read any more.

Not less, because a client's pings wait behind the audio that is not read, and a client may give up on them.
"""
_BIG_FRAME = 256 * 1024
"Characters from which a frame is handled in a thread: turn detection of minutes of audio takes a second."


class Connection:
    """Serves one socket until it is closed."""

    def __init__(
        self,
        socket: ServerConnection,
        session: ServerSession,
        recognizer: Recognizer,
        *,
        clock: Clock,
        log: logging.Logger,
        max_lag_seconds: float = MAX_LAG_SECONDS,
        decoding: Callable[[float], Decoding | None] = lambda now: None,
    ) -> None:
        """*decoding*: how fast, at a time of the *clock*, models that stream text may hear."""
        self._socket = socket
        self._wire = FaultySocket(socket)
        self._decoding = decoding
        self._decode_clock = DecodeClock()
        self._session = session
        self._recognizer = recognizer
        self._clock = clock
        self._log = log
        self._max_lag = int(max_lag_seconds * BYTES_PER_SECOND)
        self._lag = 0
        self._room = asyncio.Event()
        self._closed = False
        self._utterances: dict[str, Utterance] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # The session is no thing for two threads, and a big frame is handled in another one.
        self._turn = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Return when the socket is closed and nothing of this connection runs any more."""
        try:
            closed = self.spawn(self._watch())
            await self._flush()
            self._set_timer()
            async for frame in self._socket:
                await self._receive(frame)
                # Not reading is all it takes: the transport's buffers fill up, and the client's sends block.
                while self._lag > self._max_lag and not self._closed:
                    self._room.clear()
                    await self._room.wait()
                await self._wire.ready_to_read(closed)
        except ConnectionClosed:
            pass
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *coroutine* for as long as the connection lives."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def frozen(self) -> bool:
        """Whether it is half-open."""
        return self._wire.frozen

    @property
    def reading(self) -> bool:
        """Whether it takes notice of what the client sends."""
        return self._wire.reading

    def abort(self) -> None:
        """Cut the TCP connection."""
        self._wire.abort()

    def wake(self) -> None:
        """Look at the session's timers again: somebody else may have set one."""
        if not self._closed:
            self.spawn(self._on_timer())

    async def _watch(self) -> None:
        await self._socket.wait_closed()
        self._closed = True
        self._room.set()

    async def _receive(self, frame: str | bytes) -> None:
        async with self._turn:
            if isinstance(frame, bytes):
                self._session.receive_binary(self._clock())
            elif len(frame) > _BIG_FRAME:
                now = self._clock()
                await asyncio.get_running_loop().run_in_executor(None, self._session.receive_message, frame, now)
            else:
                self._session.receive_message(frame, self._clock())
            for work in self._session.work():
                self._dispatch(work)
        self._set_timer()
        await self._flush()

    def _dispatch(self, work: Work) -> None:
        if isinstance(work, UtteranceStarted):
            begun = self._utterances[work.item_id] = Utterance(work.item_id, work.request)
            begun.task = self.spawn(self._recognize(begun))
            return
        utterance = self._utterances.get(work.item_id)
        if utterance is None:
            return  # it has failed
        if isinstance(work, UtteranceAudio):
            now = self._clock()
            utterance.add(work.pcm, now, self._decode_clock, self._decoding(now))
            self._lag += len(work.pcm)
        elif isinstance(work, UtteranceEnded):
            now = self._clock()
            limit = self._decoding(now)
            if limit is not None and limit.commit_loses_undecoded:
                self._caught_up(utterance.lose_unheard(now))
            utterance.ended = True
        elif isinstance(work, UtteranceDropped) and utterance.task is not None:
            utterance.task.cancel()
        utterance.changed.set()

    async def _recognize(self, utterance: Utterance) -> None:
        """Feed one utterance to the recogniser, and what that says to the session."""
        session = self._recognizer.session(utterance.request)
        finished = False
        try:
            while True:
                chunk = utterance.take(self._clock())
                heard_at = utterance.next_heard()
                if chunk:
                    try:
                        text = await session.accept(chunk)
                    finally:
                        self._caught_up(len(chunk))
                    if text is not None:
                        async with self._turn:
                            self._session.partial(utterance.item_id, text, self._clock())
                        self._set_timer()  # a fault may hold the event back until then
                        await self._flush()
                elif heard_at is not None:
                    await asyncio.sleep(max(0.0, heard_at - self._clock()))
                elif utterance.ended:
                    break
                else:
                    utterance.changed.clear()
                    await utterance.changed.wait()
            finished = True
            result = await session.finish()
            async with self._turn:
                self._session.completed(utterance.item_id, result, self._clock(), utterance.heard_seconds)
        except ConnectionClosed:
            return
        except Exception as error:
            # Its text may quote what was said: the type is all that goes into the log.
            self._log.warning("recognition of an item failed: %s", type(error).__name__)
            details = error.error if isinstance(error, RecognitionFailed) else None
            async with self._turn:
                self._session.failed(utterance.item_id, self._clock(), details)
        finally:
            del self._utterances[utterance.item_id]
            self._caught_up(utterance.waiting)
            if not finished:
                await session.abandon()
        self._set_timer()
        await self._flush()

    def _caught_up(self, count: int) -> None:
        self._lag -= count
        if self._lag <= self._max_lag:
            self._room.set()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = self._session.get_timer()
        if when is not None:
            delay = max(0.0, when - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, lambda: self.spawn(self._on_timer()))

    async def _on_timer(self) -> None:
        async with self._turn:
            self._session.handle_timer(self._clock())
        self._set_timer()
        await self._flush()

    async def _flush(self) -> None:
        """Send what the session has to say. A client that does not read makes this wait, and so stops our reading."""
        try:
            async with self._sending:
                async with self._turn:
                    messages, close = self._session.messages(), self._session.close
                for message in messages:
                    await self._wire.send(message)
            if close is not None:
                await self._wire.close(close.code, close.reason)
        except ConnectionClosed:
            pass
