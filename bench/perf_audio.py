"""The sound of `make bench`: calls in frames, and marks by which a server knows a frame again whatever became of it.

In the middle of each loud frame stands a pulse of 2 ms, up or down as a pseudo-random sequence says. Resampling, G.711
and regrouping leave it where it is, so the time its middle reaches the server belongs to the frame it was in. A frame
lost or sent twice breaks the sequence.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

WIRE_RATE = 24_000
LIST_S = 12
"Length of a call; it is played over and over."
CYCLE_S = 2.0
LOUD_S = 1.2
"Of each cycle; the rest is a quiet line."
PULSE_S = 0.002
PULSE = 20_000
THRESHOLD = 12_000
NOISE = 4_000
QUIET = 20
"Standard deviation of a quiet line: -64 dBFS."
SAMPLES = Path(__file__).resolve().parent.parent / "devkit" / "samples"


@dataclass(frozen=True)
class Sound:
    """What a caller sends: rate in Hz, encoding, length of a frame."""

    rate: int = 16_000
    frame_ms: int = 20
    encoding: str = "pcm16"
    call: str = "marked"
    "`marked`, or `speech`: recordings of people, half of it silence."

    @property
    def frame_samples(self) -> int:
        """Samples of a frame."""
        return self.rate * self.frame_ms // 1000

    @property
    def count(self) -> int:
        """Frames of a call."""
        return LIST_S * 1000 // self.frame_ms


@lru_cache(maxsize=4)
def frames(sound: Sound) -> list[bytes]:
    """A call, frame by frame, as the caller's bytes. Made once."""
    samples = marked(sound)[0] if sound.call == "marked" else speech(sound.rate)[: sound.count * sound.frame_samples]
    pcm = samples.astype("<i2").tobytes()
    size = 2 * sound.frame_samples
    cut = [pcm[at : at + size] for at in range(0, sound.count * size, size)]
    if sound.encoding == "pcm16":
        return cut
    from ten_packages.extension.openai_asr_python.audio.g711 import ENCODERS

    return [ENCODERS[sound.encoding](frame) for frame in cut]


def marked(sound: Sound) -> tuple[Samples, list[int]]:
    """Noise with a mark in each frame of the loud part of each cycle; and the sign of each frame's mark, 0 for none."""
    length = sound.frame_samples
    noise = np.random.default_rng(7)
    audio = noise.normal(0, QUIET, sound.count * length)
    signs = [0] * sound.count
    pulse = round(PULSE_S * sound.rate)
    chance = random.Random(f"marks of {sound.frame_ms} ms")
    for number in range(sound.count):
        begin = number * length
        if (begin / sound.rate) % CYCLE_S >= LOUD_S:
            continue
        audio[begin : begin + length] = noise.uniform(-NOISE, NOISE, length)
        signs[number] = chance.choice((-1, 1))
        at = begin + (length - pulse) // 2
        audio[at : at + pulse] = signs[number] * PULSE
    return audio.round().astype(np.int16), signs


def find_marks(pieces: list[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """The marks in *pieces* of wire audio (24 kHz, s16le), in order: when the middle of each came, and its sign."""
    audio = np.concatenate([np.frombuffer(piece, dtype="<i2") for _, piece in pieces])
    ends = np.cumsum([len(piece) // 2 for _, piece in pieces])
    loud = np.flatnonzero(np.abs(audio.astype(np.int32)) > THRESHOLD)
    if not len(loud):
        return []
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > PULSE_S * WIRE_RATE) + 1)
    middles = [int(group[len(group) // 2]) for group in groups]
    return [(pieces[int(np.searchsorted(ends, at, side="right"))][0], 1 if audio[at] > 0 else -1) for at in middles]


def latencies(pushed: list[tuple[int, int]], marks: list[tuple[int, int]]) -> tuple[list[float], int]:
    """Milliseconds from handing in each marked frame to its mark at the server, and how many marks do not fit.

    *pushed*: when each marked frame was handed in, and the sign of its mark. What is still under way at the end is
    neither.
    """
    wrong = sum(given[1] != found[1] for given, found in zip(pushed, marks, strict=False))
    wrong += max(0, len(marks) - len(pushed))
    return [(found[0] - given[0]) / 1e6 for given, found in zip(pushed, marks, strict=False)], wrong


@lru_cache(maxsize=4)
def speech(rate: int) -> Samples:
    """Recorded sentences with as much quiet line behind each as it is long."""
    import soundfile
    from ten_packages.extension.openai_asr_python.audio.resample import Resampler

    quiet = np.random.default_rng(3)
    parts: list[Any] = []
    for name in ("family", "weather"):
        audio, own = soundfile.read(SAMPLES / f"{name}.flac", dtype="int16")
        parts += _with_silence(audio, own, quiet)
    whole: Samples = np.concatenate(parts).astype(np.int16)
    whole = whole if own == rate else Resampler(own, rate).process(whole)
    return np.concatenate([whole] * (1 + LIST_S * rate // len(whole)))


def _with_silence(audio: Samples, rate: int, quiet: np.random.Generator) -> list[Any]:
    """The sound of a recording in stretches without its pauses, each followed by a quiet line of the same length."""
    block = rate // 50
    blocks = audio[: len(audio) // block * block].reshape(-1, block)
    loud = np.sqrt(np.mean(blocks.astype(np.float64) ** 2, axis=1)) > 100
    loud = np.convolve(loud, np.ones(11), mode="same") > 0  # a word's own gaps belong to it
    sound = blocks[loud].reshape(-1)
    half = len(sound) // 3 + 1
    parts: list[Any] = []
    for begin in range(0, len(sound), half):
        piece = sound[begin : begin + half]
        parts += [piece, quiet.normal(0, QUIET, len(piece)).round().astype(np.int16)]
    return parts
