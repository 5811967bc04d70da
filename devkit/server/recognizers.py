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


def _pocketsphinx() -> Recognizer:
    from .pocketsphinx_recognizer import PocketsphinxRecognizer

    return PocketsphinxRecognizer()


def _scripted() -> Recognizer:
    from .scripted_recognizer import ScriptedRecognizer

    return ScriptedRecognizer()


RECOGNIZERS: dict[str, Callable[[], Recognizer]] = {"pocketsphinx": _pocketsphinx, "scripted": _scripted}


def make_recognizer(name: str) -> Recognizer:
    """The recogniser called *name*, not yet started. Raises ValueError for a name that does not exist."""
    try:
        return RECOGNIZERS[name]()
    except KeyError:
        known = ", ".join(sorted(RECOGNIZERS))
        raise ValueError(f"recognizer: {name!r} given, must be one of: {known}") from None
