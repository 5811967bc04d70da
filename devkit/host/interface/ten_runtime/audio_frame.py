"""Audio frames. What a field means is the app's business; frames of most apps leave them all 0."""

from __future__ import annotations

from enum import IntEnum

from ._buffer import BufferMsg
from ._content import AudioContent


class AudioFrameDataFmt(IntEnum):
    INTERLEAVE = 1
    NON_INTERLEAVE = 2


class AudioFrame(BufferMsg):
    """A named frame of audio with its buffer."""

    _content: AudioContent

    @classmethod
    def create(cls, name: str) -> AudioFrame:
        return cls._wrap(AudioContent(name))

    def clone(self) -> AudioFrame:
        return AudioFrame._wrap(self._content.clone())

    def get_buf(self) -> bytearray:
        """Return a copy of the buffer. Raises SystemError when none was allocated, as TEN's frames do."""
        buf = self._content.buf
        if buf is None:
            raise SystemError(f"audio frame {self.get_name()!r} has no buffer")
        return bytearray(buf)

    def get_timestamp(self) -> int:
        return self._content.timestamp

    def set_timestamp(self, timestamp: int) -> None:
        self._content.timestamp = timestamp

    def get_sample_rate(self) -> int:
        return self._content.sample_rate

    def set_sample_rate(self, sample_rate: int) -> None:
        self._content.sample_rate = sample_rate

    def get_samples_per_channel(self) -> int:
        return self._content.samples_per_channel

    def set_samples_per_channel(self, samples_per_channel: int) -> None:
        self._content.samples_per_channel = samples_per_channel

    def get_bytes_per_sample(self) -> int:
        return self._content.bytes_per_sample

    def set_bytes_per_sample(self, bytes_per_sample: int) -> None:
        self._content.bytes_per_sample = bytes_per_sample

    def get_number_of_channels(self) -> int:
        return self._content.number_of_channels

    def set_number_of_channels(self, number_of_channels: int) -> None:
        self._content.number_of_channels = number_of_channels

    def get_data_fmt(self) -> int:
        return self._content.data_fmt

    def set_data_fmt(self, data_fmt: AudioFrameDataFmt) -> None:
        self._content.data_fmt = int(data_fmt)

    def get_line_size(self) -> int:
        return self._content.line_size

    def set_line_size(self, line_size: int) -> None:
        self._content.line_size = line_size

    def is_eof(self) -> bool:
        return self._content.eof

    def set_eof(self, is_eof: bool) -> None:
        self._content.eof = bool(is_eof)
