"""The committed recordings are what `make samples` makes, and carry their own truth."""

from __future__ import annotations

import json
import os
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

SAMPLES = Path(__file__).resolve().parents[2] / "devkit" / "samples"
NAMES = ("weather", "family")


def test_samples_are_small_and_of_one_kind() -> None:
    assert sorted(path.stem for path in SAMPLES.glob("*.flac")) == sorted(NAMES)
    assert sum(path.stat().st_size for path in SAMPLES.glob("*.flac")) < 500_000
    for name in NAMES:
        info = soundfile.info(SAMPLES / f"{name}.flac")
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")


@pytest.mark.parametrize("name", NAMES)
def test_labels_lie_where_the_speech_is(name: str) -> None:
    samples, rate = soundfile.read(SAMPLES / f"{name}.flac", dtype="int16")
    labels = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    written = (SAMPLES / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    assert [label["text"] for label in labels] == written
    speech = np.zeros(len(samples), dtype=bool)
    for label in labels:
        start, end = (label[edge] * rate // 1000 for edge in ("start_ms", "end_ms"))
        # The first and the last 10 ms of a sentence are loud enough to be where it begins and ends.
        assert np.abs(samples[start : start + 160]).max() >= 200
        assert np.abs(samples[end - 160 : end]).max() >= 200
        speech[start - 400 : end + 400] = True
    assert not samples[~speech].any(), "between the sentences there is nothing at all"


@pytest.mark.parametrize("name", NAMES)
def test_make_samples_makes_the_committed_recordings(name: str, tmp_path: Path) -> None:
    if shutil.which("flite") is None and not os.environ.get("CI"):
        pytest.skip("flite is not installed; CI installs it")
    script = runpy.run_path(str(SAMPLES / "make.py"))
    (sample,) = [sample for sample in script["SAMPLES"] if sample.name == name]
    script["make"](sample, tmp_path)
    for suffix in (".txt", ".json"):
        assert (tmp_path / f"{name}{suffix}").read_bytes() == (SAMPLES / f"{name}{suffix}").read_bytes()
    # The archives may differ by the version of the FLAC library that is written into them.
    made, _ = soundfile.read(tmp_path / f"{name}.flac", dtype="int16")
    committed, _ = soundfile.read(SAMPLES / f"{name}.flac", dtype="int16")
    assert np.array_equal(made, committed)
