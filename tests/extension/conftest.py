"""What the black-box tests of the extension share: a clean environment, a local server with a record, and speech."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import wave
from collections.abc import Callable

import numpy as np
import pytest
from recorded_server import clean_environment, fast_clock, serve  # noqa: F401  (fixtures)

Speech = Callable[[str], bytes]


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    """Say something: mono s16le at 16 kHz, cut to what is audible (40 dB below the loudest 5 ms)."""
    if shutil.which("flite") is None:
        message = "flite is not installed (Debian: apt-get install flite): NOT TESTED with real speech"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("speech")

    @functools.cache
    def say(text: str, voice: str = "kal16") -> bytes:
        path = folder / f"{len(list(folder.iterdir()))}.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True, timeout=60)
        with wave.open(str(path)) as file:
            assert file.getframerate() == 16_000
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        blocks = samples[: len(samples) // 80 * 80].reshape(-1, 80).astype(np.float64)
        loudness = np.sqrt(np.mean(np.square(blocks), axis=1))
        audible = np.flatnonzero(loudness > loudness.max() / 100)
        return samples[audible[0] * 80 : (audible[-1] + 1) * 80].tobytes()

    return say
