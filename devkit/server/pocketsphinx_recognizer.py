"""CMU pocketsphinx: offline, small, English; its model comes inside of its wheel.

A way to try the whole path without a key, not a product: it reads clear speech well and everything else badly.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from .pocketsphinx_worker import HEADER
from .recognizers import Recognition, RecognitionRequest, RecognizerUnavailable, Word
from .speech_gate import SpeechGate
from .stable_text import StableText
from .vad import DetectorName, detector_factory

_WORKER = Path(__file__).with_name("pocketsphinx_worker.py")
_REMEDY = "install it with: pip install --prefer-binary 'openai_asr_python[devkit]'"
_MAX_WORKERS = 4
_STOP_SECONDS = 2.0
_MEMORY = "pocketsphinx.cmn"

# How many hypotheses in a row must agree on a word before it counts as said.
_AGREEMENT = {"minimal": 1, "low": 2, "medium": 3, "high": 5, "xhigh": 8}
_DEFAULT_DELAY = "medium"


class WorkerDied(RuntimeError):
    """The process that held the decoder is gone."""


class _Worker:
    """One worker process and the requests that wait for its answers."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[tuple[bytes, bytes]]] = {}
        self.utterances = 0

    @property
    def alive(self) -> bool:
        return self._reader is not None and not self._reader.done()

    async def start(self) -> None:
        """Raises RecognizerUnavailable if the decoder cannot be made."""
        # Its own stderr goes nowhere: the decoder must not write between the lines of a command line.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_WORKER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        ready = self._expect(0)
        self._reader = asyncio.get_running_loop().create_task(self._read())
        try:
            await ready
        except (WorkerDied, RuntimeError) as error:
            await self.stop()
            raise RecognizerUnavailable(f"pocketsphinx does not work here ({error}); {_REMEDY}") from None

    async def stop(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
            except asyncio.TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._reader is not None:
            await self._reader

    def send(self, kind: bytes, number: int, payload: bytes = b"") -> None:
        """A request to which nobody awaits an answer."""
        if self.alive and self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(HEADER.pack(kind, number, len(payload)) + payload)

    async def ask(self, kind: bytes, number: int, payload: bytes = b"") -> bytes:
        """Send a request and wait for its answer. Raises WorkerDied, or RuntimeError with the decoder's error."""
        if not self.alive or self._process is None or self._process.stdin is None:
            raise WorkerDied("the recogniser's process has ended")
        answer = self._expect(number)
        self.send(kind, number, payload)
        return await answer

    async def _expect(self, number: int) -> bytes:
        future: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            kind, payload = await future
        finally:
            self._waiting.pop(number, None)
        if kind == b"E":
            raise RuntimeError(payload.decode(errors="replace"))
        return payload

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        output = self._process.stdout
        try:
            while True:
                kind, number, length = HEADER.unpack(await output.readexactly(HEADER.size))
                payload = await output.readexactly(length)
                future = self._waiting.get(number)
                if future is not None and not future.done():
                    future.set_result((kind, payload))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(WorkerDied("the recogniser's process has ended"))


class PocketsphinxRecognizer:
    """Spreads utterances over as many worker processes as there are cores."""

    def __init__(self, workers: int | None = None, vad: DetectorName = "auto") -> None:
        """*workers*: processes; default one for each core, at most four. *vad*: who tells noise from speech."""
        self.vad: DetectorName = vad
        self._new_detector = detector_factory(vad)
        self._count = workers or min(_MAX_WORKERS, os.cpu_count() or 1)
        self._workers: list[_Worker] = []
        self._numbers = 0
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start the first worker; the others start when they are needed. Raises RecognizerUnavailable."""
        if importlib.util.find_spec("pocketsphinx") is None:
            raise RecognizerUnavailable(f"recognizer: pocketsphinx is not installed; {_REMEDY}")
        await self._add_worker()

    async def stop(self) -> None:
        """End all workers."""
        workers, self._workers = self._workers, []
        await asyncio.gather(*(worker.stop() for worker in workers))

    def knows_language(self, language: str) -> bool:
        """Any, for clients that are set up for a better one: it hears English."""
        return True

    def session(self, request: RecognitionRequest) -> PocketsphinxSession:
        """Begin an utterance."""
        self._numbers += 1
        return PocketsphinxSession(self, self._numbers, request, SpeechGate(self._new_detector()))

    async def worker(self) -> _Worker:
        """The least busy worker, a new one if all are busy and there may be more."""
        async with self._starting:
            self._workers = [worker for worker in self._workers if worker.alive]
            idle = [worker for worker in self._workers if not worker.utterances]
            if not idle and len(self._workers) < self._count:
                idle = [await self._add_worker()]
            chosen = min(idle or self._workers, key=lambda worker: worker.utterances)
            chosen.utterances += 1
            return chosen

    async def _add_worker(self) -> _Worker:
        worker = _Worker()
        await worker.start()
        self._workers.append(worker)
        return worker


class PocketsphinxSession:
    """One utterance in one worker."""

    def __init__(
        self, recognizer: PocketsphinxRecognizer, number: int, request: RecognitionRequest, gate: SpeechGate
    ) -> None:
        self._recognizer = recognizer
        self._number = number
        self._request = request
        self._gate = gate
        self._worker: _Worker | None = None
        self._stable = StableText(_AGREEMENT[request.delay or _DEFAULT_DELAY])

    async def accept(self, pcm: bytes) -> str | None:
        """See `RecognitionSession`."""
        heard = self._gate.pass_on(pcm)
        if not heard:
            return None
        worker = await self._begin()
        hypothesis = (await worker.ask(b"A", self._number, heard)).decode()
        return self._stable.update(hypothesis) if self._request.partials else None

    async def finish(self) -> Recognition:
        """See `RecognitionSession`."""
        if self._worker is None:
            return Recognition("")
        try:
            answer: dict[str, Any] = json.loads(await self._worker.ask(b"F", self._number))
        finally:
            self._leave()
        self._request.memory[_MEMORY] = answer["cmn"]
        offset = self._gate.skipped_ms
        return Recognition(
            text=answer["text"],
            words=tuple(Word(word, offset + start, length) for word, start, length in answer["words"]),
            confidence=answer["confidence"],
            language="en" if answer["text"] else None,
        )

    async def abandon(self) -> None:
        """See `RecognitionSession`."""
        if self._worker is not None:
            self._worker.send(b"X", self._number)
            self._leave()

    async def _begin(self) -> _Worker:
        if self._worker is None:
            self._worker = await self._recognizer.worker()
            start = {"cmn": self._request.memory.get(_MEMORY), "partials": self._request.partials}
            await self._worker.ask(b"S", self._number, json.dumps(start).encode())
        return self._worker

    def _leave(self) -> None:
        if self._worker is not None:
            self._worker.utterances -= 1
            self._worker = None
