"""Faults that depend on what is said."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from ...realtime.messages import Json
from .faults_layer import APPEND, CLEAR, COMMITTED, SPEECH_STOPPED, Layer, Link, Tally, head
from .input_buffer import InputBuffer
from .tones import decode
from .vad import RATE
from .work import Close, Outgoing


class Poison(Layer):
    """A commit whose audio holds one block of test tones ends the connection, again and again."""

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, link: Link) -> None:
        super().__init__(arguments, tally, link)
        self._buffer = InputBuffer(link.audio_format)
        self._turn_end: int | None = None

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        """See `Middleware`."""
        message = head(frame)
        if message.type == APPEND:
            self._hear(message.audio)
        elif message.type == CLEAR:
            self._buffer.cut(self._buffer.end)
        return (frame,)

    def _hear(self, audio: str) -> None:
        self._buffer.set_format(self.link.audio_format)
        try:
            self._buffer.write(base64.b64decode(audio, validate=True))
        except (binascii.Error, ValueError):
            return  # the session takes nothing of it either
        self._buffer.trim()

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`. What the session's own detector commits ends where it says."""
        if event["type"] == SPEECH_STOPPED:
            self._turn_end = round(event["audio_end_ms"] * RATE / 1000)
        if event["type"] != COMMITTED:
            return (event,)
        end, self._turn_end = self._turn_end or self._buffer.end, None
        labels = {block.label for block in decode(self._buffer.take(0, end), RATE)}
        if self.arguments["label"] not in labels or not self.strikes(now):
            return (event,)
        return event, Close(self.arguments["code"], self.arguments["reason"])
