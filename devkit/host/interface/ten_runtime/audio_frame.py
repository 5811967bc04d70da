"""Audio frames. What a field means is the app's business; frames of most apps leave them all 0."""

from __future__ import annotations

from enum import IntEnum
from typing import cast

from ._buffer import BufferMsg
from ._content import AudioContent


class AudioFrameDataFmt(IntEnum):
    INTERLEAVE = 1
    NON_INTERLEAVE = 2


class AudioFrame(BufferMsg):
    """A named frame of audio with its buffer."""

    @classmethod
    def create(cls, name: str) -> AudioFrame:
        return cls._wrap(AudioContent(name))

    def clone(self) -> AudioFrame:
        return AudioFrame._wrap(self._live().clone())

    def get_buf(self) -> bytearray:
        """Return a copy of the buffer. Raises SystemError when none was allocated, as TEN's frames do."""
        buf = self._live().buf
        if buf is None:
            raise SystemError(f"audio frame {self.get_name()!r} has no buffer")
        return bytearray(buf)

    def _fields(self) -> AudioContent:
        return cast(AudioContent, self._live())

    def get_timestamp(self) -> int:
        return self._fields().timestamp

    def set_timestamp(self, timestamp: int) -> None:
        self._fields().timestamp = timestamp

    def get_sample_rate(self) -> int:
        return self._fields().sample_rate

    def set_sample_rate(self, sample_rate: int) -> None:
        self._fields().sample_rate = sample_rate

    def get_samples_per_channel(self) -> int:
        return self._fields().samples_per_channel

    def set_samples_per_channel(self, samples_per_channel: int) -> None:
        self._fields().samples_per_channel = samples_per_channel

    def get_bytes_per_sample(self) -> int:
        return self._fields().bytes_per_sample

    def set_bytes_per_sample(self, bytes_per_sample: int) -> None:
        self._fields().bytes_per_sample = bytes_per_sample

    def get_number_of_channels(self) -> int:
        return self._fields().number_of_channels

    def set_number_of_channels(self, number_of_channels: int) -> None:
        self._fields().number_of_channels = number_of_channels

    def get_data_fmt(self) -> int:
        return self._fields().data_fmt

    def set_data_fmt(self, data_fmt: AudioFrameDataFmt) -> None:
        self._fields().data_fmt = int(data_fmt)

    def get_line_size(self) -> int:
        return self._fields().line_size

    def set_line_size(self, line_size: int) -> None:
        self._fields().line_size = line_size

    def is_eof(self) -> bool:
        return self._fields().eof

    def set_eof(self, is_eof: bool) -> None:
        self._fields().eof = bool(is_eof)
