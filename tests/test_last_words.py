"""Who ends a recording waits for the words of it as long as they come, and not for ever when they do not."""

from __future__ import annotations

from typing import Any

import pytest
from ten_packages.extension.openai_asr_python.devkit.transcription.job import Received
from ten_packages.extension.openai_asr_python.devkit.transcription.last_words import QUIET_S, LastWords


def said(text: str, *, turn: str = "1", final: bool = False) -> Received:
    return Received("asr_result", {"id": turn, "text": text, "final": final})


def unsettled(milliseconds: int) -> Received:
    return Received("metrics", {"metrics": {"vendor_metrics": {"unsettled_ms": milliseconds}}})


def status(current: str) -> Received:
    return Received("connection_status_changed", {"current": current})


def answer(finalize_id: str = "f") -> Received:
    return Received("asr_finalize_end", {"finalize_id": finalize_id})


LATE = Received("error", {"vendor_info": {"code": "finalize_timeout"}})


def asked(*before: Received, **how: Any) -> LastWords:
    words = LastWords()
    for message in before:
        words.take(message, 90.0)
    words.ask("f", 100.0, **how)
    return words


def gives_up_at(words: LastWords) -> float:
    """In tenths of seconds from the ask on."""
    return next(tenths / 10 for tenths in range(10_000) if not words.awaited(100 + tenths / 10))


def test_an_answer_ends_it() -> None:
    words = asked(unsettled(4_000))
    words.take(answer("another"), 101)
    assert not words.all_here and words.awaited(101)
    words.take(answer(), 101)
    assert words.all_here and not words.awaited(101)


def test_an_answer_at_its_deadline_is_not_the_end() -> None:
    words = asked(unsettled(4_000))
    for message in (LATE, answer()):
        words.take(message, 102)
    assert not words.all_here
    words.take(unsettled(300), 103)  # the rest is silence
    assert words.all_here


def test_words_that_do_not_come_are_given_up() -> None:
    assert gives_up_at(asked(said("one"), unsettled(4_000))) == QUIET_S
    assert gives_up_at(asked(quiet_s=3)) == 3
    assert gives_up_at(asked(quiet_s=3, deaf_s=15)) == 18


@pytest.mark.parametrize(
    "news", [said("one two"), said("one", turn="2"), said("", final=True), unsettled(3_000), status("connected")]
)
def test_each_sign_of_more_gives_it_its_time_again(news: Received) -> None:
    words = asked(said("one"), quiet_s=3)
    words.take(news, 102)
    assert gives_up_at(words) >= 5


@pytest.mark.parametrize("message", [said("one"), unsettled(4_000), status("connecting"), status("disconnected"), LATE])
def test_what_says_nothing_new_does_not(message: Received) -> None:
    words = asked(said("one"), unsettled(4_000), quiet_s=3)
    words.take(message, 102)
    assert gives_up_at(words) == 3


def test_news_while_nothing_can_come_shortens_nothing() -> None:
    words = asked(quiet_s=3, deaf_s=15)
    words.take(unsettled(2_000), 101)
    assert gives_up_at(words) == 18


def test_what_is_heard_again_is_given_the_time_of_its_sound() -> None:
    """It was shown before the connection was lost, and nothing of it is shown anew."""
    words = asked(said("one"), unsettled(40_000), status("disconnected"), quiet_s=3)
    words.take(status("connected"), 102)
    assert gives_up_at(words) == 45
    words = LastWords()
    for message in (unsettled(40_000), status("connected")):
        words.take(message, 95)
    words.ask("f", 100.0, quiet_s=3)  # stopped soon after
    assert gives_up_at(words) == 38
