"""A recogniser for tests: says what it is told, or reads the labels of test tones."""

from __future__ import annotations

from collections.abc import Iterable

from .recognizers import Recognition, RecognitionRequest, Word
from .tones import GUARD_MS, LENGTHS_MS, Block, decode
from .vad import RATE

_WIDTH = 2
_BYTES_PER_MS = RATE * _WIDTH // 1000
# A block has ended once there is more silence behind it than its own guard.
_SETTLED_MS = 2 * GUARD_MS
_LONGEST_MS = 2 * max(LENGTHS_MS)


class ScriptedRecognizer:
    """Takes its texts in the order in which utterances begin; once they are used up, reads tones."""

    def __init__(self, texts: Iterable[str] = (), *, word_ms: int = 300) -> None:
        """*texts*: one for each utterance. *word_ms*: audio it takes to say a word of them."""
        self._texts = list(texts)
        self._word_ms = word_ms

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        """Nothing to give back."""

    def session(self, request: RecognitionRequest) -> ToldSession | ToneSession:
        """Begin an utterance."""
        if self._texts:
            return ToldSession(self._texts.pop(0), self._word_ms)
        return ToneSession()


class ToldSession:
    """Says a text, one word for each stretch of audio."""

    def __init__(self, text: str, word_ms: int) -> None:
        self._words = text.split()
        self._text = text
        self._word_bytes = word_ms * _BYTES_PER_MS
        self._word_ms = word_ms
        self._heard = 0

    async def accept(self, pcm: bytes) -> str | None:
        """See `RecognitionSession`. The last word comes with `finish`."""
        before = self._said()
        self._heard += len(pcm)
        after = self._said()
        return " ".join(self._words[:after]) if after > before else None

    async def finish(self) -> Recognition:
        """See `RecognitionSession`."""
        words = tuple(Word(word, index * self._word_ms, self._word_ms) for index, word in enumerate(self._words))
        return Recognition(self._text, words, confidence=1.0, language="en" if self._text else None)

    async def abandon(self) -> None:
        """See `RecognitionSession`."""

    def _said(self) -> int:
        return min(self._heard // self._word_bytes, max(0, len(self._words) - 1))


class ToneSession:
    """Reads labels: `b17 b18`. A label counts once its block has ended."""

    def __init__(self) -> None:
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
        return self._text() if len(self._words) > before else None

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
