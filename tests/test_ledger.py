"""The ledger's parts, each against the simplest thing that could be right."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ten_packages.extension.openai_asr_python.realtime.backoff import Backoff, retry_after_seconds
from ten_packages.extension.openai_asr_python.realtime.ledger import Fate, Ledger, State
from ten_packages.extension.openai_asr_python.realtime.runs import Runs
from ten_packages.extension.openai_asr_python.realtime.wire_map import WireMap

operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 9), st.integers(0, 3)),
        st.tuples(st.just("assign"), st.integers(-2, 60), st.integers(-2, 60), st.integers(0, 3)),
        st.tuples(st.just("drop"), st.integers(-1, 60)),
    ),
    max_size=40,
)


@given(operations)
def test_runs_are_a_list_that_is_kept_short(steps: list[tuple[object, ...]]) -> None:
    runs: Runs[int] = Runs()
    plain: list[int] = []
    dropped = 0
    for step in steps:
        if step[0] == "append":
            runs.append(step[1], step[2])  # type: ignore[arg-type]
            plain += [step[2]] * step[1]  # type: ignore[list-item, operator]
        elif step[0] == "assign":
            start, end, value = step[1:]
            runs.assign(start, end, value)  # type: ignore[arg-type]
            for i in range(max(start, dropped), min(end, len(plain))):  # type: ignore[type-var, call-overload]
                plain[i] = value  # type: ignore[call-overload]
        else:
            runs.drop_before(step[1])  # type: ignore[arg-type]
            dropped = max(dropped, min(step[1], len(plain)))  # type: ignore[type-var]
        found = [value for start, end, value in runs.runs(0, len(plain)) for _ in range(start, end)]
        assert found == plain[dropped:]
        assert runs.start == dropped and runs.end == len(plain)
        values = [value for _, _, value in runs.runs(0, len(plain))]
        assert all(a != b for a, b in itertools.pairwise(values)), "neighbours are joined"
    for i in range(dropped, len(plain)):
        assert runs.at(i) == plain[i]


def ledger_of(*parts: tuple[int, bool]) -> Ledger:
    ledger = Ledger(lambda pcm: list(parts))
    for count, _ in parts:
        ledger.append(bytes(2 * count))
    return ledger


def test_a_settled_sample_never_changes_again() -> None:
    ledger = ledger_of((100, True))
    ledger.move(0, 50, {State.PENDING}, Fate(State.SENT, 1))
    ledger.move(0, 50, {State.SENT}, Fate(State.COMMITTED, 1, 1))
    ledger.move(0, 50, {State.COMMITTED}, Fate(State.FINAL, turn=1))
    with pytest.raises(ValueError, match="no edge from final to pending"):
        ledger.move(0, 50, {State.FINAL}, Fate(State.PENDING))
    assert ledger.move(0, 100, {State.PENDING, State.SENT}, Fate(State.GATED)) == 50
    assert ledger.totals[State.FINAL] == 50 and ledger.totals[State.GATED] == 50


def test_no_shortcut_from_pending_to_final() -> None:
    with pytest.raises(ValueError, match="no edge"):
        ledger_of((10, True)).move(0, 10, {State.PENDING}, Fate(State.FINAL))


def test_audio_is_kept_until_it_is_settled_and_no_longer() -> None:
    ledger = Ledger(lambda pcm: [(len(pcm) // 2, True)])
    pcm = bytes(range(200))
    ledger.append(pcm)
    ledger.move(60, 100, {State.PENDING}, Fate(State.GATED))
    assert ledger.audio(0, 100) == pcm, "a hole at the end frees nothing in front"
    ledger.move(0, 30, {State.PENDING}, Fate(State.GATED))
    assert ledger.kept_from == 30 and ledger.audio(0, 100) == pcm[60:]
    ledger.move(30, 60, {State.PENDING}, Fate(State.GATED))
    assert ledger.kept_bytes == 0 and ledger.settled_until == 100


def test_quiet_is_gated_and_speech_is_not() -> None:
    ledger = ledger_of((10, False), (10, True), (10, False))
    assert ledger.gate_quiet(25, {State.PENDING}, "silence") == 15
    assert [(a, b, f.state) for a, b, f in ledger.fates()] == [
        (10, 20, State.PENDING),
        (20, 25, State.GATED),
        (25, 30, State.PENDING),
    ]


def test_marks_that_fall_short_never_hide_speech() -> None:
    ledger = Ledger(lambda pcm: [(5, False)])
    ledger.append(bytes(40))
    assert ledger.speech_bounds(0, 20) == (5, 20)


def test_the_wire_map_reads_both_ways_across_gaps_and_padding() -> None:
    m = WireMap(16_000)
    m.add(1_600, 5_000)
    m.add(1_600, 6_600)  # goes on: one stretch
    m.add(3_200, None)  # padding
    m.add(1_600, 20_000)
    assert len(m) == 3 and m.written == 8_000
    assert m.start_position(0) == 5_000 and m.start_position(150) == 7_400
    assert m.end_position(200) == 8_200
    assert m.end_position(350) == 8_200, "an end in the padding is the end of the caller's audio before it"
    assert m.start_position(350) == 20_000, "a start in the padding is the caller's next sample"
    assert m.end_position(450) == 20_800
    assert m.end_position(9_999) == 21_600 and m.start_position(9_999) == 21_600
    m.forget_before(19_000)
    assert m.end_position(450) == 20_800


def test_an_empty_wire_map_knows_nothing() -> None:
    m = WireMap(8_000)
    assert m.start_position(5) is None and m.end_position(5) is None and m.last_position is None


def test_backoff_has_manners() -> None:
    backoff = Backoff()
    assert [backoff.next_delay(useful=False, random=1.0) for _ in range(6)] == [0.5, 1, 2, 4, 8, 8]
    assert backoff.next_delay(useful=True, random=1.0) == 0.25
    assert backoff.next_delay(useful=False, random=1.0) == 0.5, "a useful connection starts the count anew"
    assert backoff.next_delay(useful=False, random=0.0, retry_after=30) == 30


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "12"}, 12),
        ({"retry-after": "12"}, 12),
        ({"Retry-After": "soon"}, 0),
        ({}, 0),
        ({"Retry-After": "-3"}, 0),
        (None, 0),
    ],
)
def test_retry_after(headers: object, seconds: float) -> None:
    assert retry_after_seconds(headers) == seconds


def test_a_thousand_streams_dropped_at_once_do_not_come_back_in_step() -> None:
    import random

    rng = random.Random(1)
    waits = [Backoff().next_delay(useful=True, random=rng.random()) for _ in range(1_000)]
    busiest = max(sum(1 for w in waits if t <= w < t + 0.025) for t in [i * 0.025 for i in range(10)])
    assert busiest < 150, "ten slots of 25 ms share a thousand dials"
