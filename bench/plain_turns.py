"""Local turns as plainly as they can be written: the reference for what makes them cheap.

One recording at 16 kHz, known from beginning to end. Silero hears every window, one after the other; levels are taken
block by block; the rules of a turn are a loop. Only the search for the exact edges (`audio.edges`) is the product's.
"""

from __future__ import annotations

from typing import Any

import chaos_load  # noqa: F401  (makes the extension importable)
import numpy as np
import numpy.typing as npt
from ten_packages.extension.openai_asr_python.audio import vad
from ten_packages.extension.openai_asr_python.audio.edges import EdgeFinder

RATE = 16_000
WINDOW = 512
BLOCK = 64
CONTEXT = 64

Samples = npt.NDArray[np.int16]
Turn = tuple[int, int]


def probabilities(samples: Samples) -> list[float]:
    """What Silero says of each whole window."""
    model: Any = vad.load()
    state, rate = np.zeros((2, 1, 128), dtype=np.float32), np.array(RATE, dtype=np.int64)
    audio = np.concatenate((np.zeros(CONTEXT), samples)).astype(np.float32) / 32768
    found = []
    for begin in range(0, len(samples) - WINDOW + 1, WINDOW):
        feed = {"input": audio[np.newaxis, begin : begin + CONTEXT + WINDOW], "state": state, "sr": rate}
        output, state = model.run(None, feed)
        found.append(float(output[0, 0]))
    return found


def powers(samples: Samples) -> npt.NDArray[np.float64]:
    """Of each block of 4 ms, offset removed: of the signal and of its first difference."""
    signal = samples.astype(np.float64)
    bands = [signal, np.diff(signal, prepend=0.0)]
    count = len(samples) // BLOCK
    return np.array([band[: count * BLOCK].reshape(count, BLOCK).var(axis=1) for band in bands])


def plain_turns(
    samples: Samples, *, silence_ms: int = 800, min_speech_ms: int = 96, threshold: float = 0.5
) -> list[Turn]:
    """First and last sample of each turn; the recording ends in a finalize."""
    silence, needed = RATE * silence_ms // 1000, -(-RATE * min_speech_ms // 1000 // WINDOW)
    said, level = probabilities(samples), powers(samples)
    edges = EdgeFinder(len(samples) + WINDOW)
    turns: list[Turn] = []
    heard = quiet = onset = None
    count, peak, barrier, blocks = 0, 0.0, 0, WINDOW // BLOCK
    for number, probability in enumerate(said):
        begin, now = number * WINDOW, (number + 1) * WINDOW
        of_window = level[:, number * blocks : (number + 1) * blocks]
        edges.add(of_window.astype(np.float32))
        loudest = of_window[0].max()
        if heard is None and probability < threshold:
            continue
        breath = heard is not None and loudest < peak * 10**-4.6
        peak = max(peak, loudest)
        if probability >= threshold and not breath:
            heard = begin if heard is None else heard
            count, quiet = count + 1, None
        elif quiet is None and (probability < max(threshold - 0.15, 0.01) or breath):
            quiet = begin
        assert heard is not None
        decibel = 10 * np.log10(max(peak, 1.0))
        if onset is None and count >= max(1, needed):
            onset = edges.onset(heard, heard + 2 * WINDOW, decibel, barrier)
        if quiet is None:
            continue
        over = onset is None and now - quiet >= RATE * 160 // 1000
        if onset is not None and now - quiet >= max(silence - RATE * 128 // 1000, 2 * WINDOW):
            end = max(edges.end(quiet, decibel, now), onset)
            if now - end >= silence:
                turns.append((onset, max(end, onset + 1)))
                barrier, over = end, True
        if over:
            heard = quiet = onset = None
            count, peak = 0, 0.0
    if onset is not None:
        rest = len(said) * blocks
        edges.add(level[:, rest:].astype(np.float32))
        peak = max(peak, level[0, rest:].max(initial=0.0))
        silent = len(samples) if quiet is None else quiet
        turns.append((onset, max(edges.end(silent, 10 * np.log10(max(peak, 1.0)), len(samples)), onset + 1)))
    return turns


def compare(reference: list[Turn], found: list[Turn], tolerance: int = RATE * 32 // 1000) -> tuple[int, int, int]:
    """How many turns of *reference* were found with both edges within *tolerance*, were missed, were invented."""
    same = sum(any(abs(a - c) <= tolerance and abs(b - d) <= tolerance for c, d in found) for a, b in reference)
    missed = sum(not any(c < b and d > a for c, d in found) for a, b in reference)
    invented = sum(not any(c < b and d > a for a, b in reference) for c, d in found)
    return same, missed, invented
