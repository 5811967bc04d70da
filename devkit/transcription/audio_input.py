"""Audio files as the graph wants them: s16le blocks at the file's own rate, whatever the file holds."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from .failure import CommandError, wrong_use

MIN_RATE, MAX_RATE, MAX_CHANNELS = 8_000, 48_000, 8
"What the extension takes (its properties sample_rate and channels)."

READABLE = "WAV, FLAC, OGG and MP3 can be read; convert others with: ffmpeg -i IN -ar 16000 OUT.wav"

_UNKNOWN_BYTES = 0x7FFF_0000
"Sizes from here on stand where the length was not known yet, as in a pipe."
_CUT_S = 0.1
"What is missing of less is a header that was counted in."


@dataclass(frozen=True)
class AudioInput:
    """One recording, checked but not read yet. `name` is what the user called it, `-` for standard input."""

    name: str
    sample_rate: int
    "Hz"
    channels: int
    frames: int
    "Samples per channel."
    content: bytes | None = None
    "The whole file, when it came from standard input."
    announced: int = 0
    "Frames that the file says it holds, more than there are if it was cut; 0 if it does not say."

    @property
    def duration_ms(self) -> int:
        """Length in milliseconds, at least 1."""
        return max(1, round(1000 * self.frames / self.sample_rate))

    def blocks(self, block_ms: int) -> Iterator[bytes]:
        """Interleaved s16le of *block_ms* at a time, the last block shorter.

        Raises CommandError where a damaged file breaks off.
        """
        read = 0
        with _open(self.name, self.content) as file, _Stream(file) as sound:
            size = self.sample_rate * block_ms // 1000
            while True:
                try:
                    samples = sound.read(size, dtype="float32", always_2d=True)
                except (soundfile.LibsndfileError, RuntimeError) as error:
                    raise self._damaged(read, str(error).rstrip(".")) from None
                if not len(samples):
                    break
                read += len(samples)
                # Compressed files decode to values a little beyond full scale: clip, never wrap. Float files may hold
                # what is no number at all.
                scaled = np.clip(np.nan_to_num(samples), -1.0, 1.0) * 32768.0
                yield np.minimum(np.rint(scaled), 32767).astype("<i2").tobytes()
        if self.announced - read > _CUT_S * self.sample_rate:
            raise self._damaged(read, f"it says that it holds {self.announced / self.sample_rate:.1f} s")

    def _damaged(self, frames: int, why: str) -> CommandError:
        where = f"{frames / self.sample_rate:.1f} s from its start"
        return CommandError(f"the file is damaged {where}, and what follows is missing ({why})")


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """A file read from front to back. The library seeks after every read of a file that can be sought in, and an
    MP3 decoder that is made to seek starts anew: it complains and gives other samples.
    """

    def seekable(self) -> bool:
        """No."""
        return False


def _open(name: str, content: bytes | None) -> BinaryIO:
    return io.BytesIO(content) if content is not None else open(name, "rb")


def _announced_frames(file: BinaryIO, frames: int) -> int:
    """What a WAV says it holds where *frames* are there; 0 where it does not know, and for any other file."""
    file.seek(0)
    container = file.read(12)
    if container[:4] == b"RIFF" and container[8:] == b"WAVE":
        while len(chunk := file.read(8)) == 8:
            size = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                begin = file.tell()
                there = file.seek(0, io.SEEK_END) - begin
                return frames * size // there if 0 < there and size < _UNKNOWN_BYTES else 0
            file.seek(size + size % 2, io.SEEK_CUR)
    return 0


def open_audio(name: str) -> AudioInput:
    """Check that *name* (`-` is standard input) is audio that can be transcribed.

    Raises CommandError (wrong use) with one sentence for a file that is missing, empty, no audio, of no length, or
    of a rate or number of channels that the extension does not take.
    """
    content = sys.stdin.buffer.read() if name == "-" else None
    title = "standard input" if name == "-" else name
    try:
        if content == b"" or (content is None and Path(name).is_file() and not Path(name).stat().st_size):
            raise wrong_use(f"{title} is empty: give a file with audio in it.")
        with _open(name, content) as file, soundfile.SoundFile(file) as sound:
            announced = _announced_frames(file, sound.frames)
            audio = AudioInput(name, sound.samplerate, sound.channels, sound.frames, content, announced)
    except FileNotFoundError:
        raise wrong_use(f"{name}: there is no such file.") from None
    except OSError as error:
        raise wrong_use(f"{name} cannot be opened: {error.strerror or error}.") from None
    # TypeError: the reader wants to be told the format of a file whose name ends in .raw.
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        raise wrong_use(f"{title} is not audio that can be read: {READABLE}") from None
    if audio.frames <= 0:
        raise wrong_use(f"{title} has no audio in it (zero seconds): give a longer recording.")
    if not MIN_RATE <= audio.sample_rate <= MAX_RATE:
        raise wrong_use(
            f"{title} has {audio.sample_rate} samples a second, and {MIN_RATE} to {MAX_RATE} can be transcribed: "
            "convert it with ffmpeg -i IN -ar 48000 OUT.wav"
        )
    if audio.channels > MAX_CHANNELS:
        raise wrong_use(f"{title} has {audio.channels} channels, and up to {MAX_CHANNELS} can be transcribed.")
    return audio
