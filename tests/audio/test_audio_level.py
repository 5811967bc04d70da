"""The level detector may take noise for speech, but never speech for silence, and it marks every sample."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ten_packages.extension.openai_asr_python.audio.level import LevelDetector

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
