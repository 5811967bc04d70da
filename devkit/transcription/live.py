"""Audio that is made while it is heard, a microphone or a page, through a graph with our extension."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ten_runtime import AsyncExtension, AsyncTenEnv, Cmd
from typing_extensions import Self

from ..host.app import Host
from .graphs import TranscriptionGraph
from .job import Received
from .last_words import QUIET_S, LastWords
from .nodes import SINK_ADDON, SOURCE_ADDON, UPDATE_CONFIGS, TranscriptSink, audio_frame, finalize_message
from .runner import running

GRAPH_ENDED = "the graph has ended"
ANSWERS_S = 2.0
"What a stop waits for answers of the recogniser."


@dataclass(frozen=True)
class Update:
    """What became of an `update_configs`."""

    code: int
    "0: it is in force, or is for the next session. Else nothing was changed."
    message: str


@dataclass
class _Change:
    params: dict[str, Any]
    answer: concurrent.futures.Future[Update] = field(default_factory=concurrent.futures.Future)

    def settle(self, update: Update) -> None:
        """Answer, unless that was done or whoever asked has gone."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self.answer.set_result(update)


_Item = bytes | str | _Change
"Audio; the id of a finalize; a change of the configuration."


class LiveSource(AsyncExtension):
    """Sends what another thread gives it, in that order."""

    _session_id: str
    _sample_rate: int
    _channels: int

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._items: asyncio.Queue[_Item] = asyncio.Queue()
        self._commands: set[asyncio.Task[None]] = set()
        self._stopped = False
        self.started = threading.Event()

    @classmethod
    def of(cls, session_id: str, sample_rate: int, channels: int) -> Self:
        """A source of frames of that kind. (TEN constructs extensions with a name and no more.)"""
        source = cls("live_source")
        source._session_id, source._sample_rate, source._channels = session_id, sample_rate, channels
        return source

    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        """Begin to send what is given."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._send(ten_env))
        self.started.set()

    async def on_stop(self, ten_env: AsyncTenEnv) -> None:
        """Stop sending; changes that nobody will answer any more are answered here."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            # The recogniser may be stopped already, and answer no more.
            await asyncio.wait([self._task, *self._commands], timeout=ANSWERS_S)
            for command in self._commands:
                command.cancel()
            await asyncio.gather(self._task, *self._commands, return_exceptions=True)
        while not self._items.empty():
            self._put(self._items.get_nowait())

    def give(self, item: _Item) -> None:
        """Send *item* behind all others; from any thread."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._put, item)
                return
        except RuntimeError:  # the loop has ended with the graph
            pass
        self._refuse(item)

    def _put(self, item: _Item) -> None:
        if not self._stopped:
            self._items.put_nowait(item)
        else:
            self._refuse(item)

    def _refuse(self, item: _Item) -> None:
        if isinstance(item, _Change):
            item.settle(Update(1, GRAPH_ENDED))

    async def _send(self, ten_env: AsyncTenEnv) -> None:
        metadata = json.dumps({"session_id": self._session_id})
        while True:
            item = await self._items.get()
            if isinstance(item, bytes):
                await ten_env.send_audio_frame(audio_frame(item, self._sample_rate, self._channels, metadata))
            elif isinstance(item, str):
                await ten_env.send_data(finalize_message(item, self._session_id))
            else:
                # Its answer may take seconds: the audio behind it does not wait for that.
                command = asyncio.get_running_loop().create_task(self._change(ten_env, item))
                self._commands.add(command)
                command.add_done_callback(self._commands.discard)

    async def _change(self, ten_env: AsyncTenEnv, change: _Change) -> None:
        update = Update(1, GRAPH_ENDED)
        try:
            cmd = Cmd.create(UPDATE_CONFIGS)
            cmd.set_property_from_json(None, json.dumps({"params": change.params}))
            result, error = await ten_env.send_cmd(cmd)
            if result is not None:
                code, missing = result.get_property_int("code")
                message, _ = result.get_property_string("message")
                update = Update(1 if missing else code, message)
            elif error is not None:
                update = Update(1, str(error))
        except (TypeError, ValueError) as error:
            update = Update(1, f"params: {error}; nothing was changed")
        finally:
            change.settle(update)


class LiveGraph:
    """A graph in a thread of its own, fed with audio as it is made. For any thread; one `finish` at a time.

    with LiveGraph(graph, take=print, sample_rate=48000) as live:
        live.push(block)
        live.finish()

    *take* is called with each message of the recogniser (`nodes.RESULTS`) in a thread of the graph and must not block.
    Frames are interleaved s16le of *sample_rate* Hz and *channels* channels.
    """

    def __init__(
        self, graph: TranscriptionGraph, *, take: Callable[[Received], None], sample_rate: int, channels: int = 1
    ) -> None:
        self.session_id = f"live_{uuid.uuid4().hex}"
        self._take = take
        self._sample_bytes = 2 * channels
        self._last_words = LastWords()
        self._news = threading.Condition()
        self._source = LiveSource.of(self.session_id, sample_rate, channels)
        self._host = Host(
            graph.app_property(),
            addons={
                SOURCE_ADDON: lambda _name: self._source,
                SINK_ADDON: functools.partial(TranscriptSink.handing_to, self._heard),
            },
        )
        self._stack = contextlib.ExitStack()
        self._starting = threading.Lock()
        self._stopped = False
        self._hurried = False
        self._ended = threading.Event()
        self._errors: list[Exception] = []

    def start(self) -> None:
        """Start the graph; returns when it takes audio. `problem` says then whether it failed at once."""
        with self._starting:
            if self._stopped:
                return
            try:
                self._ended, self._errors = self._stack.enter_context(running(self._host))
                while not (self._source.started.wait(0.05) or self._ended.is_set()):
                    pass
            except BaseException:  # nobody will stop what has not started
                self._stack.close()
                raise

    def stop(self) -> None:
        """End the graph; blocks until every extension has stopped. Messages still come while it does."""
        self.hurry()
        with self._starting:
            self._stopped = True
            self._stack.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def problem(self) -> str | None:
        """Why the graph has ended by itself, as a sentence; None while it runs."""
        if self._errors:
            return f"the graph failed: {self._errors[0]}"
        return "the graph ended" if self._ended.is_set() else None

    def push(self, pcm: bytes) -> None:
        """Send audio. Raises ValueError for a number of bytes that is no whole number of samples of all channels."""
        if len(pcm) % self._sample_bytes:
            raise ValueError(f"pcm: {len(pcm)} bytes given, must be a multiple of {self._sample_bytes}")
        if pcm and not self._ended.is_set():
            self._source.give(pcm)

    def finalize(self) -> str:
        """Ask for all text of the audio so far; returns the id that its `asr_finalize_end` will bear."""
        finalize_id = _new_finalize_id()
        self._source.give(finalize_id)
        return finalize_id

    def finish(self, quiet_s: float = QUIET_S, *, deaf_s: float = 0.0) -> bool:
        """Finalize, and wait for its `LastWords`; whether all of them came.

        It goes on as long as they come, and ends when nothing of them came for *quiet_s*, of which the next *deaf_s*
        do not count.
        """
        finalize_id = _new_finalize_id()
        with self._news:
            self._last_words.ask(finalize_id, time.monotonic(), quiet_s=quiet_s, deaf_s=deaf_s)
            self._source.give(finalize_id)
            # In slices, because the end of the graph tells nobody.
            while self._last_words.awaited(time.monotonic()) and not (self._hurried or self._ended.is_set()):
                self._news.wait(0.1)
            return self._last_words.all_here

    def hurry(self) -> None:
        """Let a `finish` that is under way return at once."""
        with self._news:
            self._hurried = True
            self._news.notify_all()

    def update(self, params: dict[str, Any]) -> concurrent.futures.Future[Update]:
        """Change the recogniser's *params* by `update_configs`; the future says what became of it."""
        change = _Change(params)
        self._source.give(change)
        return change.answer

    def _heard(self, message: Received) -> None:
        self._take(message)
        with self._news:
            self._last_words.take(message, time.monotonic())
            self._news.notify_all()


def _new_finalize_id() -> str:
    return f"finalize_{uuid.uuid4().hex}"
