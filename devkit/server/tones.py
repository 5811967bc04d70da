"""Test audio that can be read back: blocks of tones, each with a number.

A block is four tones at once: one of ten for each digit of its label (hundreds, tens, units) and one for its length,
all between 300 and 3,400 Hz, so that it survives 8 kHz and G.711. It is silent for 5 ms at both ends, so that two equal
blocks in a row are two. A piece of a block (cut at the edge of the audio, or with a hole in it) counts only if more
than half of the block is there: cut a block in two, and exactly one of the halves is read. (Within 1 ms of the
middle the resamplers on the way decide, and both or none may be.)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LABELS = 1000
LENGTHS_MS = (100, 120, 150, 200, 250, 300, 400, 500, 800, 1000)
"Lengths a block may have."
GUARD_MS = 5
"Silence at either end of a block."

_BASE_HZ, _STEP_HZ = 350, 75
_GROUPS = 4
_AMPLITUDE = 0.16
_RAMP_MS = 1
# A window of audio is judged every 5 ms. 40 ms tell tones 75 Hz apart.
_HOP_MS, _FRAME_MS = 5, 40
_SILENCE_MS = 4
# Parts of full scale: what is louder is tone.
_FLOOR = 0.01
_SHORTEST_MS = 25


class Block(NamedTuple):
    """A block that was read."""

    label: int
    start_ms: float
    duration_ms: float
    "Length of what is there of it, its guards included."


def make_block(label: int, ms: int, rate: int) -> bytes:
    """The block *label* (0 to 999), *ms* long (one of `LENGTHS_MS`), as mono s16le at *rate* Hz (8,000 or more).

    Raises ValueError for a label or length that cannot be.
    """
    if not 0 <= label < LABELS:
        raise ValueError(f"label: {label} given, must be 0 to {LABELS - 1}")
    if ms not in LENGTHS_MS:
        raise ValueError(f"ms: {ms} given, must be one of {', '.join(map(str, LENGTHS_MS))}")
    digits = (label // 100, label // 10 % 10, label % 10, LENGTHS_MS.index(ms))
    total = rate * ms // 1000
    guard = rate * GUARD_MS // 1000
    time = np.arange(total - 2 * guard) / rate
    tone = sum(np.sin(2 * np.pi * _frequency(group, digit) * time) for group, digit in enumerate(digits))
    ramp = max(1, rate * _RAMP_MS // 1000)
    fade = np.minimum(1.0, (np.arange(len(time)) + 1) / ramp)
    wave = np.zeros(total)
    wave[guard : total - guard] = _AMPLITUDE * tone * fade * fade[::-1]
    return np.rint(wave * 32767).astype("<i2").tobytes()


def decode(pcm: bytes, rate: int) -> list[Block]:
    """All blocks in *pcm* (mono s16le), in order. Whatever is no block is passed over."""
    wave = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(np.float64) / 32768
    blocks: list[Block] = []
    for begin, end in _loud(wave, rate):
        for first, last, code in _runs(wave[begin:end], rate):
            block = _block(code, (begin + first) * 1000 / rate, (begin + last) * 1000 / rate)
            if block is not None:
                blocks.append(block)
    return blocks


def _frequency(group: int, digit: int) -> int:
    return _BASE_HZ + _STEP_HZ * (group * 10 + digit)


def _block(code: int, start_ms: float, end_ms: float) -> Block | None:
    """The block of which a tone of *code* is what is left, if enough is left."""
    label, length = divmod(code, 10)
    whole = LENGTHS_MS[length] - 2 * GUARD_MS
    there = end_ms - start_ms
    if there <= whole / 2 or there > whole * 1.5:
        return None
    return Block(label, start_ms - GUARD_MS, there + 2 * GUARD_MS)


def _loud(wave: Floats, rate: int) -> list[tuple[int, int]]:
    """Stretches of tone, as [begin, end) in samples: what lies between silences."""
    if not len(wave):
        return []
    width = rate * _SILENCE_MS // 1000
    power = np.convolve(np.square(wave), np.ones(width) / width, mode="same")
    loud = np.concatenate(([False], power > _FLOOR**2, [False]))
    edges = np.flatnonzero(loud[1:] != loud[:-1])
    shortest = rate * _SHORTEST_MS // 1000
    # The average over 4 ms begins 2 ms early and ends 2 ms late; at the edge of the audio it cannot.
    spread = width // 2 - rate * _RAMP_MS // 2000
    stretches = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        begin = begin + spread if begin else 0
        end = end - spread if end < len(wave) else len(wave)
        if end - begin >= shortest:
            stretches.append((int(begin), int(end)))
    return stretches


def _runs(wave: Floats, rate: int) -> list[tuple[int, int, int]]:
    """Cut one stretch where its tones change (a hole in the audio joins two blocks): (begin, end, code) each."""
    frame, hop = rate * _FRAME_MS // 1000, rate * _HOP_MS // 1000
    if len(wave) <= frame:
        return [(0, len(wave), _codes(wave[None, :], rate)[0])]
    starts = [*range(0, len(wave) - frame, hop), len(wave) - frame]
    codes = _codes(np.lib.stride_tricks.sliding_window_view(wave, frame)[starts], rate)
    runs: list[tuple[int, int, int]] = []
    begin = 0
    for index in range(1, len(starts) + 1):
        if index < len(starts) and codes[index] == codes[index - 1]:
            continue
        # Frames across a change follow the louder side: it lies in the middle of the frame where the code turns.
        end = len(wave) if index == len(starts) else starts[index] + frame // 2
        runs.append((begin, end, codes[index - 1]))
        begin = end
    shortest = rate * _SHORTEST_MS // 1000
    return [run for run in runs if run[1] - run[0] >= shortest]


def _codes(frames: Floats, rate: int) -> list[int]:
    """Four digits as one number for each row of *frames*: the strongest tone of each group."""
    cosines, sines = _probes(frames.shape[1], rate)
    power = np.square(frames @ cosines) + np.square(frames @ sines)
    digits = np.argmax(power.reshape(len(frames), _GROUPS, 10), axis=2)
    return [int(code) for code in digits @ np.array([1000, 100, 10, 1])]


@lru_cache(maxsize=64)
def _probes(length: int, rate: int) -> tuple[Floats, Floats]:
    """Two of (length, 40): what a frame is multiplied with to find each frequency in it."""
    frequencies = _BASE_HZ + _STEP_HZ * np.arange(_GROUPS * 10)
    window = np.hanning(length + 2)[1:-1, None]
    phase = 2 * np.pi * np.arange(length)[:, None] * frequencies / rate
    return window * np.cos(phase), window * np.sin(phase)
