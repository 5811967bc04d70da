"""Text at the deadline of a finalize: what was shown is promoted, and only the rest follows."""

from __future__ import annotations

import pytest
from sessions import (
    Driver,
    options,
    tone,
)
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.promotion import rest_of


def at_the_deadline(shown: str) -> Driver:
    """A second of speech, committed; *shown* is its partial when the finalize has to be answered."""
    d = Driver(options("none")).connect().push(tone(1_000)).finalize().committed("a")
    if shown:
        d.delta("a", shown)
    return d.at(2.0)


def test_a_partial_is_promoted_when_the_finalize_cannot_wait_and_only_the_rest_follows() -> None:
    d = at_the_deadline("Cast off")
    kinds = [type(e) for e in d.events if isinstance(e, (ev.Transcript, ev.ClientError, ev.FinalizeDone))]
    assert kinds == [ev.Transcript, ev.Transcript, ev.ClientError, ev.FinalizeDone], "shown, promoted, told, answered"
    (promoted,) = d.finals
    assert (promoted.text, promoted.promoted, promoted.late) == ("Cast off", True, False)
    assert promoted.result_id == d.partials[0].result_id
    assert (promoted.start_ms, promoted.duration_ms) == (0, 999)
    d.at(4.0).delta("a", " the").completed("a", "cast off, the bow line!")
    rest = d.finals[1]
    assert (rest.text, rest.late, rest.promoted) == (", the bow line!", True, False)
    assert rest.result_id != promoted.result_id and (rest.start_ms, rest.duration_ms) == (999, 1)
    assert len(d.partials) == 1, "nothing unmarked comes behind the answer"
    assert d.totals["final"] == 1_000 and d.session.stream.book.unsaid == 0


def test_a_promoted_text_that_was_all_is_not_said_again() -> None:
    d = at_the_deadline("Cast off").completed("a", "Cast off.")
    assert d.texts == ["Cast off"] and d.totals["final"] == 1_000


def test_a_text_that_has_changed_its_beginning_is_told_and_counted() -> None:
    d = at_the_deadline("Cast of").completed("a", "Passed off the bow line.")
    assert d.texts == ["Cast of"]
    assert [e.code for e in d.of(ev.ClientError)] == ["finalize_timeout", "unsaid"]
    assert "bow line" not in d.of(ev.ClientError)[1].message and d.session.stream.book.unsaid == 1


def test_without_a_partial_nothing_is_promoted_and_the_text_comes_whole_and_late() -> None:
    d = at_the_deadline("")
    assert d.finals == [] and d.of(ev.FinalizeDone)[0].outcome == "timeout"
    d.completed("a", "Cast off.")
    assert [(f.text, f.late) for f in d.finals] == [("Cast off.", True)]


def test_a_promoted_turn_whose_connection_drops_is_sent_again_for_its_rest() -> None:
    d = at_the_deadline("Cast off").drop().at(2.5).open().configure().at(3.0)
    assert len(d.audio[2]) >= 1_000 * 48
    d.committed("b").delta("b", "Cast").completed("b", "Cast off the bow line.")
    assert d.texts == ["Cast off", "the bow line."]


def test_a_stop_promotes_what_was_shown() -> None:
    d = Driver(options("none")).connect().push(tone(1_000)).finalize().committed("a").delta("a", "Cast off")
    d.session.stop(d.now)
    d.pump()
    d.at(1.0)
    assert [(f.text, f.promoted) for f in d.finals] == [("Cast off", True)]
    assert d.totals["lost"] == 0 and [f.outcome for f in d.of(ev.FinalizeDone)] == ["stopped"]


def test_what_was_shown_before_a_drop_is_promoted_if_nothing_longer_came_since() -> None:
    d = Driver(options("none")).connect().push(tone(1_000)).finalize().committed("a").delta("a", "Cast off the")
    d.drop().at(0.3).open().configure().at(0.5).committed("b").delta("b", "Cast").at(2.0)
    assert [(f.text, f.promoted) for f in d.finals] == [("Cast off the", True)]


@pytest.mark.parametrize(
    ("promoted", "text", "rest"),
    [
        ("Hello", "Hello world", "world"),
        ("hello,", "Hello world", "world"),
        ("Hello world", "hello, world.", ""),
        ("Hello wor", "Hello world again", "world again"),
        ("Hello world", "Hello", None),
        ("Hello word", "Hello world", None),
        ("Bell", "Hello", None),
        ("今天", "今天天气", "天气"),
        ("...", "Hello", "Hello"),
    ],
)
def test_the_rest_of_a_promoted_text(promoted: str, text: str, rest: str | None) -> None:
    assert rest_of(promoted, text) == rest
