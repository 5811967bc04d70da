"""Local turns on an event loop: the windows of all its clients are judged together, and the model loads beside it.

A window waits `DELAY_S` for those of other clients, unless there is no other client. Each loop judges its own, so
several loops in several threads need no lock; weights and runtime are the process's (`audio.vad`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from weakref import WeakSet

from .audio import vad
from .audio.turns import TurnDetector, TurnEvent
from .audio.vad_batch import Stream, WindowBatch
from .vad_loading import is_loading, load_in_background

DELAY_S = 0.010
"Windows of fifty callers come every 0.6 ms: a batch of sixteen, which costs less than half a window each."
_LATE = 2
"Windows of a stream that may wait (64 ms), or audio leaves for a turn that is over; then it is judged alone."
_BEHIND = 64
"The same while the model is being loaded (2 s); then the caller waits for it, as memory is bounded."
_CALL_S = 0.001
"Of judging and telling, after which a call leaves the rest to the next: a step more is at most 2 or 3 ms."
_clock = time.perf_counter

log = logging.getLogger(__name__)


class LocalTurns:
    """The detector of one client, judged together with those of all other clients of the event loop.

    What became certain is told by a call of *tell*: within `push` or soon after, in order. Whatever the model does,
    audio is never left out: should it fail, *failed* is told once and the sound's level stands in for it.
    """

    def __init__(
        self,
        detector: TurnDetector,
        tell: Callable[[list[TurnEvent]], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Begins to load the model, if it is not there yet."""
        self.detector = detector
        self._tell = tell
        self._failed = failed
        self._told_failure = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._judge: _Judge | None = None
        if isinstance(detector.detector, vad.SileroDetector) and not vad.loaded():
            load_in_background(again=True)

    @property
    def ready(self) -> bool:
        """Whether a window can be judged without waiting for the model to be loaded."""
        if self.detector.failure is not None or not isinstance(self.detector.detector, vad.SileroDetector):
            return True
        return vad.settled() and not is_loading()

    def _wait_for_the_model(self) -> None:
        if self.detector.waiting and not self.ready:
            load_in_background().result()

    def push(self, pcm: bytes) -> None:
        """Take the next samples of the stream (s16le)."""
        detector = self.detector
        detector.take(pcm)
        if not detector.waiting:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # before there is a loop nobody else has windows to judge with
            self.judge()
            return
        if loop is not self._loop or self._judge is None:
            self._loop, self._judge = loop, _judge_of(loop)
            self._judge.streams.add(self)
        if detector.waiting >= (_LATE if self.ready else _BEHIND):
            self._judge.discard(self)
            self.judge()
        else:
            self._judge.add(self, loop)

    def judge(self) -> None:
        """Judge what waits, and tell what became certain."""
        self._wait_for_the_model()
        if events := self.detector.judge():
            self._tell(events)
        self.tell_failure()

    def close(self, position: int) -> list[TurnEvent]:
        """Judge what waits and cut the stream at *position*; returns what became certain (see `TurnDetector`)."""
        if self._judge is not None:
            self._judge.discard(self)
        self._wait_for_the_model()
        events = self.detector.close(position)
        self.tell_failure()
        return events

    def leave(self) -> None:
        """What waits is of no interest any more; the next `push` joins again."""
        if self._judge is not None:
            self._judge.discard(self)
            self._judge.streams.discard(self)
        self._loop = self._judge = None

    @property
    def has_news(self) -> bool:
        """Whether `tell` has something to tell."""
        return self.detector.has_events or (self.detector.failure is not None and not self._told_failure)

    def tell(self) -> None:
        """Tell what became certain."""
        if events := self.detector.events():
            self._tell(events)
        self.tell_failure()

    def tell_failure(self) -> None:
        """Tell the model's failure, once."""
        if self.detector.failure is not None and not self._told_failure:
            self._told_failure = True
            self._failed(self.detector.failure)


class _Judge:
    """Judges the windows of one event loop's streams, some milliseconds after the first has come."""

    def __init__(self) -> None:
        self.streams: WeakSet[LocalTurns] = WeakSet()
        self._batch = WindowBatch()
        self._waiting: dict[Stream, LocalTurns] = {}
        self._news: deque[LocalTurns] = deque()
        self._timer: asyncio.Handle | None = None
        self._loading = False

    def add(self, turns: LocalTurns, loop: asyncio.AbstractEventLoop) -> None:
        """*turns* has windows to be judged."""
        self._waiting[turns.detector] = turns
        self._batch.add(turns.detector)
        if self._timer is not None or self._loading:
            return
        if not turns.ready:
            self._wait_for_the_model(loop)
        elif len(self.streams) == 1:
            self._run(loop)
        else:
            self._timer = loop.call_later(DELAY_S, self._run, loop)

    def discard(self, turns: LocalTurns) -> None:
        """*turns* has nothing to be judged any more."""
        self._waiting.pop(turns.detector, None)
        self._batch.discard(turns.detector)
        with contextlib.suppress(ValueError):
            self._news.remove(turns)
        if not self._waiting and not self._news and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_for_the_model(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loading = True
        load_in_background().add_done_callback(lambda _: self._loaded(loop))

    def _loaded(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called in the thread that loads."""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(self._go_on, loop)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loading = False
        self._run(loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Judge and tell for `_CALL_S`; the rest is the next call's."""
        self._timer = None
        until = _clock() + _CALL_S
        while self._batch or self._news:
            if self._news:
                self._tell(self._news.popleft())
            elif is_loading():  # again, for a stream that came since; meeting it now would give up the model for good
                self._wait_for_the_model(loop)
                return
            else:
                self._step()
            if _clock() >= until:
                break
        if (self._batch or self._news) and self._timer is None:
            self._timer = loop.call_soon(self._run, loop)

    def _step(self) -> None:
        for stream in self._batch.step():
            turns = self._waiting.get(stream) if stream.waiting else self._waiting.pop(stream, None)
            if turns is not None and turns.has_news:
                self._news.append(turns)

    def _tell(self, turns: LocalTurns) -> None:
        try:
            turns.tell()
        except Exception as error:  # one client's fault is no other's
            log.error("a client failed on its turns with %s", type(error).__name__)


_judges: dict[asyncio.AbstractEventLoop, _Judge] = {}
_judges_lock = threading.Lock()


def _judge_of(loop: asyncio.AbstractEventLoop) -> _Judge:
    with _judges_lock:
        judge = _judges.get(loop)
        if judge is None:
            for closed in [one for one in _judges if one.is_closed()]:
                del _judges[closed]
            judge = _judges[loop] = _Judge()
        return judge
