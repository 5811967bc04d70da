"""The resampler holds nothing back, does not care how audio is cut, and is as clean as soxr in the speech band."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from ten_packages.extension.openai_asr_python.audio.resample import _MAX_PRODUCT, Resampler, _phases, _tables

RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
ODD_PAIRS = ((44_099, 48_000), (47_999, 8_001), (8_000, 47_999), (16_000, 16_001))
PAIRS = (*itertools.product(RATES, RATES), *ODD_PAIRS)

Samples = npt.NDArray[np.int16]


def noise(count: int, seed: int = 1) -> Samples:
    return np.random.default_rng(seed).integers(-20_000, 20_000, count).astype(np.int16)


def tone(frequency: float, rate: int, seconds: float = 1.0, amplitude: float = 20_000) -> Samples:
    return np.rint(amplitude * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.int16)


def cut(samples: Samples, sizes: list[int]) -> list[Samples]:
    """Pieces of the sizes given, over and over."""
    pieces, at, size = [], 0, itertools.cycle(sizes)
    while at < len(samples):
        step = next(size)
        pieces.append(samples[at : at + step])
        at += step
    return pieces


def streamed(resampler: Resampler, pieces: list[Samples]) -> Samples:
    return np.concatenate([np.zeros(0, dtype=np.int16), *(resampler.process(piece) for piece in pieces)])


def spectrum(samples: Samples, rate: int, frequency: float) -> tuple[float, float]:
    """(gain in dB of *frequency* against amplitude 20000, loudest other component relative to it in dB)."""
    signal = samples[rate // 4 : rate // 4 + rate // 2].astype(np.float64)
    times = np.arange(rate // 4, rate // 4 + len(signal)) / rate
    waves = np.stack((np.sin(2 * np.pi * frequency * times), np.cos(2 * np.pi * frequency * times)), axis=1)
    parts = np.linalg.lstsq(waves, signal, rcond=None)[0]
    amplitude = math.hypot(*parts)
    window = np.blackman(len(signal))
    rest = np.abs(np.fft.rfft((signal - waves @ parts) * window)) / (amplitude * window.sum() / 2)
    return 20 * math.log10(amplitude / 20_000), 20 * math.log10(rest.max() + 1e-12)


@pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS, ids=lambda rate: str(rate))
def test_cutting_differently_gives_the_same_bits_and_nothing_is_held_back(in_rate: int, out_rate: int) -> None:
    samples = noise(in_rate // 5 + 7)
    whole = Resampler(in_rate, out_rate).process(samples)
    assert len(whole) == math.ceil(len(samples) * out_rate / in_rate)
    pieces = cut(samples, [in_rate // 50, 1, 17, 0, 333, in_rate // 100, 2, 64])
    assert np.array_equal(streamed(Resampler(in_rate, out_rate), pieces), whole)


@pytest.mark.parametrize("pair", PAIRS[:20] + ODD_PAIRS, ids=str)
def test_every_sum_is_exact_so_no_order_of_adding_can_matter(pair: tuple[int, int]) -> None:
    """What "the same bits" rests on: coefficients on a grid of 2**-24 that is coarse enough for float64."""
    tables = _tables(*pair)
    for coefficients in (tables.matrix.T, tables.phases):
        assert np.array_equal(coefficients * 2**24, np.rint(coefficients * 2**24))
        assert not coefficients.size or np.abs(coefficients).sum(axis=1).max() * 2**15 * 2**24 < 2**53


def plain(samples: Samples, in_rate: int, out_rate: int) -> npt.NDArray[np.int64]:
    """Every output by itself, in whole numbers, rounded to even, not clipped."""
    divisor = math.gcd(in_rate, out_rate)
    up, down = out_rate // divisor, in_rate // divisor
    taps = _tables(in_rate, out_rate).taps
    phases = np.rint(_phases(up, down, taps, min(1.0, out_rate / in_rate)) * 2**24).astype(np.int64)
    known = np.concatenate((np.zeros(taps - 1, dtype=np.int64), samples))
    result = []
    for output in range(-(-len(samples) * up // down)):
        newest, phase = divmod(output * down, up)
        total = int(known[newest : newest + taps] @ phases[phase])
        whole, rest = divmod(total, 2**24)
        result.append(whole + (rest > 2**23 or (rest == 2**23 and whole % 2 == 1)))
    return np.array(result)


@pytest.mark.parametrize("pair", [*((rate, 24_000) for rate in RATES if rate != 24_000), *ODD_PAIRS[:2]], ids=str)
@pytest.mark.parametrize("amplitude", [3, 900, 32_767])
def test_every_bit_and_the_clips_are_those_of_the_plain_sum(pair: tuple[int, int], amplitude: int) -> None:
    random = np.random.default_rng(amplitude)
    samples = np.where(random.random(5_000) < 0.5, -amplitude, amplitude).astype(np.int16)
    exact = plain(samples, *pair)
    resampler = Resampler(*pair)
    result = streamed(resampler, cut(samples, [pair[0] // 50, 1, 0, 333, 64, 1_900, 2]))
    assert np.array_equal(result, exact.clip(-32_768, 32_767))
    assert resampler.clips == np.count_nonzero((exact > 32_767) | (exact < -32_768))
    assert (resampler.clips > 0) == (amplitude == 32_767)


@pytest.mark.parametrize("full", [-32_768, 32_767])
def test_overshoot_to_one_side_only_is_clipped_too(full: int) -> None:
    samples = np.where(np.arange(4_000) // 18 % 2, full, 0).astype(np.int16)
    exact = plain(samples, 16_000, 24_000)
    resampler = Resampler(16_000, 24_000)
    assert np.array_equal(resampler.process(samples), exact.clip(-32_768, 32_767))
    assert resampler.clips == np.count_nonzero((exact > 32_767) | (exact < -32_768)) > 0


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_no_product_is_so_large_that_it_starts_threads_nor_so_small_that_calls_dominate(pair: tuple[int, int]) -> None:
    tables = _tables(*pair)
    if tables.matrix.size:
        rows = tables.piece // tables.block + 1
        assert rows * tables.matrix.size <= _MAX_PRODUCT
        assert tables.piece >= tables.block > tables.down // 2


def test_streams_in_several_threads_do_not_hear_each_other() -> None:
    sounds = [noise(16_000, seed) for seed in range(4)]

    def converted(sound: Samples) -> bytes:
        resampler = Resampler(16_000, 24_000)
        return b"".join(resampler.process(piece).tobytes() for piece in cut(sound, [1_600, 320]))

    alone = [converted(sound) for sound in sounds]
    with ThreadPoolExecutor(len(sounds)) as pool:
        assert list(pool.map(converted, sounds * 20)) == alone * 20


def test_a_stream_is_small_and_frames_of_all_sizes_leave_nothing_behind() -> None:
    sound = noise(2_000).tobytes()
    Resampler(16_000, 24_000).convert(sound)
    tracemalloc.start()
    try:
        streams = [Resampler(16_000, 24_000) for _ in range(50)]
        for size in range(2, 4_000, 2):
            streams[size % 50].convert(sound[:size])
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()


def test_bytes_with_half_a_sample_are_named() -> None:
    with pytest.raises(ValueError, match=r"pcm: 3 bytes given, s16le needs an even number"):
        Resampler(16_000, 24_000).convert(b"\0\0\0")


@settings(max_examples=60, deadline=None)
@given(
    pair=st.sampled_from([(16_000, 24_000), (8_000, 24_000), (48_000, 24_000), (44_100, 16_000), (44_099, 48_000)]),
    sizes=st.lists(st.integers(0, 700), min_size=1, max_size=12).filter(any),
)
def test_outputs_so_far_depend_only_on_inputs_so_far(pair: tuple[int, int], sizes: list[int]) -> None:
    resampler = Resampler(*pair)
    samples = noise(sum(sizes))
    given_so_far = out = 0
    result = []
    for size in sizes:
        result.append(resampler.process(samples[given_so_far : given_so_far + size]))
        given_so_far += size
        out += len(result[-1])
        assert out == -(-given_so_far * pair[1] // pair[0])
    assert np.array_equal(np.concatenate(result), Resampler(*pair).process(samples))


def test_a_call_of_minutes_equals_frames_of_20_ms() -> None:
    samples = noise(16_000 * 9 + 5)
    frames = streamed(Resampler(16_000, 24_000), cut(samples, [320]))
    assert np.array_equal(Resampler(16_000, 24_000).process(samples), frames)


@pytest.mark.parametrize("frequency", [50, 300, 1_000, 3_400, 6_000, 6_600, 7_000])
def test_16k_to_24k_is_flat_to_7_khz_and_leaves_no_images(frequency: float) -> None:
    gain, image = spectrum(Resampler(16_000, 24_000).process(tone(frequency, 16_000)), 24_000, frequency)
    assert abs(gain) < 0.1
    assert image < -80


@pytest.mark.parametrize(
    ("in_rate", "out_rate", "frequency"),
    [
        (8_000, 24_000, 3_400),
        (8_000, 16_000, 300),
        (11_025, 24_000, 4_700),
        (22_050, 24_000, 9_000),
        (44_100, 24_000, 10_000),
        (48_000, 24_000, 10_000),
        (48_000, 8_000, 3_400),
        (16_000, 8_000, 3_000),
        (44_100, 16_000, 6_900),
        (44_099, 48_000, 15_000),
        (24_000, 24_000, 11_000),
    ],
)
def test_other_rates_are_as_flat_and_clean(in_rate: int, out_rate: int, frequency: float) -> None:
    result = Resampler(in_rate, out_rate).process(tone(frequency, in_rate))
    gain, rest = spectrum(result, out_rate, frequency)
    assert abs(gain) < 0.1
    assert rest < -80


@pytest.mark.parametrize(
    ("in_rate", "out_rate", "frequency"),
    [(16_000, 8_000, 4_600), (48_000, 8_000, 9_000), (48_000, 24_000, 13_700), (44_100, 16_000, 9_100)],
)
def test_what_the_lower_rate_cannot_hold_does_not_come_back_as_an_alias(
    in_rate: int, out_rate: int, frequency: float
) -> None:
    result = Resampler(in_rate, out_rate).process(tone(frequency, in_rate))
    level = np.sqrt((result[out_rate // 4 :].astype(np.float64) ** 2).mean())
    assert 20 * math.log10(max(level, 1e-3) / 20_000) < -80


@pytest.mark.parametrize(
    ("in_rate", "out_rate"), [(16_000, 24_000), (8_000, 24_000), (48_000, 24_000), (48_000, 16_000), (16_000, 48_000)]
)
def test_agrees_with_soxr(in_rate: int, out_rate: int) -> None:
    """Noise below 7/16 of the lower rate: what soxr makes of it at its best quality, shifted by our delay."""
    spectrum_of_noise = np.fft.rfft(np.random.default_rng(3).normal(size=in_rate))
    spectrum_of_noise[int(min(in_rate, out_rate) * 0.43) :] = 0
    signal = np.fft.irfft(spectrum_of_noise)
    samples = np.rint(signal / np.abs(signal).max() * 25_000).astype(np.int16)
    resampler = Resampler(in_rate, out_rate)
    ours = resampler.process(samples).astype(np.float64)
    shift = resampler.delay * out_rate
    assert shift == int(shift), "choose rates at which the shift is whole output samples"
    theirs = soxr.resample(samples.astype(np.float64), in_rate, out_rate, quality="VHQ")
    middle = slice(out_rate // 10, out_rate - out_rate // 10)
    difference = ours[int(shift) :][middle] - theirs[middle]
    ratio = 10 * math.log10((theirs[middle] ** 2).mean() / (difference**2).mean())
    assert ratio > 80, f"{ratio:.1f} dB"


@pytest.mark.parametrize(("in_rate", "out_rate"), [(16_000, 24_000), (8_000, 16_000), (48_000, 24_000)])
def test_sound_is_late_by_the_delay_it_tells(in_rate: int, out_rate: int) -> None:
    resampler = Resampler(in_rate, out_rate)
    click = np.zeros(in_rate // 10, dtype=np.int16)
    click[500] = 30_000
    loudest = int(np.argmax(resampler.process(click)))
    assert abs(loudest / out_rate - 500 / in_rate - resampler.delay) <= 1 / out_rate
    assert 0 < resampler.delay <= 0.003


def test_equal_rates_pass_samples_on_unchanged() -> None:
    samples = noise(1_000)
    resampler = Resampler(16_000, 16_000)
    resampler.prime(samples)
    result = resampler.process(samples)
    assert np.array_equal(result, samples)
    assert result is not samples and resampler.delay == 0 and resampler.history == 0


def test_overshoot_is_clipped_and_counted_and_never_wraps() -> None:
    """A square wave at full scale overshoots; each sample must keep the sign the filter gave it."""
    square = np.where(np.arange(16_000) // 18 % 2, -32_768, 32_767).astype(np.int16)
    resampler = Resampler(16_000, 24_000)
    result = resampler.process(square).astype(int)
    quiet = Resampler(16_000, 24_000)
    expected = quiet.process((square // 2).astype(np.int16)).astype(int) * 2
    assert quiet.clips == 0
    assert np.abs(result - np.clip(expected, -32_768, 32_767)).max() <= 4
    surely = np.count_nonzero((expected > 32_771) | (expected < -32_772))
    perhaps = np.count_nonzero((expected > 32_763) | (expected < -32_764))
    assert 1_000 < surely <= resampler.clips <= perhaps


def test_a_constant_stays_itself_and_silence_is_silent() -> None:
    for value in (32_767, -32_768, 1, -1, 0):
        result = Resampler(44_100, 24_000).process(np.full(4_410, value, dtype=np.int16))
        assert set(result[200:].tolist()) == {value}
    assert not Resampler(8_000, 24_000).process(np.zeros(999, dtype=np.int16)).any()


def test_values_are_rounded_not_cut() -> None:
    """Cutting towards zero would bias a soft signal; the mean error of rounding is none."""
    samples = tone(440, 16_000, amplitude=3)
    resampler = Resampler(16_000, 24_000)
    loud = Resampler(16_000, 24_000).process((samples * 1_000).astype(np.int16)) / 1_000
    error = resampler.process(samples) - loud
    assert np.abs(error).max() <= 0.502 and abs(error.mean()) < 0.02


@pytest.mark.parametrize(
    ("in_rate", "out_rate"), [(16_000, 24_000), (8_000, 24_000), (44_100, 24_000), (44_099, 48_000), (48_000, 8_000)]
)
def test_a_replay_primed_with_what_came_before_repeats_the_bits(in_rate: int, out_rate: int) -> None:
    samples = noise(in_rate)
    first = Resampler(in_rate, out_rate)
    period = first.period
    position = -(-3_000 // period) * period + 123
    before = len(first.process(samples[:position]))
    after = first.process(samples[position:])
    assert before + len(after) == math.ceil(len(samples) * out_rate / in_rate)
    replay = Resampler(in_rate, out_rate)
    begin = max(0, (position - replay.history) // period * period)
    replay.prime(samples[begin:position])
    assert np.array_equal(replay.process(samples[position:]), after)


def test_priming_goes_on_from_where_the_stream_is() -> None:
    samples = noise(5_000)
    heard, primed = Resampler(44_100, 24_000), Resampler(44_100, 24_000)
    heard.process(samples[:1_111])
    primed.process(samples[:1_111])
    heard.process(samples[1_111:2_000])
    primed.prime(samples[1_111:1_500])
    primed.prime(samples[1_500:2_000])
    assert np.array_equal(heard.process(samples[2_000:]), primed.process(samples[2_000:]))


def test_cleared_is_as_new() -> None:
    resampler = Resampler(16_000, 24_000)
    resampler.process(np.full(1_001, 32_767, dtype=np.int16))
    clips = resampler.clips
    resampler.clear()
    assert np.array_equal(resampler.process(noise(777)), Resampler(16_000, 24_000).process(noise(777)))
    assert resampler.clips == clips > 0


def test_two_streams_do_not_hear_each_other() -> None:
    one, two = Resampler(16_000, 24_000), Resampler(16_000, 24_000)
    left, right = noise(3_200, 1), noise(3_200, 2)
    results = [(one.process(left[i : i + 320]), two.process(right[i : i + 320])) for i in range(0, 3_200, 320)]
    assert np.array_equal(np.concatenate([r[0] for r in results]), Resampler(16_000, 24_000).process(left))
    assert np.array_equal(np.concatenate([r[1] for r in results]), Resampler(16_000, 24_000).process(right))


@pytest.mark.parametrize("rate", [0, 7_999, 48_001, -16_000, 16_000.0, True, "16000", None])
def test_a_rate_that_cannot_work_is_named(rate: object) -> None:
    with pytest.raises(ValueError, match=r"in_rate: .* given, must be a whole number of Hz from 8000 to 48000"):
        Resampler(rate, 24_000)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="out_rate: "):
        Resampler(16_000, rate)  # type: ignore[arg-type]
