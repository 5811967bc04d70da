"""The conversation with one page, over its WebSocket. docs/playground.md has the messages."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from ..transcription.job import Received
from ..transcription.transcript import FATAL
from .recording import Recording, WrongRequest, check_settings

MAX_AUDIO_BYTES = 64 * 1024
MAX_CUT_S = 60.0
MAX_UNSENT = 5_000
"Messages that wait for a page that does not read; then it is gone."

Json = dict[str, Any]
NewRecording = Callable[[Any, Json, Callable[[Received], None]], Recording]
"Of a sample rate, settings, and who takes the messages. Raises WrongRequest."


class Page:
    """Talks with the page behind *socket* until it goes away, and frees everything then."""

    def __init__(self, socket: WebSocket, hello: Json, new_recording: NewRecording) -> None:
        self._socket = socket
        self._hello = hello
        self._new_recording = new_recording
        self._recording: Recording | None = None
        self._running = False
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
            await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)
            await self._end(last_words=False)

    def _say(self, message: Json) -> None:
        self._out.put_nowait(message)
        if self._out.qsize() > MAX_UNSENT:
            self._overflowed.set()

    def _problem(self, message: str) -> None:
        self._say({"type": "problem", "message": message})

    async def _send(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await self._socket.send_text(json.dumps(await self._out.get(), ensure_ascii=False))

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

    async def _answer(self, text: str) -> None:
        try:
            request = json.loads(text)
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
        if self._recording is None or not self._running:
            return  # what was on its way when the recording stopped
        await self._recording.push(pcm)
        if self._recording.problem is not None:
            await self._end(last_words=False)

    async def _start(self, request: Json) -> None:
        await self._end(last_words=False)
        settings = check_settings(request.get("settings", {}), "settings")
        self._recording = self._new_recording(request.get("sample_rate"), settings, self._heard)
        self._running = True
        session_id = await self._recording.start()
        self._say({"type": "started", "session_id": session_id})

    def _heard(self, message: Received) -> None:
        self._say({"type": "message", "name": message.name, "payload": message.payload})
        if message.name == "error" and message.payload.get("code") == FATAL and self._running:
            # It hears nothing any more. Were it put right later, its times would count from then, not from the start.
            task = asyncio.ensure_future(self._end(last_words=False, why=str(message.payload.get("message", ""))))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _now(self) -> Recording:
        if self._recording is None or not self._running:
            raise WrongRequest("nothing is being recorded: start first")
        return self._recording

    async def _settings(self, request: Json) -> None:
        params = check_settings(request.get("params"), "params")
        recording = self._now()
        # A change of sessions takes seconds, in which audio goes on.
        task = asyncio.ensure_future(self._update(recording, request.get("id"), params))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _update(self, recording: Recording, number: Any, params: Json) -> None:
        update = await recording.update(params)
        self._say({"type": "settings", "id": number, "code": update.code, "message": update.message})

    async def _finalize(self, request: Json) -> None:
        self._now().finalize()

    async def _cut(self, request: Json) -> None:
        seconds = request.get("seconds", 0)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_CUT_S:
            raise WrongRequest(f"seconds: {seconds!r} given, must be 0 to {MAX_CUT_S:g}")
        self._say({"type": "cut", "connections": self._now().cut(seconds), "seconds": seconds})

    async def _stop(self, request: Json) -> None:
        if self._running:
            await self._end(last_words=True)

    async def _export(self, request: Json) -> None:
        if self._recording is None:
            raise WrongRequest("there is nothing to save yet: record something first")
        self._say({"type": "export", **self._recording.export(request.get("format"))})

    async def _end(self, *, last_words: bool, why: str | None = None) -> None:
        """End the recording that runs, if one does; its transcript stays until the next."""
        if self._recording is None or not self._running:
            return
        self._running = False
        problem = self._recording.problem or why
        await self._recording.stop(last_words=last_words)
        self._say({"type": "stopped", "problem": problem})
