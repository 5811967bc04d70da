"""Makes the two sample recordings again, with the speech synthesiser flite (``make samples``).

The sentences are our own. They and the voices are chosen because the offline recogniser of the local server
understands them; between two sentences lies enough silence for any turn detector to see a new turn. Beside
each recording lie its words (``.txt``, one sentence a line) and where each sentence was put (``.json``, in
milliseconds): the truth that tests compare with.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

SAMPLE_RATE = 16_000
LEAD_MS, PAUSE_MS, TAIL_MS = 400, 1_300, 900

# flite frames each sentence in near-silence; speech is where the signal leaves this level (of 32768).
SPEECH_LEVEL = 200
KEEP_MS = 20


@dataclass(frozen=True)
class Sample:
    """One recording: file name without suffix, flite voice, sentences."""

    name: str
    voice: str
    sentences: tuple[str, ...]


SAMPLES = (
    Sample(
        "weather",
        "slt",
        (
            "The weather is beautiful this morning and the sun is shining.",
            "There was a lot of snow in the mountains last winter.",
            "It is going to rain tomorrow afternoon.",
        ),
    ),
    Sample(
        "family",
        "kal16",
        (
            "My brother wants to buy a new house near the park.",
            "The children are playing football behind the school.",
            "Please remember to call your mother on Sunday evening.",
        ),
    ),
)


def speak(voice: str, sentence: str, folder: Path) -> npt.NDArray[np.int16]:
    """*sentence* as mono int16 samples at 16 kHz, cut to its speech. Raises CalledProcessError if flite fails."""
    path = folder / "sentence.wav"
    subprocess.run(["flite", "-voice", voice, "-t", sentence, "-o", str(path)], check=True)
    samples, rate = soundfile.read(path, dtype="int16")
    if rate != SAMPLE_RATE:
        raise ValueError(f"flite's voice {voice} speaks at {rate} Hz; a 16 kHz voice is needed")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= SPEECH_LEVEL)
    margin = KEEP_MS * SAMPLE_RATE // 1000
    return np.asarray(samples[max(0, loud[0] - margin) : loud[-1] + margin], dtype=np.int16)


def silence(milliseconds: int) -> npt.NDArray[np.int16]:
    """That much digital silence."""
    return np.zeros(milliseconds * SAMPLE_RATE // 1000, dtype=np.int16)


def make(sample: Sample, target: Path) -> Path:
    """Write ``<name>.flac``, ``.txt`` and ``.json`` into folder *target*; return the recording's path."""
    parts = [silence(LEAD_MS)]
    labels: list[dict[str, str | int]] = []
    with tempfile.TemporaryDirectory() as folder:
        for sentence in sample.sentences:
            start = sum(map(len, parts))
            parts.append(speak(sample.voice, sentence, Path(folder)))
            end = start + len(parts[-1])
            start_ms, end_ms = (round(1000 * n / SAMPLE_RATE) for n in (start, end))
            labels.append({"text": sentence, "start_ms": start_ms + KEEP_MS, "end_ms": end_ms - KEEP_MS})
            parts.append(silence(PAUSE_MS if sentence != sample.sentences[-1] else TAIL_MS))
    recording = target / f"{sample.name}.flac"
    soundfile.write(recording, np.concatenate(parts), SAMPLE_RATE, subtype="PCM_16")
    recording.with_suffix(".txt").write_text("\n".join(sample.sentences) + "\n", encoding="utf-8")
    recording.with_suffix(".json").write_text(json.dumps(labels, indent=2) + "\n", encoding="utf-8")
    return recording


def main() -> int:
    """Make every sample in this folder, or in the one named as first argument."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    if shutil.which("flite") is None:
        print("make samples needs flite: install it with apt-get install flite", file=sys.stderr)
        return 1
    for sample in SAMPLES:
        print(make(sample, target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
