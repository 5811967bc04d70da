"""Fixtures of the local server's tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from server_peers import Peer


@pytest.fixture
def streaming() -> Peer:
    """A peer configured for a model that sends text before the commit."""
    made = Peer()
    made.update(transcription={"model": "gpt-live-transcribe"}, turn_detection=None)
    return made


@pytest.fixture
def committing() -> Peer:
    """A peer configured for a model that transcribes after the commit, commits being its own."""
    made = Peer()
    made.update(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None)
    return made


class Voice:
    """Speech made on the spot, with the words that are in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def say(self, text: str, voice: str = "kal16") -> npt.NDArray[np.int16]:
        """*text* as int16 samples at 16 kHz."""
        path = self._folder / f"{voice}-{abs(hash(text))}.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        with wave.open(str(path)) as file:
            assert file.getframerate() == 16000
            return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    if shutil.which("flite") is None:
        if os.environ.get("CI"):
            pytest.fail("flite is not installed: apt-get install flite")
        pytest.skip("NOT TESTED: speech recognition, because flite is not installed (apt-get install flite)")
    return Voice(tmp_path_factory.mktemp("voice"))
