"""Whisper models by faster-whisper: a hundred languages, on a processor or a graphics card, with the words' times.

One model is shared by all utterances and decodes in threads of its own, so the event loop stays free; CTranslate2
lets go of the interpreter's lock while it works. Whisper hears audio in one piece: while somebody speaks, what was
heard so far is decoded again and again, and text on which decodes agree counts as said.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ...realtime.language import primary_subtag
from .errors import invalid_request
from .recognizers import Recognition, RecognitionFailed, RecognitionRequest, Word
from .speech_gate import SpeechGate
from .stable_text import StableText
from .vad import RATE, DetectorName, detector_factory
from .whisper_model import WhisperModel, load_model

Samples: TypeAlias = npt.NDArray[np.float32]

_BYTES_PER_SECOND = RATE * 2
_CORES_PER_DECODE = 4
"More than that make one decode hardly faster."
_PARTIAL_SECONDS = 30
"What the model hears in one go. Partials are made of that much of an utterance, the final of all of it."


class _Patience(NamedTuple):
    seconds: float
    "New audio before what was heard is decoded again."
    agreement: int
    "Decodes in a row that must agree."


_PATIENCE = {
    "minimal": _Patience(0.5, 1),
    "low": _Patience(0.5, 2),
    "medium": _Patience(1.0, 2),
    "high": _Patience(1.5, 2),
    "xhigh": _Patience(1.5, 3),
}
_DEFAULT_DELAY = "medium"

_WHISPER_CODES = {
    "cmn": "zh", "fil": "tl", "in": "id", "iw": "he", "ji": "yi", "jv": "jw", "mo": "ro", "nb": "no",
}  # fmt: skip
"What Whisper calls languages that have another code, too."


class _GivenUp(RuntimeError):
    """Nobody wants the text any more, or the recogniser is about to end."""


class FasterWhisperRecognizer:
    """Decodes a few utterances at once; the others wait, finals before partials."""

    vad: DetectorName = "auto"

    def __init__(self, model_path: str, *, load: Callable[..., Awaitable[WhisperModel]] = load_model) -> None:
        """*model_path*: see `load_model`, which loads it."""
        cores = os.cpu_count() or 1
        self._path = model_path
        self._load = load
        self._decoders = max(1, cores // _CORES_PER_DECODE)
        self._threads = min(cores, _CORES_PER_DECODE)
        self._new_detector = detector_factory(self.vad)
        self._model: WhisperModel | None = None
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        self._jobs: set[concurrent.futures.Future[Recognition]] = set()
        self.stopping = threading.Event()

    async def start(self) -> None:
        """Load the model, which may have to be fetched. Raises RecognizerUnavailable."""
        self.stopping.clear()
        self._pool = concurrent.futures.ThreadPoolExecutor(self._decoders, thread_name_prefix="whisper")
        try:
            self._model = await self._load(self._path, self._pool, decoders=self._decoders, threads=self._threads)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Give the model back. A decode under way ends with the stretch of 30 s it is in, and its utterance fails."""
        pool, self._pool = self._pool, None
        if pool is not None:
            self.stopping.set()
            # What waits in the pool is not taken back but gives up by itself: who waits for it gets an error then.
            await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)
        self._model = None

    def knows_language(self, language: str) -> bool:
        """See `Recognizer`."""
        return self._model is None or _code_of(language, self._model.supported_languages) is not None

    def session(self, request: RecognitionRequest) -> FasterWhisperSession:
        """Begin an utterance."""
        return FasterWhisperSession(self, request, SpeechGate(self._new_detector()))

    @property
    def busy(self) -> bool:
        """Whether what begins now would have to wait, or would make something wait that is more urgent."""
        return len(self._unfinished()) >= self._decoders

    def _unfinished(self) -> set[concurrent.futures.Future[Recognition]]:
        """The jobs that wait or run; what is done is not kept, as it holds what was said."""
        self._jobs = {job for job in self._jobs if not job.done()}
        return self._jobs

    def decode(
        self, pcm: bytes, request: RecognitionRequest, given_up: threading.Event, *, final: bool
    ) -> asyncio.Future[Recognition]:
        """What *pcm* says, in a thread, once one is free. Nobody waits for it any more once *given_up* is set."""
        pool, model = self._pool, self._model
        if pool is None or model is None:
            raise _GivenUp("the recogniser has stopped")

        def work() -> Recognition:
            return _hear(model, pcm, request, lambda: given_up.is_set() or self.stopping.is_set(), final=final)

        job = pool.submit(work)
        self._unfinished().add(job)
        return asyncio.wrap_future(job)


class FasterWhisperSession:
    """One utterance."""

    def __init__(self, recognizer: FasterWhisperRecognizer, request: RecognitionRequest, gate: SpeechGate) -> None:
        self._recognizer = recognizer
        self._request = request
        self._gate = gate
        self._patience = _PATIENCE[request.delay or _DEFAULT_DELAY]
        self._stable = StableText(self._patience.agreement)
        self._audio = bytearray()
        self._undecoded = 0
        self._hypothesis: asyncio.Future[Recognition] | None = None
        self._given_up = threading.Event()

    async def accept(self, pcm: bytes) -> str | None:
        """See `RecognitionSession`. Never waits for a decode: its text comes with audio that follows."""
        heard = self._gate.pass_on(pcm)
        self._audio += heard
        self._undecoded += len(heard)
        if not self._request.partials:
            return None
        text = self._stable_text()
        if self._hypothesis is None and self._worth_a_look() and not self._recognizer.busy:
            self._undecoded = 0
            audio = bytes(self._audio[: _PARTIAL_SECONDS * _BYTES_PER_SECOND])
            self._hypothesis = self._recognizer.decode(audio, self._request, self._given_up, final=False)
        return text

    async def finish(self) -> Recognition:
        """See `RecognitionSession`."""
        self._forget_hypothesis()
        try:
            if not self._gate.open:
                return Recognition("")
            result = await self._recognizer.decode(bytes(self._audio), self._request, self._given_up, final=True)
        finally:
            await self.abandon()
        offset = self._gate.skipped_ms
        return replace(result, words=tuple(word._replace(start_ms=offset + word.start_ms) for word in result.words))

    async def abandon(self) -> None:
        """See `RecognitionSession`."""
        self._given_up.set()
        self._forget_hypothesis()
        self._audio.clear()

    def _worth_a_look(self) -> bool:
        fresh = self._undecoded >= self._patience.seconds * _BYTES_PER_SECOND
        return fresh and len(self._audio) - self._undecoded < _PARTIAL_SECONDS * _BYTES_PER_SECOND

    def _stable_text(self) -> str | None:
        """What the last decode adds, if it is done."""
        done = self._hypothesis
        if done is None or not done.done():
            return None
        self._hypothesis = None
        # What went wrong will go wrong with the final, too, and is told then.
        return self._stable.update(done.result().text) if done.exception() is None else None

    def _forget_hypothesis(self) -> None:
        if self._hypothesis is not None:
            self._hypothesis.cancel()
            self._hypothesis = None


def _hear(
    model: WhisperModel, pcm: bytes, request: RecognitionRequest, given_up: Callable[[], bool], *, final: bool
) -> Recognition:
    """Decode *pcm*. Words and their times come with a *final*, which is also decoded with more care."""
    if given_up():
        raise _GivenUp("nobody waits for this text")
    samples: Samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768)
    wanted = _known(model, request.languages)
    segments, info = model.transcribe(
        samples,
        language=_spoken(model, samples, wanted),
        initial_prompt=request.prompt or None,
        hotwords=", ".join(request.keywords) or None,
        beam_size=5 if final else 1,
        **({"word_timestamps": True} if final else {"without_timestamps": True, "temperature": 0.0}),
        # A mistake in one stretch of 30 s would be repeated in all that follow.
        condition_on_previous_text=False,
    )
    text = ""
    words: list[Any] = []
    for segment in segments:  # each stretch of 30 s is decoded when its first segment is asked for
        text += segment.text
        words += segment.words or ()
        if given_up():
            raise _GivenUp("nobody waits for this text")
    return Recognition(
        text=text.strip(),
        words=tuple(_word(word) for word in words if word.word.strip()),
        confidence=float(np.mean([word.probability for word in words])) if words else None,
        language=wanted.get(info.language, info.language) if text.strip() else None,
    )


def _code_of(language: str, known: Collection[str]) -> str | None:
    """The model's own code for *language*; None if it does not know it."""
    code = primary_subtag(language)
    return next((own for own in (code, _WHISPER_CODES.get(code)) if own in known), None)


def _known(model: WhisperModel, wanted: tuple[str, ...]) -> dict[str, str]:
    """Those of the languages *wanted* that the model knows: its own code, and what the client calls it.

    Raises RecognitionFailed if there is none of them.
    """
    supported = model.supported_languages
    codes = ((_code_of(language, supported), primary_subtag(language)) for language in wanted)
    known = {own: theirs for own, theirs in codes if own is not None}
    if wanted and not known:
        message = f"The language '{wanted[0]}' is not known to this model."
        raise RecognitionFailed(invalid_request("invalid_value", message))
    return known


def _spoken(model: WhisperModel, samples: Samples, known: Collection[str]) -> str | None:
    """The one of the languages *known* that is spoken; None: let the model find out."""
    if len(known) < 2:
        return next(iter(known), None)
    likely = model.detect_language(samples)[2]
    return next(code for code, _ in likely if code in known)


def _word(word: Any) -> Word:
    start, end = round(1000 * word.start), round(1000 * word.end)
    return Word(word.word.strip(), start, max(0, end - start))
