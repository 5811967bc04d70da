"""Audio that is heard no faster than it is spoken; time is a number."""

from __future__ import annotations

import pytest
from ten_packages.extension.openai_asr_python.devkit.server.faults_layer import Decoding
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import RecognitionRequest
from ten_packages.extension.openai_asr_python.devkit.server.utterances import BYTES_PER_SECOND, DecodeClock, Utterance

SECOND = BYTES_PER_SECOND


def utterance(partials: bool = True) -> Utterance:
    return Utterance("item", RecognitionRequest("model", partials=partials))


def heard(utterance: Utterance, now: float) -> float:
    """Seconds of audio that a recogniser is given at this time."""
    count = 0
    while chunk := utterance.take(now):
        assert len(chunk) <= SECOND / 2, "many sessions take turns"
        count += len(chunk)
    return count / SECOND


def test_without_a_limit_all_is_heard_at_once_in_order() -> None:
    made = utterance()
    for byte in range(3):
        made.add(bytes([byte]) * SECOND, 0.0, DecodeClock(), None)
    everything = b"".join(iter(lambda: made.take(0.0), b""))
    assert everything == b"".join(bytes([byte]) * SECOND for byte in range(3))


def test_a_burst_takes_its_time_and_real_time_keeps_up() -> None:
    made, clock, limit = utterance(), DecodeClock(), Decoding(2.0, False)
    made.add(bytes(4 * SECOND), 10.0, clock, limit)
    assert heard(made, 10.0) == 0
    assert heard(made, 11.0) == pytest.approx(2.0, abs=0.11)
    assert made.next_heard() == pytest.approx(11.05, abs=0.06)
    assert heard(made, 12.01) == pytest.approx(2.0, abs=0.11)
    assert heard(made, 13.0) == 0 and made.next_heard() is None
    made.add(bytes(SECOND), 20.0, clock, limit)
    assert heard(made, 20.51) == 1.0, "time in which nothing came is no credit and no debt"


def test_the_next_item_waits_behind_the_one_before() -> None:
    clock, limit = DecodeClock(), Decoding(1.0, False)
    first, second = utterance(), utterance()
    first.add(bytes(2 * SECOND), 0.0, clock, limit)
    second.add(bytes(SECOND), 0.0, clock, limit)
    assert heard(second, 2.05) == 0
    assert heard(second, 3.01) == 1.0


def test_what_was_not_heard_at_the_commit_is_lost_and_counted() -> None:
    made, clock, limit = utterance(), DecodeClock(), Decoding(1.0, True)
    made.add(bytes(3 * SECOND), 0.0, clock, limit)
    lost = made.lose_unheard(1.0)
    assert lost == pytest.approx(2 * SECOND, abs=SECOND / 9)
    assert made.heard_seconds == pytest.approx(3 - lost / SECOND)
    assert heard(made, 100.0) == pytest.approx(1.0, abs=0.11), "what was heard is still there"


def test_what_kept_up_loses_nothing() -> None:
    made, clock = utterance(), DecodeClock()
    for second in range(5):
        made.add(bytes(SECOND), float(second), clock, Decoding(1.0, True))
    assert made.lose_unheard(5.0) == 0 and made.heard_seconds is None


def test_models_that_hear_after_the_commit_have_no_such_limit() -> None:
    made = utterance(partials=False)
    made.add(bytes(3 * SECOND), 0.0, DecodeClock(), Decoding(1.0, True))
    assert made.lose_unheard(0.0) == 0
    assert heard(made, 0.0) == 3.0
