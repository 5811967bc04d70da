"""A recogniser for tests: says what it is told, or reads the labels of test tones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from ...realtime.messages import ErrorDetails
from .recognizers import Recognition, RecognitionFailed, RecognitionRequest, Word
from .tones import GUARD_MS, LENGTHS_MS, Block, decode
from .vad import RATE, DetectorName

_WIDTH = 2
_BYTES_PER_MS = RATE * _WIDTH // 1000
# A block has ended once there is more silence behind it than its own guard.
_SETTLED_MS = 2 * GUARD_MS
_LONGEST_MS = 2 * max(LENGTHS_MS)


@dataclass(frozen=True)
class Line:
    """What one utterance is said to say."""

    text: str = ""
    language: str | None = "en"
    delay_s: float = 0.0
    "How long the recogniser thinks after the last of the audio."
    error: ErrorDetails | None = None
    "The utterance fails with this instead."


class ScriptedRecognizer:
    """Takes its lines in the order in which utterances begin; once they are used up, reads tones."""

    vad: DetectorName = "energy"
    "Tones are no speech to a detector of speech."

    def __init__(self, lines: Iterable[str | Line] = (), *, word_ms: int = 300) -> None:
        """*lines*: one for each utterance. *word_ms*: audio it takes to say a word of them."""
        self._lines = [Line(line) if isinstance(line, str) else line for line in lines]
        self._word_ms = word_ms

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        """Nothing to give back."""

    def knows_language(self, language: str) -> bool:
        """Any: it does not listen to words."""
        return True

    def session(self, request: RecognitionRequest) -> ToldSession | ToneSession:
        """Begin an utterance."""
        if self._lines:
            return ToldSession(self._lines.pop(0), self._word_ms, request.partials)
        return ToneSession(request.partials)


class ToldSession:
    """Says a line, one word for each stretch of audio."""

    def __init__(self, line: Line, word_ms: int, partials: bool) -> None:
        self._line = line
        self._partials = partials
        self._words = line.text.split()
        self._word_ms = word_ms
        self._heard_ms = 0.0

    async def accept(self, pcm: bytes) -> str | None:
        """See `RecognitionSession`."""
        before = self._said()
        self._heard_ms += len(pcm) / _BYTES_PER_MS
        after = self._said()
        return " ".join(self._words[:after]) if self._partials and after > before else None

    async def finish(self) -> Recognition:
        """See `RecognitionSession`. Raises RecognitionFailed if the line says so."""
        line = self._line
        await asyncio.sleep(line.delay_s)
        if line.error is not None:
            raise RecognitionFailed(line.error)
        words = tuple(Word(word, index * self._word_ms, self._word_ms) for index, word in enumerate(self._words))
        return Recognition(line.text, words, confidence=1.0, language=line.language)

    async def abandon(self) -> None:
        """See `RecognitionSession`."""

    def _said(self) -> int:
        return min(int(self._heard_ms // self._word_ms), len(self._words))


class ToneSession:
    """Reads labels: `b17 b18`. A label counts once its block has ended."""

    def __init__(self, partials: bool) -> None:
        self._partials = partials
        self._audio = bytearray()
        self._begin_ms = 0.0
        self._words: list[Word] = []

    async def accept(self, pcm: bytes) -> str | None:
        """See `RecognitionSession`."""
        self._audio += pcm
        before = len(self._words)
        length_ms = len(self._audio) / _BYTES_PER_MS
        blocks = decode(bytes(self._audio), RATE)
        done = [block for block in blocks if block.start_ms + block.duration_ms < length_ms - _SETTLED_MS]
        self._note(done)
        if done:
            self._forget(done[-1].start_ms + done[-1].duration_ms - GUARD_MS)
        elif not blocks and length_ms > _LONGEST_MS:
            self._forget(length_ms - _LONGEST_MS)
        return self._text() if self._partials and len(self._words) > before else None

    async def finish(self) -> Recognition:
        """See `RecognitionSession`."""
        self._note(decode(bytes(self._audio), RATE))
        self._audio.clear()
        return Recognition(self._text(), tuple(self._words), confidence=1.0)

    async def abandon(self) -> None:
        """See `RecognitionSession`."""

    def _note(self, blocks: list[Block]) -> None:
        for block in blocks:
            start = max(0, round(self._begin_ms + block.start_ms))
            self._words.append(Word(f"b{block.label}", start, round(block.duration_ms)))

    def _forget(self, until_ms: float) -> None:
        """Everything before *until_ms* is read."""
        count = int(until_ms * RATE / 1000) * _WIDTH
        del self._audio[:count]
        self._begin_ms += count / _BYTES_PER_MS

    def _text(self) -> str:
        return " ".join(word.text for word in self._words)
