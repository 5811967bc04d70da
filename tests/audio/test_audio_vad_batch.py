"""Windows of many streams in one batch: the turns each would have alone, and those of plain Silero."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ten_packages.extension.openai_asr_python.audio.edges import BlockPowers
from ten_packages.extension.openai_asr_python.audio.turns import TurnDetector, TurnEvent
from ten_packages.extension.openai_asr_python.audio.vad import MAX_TOGETHER, SileroDetector
from ten_packages.extension.openai_asr_python.audio.vad_batch import WindowBatch

_BENCH = str(Path(__file__).resolve().parent.parent.parent / "bench")
sys.path.insert(0, _BENCH)
try:
    import plain_turns as plain
    import vad_turns
finally:
    sys.path.remove(_BENCH)

RATE = 16_000
SAMPLES = vad_turns.recordings([vad_turns.SAMPLES])

Samples = npt.NDArray[np.int16]


class Recording(SileroDetector):
    """Keeps what the model was given, and how many windows came with each call."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Samples] = []

    @classmethod
    def together(cls, detectors: Sequence[Any], windows: Sequence[Samples]) -> list[float]:
        for detector, window in zip(detectors, windows, strict=True):
            detector.given.append(window.copy())
        return SileroDetector.together(detectors, windows)


class Broken(SileroDetector):
    """Works for so many windows."""

    def __init__(self, windows: int) -> None:
        super().__init__()
        self.left = windows

    @classmethod
    def together(cls, detectors: Sequence[Any], windows: Sequence[Samples]) -> list[float]:
        if any(detector.left == 0 for detector in detectors):
            raise MemoryError("no room")
        for detector in detectors:
            detector.left -= 1
        return SileroDetector.together(detectors, windows)


def call(pause: float, *, level_db: float = -75.0, gain_db: float = 0.0) -> Samples:
    """Two sentences and a pause (seconds) between them, in a room with a little noise."""
    words = SAMPLES["weather"][: 5 * RATE // 2] * 10 ** (gain_db / 20)
    nothing = np.zeros(round(pause * RATE))
    sound = np.concatenate((nothing[: RATE // 2], words, nothing, words, np.zeros(2 * RATE)))
    noise = np.random.default_rng(4).normal(0, 32_768 * 10 ** (level_db / 20), len(sound))
    return np.rint(sound + noise).clip(-32_768, 32_767).astype(np.int16)


def alone(sound: Samples, **numbers: Any) -> list[TurnEvent]:
    turns = TurnDetector(RATE, SileroDetector(), **numbers)
    return turns.process(sound.tobytes()) + turns.close(turns.position)


def test_how_windows_are_batched_changes_no_position() -> None:
    """Forty callers, frames of every size, windows that wait for others or do not: each has the turns he has alone."""
    chance = np.random.default_rng(2)
    calls = [call(0.4 + 0.05 * number, level_db=-75 + number / 2) for number in range(40)]
    detectors = [TurnDetector(RATE, SileroDetector()) for _ in calls]
    found: list[list[TurnEvent]] = [[] for _ in calls]
    at, batch = [0] * len(calls), WindowBatch()
    while any(begin < len(sound) for begin, sound in zip(at, calls, strict=True)):
        for number in chance.choice(len(calls), 15, replace=False):
            size = int(chance.integers(100, 6_000))
            detectors[number].take(calls[number][at[number] : at[number] + size].tobytes())
            at[number] += size
            if detectors[number].waiting:
                batch.add(detectors[number])
        for _ in range(chance.integers(0, 8)):
            batch.step()
        for number in chance.choice(len(calls), 5, replace=False):
            found[number] += detectors[number].events()
    for number, (sound, detector) in enumerate(zip(calls, detectors, strict=True)):
        found[number] += detector.close(detector.position)
        assert found[number] == alone(sound), f"call {number}"
        assert len(found[number]) >= 4


def test_no_step_takes_more_windows_than_it_should_and_nobody_waits_for_ever() -> None:
    detectors = [TurnDetector(RATE, Recording()) for _ in range(50)]
    batch = WindowBatch()
    loud = np.random.default_rng(1).normal(0, 3_000, 5 * 512).astype("<i2").tobytes()
    for detector in detectors:
        detector.take(loud)
        batch.add(detector)
        batch.add(detector)
    steps = []
    while batch:
        steps.append(len(batch.step()))
        heard = [len(detector.detector.given) for detector in detectors]  # type: ignore[attr-defined]
        assert max(heard) - min(heard) <= 1, "those that have waited longest come first"
    assert max(steps) == MAX_TOGETHER and sum(steps) == 250
    assert not any(detector.waiting for detector in detectors)


def test_a_long_silence_is_not_put_to_the_model_and_what_follows_comes_behind_a_run_in() -> None:
    sound = call(6.0)
    model = Recording()
    turns = TurnDetector(RATE, model)
    events = turns.process(sound.tobytes())
    assert len(model.given) < len(sound) / 512 - 100, "three seconds or more were left out"
    assert events == alone(sound) and len(events) == 4
    # What the model heard is pieces of the stream, each window behind what really came before it.
    stream = np.concatenate((np.zeros(64, dtype=np.int16), sound))
    places = {stream[at : at + 576].tobytes(): at for at in range(0, len(sound), 512)}
    starts = [places[window.tobytes()] for window in model.given]
    jumps = [(a, b) for a, b in itertools.pairwise(starts) if b != a + 512]
    assert len(jumps) == 1
    word = events[2].position
    assert word - 0.2 * RATE < jumps[0][1] < word - 0.09 * RATE, "four windows of run-in"


def test_a_faint_caller_in_a_noisy_line_is_not_taken_for_silence() -> None:
    """40 dB below what people say, a line at -64 dBFS is heard by the model; it is not where people are loud."""
    for gain_db, all_heard in ((-30.0, True), (0.0, False)):
        sound = call(5.0, level_db=-64.0, gain_db=gain_db)
        model = Recording()
        TurnDetector(RATE, model).process(sound.tobytes())
        assert (len(model.given) == len(sound) // 512) is all_heard


def test_before_the_first_word_less_counts_as_silence() -> None:
    """Nobody knows yet how loud the caller is."""
    for level_db, all_heard in ((-66.0, True), (-72.0, False)):
        noise = np.random.default_rng(5).normal(0, 32_768 * 10 ** (level_db / 20), 5 * RATE).round().astype("<i2")
        model = Recording()
        TurnDetector(RATE, model).process(noise.tobytes())
        assert (len(model.given) == len(noise) // 512) is all_heard


def test_what_waits_for_the_model_is_kept_however_long_it_takes() -> None:
    sound = call(1.5)
    turns = TurnDetector(RATE, SileroDetector())
    for begin in range(0, len(sound), 320):
        turns.take(sound[begin : begin + 320].tobytes())
    assert turns.waiting == len(sound) // 512
    assert turns.close(turns.position) == alone(sound)
    turns.take(bytes(640))
    turns.process(bytes(64_000))
    assert turns._buffer.nbytes < 100_000, "and then its room is given back"


def test_without_a_model_the_first_loud_window_counts_too() -> None:
    loud = np.random.default_rng(1).normal(0, 3_000, 3 * 512).astype("<i2").tobytes()
    turns = TurnDetector(RATE, Broken(0), min_speech_ms=96)
    assert turns.process(loud[:2_048]) == [] and len(turns.process(loud[2_048:])) == 1


def test_a_model_that_fails_for_one_stream_touches_no_other_and_nothing_said_is_missed() -> None:
    sound = call(2.0)
    detectors = [TurnDetector(RATE, Broken(40 if number == 1 else 10_000)) for number in range(3)]
    batch = WindowBatch()
    for begin in range(0, len(sound), 1_600):
        for detector in detectors:
            detector.take(sound[begin : begin + 1_600].tobytes())
            batch.add(detector)
        while batch:
            batch.step()
    events = [detector.close(detector.position) for detector in detectors]
    expected = alone(sound)
    assert events[0] == events[2] == expected
    assert [detector.failure is not None for detector in detectors] == [False, True, False]
    assert isinstance(detectors[1].failure, MemoryError)
    marks = [event.position for event in events[1]]
    for start, end in zip(expected[::2], expected[1::2], strict=True):
        covered = [
            (a, b) for a, b in zip(marks[::2], marks[1::2], strict=True) if a < end.position and b > start.position
        ]
        assert covered and covered[0][0] < start.position + 0.3 * RATE and covered[-1][1] > end.position - 0.3 * RATE


def test_the_powers_of_blocks_do_not_count_an_offset() -> None:
    noise = np.random.default_rng(3).normal(0, 300, (3, 513)).round()
    powers = BlockPowers(4, 512)
    powers.rows[:3] = noise + np.array([[0], [1_000], [-9_000]])
    found = powers.measure(3)
    assert np.allclose(found[:, 0], noise[:, 1:].reshape(3, 8, 64).var(axis=2), rtol=1e-2)
    assert np.allclose(found[:, 1], np.diff(noise).reshape(3, 8, 64).var(axis=2), rtol=1e-3)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_turns_are_those_of_plain_silero(name: str) -> None:
    """In noise of several kinds and levels: within 32 ms on 98 % of turns, none missed, none invented."""
    calls = [sound for _, sound in vad_turns.versions(SAMPLES[name], list(SAMPLES.values()))][::4]
    total = [0, 0, 0, 0]
    for sound, (turns, _) in zip(calls, vad_turns.together(calls), strict=True):
        reference = plain.plain_turns(sound)
        total = [a + b for a, b in zip(total, (len(reference), *plain.compare(reference, turns)), strict=True)]
    of, same, missed, invented = total
    assert of >= 50 and same >= 0.98 * of and (missed, invented) == (0, 0), total
