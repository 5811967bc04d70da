"""A source goes as fast as audio settles, and never far ahead of it."""

from __future__ import annotations

import pytest
from ten_packages.extension.openai_asr_python.devkit.transcription.pacing import AHEAD_MS, LAG_MS, LIMIT_MS, Pacer

BLOCK_MS = 100


def play(pacer: Pacer, audio_ms: int, settle_after_ms: float | None) -> float:
    """Send *audio_ms*, each block settled *settle_after_ms* later (None: never); returns the seconds it took."""
    now = start = 1000.0
    sent: list[tuple[float, float]] = []
    for _ in range(audio_ms // BLOCK_MS):
        now += pacer.delay(now)
        if settle_after_ms is not None:
            settled = [ms for at, ms in sent if now - at >= settle_after_ms / 1000]
            pacer.report(settled_ms=max(settled, default=0.0), lag_ms=0.0)
        pacer.sent(BLOCK_MS, now)
        sent.append((now, pacer.sent_ms))
    return now - start


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
def test_audio_goes_at_the_speed_asked_for(speed: float) -> None:
    assert play(Pacer(speed), 10_000, settle_after_ms=500) == pytest.approx(10 / speed, rel=0.06)


def test_without_a_speed_audio_waits_for_nothing_while_it_settles() -> None:
    assert play(Pacer(), 10 * 60_000, settle_after_ms=0) == 0.0


def test_far_ahead_it_goes_at_the_speed_of_speech() -> None:
    seconds = play(Pacer(), AHEAD_MS + 10_000, settle_after_ms=None)
    assert seconds == pytest.approx(10, rel=0.05)


def test_a_slower_speed_stays_slower_when_far_ahead() -> None:
    pacer = Pacer(0.5, sent_ms=AHEAD_MS)
    assert play(pacer, 5_000, settle_after_ms=None) == pytest.approx(10, rel=0.05)


def test_at_the_limit_it_crawls_and_does_not_stop() -> None:
    pacer = Pacer(sent_ms=LIMIT_MS)
    seconds = play(pacer, 1_000, settle_after_ms=None)
    assert 4 <= seconds <= 6


def test_audio_that_cannot_be_sent_on_slows_the_source() -> None:
    pacer = Pacer()
    pacer.report(settled_ms=0.0, lag_ms=LAG_MS)
    assert play(pacer, 3_000, settle_after_ms=None) == pytest.approx(3, rel=0.1)
    pacer.report(settled_ms=0.0, lag_ms=0.0)
    assert pacer.delay(1e9) == 0.0


def test_a_source_that_was_held_up_sends_no_burst() -> None:
    pacer = Pacer(1.0)
    pacer.sent(BLOCK_MS, 10.0)
    pacer.sent(BLOCK_MS, 70.0)
    assert pacer.delay(70.0) == 0.0
    pacer.sent(BLOCK_MS, 70.0)
    assert pacer.delay(70.0) == pytest.approx(0.1)


def test_an_older_report_takes_nothing_back() -> None:
    pacer = Pacer(sent_ms=10_000)
    pacer.report(settled_ms=8_000, lag_ms=0)
    pacer.report(settled_ms=3_000, lag_ms=0)
    assert pacer.ahead_ms == 2_000
