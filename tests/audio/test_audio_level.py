"""The level detector may take noise for speech, but never speech for silence, and it marks every sample."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ten_packages.extension.openai_asr_python.audio.level import (
    PEAK_THRESHOLD_DBFS,
    RMS_THRESHOLD_DBFS,
    LevelDetector,
)

RATES = [8_000, 11_025, 16_000, 44_100, 48_000]


def amplitude(dbfs: float) -> float:
    """Root mean square in sample units."""
    return 32_768 * 10 ** (dbfs / 20)


def room(dbfs: float, count: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(2).normal(0, amplitude(dbfs), count)


def vowel(dbfs: float, rate: int, seconds: float) -> npt.NDArray[np.float64]:
    """A buzz at 120 Hz through two formants, swelling and fading like a syllable; *dbfs* in its middle."""
    time = np.arange(int(rate * seconds)) / rate
    harmonics = sum(
        np.sin(2 * np.pi * 120 * k * time) / (1 + abs(120 * k - 600) / 200 + abs(120 * k - 1_100) / 400)
        for k in range(1, 25)
    )
    return harmonics / np.sqrt((harmonics**2).mean()) * np.sin(np.pi * time / seconds) * amplitude(dbfs)


def pcm(*parts: npt.NDArray[np.float64]) -> bytes:
    return np.rint(np.concatenate(parts)).clip(-32_768, 32_767).astype("<i2").tobytes()


def marks(detector: LevelDetector, data: bytes, frame: int) -> npt.NDArray[np.bool_]:
    """One flag a sample, the stream cut into frames of *frame* samples."""
    flags = []
    for at in range(0, len(data), 2 * frame):
        piece = data[at : at + 2 * frame]
        runs = detector.process(piece)
        assert sum(length for length, _ in runs) == len(piece) // 2, "covers exactly what was given"
        flags += [flag for length, flag in runs for _ in range(length)]
    return np.array(flags)


def expected(history: npt.NDArray[np.int64], count: int, block: int) -> list[bool]:
    """One flag a sample for the last *count* of *history*: the rules in whole numbers, block by block."""
    flags: list[bool] = []
    begin = len(history) - count
    for start in range(begin, len(history), block):
        end = min(start + block, len(history))
        one = history[end - block : end]
        total = int(one.sum())
        power = (block * int((one * one).sum()) - total * total) / block**2
        peak = max(int(one.max()) - total / block, total / block - int(one.min()))
        loud = power >= amplitude(RMS_THRESHOLD_DBFS) ** 2 or peak >= amplitude(PEAK_THRESHOLD_DBFS)
        flags += [loud] * (end - start)
    return flags


def near_the_thresholds(rate: int, blocks: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Every 10 ms noise of about the power that is speech, some with a click of about the height that is."""
    block = rate // 100
    parts = []
    for _ in range(blocks):
        one = random.normal(0, 1, block)
        one *= amplitude(RMS_THRESHOLD_DBFS) * random.choice([0.3, 0.9, 0.999, 1.001, 1.1, 3.0]) / one.std()
        if random.random() < 0.3:
            one[random.integers(block)] = random.choice([-1, 1]) * random.uniform(0.98, 1.02) * amplitude(-40)
        parts.append(one)
    return np.rint(np.concatenate(parts) + random.choice([0, 0, 3_000, -25_000])).astype(np.int64)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seed", range(4))
def test_every_flag_is_that_of_the_plain_rules_however_audio_is_cut(rate: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    samples = near_the_thresholds(rate, 150, random)
    history = np.concatenate((np.zeros(rate // 100, dtype=np.int64), samples))
    detector, at = LevelDetector(rate), rate // 100
    while at < len(history):
        longest = random.choice([rate // 90, rate // 10, rate])
        piece = history[at : at + int(random.choice([rate // 50, rate // 10, random.integers(1, longest)]))]
        at += len(piece)
        flags = [flag for length, flag in detector.process(piece.astype("<i2").tobytes()) for _ in range(length)]
        assert flags == expected(history[:at], len(piece), rate // 100)


def test_streams_in_several_threads_do_not_disturb_each_other() -> None:
    calls = [pcm(room(dbfs, 48_000 * 3)) for dbfs in (-80, -56, -52, -20)]

    def runs(call: bytes) -> list[list[tuple[int, bool]]]:
        detector = LevelDetector(48_000)
        return [detector.process(call[at : at + 9_000]) for at in range(0, len(call), 9_000)]

    alone = [runs(call) for call in calls]
    with ThreadPoolExecutor(len(calls)) as pool:
        assert list(pool.map(runs, calls * 10)) == alone * 10


@pytest.mark.parametrize("rate", RATES)
def test_silence_and_a_quiet_room_are_quiet(rate: int) -> None:
    assert not marks(LevelDetector(rate), bytes(2 * rate), rate // 50).any()
    assert not marks(LevelDetector(rate), pcm(room(-57, 3 * rate)), rate // 50).any()


def test_the_idle_codes_of_a_telephone_line_are_quiet() -> None:
    idle = np.where(np.random.default_rng(1).random(8_000) < 0.5, -8, 8).astype("<i2").tobytes()
    assert not marks(LevelDetector(8_000), idle, 160).any()


def test_a_constant_offset_is_no_sound() -> None:
    """Cheap sound cards have one; it says nothing about speech."""
    assert not marks(LevelDetector(16_000), pcm(room(-60, 16_000) + 3_000), 320).any()
    assert marks(LevelDetector(16_000), pcm(vowel(-30, 16_000, 0.5) + 3_000), 320).mean() > 0.9


@pytest.mark.parametrize("rate", RATES)
def test_a_soft_word_is_maybe_speech_nearly_whole(rate: int) -> None:
    """-42 dBFS in the middle of a syllable: somebody speaks low, two metres from the microphone."""
    word = vowel(-42, rate, 0.4)
    data = pcm(room(-62, rate), word, room(-62, rate))
    flags = marks(LevelDetector(rate), data, rate // 50)
    inside = flags[rate : rate + len(word)]
    assert inside.mean() > 0.75
    assert not flags[: rate - rate // 50].any() and not flags[rate + len(word) + rate // 50 :].any()


def test_loud_speech_is_maybe_speech_everywhere() -> None:
    assert marks(LevelDetector(16_000), pcm(vowel(-20, 16_000, 1.0)), 320)[320:-320].all()


def test_a_short_burst_between_silences_is_noticed() -> None:
    """The release of a p or t: a quarter of a millisecond, too short to lift the mean of its 10 ms."""
    data = np.zeros(1_600)
    data[803:807] = amplitude(-39)
    assert marks(LevelDetector(16_000), pcm(data), 320)[800:810].all()


@pytest.mark.parametrize("frame", [1, 7, 50, 160, 320, 1_000, 16_000])
def test_frame_length_hardly_matters(frame: int) -> None:
    """However audio is cut: speech is found within 10 ms, and lets go within 10 ms."""
    data = pcm(np.zeros(4_000), vowel(-20, 16_000, 0.5)[800:-800], np.zeros(4_000))
    flags = marks(LevelDetector(16_000), data, frame)
    assert not flags[:3_840].any()
    assert flags[4_160:10_400].all()
    assert not flags[10_400 + 160 + 1 :].any()


@given(sizes=st.lists(st.integers(0, 500), max_size=12), seed=st.integers(0, 5))
def test_runs_cover_exactly_the_samples_given_and_alternate(sizes: list[int], seed: int) -> None:
    detector = LevelDetector(16_000)
    random = np.random.default_rng(seed)
    for size in sizes:
        data = pcm(random.normal(0, amplitude(random.uniform(-70, -30)), size))
        runs = detector.process(data)
        assert sum(length for length, _ in runs) == size
        assert all(length > 0 for length, _ in runs)
        assert all(one != other for (_, one), (_, other) in itertools.pairwise(runs))


def test_bad_use_is_named() -> None:
    with pytest.raises(ValueError, match=r"rate: 4000 given"):
        LevelDetector(4_000)
    with pytest.raises(ValueError, match=r"pcm: 5 bytes given"):
        LevelDetector(16_000).process(b"\0" * 5)
