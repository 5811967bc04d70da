"""Audio on its way to a recogniser, which may be told to hear no faster than it is spoken."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import NamedTuple

from .faults_layer import Decoding
from .recognizers import RecognitionRequest
from .vad import RATE

BYTES_PER_SECOND = RATE * 2
_CHUNK_SECONDS = 0.5
"Most that a recogniser is given at once, so that many sessions take turns."
_PIECE_BYTES = BYTES_PER_SECOND // 10


class DecodeClock:
    """When the audio of one connection has been heard, at a speed: `max(clock, now) + duration` at each append."""

    def __init__(self) -> None:
        self._clock = -math.inf

    def heard(self, seconds: float, speed: float, now: float) -> float:
        """When audio of that length that arrives *now* will have been heard."""
        self._clock = max(self._clock, now) + seconds / speed
        return self._clock


class _Piece(NamedTuple):
    heard_at: float
    pcm: memoryview


class Utterance:
    """One item's audio between its session and its recogniser."""

    def __init__(self, item_id: str, request: RecognitionRequest) -> None:
        self.item_id = item_id
        self.request = request
        self.ended = False
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._audio: deque[_Piece] = deque()
        self._added = 0
        self._lost = 0

    def add(self, pcm: bytes, now: float, clock: DecodeClock, limit: Decoding | None) -> None:
        """More audio. With a *limit*, models that stream text hear it no faster than that."""
        self._added += len(pcm)
        if limit is None or not self.request.partials:
            self._audio.append(_Piece(-math.inf, memoryview(pcm)))
            return
        for at in range(0, len(pcm), _PIECE_BYTES):
            piece = memoryview(pcm)[at : at + _PIECE_BYTES]
            self._audio.append(_Piece(clock.heard(len(piece) / BYTES_PER_SECOND, limit.speed, now), piece))

    def take(self, now: float) -> bytes:
        """Up to half a second of what has been heard; empty if nothing waits."""
        wanted = int(_CHUNK_SECONDS * BYTES_PER_SECOND)
        chunk = bytearray()
        while wanted > len(chunk) and self._audio and self._audio[0].heard_at <= now:
            heard_at, pcm = self._audio.popleft()
            missing = wanted - len(chunk)
            chunk += pcm[:missing]
            if len(pcm) > missing:
                self._audio.appendleft(_Piece(heard_at, pcm[missing:]))
        return bytes(chunk)

    def next_heard(self) -> float | None:
        """When more has been heard, if any is waiting."""
        return self._audio[0].heard_at if self._audio else None

    def lose_unheard(self, now: float) -> int:
        """Forget what has not been heard yet. Returns the bytes."""
        lost = sum(len(piece.pcm) for piece in self._audio if piece.heard_at > now)
        self._audio = deque(piece for piece in self._audio if piece.heard_at <= now)
        self._lost += lost
        return lost

    @property
    def waiting(self) -> int:
        """Bytes not yet taken."""
        return sum(len(piece.pcm) for piece in self._audio)

    @property
    def heard_seconds(self) -> float | None:
        """Length of what the recogniser was given, if some was lost."""
        return (self._added - self._lost) / BYTES_PER_SECOND if self._lost else None
