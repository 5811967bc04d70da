"""From the end of speech to its final: which push counts, what is forgotten, what the figures are."""

from __future__ import annotations

import pytest
from ten_packages.extension.openai_asr_python.devkit.transcription.latency import (
    FINALS,
    MARKS,
    FinalLatency,
    percentile,
)


def spoken(seconds: float) -> FinalLatency:
    """Audio of that length, pushed at the pace of speech from second 100 on."""
    latency = FinalLatency()
    for block in range(1, round(seconds * 50) + 1):
        latency.pushed(block * 20.0, 100 + block / 50)
    return latency


def test_it_counts_from_the_push_that_held_the_last_of_the_speech() -> None:
    latency = spoken(10)
    assert latency.final(3_000, 104) == pytest.approx(1_000)
    assert latency.final(2_981, 104) == pytest.approx(1_000)  # the same block
    assert latency.final(2_980, 104) == pytest.approx(1_020)
    assert latency.final(1, 104) == pytest.approx(3_980)


def test_audio_that_came_late_does_not_count_as_slow_text() -> None:
    latency = FinalLatency()
    latency.pushed(20, 1.0)
    latency.pushed(40, 9.0)  # the device held it back
    assert latency.final(40, 9.5) == pytest.approx(500)


def test_an_end_behind_all_audio_is_the_end_of_the_audio() -> None:
    assert spoken(2).final(2_015, 102.5) == pytest.approx(500)


def test_what_nobody_knows_any_more_is_not_made_up() -> None:
    assert FinalLatency().final(20, 1.0) is None
    latency = spoken(MARKS / 50 + 1)  # a second more than is remembered
    assert latency.final(1_000, 300) is None
    assert latency.count == 0
    assert latency.final(1_001, 300) == pytest.approx((300 - 101.02) * 1000)


def test_percentiles_are_of_the_newest() -> None:
    latency = spoken(100)
    assert latency.percentile(50) is None
    latency.final(10_000, 111 + 1e6)  # falls out
    for delay_ms in range(1, FINALS + 1):
        latency.final(10_000, 110 + delay_ms / 1000)
    assert latency.count == FINALS
    assert latency.percentile(50) == pytest.approx(FINALS / 2)
    assert latency.percentile(100) == pytest.approx(FINALS)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([7.0], 95, 7.0), ([3.0, 1.0, 2.0], 50, 2.0), ([1.0, 2.0], 50, 1.0), ([1.0, 2.0], 95, 2.0)],
)
def test_a_percentile_is_one_of_the_values(values: list[float], percent: float, expected: float | None) -> None:
    assert percentile(values, percent) == expected
