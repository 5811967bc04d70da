"""Moments at which a connection is cut: while speech comes in, before and after a commit, inside a message."""

from __future__ import annotations

import base64
import binascii
import random
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from ...audio.g711 import decode_alaw, decode_ulaw
from ...realtime.messages import Json
from .faults_layer import APPEND, COMMIT, COMMITTED, COMPLETED, TRANSCRIPTION, Link, head
from .work import Abort, Outgoing

Phase = Literal["speaking", "before-commit", "after-commit", "inside-message"]
PHASES: tuple[Phase, ...] = get_args(Phase)

_LOUD = 328
"Peak of a piece of audio that holds speech: 1 % of full scale, -40 dB."
_LONGEST_SPEECH_S = 1.5


def phase_named(name: str) -> Phase:
    """The phase of that name, with dashes or underscores. Raises ValueError."""
    for phase in PHASES:
        if name.replace("_", "-") == phase:
            return phase
    raise ValueError(f"phase: {name!r} given, must be one of {', '.join(PHASES)}")


class Moment:
    """Waits on one connection for one moment of a kind. It comes once."""

    def __init__(self, phase: Phase, link: Link, chance: random.Random) -> None:
        self._phase = phase
        self._link = link
        self._speech_left = chance.uniform(0.05, _LONGEST_SPEECH_S)
        self._at_committed = chance.random() < 0.5

    def incoming(self, frame: bytes | str) -> bool:
        """Whether the connection is to be cut instead of taking *frame*."""
        if self._phase == "before-commit":
            return head(frame).type == COMMIT
        if self._phase != "speaking":
            return False
        message = head(frame)
        if message.type != APPEND:
            return False
        self._speech_left -= self._speech_seconds(message.audio)
        return self._speech_left <= 0

    def outgoing(self, event: Json) -> Sequence[Outgoing] | None:
        """What goes out instead of *event*, ending with the cut; None if this is not the moment."""
        kind = event["type"]
        if self._phase == "before-commit" and kind == COMMITTED:
            return (Abort(),)
        if self._phase == "after-commit":
            if kind == COMMITTED and self._at_committed:
                return event, Abort()
            if kind == COMPLETED and not self._at_committed:
                return (Abort(),)
        if self._phase == "inside-message" and (kind == COMMITTED or kind.startswith(TRANSCRIPTION)):
            return (Abort(inside=event),)
        return None

    def _speech_seconds(self, audio: str) -> float:
        try:
            data = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            return 0.0
        seconds = len(data) / self._link.bytes_per_second
        kind = self._link.audio_format["type"]
        if kind != "audio/pcm":
            data = decode_ulaw(data) if kind == "audio/pcmu" else decode_alaw(data)
        samples = np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2")
        return seconds if len(samples) and int(np.abs(samples.astype(np.int32)).max()) > _LOUD else 0.0
