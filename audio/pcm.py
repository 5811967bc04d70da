"""From the bytes of frames, in whatever shape they come, to one stream of s16le mono at one rate."""

from __future__ import annotations

import numpy as np

from .g711 import DECODERS
from .resample import Resampler, check_rate

ENCODINGS: tuple[str, ...] = ("pcm16", "g711_ulaw", "g711_alaw")
MAX_CHANNELS = 8
_INT16 = np.dtype("<i2")


class FrameDecoder:
    """Decodes frames of any byte count, mixes channels to one and keeps the stream at the rate of its first
    frame.

    Bytes that do not fill a sample frame (one sample of each channel) wait for the next call. Mixing takes
    the mean of the channels, rounded; it cannot overflow.
    """

    def __init__(self, encoding: str = "pcm16", channels: int = 1, rate: int = 16_000) -> None:
        """ValueError for an unknown encoding, channels not 1 to 8, a rate not 8,000 to 48,000 Hz."""
        _check(encoding, channels, rate)
        self.encoding = encoding
        self.channels = channels
        self.input_rate = rate
        "Rate of the frames that come now."
        self.rate = rate
        "Rate of the stream that goes out; fixed once `decode` has been given a byte."
        self.dropped = 0
        "Bytes of unfinished sample frames that a change of format made unreadable."
        self._clips = 0
        self._started = False
        self._partial = b""
        self._resampler: Resampler | None = None
        self._plain = self._is_plain()

    @property
    def clips(self) -> int:
        """Samples clipped while converting a later rate to the stream's."""
        return self._clips + (self._resampler.clips if self._resampler else 0)

    def set_format(self, encoding: str, channels: int, rate: int) -> bool:
        """Say what the next frames hold; returns whether that is a change. ValueError as the constructor.

        Before the first byte this also sets the stream's rate; afterwards a new rate is converted to it. When
        encoding or channels change, the bytes of a sample frame not yet complete are dropped (and counted in
        `dropped`), since nothing can complete them; a change of rate alone drops nothing.
        """
        if (encoding, channels, rate) == (self.encoding, self.channels, self.input_rate):
            return False
        _check(encoding, channels, rate)
        if (encoding, channels) != (self.encoding, self.channels):
            self.dropped += len(self._partial)
            self._partial = b""
        if rate != self.input_rate:
            self._clips = self.clips
            if not self._started:
                self.rate = rate
            self._resampler = Resampler(rate, self.rate) if rate != self.rate else None
        self.encoding, self.channels, self.input_rate = encoding, channels, rate
        self._plain = self._is_plain()
        return True

    def decode(self, data: bytes | bytearray | memoryview) -> bytes:
        """s16le mono samples of *data* at `rate`: all that is complete."""
        frame = data if type(data) is bytes else bytes(data)
        if frame:
            self._started = True
        if self._plain and not self._partial and not len(frame) % 2:
            return frame
        if self._partial:
            frame = self._partial + frame
            self._partial = b""
        width = self.channels * (2 if self.encoding == "pcm16" else 1)
        over = len(frame) % width
        if over:
            self._partial = frame[-over:]
            frame = frame[:-over]
        if self.encoding != "pcm16":
            frame = DECODERS[self.encoding](frame)
        if self.channels > 1:
            # Channel by channel: numpy is slow along a short axis. float64 holds the sum exactly; rint rounds
            # halves to even, so mixing adds no offset.
            first, *others = np.frombuffer(frame, _INT16).reshape(-1, self.channels).T
            mean = first.astype(np.float64)
            for other in others:
                mean += other
            mean /= self.channels
            frame = np.rint(mean, mean).astype(_INT16).tobytes()
        return frame if self._resampler is None else self._resampler.convert(frame)

    def _is_plain(self) -> bool:
        """Whether whole samples go out as they came in."""
        return self.encoding == "pcm16" and self.channels == 1 and self._resampler is None


def _check(encoding: str, channels: int, rate: int) -> None:
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding: {encoding!r} given, must be one of {', '.join(ENCODINGS)}")
    if isinstance(channels, bool) or not isinstance(channels, int) or not 1 <= channels <= MAX_CHANNELS:
        raise ValueError(f"channels: {channels!r} given, must be a whole number from 1 to {MAX_CHANNELS}")
    check_rate("rate", rate)
