"""Are the turns the same? Local turns as the extension finds them, beside plain Silero, in noise of several kinds.

    .venv/bin/python bench/vad_turns.py                     the samples of this repository
    .venv/bin/python bench/vad_turns.py --audio FOLDER      and those of a folder: flac, wav, or .pcm (16 kHz s16le)

Each recording is heard whole and, with pauses of up to 4 s put into it, in pieces; at its own level, 12 and 20 dB
below it; with and without noise. The extension hears all versions of a recording at once, in batches. `same`: both
edges within 32 ms of the reference (`plain_turns`: every window, one at a time). `asked` is the share of windows,
run-ins included, that the model heard. The last line is plain Silero again, on samples that differ by one step at
random: how much of a difference says nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import plain_turns as plain
import soundfile
from ten_packages.extension.openai_asr_python.audio.resample import Resampler
from ten_packages.extension.openai_asr_python.audio.turns import TurnDetector
from ten_packages.extension.openai_asr_python.audio.vad import MAX_TOGETHER, SileroDetector
from ten_packages.extension.openai_asr_python.audio.vad_batch import WindowBatch

RATE = plain.RATE
SAMPLES = Path(__file__).resolve().parent.parent / "devkit" / "samples"
GAINS_DB = (0, -12, -20)
NOISES = ("white", "babble", "hum")
LEVELS_DB = (-72, -64, -60, -57, -50, -40)
PIECE = RATE // 10

Floats = npt.NDArray[np.float64]


class Counting(SileroDetector):
    """Counts the windows the model hears of its stream."""

    heard = 0

    @classmethod
    def together(cls, detectors: Sequence[SileroDetector], windows: Sequence[plain.Samples]) -> list[float]:
        """See `SileroDetector`."""
        for detector in detectors:
            if isinstance(detector, Counting):
                detector.heard += 1
        return SileroDetector.together(detectors, windows)


def recordings(folders: list[Path]) -> dict[str, Floats]:
    """All that is in *folders*, at 16 kHz."""
    found: dict[str, Floats] = {}
    for path in sorted(path for folder in folders for path in folder.iterdir()):
        if path.suffix == ".pcm":
            found[path.stem] = np.fromfile(path, dtype="<i2").astype(np.float64)
        elif path.suffix in (".flac", ".wav"):
            audio, rate = soundfile.read(path, dtype="int16", always_2d=True)
            found[path.stem] = Resampler(rate, RATE).process(audio[:, 0]).astype(np.float64)
    return found


def with_pauses(audio: Floats, seed: int) -> Floats:
    """*audio* in five pieces with 0.3 to 4 s of nothing behind each."""
    chance = np.random.default_rng(seed)
    parts = [np.zeros(RATE)]
    for piece in np.split(audio, np.sort(chance.integers(RATE // 2, len(audio) - RATE // 2, 4))):
        parts += [piece, np.zeros(int(chance.uniform(0.3, 4) * RATE))]
    return np.concatenate([*parts, np.zeros(2 * RATE)])


def noise(kind: str, length: int, voices: list[Floats]) -> Floats:
    """Noise of power 1: white, of eight people who talk at once, or of the mains."""
    chance = np.random.default_rng(3)
    if kind == "white":
        return chance.normal(size=length)
    if kind == "babble":
        talk = np.resize(np.concatenate(voices), length)
        sound = np.sum([np.roll(talk, chance.integers(length)) for _ in range(8)], axis=0)
    else:
        time = np.arange(length) / RATE
        tones = [np.sin(2 * np.pi * pitch * time) / order for order, pitch in enumerate((50, 100, 150, 250), 1)]
        sound = np.sum(tones, axis=0) + 0.05 * chance.normal(size=length)
    return np.asarray(sound / sound.std())


def versions(audio: Floats, voices: list[Floats]) -> Iterator[tuple[str, plain.Samples]]:
    """*audio*, whole and with pauses, at all levels and in all noises; and the name of the noise."""
    whole = np.concatenate((np.zeros(RATE // 2), audio, np.zeros(2 * RATE)))
    for sound in (whole, with_pauses(audio, len(audio))):
        for gain in GAINS_DB:
            softer = sound * 10 ** (gain / 20)
            yield "none", _rounded(softer)
            for kind in NOISES:
                added = noise(kind, len(sound), voices) * 32_768
                for level in LEVELS_DB:
                    yield f"{kind} {level} dBFS", _rounded(softer + added * 10 ** (level / 20))


def _rounded(sound: Floats) -> plain.Samples:
    return np.rint(sound).clip(-32_768, 32_767).astype(np.int16)


def together(calls: list[plain.Samples]) -> list[tuple[list[plain.Turn], int]]:
    """The turns of *calls* as the extension finds them, and how many windows the model heard of each.

    Audio comes in pieces of 0.1 s, and windows are judged in batches.
    """
    found = []
    for first in range(0, len(calls), MAX_TOGETHER):
        group = calls[first : first + MAX_TOGETHER]
        models = [Counting() for _ in group]
        detectors = [TurnDetector(RATE, model) for model in models]
        marks: list[list[int]] = [[] for _ in group]
        batch = WindowBatch()
        for begin in range(0, max(map(len, group)), PIECE):
            for call, detector in zip(group, detectors, strict=True):
                detector.take(call[begin : begin + PIECE].tobytes())
                if detector.waiting:
                    batch.add(detector)
            while batch:
                batch.step()
        for detector, mark in zip(detectors, marks, strict=True):
            mark += [event.position for event in detector.close(detector.position)]
        turns = [list(zip(mark[::2], mark[1::2], strict=True)) for mark in marks]
        found += list(zip(turns, [model.heard for model in models], strict=True))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--audio", type=Path, action="append", default=[], help="a folder of recordings; may be repeated"
    )
    audio = recordings([SAMPLES, *parser.parse_args().audio])
    rows: dict[str, list[int]] = {}
    again, chance = [0] * 6, np.random.default_rng(1)
    for name, one in audio.items():
        named = list(versions(one, list(audio.values())))
        calls = [call for _, call in named]
        for (what, call), found in zip(named, together(calls), strict=True):
            reference, (turns, asked) = plain.plain_turns(call), found
            result = [len(reference), *plain.compare(reference, turns), asked, len(call) // plain.WINDOW]
            stepped = (call + chance.integers(-1, 2, len(call))).clip(-32_768, 32_767).astype(np.int16)
            other = [len(reference), *plain.compare(reference, plain.plain_turns(stepped)), 1, 1]
            again = [a + b for a, b in zip(again, other, strict=True)]
            rows[what] = [a + b for a, b in zip(rows.get(what, [0] * 6), result, strict=True)]
        print(f"heard {name}", flush=True)
    print("\n| noise | turns | same | missed | invented | asked |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    rows["(plain Silero, samples one step off)"] = again
    for what, (turns_of, same, missed, invented, heard, windows) in rows.items():
        share = 100 * same / max(turns_of, 1)
        print(f"| {what} | {turns_of} | {share:.1f} % | {missed} | {invented} | {100 * heard / windows:.0f} % |")


if __name__ == "__main__":
    main()
