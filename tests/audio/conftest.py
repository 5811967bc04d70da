"""Speech for the tests: flite's, whose words and edges are known because the test put them there."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pytest
import soxr

RATE = 16_000


class Speech(Protocol):
    """Says *text* with one of flite's voices (`kal16` or `slt` are good ones)."""

    def __call__(self, voice: str, text: str, *, audible_db: float = -40.0) -> npt.NDArray[np.float64]: ...


@pytest.fixture(scope="session")
def say() -> Speech:
    """Speech at 16 kHz, its loudest 5 ms at -12 dBFS, cut to what is audible.

    Audible is what lies between the first and the last 5 ms that are louder than *audible_db* relative to the
    loudest. That is this test's own rule and another than the product's, so it can tell when the product is wrong.
    """
    if shutil.which("flite") is None:
        message = "flite is not installed (Debian: apt-get install flite): turns are NOT tested with real speech"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return _say


@functools.cache
def _say(voice: str, text: str, *, audible_db: float = -40.0) -> npt.NDArray[np.float64]:
    speech = _synthesise(voice, text)
    # Root mean square of 5 ms, at each millisecond.
    step, length = RATE // 1_000, RATE // 200
    energy = np.concatenate(([0.0], np.cumsum(speech**2)))
    starts = np.arange(0, len(speech) - length, step)
    loudness = np.sqrt((energy[starts + length] - energy[starts]) / length)
    audible = np.flatnonzero(loudness > loudness.max() * 10 ** (audible_db / 20))
    result = speech[audible[0] * step : audible[-1] * step + length] / loudness.max() * 32_768 * 10 ** (-12 / 20)
    result.setflags(write=False)
    return result


@functools.cache
def _synthesise(voice: str, text: str) -> npt.NDArray[np.float64]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True, timeout=60)
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float64)
    return soxr.resample(samples, rate, RATE) if rate != RATE else samples
