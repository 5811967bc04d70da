"""The conversation with one page, over its WebSocket. docs/playground.md has the messages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn

from starlette.websockets import WebSocket, WebSocketDisconnect

from ..transcription.job import Received
from ..transcription.live import Update
from ..transcription.transcript import FATAL
from .recording import Recording, TooLarge, WrongRequest, check_settings

log = logging.getLogger(__name__)

MAX_AUDIO_BYTES = 64 * 1024
MAX_CUT_S = 60.0
MAX_UNSENT = 5_000
"Messages that wait for a page that does not read; then it is gone."

Json = dict[str, Any]
NewRecording = Callable[[Any, Json, Callable[[Recording, Received], None]], Recording]
"Of a sample rate, settings, and who takes the messages. Raises WrongRequest."


class Page:
    """Talks with the page behind *socket* until it goes away, and frees everything then."""

    def __init__(self, socket: WebSocket, hello: Json, new_recording: NewRecording) -> None:
        self._socket = socket
        self._hello = hello
        self._new_recording = new_recording
        self._recording: Recording | None = None
        self._kept: Recording | None = None
        "What an export is made of: the newest recording that reached the server; the first until one has."
        self._ending: asyncio.Future[None] | None = None
        "The end of it, once that has begun."
        self._out: asyncio.Queue[Json] = asyncio.Queue()
        self._overflowed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: dict[str, Callable[[Json], Awaitable[None]]] = {
            "start": self._start,
            "settings": self._settings,
            "finalize": self._finalize,
            "cut": self._cut,
            "stop": self._stop,
            "export": self._export,
        }

    async def talk(self) -> None:
        """Returns when the page is gone and nothing of it is left."""
        self._say(self._hello)
        tasks = [asyncio.ensure_future(task) for task in (self._listen(), self._send(), self._overflowed.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, *self._tasks):
                task.cancel()
            for outcome in await asyncio.gather(*tasks, *self._tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    # Without its text, which may hold what was said.
                    log.error("a page of the playground failed with %s", type(outcome).__name__)
            if self._recording is not None:
                await self._end(self._recording, last_words=False)

    def _say(self, message: Json) -> None:
        self._out.put_nowait(message)
        if self._out.qsize() > MAX_UNSENT:
            self._overflowed.set()

    def _problem(self, message: str) -> None:
        self._say({"type": "problem", "message": message})

    async def _send(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await self._socket.send_text(json.dumps(await self._out.get()))

    async def _listen(self) -> None:
        while True:
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            try:
                if received.get("bytes") is not None:
                    await self._audio(received["bytes"])
                else:
                    await self._answer(received.get("text") or "")
            except WrongRequest as error:
                self._problem(f"{error}.")
            except RecursionError:
                self._problem("a message of the page is nested too deeply.")

    async def _answer(self, text: str) -> None:
        try:
            request = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        except ValueError:
            raise WrongRequest("a message of the page is not JSON") from None
        kind = request.get("type") if isinstance(request, dict) else None
        answer = self._answers.get(kind) if isinstance(kind, str) else None
        if answer is None:
            raise WrongRequest(f"type: {kind!r} given, must be one of {', '.join(self._answers)}")
        await answer(request)

    async def _audio(self, pcm: bytes) -> None:
        if len(pcm) > MAX_AUDIO_BYTES:
            raise WrongRequest(f"audio: {len(pcm)} bytes at once, at most {MAX_AUDIO_BYTES} are taken")
        recording = self._recording
        if recording is None or self._ending is not None:
            return  # what was on its way when the recording stopped
        await recording.push(pcm)
        if recording.problem is not None:
            self._spawn(self._end(recording, last_words=False))

    async def _start(self, request: Json) -> None:
        settings = check_settings(request.get("settings", {}), "settings")
        recording = self._new_recording(request.get("sample_rate"), settings, self._heard)
        if self._recording is not None:
            await self._end(self._recording, last_words=False)
        self._recording, self._ending = recording, None
        self._kept = self._kept or recording
        session_id = await recording.start()
        self._say({"type": "started", "session_id": session_id})

    def _heard(self, recording: Recording, message: Received) -> None:
        if recording is self._recording and recording.transcript.connected:
            self._kept = recording
        self._say({"type": "message", "name": message.name, "payload": message.payload})
        if message.name == "error" and message.payload.get("code") == FATAL:
            # It hears nothing any more. Were it put right later, its times would count from then, not from the start.
            self._spawn(self._end(recording, last_words=False))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _running(self) -> Recording:
        if self._recording is None or self._ending is not None:
            raise WrongRequest("nothing is being recorded: start first")
        return self._recording

    async def _settings(self, request: Json) -> None:
        try:
            params = check_settings(request.get("params"), "params")
        except TooLarge as error:
            # It is for whoever fills in the form; other mistakes are the page's own.
            self._changed(request, Update(1, f"{error}; nothing was changed"))
            return
        # A change of sessions takes seconds, in which audio goes on.
        self._spawn(self._update(self._running(), request, params))

    async def _update(self, recording: Recording, request: Json, params: Json) -> None:
        self._changed(request, await recording.update(params))

    def _changed(self, request: Json, update: Update) -> None:
        self._say({"type": "settings", "id": request.get("id"), "code": update.code, "message": update.message})

    async def _finalize(self, request: Json) -> None:
        self._running().finalize()

    async def _cut(self, request: Json) -> None:
        seconds = request.get("seconds", 0)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_CUT_S:
            raise WrongRequest(f"seconds: {seconds!r} given, must be 0 to {MAX_CUT_S:g}")
        self._say({"type": "cut", "connections": self._running().cut(seconds), "seconds": seconds})

    async def _stop(self, request: Json) -> None:
        if self._recording is not None:
            # The last words take a while, in which the page may go away, or be asked to stop waiting.
            self._spawn(self._end_or_hurry(self._recording))

    async def _end_or_hurry(self, recording: Recording) -> None:
        await self._end(recording, last_words=self._ending is None)

    async def _export(self, request: Json) -> None:
        if self._kept is None:
            raise WrongRequest("there is nothing to save yet: record something first")
        self._say({"type": "export", **self._kept.export(request.get("format"))})

    async def _end(self, recording: Recording, *, last_words: bool) -> None:
        """End *recording* if it is the one there is; returns when it has ended.

        That it ends does not hang on who waits for it: a page that goes away leaves nothing behind.
        """
        if recording is not self._recording:
            return
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._see_out(recording, last_words))
        elif not last_words and not self._ending.done():
            await recording.stop(last_words=False)
        await asyncio.shield(self._ending)

    async def _see_out(self, recording: Recording, last_words: bool) -> None:
        await recording.stop(last_words=last_words)
        self._say({"type": "stopped", "problem": recording.shortfall})


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is no number anybody can work with")
    return number
