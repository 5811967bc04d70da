"""What a user of the client overrides to be told things, and the way of events there: in order, one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from .event_queue import EventQueue
from .realtime import events as ev

__all__ = ["OpenAIASRListener", "Teller"]

log = logging.getLogger(__name__)


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


class Teller:
    """Hands events to a listener, in a call of the event loop of its own, never within that of who caused them.

    A task is needed only while a listener's coroutine runs: the events behind it wait for it.
    """

    def __init__(self, listener: OpenAIASRListener, told: Callable[[ev.Event], None]) -> None:
        """*told* is called behind each event that was handed over."""
        self._listener = listener
        self._told = told
        self._events = EventQueue()
        self._due = False
        "A call of the loop, or the task, is going to hand over what waits."
        self._through = asyncio.Event()
        self._through.set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: ev.Event) -> None:
        """Tell *event* behind all others."""
        self._events.put(event)
        if not self._due:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # audio may come before there is a loop: it is told with what follows
                return
            self._due = True
            self._through.clear()
            loop.call_soon(self._hand_over)

    async def wait(self) -> None:
        """Wait until everything is told; from a listener's own coroutine, which would wait for itself, not at all."""
        while not self._through.is_set() and self._task is not asyncio.current_task():
            await self._through.wait()

    def _hand_over(self) -> None:
        while self._events:
            event = self._events.get()
            pending = self._call(event)
            if pending is not None:
                self._task = asyncio.get_running_loop().create_task(self._go_on(event, pending))
                return
            self._told(event)
        self._end()

    async def _go_on(self, event: ev.Event, pending: Awaitable[None] | None) -> None:
        """Wait for the listener's coroutine, and for those of the events behind it."""
        while True:
            if pending is not None:
                try:
                    await pending
                except Exception as exc:
                    _blame(event, exc)
            self._told(event)
            if not self._events:
                break
            event = self._events.get()
            pending = self._call(event)
        self._task = None
        self._end()

    def _end(self) -> None:
        self._due = False
        self._through.set()

    def _call(self, event: ev.Event) -> Awaitable[None] | None:
        try:
            return self._handler(event)(event)
        except Exception as exc:  # a listener's fault must not end the stream
            _blame(event, exc)
            return None

    def _handler(self, event: Any) -> Callable[[Any], Awaitable[None] | None]:
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


def _blame(event: ev.Event, exc: Exception) -> None:
    log.error("listener failed on %s: %s", type(event).__name__, type(exc).__name__)
