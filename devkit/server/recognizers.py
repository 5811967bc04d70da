"""What a recogniser is, and the recognisers there are, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ...realtime.messages import ErrorDetails
from .vad import DetectorName


class Word(NamedTuple):
    """One recognised word. Times are milliseconds from the beginning of the utterance's audio."""

    text: str
    start_ms: int
    duration_ms: int


@dataclass(frozen=True)
class Recognition:
    """What one utterance says."""

    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    "0 to 1."
    language: str | None = None
    "ISO-639-1 code of the language heard."


@dataclass(frozen=True)
class RecognitionRequest:
    """What a recogniser is told about an utterance before it hears it."""

    model: str
    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    prompt: str | None = None
    partials: bool = False
    "Text is wanted while the speaker speaks."
    delay: str | None = None
    "minimal, low, medium, high or xhigh: how long to wait before text counts as stable."
    memory: dict[str, Any] = field(default_factory=dict)
    "Kept for the connection: a recogniser may leave here what it learned about the speaker."


class RecognitionSession(Protocol):
    """One utterance. Calls come one after the other; either `finish` or `abandon` is the last."""

    async def accept(self, pcm: bytes) -> str | None:
        """Hear more (16 kHz mono s16le). Returns all text so far that will not change any more, None if unchanged."""
        ...

    async def finish(self) -> Recognition:
        """The utterance is over: what was said?"""
        ...

    async def abandon(self) -> None:
        """Nobody wants to know any more."""
        ...


class Recognizer(Protocol):
    """The costly part, shared by all utterances: a model, worker processes."""

    @property
    def vad(self) -> DetectorName:
        """The speech detector that suits its audio, for turns that the server ends."""
        ...

    async def start(self) -> None:
        """Load what must be loaded. Raises RecognizerUnavailable if that cannot work here."""
        ...

    async def stop(self) -> None:
        """Give everything back. Utterances under way fail."""
        ...

    def knows_language(self, language: str) -> bool:
        """Whether a session may ask for *language*, a tag such as `de` or `de-DE`."""
        ...

    def session(self, request: RecognitionRequest) -> RecognitionSession:
        """Begin an utterance."""
        ...


class RecognitionFailed(RuntimeError):
    """There will be no text for this utterance, and the client is to be told *error*."""

    def __init__(self, error: ErrorDetails) -> None:
        super().__init__(str(error.message))
        self.error = error


class RecognizerUnavailable(RuntimeError):
    """The recogniser cannot run here; the message says what to do about it."""


def _pocketsphinx(model_path: str | None) -> Recognizer:
    from .pocketsphinx_recognizer import PocketsphinxRecognizer

    return PocketsphinxRecognizer()


def _scripted(model_path: str | None) -> Recognizer:
    from .scripted_recognizer import ScriptedRecognizer

    return ScriptedRecognizer()


def _faster_whisper(model_path: str | None) -> Recognizer:
    from .faster_whisper_recognizer import FasterWhisperRecognizer

    if not model_path:
        raise ValueError(
            "model_path: none given, and faster-whisper needs one: the folder of a model, or a name such as small, "
            "which is fetched when it is not on this disk"
        )
    return FasterWhisperRecognizer(model_path)


RECOGNIZERS: dict[str, Callable[[str | None], Recognizer]] = {
    "faster-whisper": _faster_whisper,
    "pocketsphinx": _pocketsphinx,
    "scripted": _scripted,
}
_WITH_MODEL = ("faster-whisper",)


def make_recognizer(name: str, model_path: str | None = None) -> Recognizer:
    """The recogniser called *name*, not yet started. *model_path*: folder or name of its model, where it needs one.

    Raises ValueError for a name that does not exist, and for a model that is missing or not needed.
    """
    if name not in RECOGNIZERS:
        known = ", ".join(sorted(RECOGNIZERS))
        raise ValueError(f"recognizer: {name!r} given, must be one of: {known}")
    if model_path is not None and name not in _WITH_MODEL:
        raise ValueError(f"model_path: {model_path!r} given, but {name} brings its own; it is for: {_WITH_MODEL[0]}")
    return RECOGNIZERS[name](model_path)
