"""The conformance run in short: what must hold by now holds, and the run counts what it should.

`make chaos` is the long form; see docs/chaos.md.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

_BENCH = str(Path(__file__).resolve().parent.parent / "bench")
sys.path.insert(0, _BENCH)
try:
    import chaos
    from chaos_call import RATE, Speech, write
    from chaos_run import Row, judge, run
    from chaos_scenarios import SCENARIOS, Expect, Scenario
    from chaos_score import Played, Received, Score, score
finally:
    sys.path.remove(_BENCH)

from ten_packages.extension.openai_asr_python.devkit.server.tones import decode  # noqa: E402

Json = dict[str, Any]

KILLED = ("kills-server", "kills-none", "control-no-replay")
CHOSEN = (
    "control-server", "control-none", "control-live", "control-local", "commit-empty-server", "commit-empty-none",
    "error-events-none", "junk-none", "duplicate-server", "duplicate-none", "reorder-server", "reorder-none", *KILLED,
)  # fmt: skip

UNHURRIED = {
    "connect_timeout_ms": 30_000, "finalize_timeout_ms": 15_000, "order_hold_ms": 15_000, "commit_timeout_ms": 15_000,
    "item_timeout_ms": 15_000, "ping_timeout_ms": 20_000, "send_stall_ms": 20_000,
}  # fmt: skip


def short(name: str) -> Scenario:
    """A scenario in six seconds, with deadlines that a machine with better things to do does not break."""
    scenario = next(s for s in SCENARIOS if s.name == name)
    trouble = scenario.trouble
    if trouble.kills:
        trouble = replace(trouble, kills=2, over_s=4.5, phases=("speaking", "before-commit", "after-commit"))
    return replace(
        scenario,
        streams=1,
        speech=replace(scenario.speech, seconds=6.0),
        play=replace(scenario.play, patience_s=5.0 if name == "control-no-replay" else 40.0),
        trouble=trouble,
        params={**scenario.params, **UNHURRIED},
        expect=replace(scenario.expect, worst_answer_ms=None, open_kills_at_least=0),
    )


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[str, Row]]:
    """All of them at the same time: each is a stream that is mostly waiting."""
    list(write(Speech(voiced=True, seconds=1), random.Random(0)))  # loads the detector, which takes its time
    with pytest.MonkeyPatch.context() as environment, ThreadPoolExecutor(len(CHOSEN)) as pool:
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
            environment.delenv(name, raising=False)
        done = pool.map(lambda name: run(short(name), seed=7), CHOSEN)
        yield dict(zip(CHOSEN, done, strict=True))


@pytest.mark.parametrize("name", CHOSEN)
def test_what_is_promised_by_now_holds(rows: dict[str, Row], name: str) -> None:
    row = rows[name]
    figures = row.score
    assert figures.expected >= 3 and not figures.failures
    # Whatever the fault, and whether its losses are forbidden yet or not:
    assert (figures.doubled, figures.invented, figures.out_of_order, figures.mixed, figures.dropped) == (0,) * 5
    assert figures.answers == figures.finalizes and not figures.unanswered
    if row.scenario.kept:
        assert row.failed == []


@pytest.mark.parametrize("name", KILLED)
def test_kills_fall_while_speech_is_under_way(rows: dict[str, Row], name: str) -> None:
    row = rows[name]
    assert row.kills and row.fell.keys() <= {"speaking", "before-commit", "after-commit"}
    assert row.reconnects >= row.kills - 1, "the last one may fall into the end of the call"


def test_without_replay_kills_cost_speech(rows: dict[str, Row]) -> None:
    """Else the other rows would prove nothing."""
    figures = rows["control-no-replay"].score
    assert figures.lost > 0
    assert figures.received == figures.expected - figures.lost


# The source and the counting


@pytest.mark.parametrize("voiced", [False, True])
def test_the_audio_says_what_the_source_claims_to_have_played(voiced: bool) -> None:
    speech = Speech(seconds=20, voiced=voiced, blocks=(1, 3))
    audio, claimed = b"", []
    for utterance in write(speech, random.Random(3)):
        audio += utterance.pcm + utterance.after
        claimed += utterance.blocks
    heard = decode(audio, RATE)
    assert len(claimed) > 5
    assert [block.label for block in heard] == [block.label for block in claimed] == list(range(len(claimed)))
    for block, truth in zip(heard, claimed, strict=True):
        assert block.start_ms + 5 == pytest.approx(truth.start_ms, abs=2)


PLAYED = [Played(label, 1000.0 * label + 100, 1000.0 * label + 400) for label in range(4)]


def final(text: str, start_ms: int, identity: str = "", **info: Any) -> tuple[float, Json]:
    return 1.0, {"id": identity or text, "text": text, "final": True, "start_ms": start_ms,
                 "duration_ms": 300, "metadata": {"asr_info": info}}  # fmt: skip


def counted(*results: tuple[float, Json], prefix_ms: int = 0, **more: Any) -> Score:
    return score(PLAYED, Received(results=list(results), **more), prefix_ms)


def test_nothing_wrong_counts_as_nothing_wrong() -> None:
    figures = counted(final("b0 b1", 100), final("b2", 2100), final("b3", 3110))
    assert (figures.expected, figures.received, figures.lost, figures.doubled, figures.out_of_order) == (4, 4, 0, 0, 0)
    assert figures.worst_start_ms == 10
    assert judge(Expect(), figures) == []


def test_what_is_wrong_is_counted() -> None:
    figures = counted(final("b0", 100), final("b2", 2100), final("b1", 1100), final("b2 b9 what", 2100, "again"))
    assert (figures.lost, figures.doubled, figures.invented, figures.out_of_order) == (1, 1, 2, 1)
    assert len(judge(Expect(), figures)) == 4


def test_text_marked_late_may_come_later_and_is_counted_as_late() -> None:
    figures = counted(final("b1", 1100), final("b0", 390, late=True), final("b2 b3", 2100))
    assert (figures.late, figures.out_of_order, figures.lost, figures.worst_start_ms) == (1, 0, 0, 0)


def test_start_times_are_held_to_how_the_audio_was_built() -> None:
    assert counted(final("b1", 1160)).worst_start_ms == 60
    assert counted(final("b1", 700)).worst_start_ms == 400
    # The server's turns begin up to its prefix before the sound, and no earlier.
    assert counted(final("b1", 850), prefix_ms=300).worst_start_ms == 0
    assert counted(final("b1", 700), prefix_ms=300).worst_start_ms == 100


def test_answers_are_one_a_request_and_timed() -> None:
    figures = counted(asked={"f1": 1.0, "f2": 2.0, "f3": 3.0}, answers=[(1.5, "f1"), (4.0, "f3"), (4.1, "f3")])
    assert (figures.finalizes, figures.answers, figures.unanswered, figures.answered_twice) == (3, 3, 1, 1)
    assert figures.worst_answer_ms == pytest.approx(1100)


def test_errors_and_text_after_a_final_are_counted() -> None:
    fatal = {"code": -1000, "vendor_info": {"code": "401"}}
    partial = (1.1, {"id": "one", "text": "b0", "final": False, "metadata": {"asr_info": {}}})
    figures = counted(final("b0", 100, "one"), partial, errors=[(1.0, fatal)])
    assert (figures.errors, figures.fatal, figures.error_codes, figures.mixed) == (1, 1, {"401": 1}, 1)


def test_kills_must_fall_while_speech_is_under_way_and_at_every_moment() -> None:
    expect = Expect(open_kills_at_least=60)
    enough = {"speaking": 20, "before-commit": 15, "after-commit": 15, "inside-message": 10, "quiet": 40}
    assert judge(expect, Score(), fell=enough) == []
    assert judge(expect, Score(), fell={**enough, "inside-message": 9}) == [
        "9 kills inside a message, 10 expected", "59 kills while speech was not final, 60 expected",
    ]  # fmt: skip
    assert judge(expect, Score(), fell={"speaking": 100}) == [
        "0 kills after it, 10 expected", "0 kills inside a message, 10 expected",
    ]  # fmt: skip


def test_what_a_row_is_about_must_have_happened_in_it() -> None:
    assert judge(Expect(late_at_least=1), Score()) == ["late 0, at least 1 expected"]
    assert judge(Expect(lost=3, promoted_at_least=1), counted(final("b0", 100, promoted=True))) == []
    assert judge(Expect(refused=8), Score(), refused=9) == ["refused 9, at most 8 expected"]


def test_a_refused_key_is_told_once_and_given_up_after_half_a_minute() -> None:
    def refusal(at: float, code: int) -> tuple[float, Json]:
        return at, {"code": code, "vendor_info": {"code": "401"}}

    expect = Expect(lost=None, fatal=1, fatal_at_least=1, fatal_not_before_s=30.0, codes=(("401", 2),))
    assert judge(expect, counted(errors=[refusal(1.0, 1000), refusal(32.0, -1000)])) == []
    assert judge(expect, counted(errors=[refusal(1.0, 1000), refusal(21.0, -1000)])) == [
        "fatal after 20.0 s, 30 s expected"
    ]
    often = [refusal(1.0, 1000), refusal(3.0, 1000), refusal(32.0, -1000)]
    assert judge(expect, counted(errors=often)) == ["3 errors 401, at most 2 expected"]


def test_the_summary_adds_up() -> None:
    scenario = next(s for s in SCENARIOS if s.name == "kills-none")
    figures = Score(streams=10, finalizes=50, answers=49, unanswered=1, worst_answer_ms=812.4)
    fell = {"speaking": 4, "after-commit": 3, "inside-message": 2, "quiet": 1}
    row = Row(scenario, figures, 20, 0, fell, {}, 1.0, [])
    kills = "10 kills, 9 while speech was sent and not final (4 before the commit, 3 after it, 2 inside a message)."
    asked = "Finalizes: 50 asked (0 of them in the rows finalize-*), 49 answered, the worst after 812 ms."
    assert chaos.summary([row]) == [f"kills-none: {kills}", asked]


def test_an_unknown_scenario_is_named_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert chaos.main(["--only", "no-such"]) == 2
    said = capsys.readouterr().err
    assert "no-such" in said and "control-server" in said
