"""The input audio buffer: what came in since the last commit, at 16 kHz whatever the wire format is."""

from __future__ import annotations

import numpy as np

from ...audio.g711 import decode_alaw, decode_ulaw
from ...audio.resample import Resampler
from ...realtime.messages import Json
from .vad import RATE, Samples

_MS = RATE // 1000
_G711_RATE = 8000
_WIDTH = 2
_MAX_KEPT = 60 * RATE
"Audio that belongs to no turn is kept for this long: 60 s, 1.9 MB."


class InputBuffer:
    """Decodes appends and holds the audio that no item has taken yet.

    Positions count 16 kHz samples since the session began; a clear or commit does not reset them.
    """

    def __init__(self, audio_format: Json) -> None:
        """*audio_format*: the wire's `format` object."""
        self._format = audio_format
        self._resampler = _resampler(audio_format)
        self.begin = 0
        "Where the buffer begins: the last commit or clear."
        self.end = 0
        "All audio written in this session."
        self._held = bytearray()

    @property
    def milliseconds(self) -> float:
        """Length of what is in the buffer."""
        return (self.end - self.begin) / _MS

    def set_format(self, audio_format: Json) -> None:
        """Expect *audio_format* from now on."""
        if audio_format != self._format:
            self._format = audio_format
            self._resampler = _resampler(audio_format)

    def write(self, data: bytes) -> Samples:
        """Take one append's raw audio. Returns it at 16 kHz.

        Raises ValueError if *data* ends inside a sample; then nothing is taken.
        """
        kind = self._format["type"]
        if kind == "audio/pcmu":
            data = decode_ulaw(data)
        elif kind == "audio/pcma":
            data = decode_alaw(data)
        if len(data) % 2:
            raise ValueError(f"{len(data)} bytes of 16-bit audio end inside a sample")
        samples = self._resampler.process(np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False))
        self.end += len(samples)
        self._held += samples.astype("<i2", copy=False).tobytes()
        return samples

    def take(self, begin: int, end: int) -> bytes:
        """Hand out the audio from *begin* to *end* as s16le; it and all before it leaves the buffer's memory."""
        taken = bytes(self._held[self._offset(begin) : self._offset(end)])
        del self._held[: self._offset(end)]
        return taken

    def trim(self) -> None:
        """Forget audio too old to matter, so that a session in which nobody speaks stays small."""
        del self._held[: self._offset(self.end - _MAX_KEPT)]

    def cut(self, position: int) -> None:
        """The buffer begins at *position* from now on (commit or clear)."""
        self.begin = position
        del self._held[: self._offset(position)]

    def _offset(self, position: int) -> int:
        first = self.end - len(self._held) // _WIDTH
        return max(0, position - first) * _WIDTH


def _resampler(audio_format: Json) -> Resampler:
    return Resampler(audio_format.get("rate", _G711_RATE), RATE)
