"""The second chance of an item: failed, overdue, or not heard to its end."""

from __future__ import annotations

from typing import Any

import pytest
from sessions import (
    STREAMING,
    TRANSCRIPTION,
    Driver,
    options,
    server,
    silence,
    started,
    stopped,
    tone,
)
from ten_packages.extension.openai_asr_python.realtime import events as ev

FAILED: dict[str, Any] = {"type": TRANSCRIPTION + "failed", "error": {"type": "server_error", "code": None}}


def two_items() -> Driver:
    """Items `a` and `b`, committed."""
    d = server().push(tone(2_000))
    d.say(started("a", 0), stopped("a", 900)).committed("a")
    return d.say(started("b", 1_000), stopped("b", 1_900)).committed("b")


def test_a_failed_item_is_told_once_and_its_audio_is_tried_once_more_on_a_connection_of_its_own() -> None:
    d = two_items().completed("b", "second").say({**FAILED, "item_id": "a"})
    (error,) = d.of(ev.ServerError)
    assert (error.code, error.item_id, error.start_ms, error.duration_ms) == ("server_error", "a", 0, 900)
    assert error.repairing and d.texts == [] and d.commits(1) == []
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": "first"})
    assert d.texts == ["first", "second"] and [f.start_ms for f in d.finals] == [0, 1_000]
    assert len(d.audio[2]) == pytest.approx((900 + 400) * 48, abs=96), "the item and silence, not a sample more"
    assert d.session.stream.options.turn_detection.type == "server_vad"
    assert d.wire[2][0]["session"]["audio"]["input"]["turn_detection"] is None
    assert d.closed == [2] and d.of(ev.AudioLost) == [] and d.session.connected
    assert d.of(ev.Disconnected) == [] and len(d.of(ev.Connected)) == 1, "nobody need know of the other connection"


def test_an_item_that_fails_twice_is_lost_with_its_times_and_the_stream_goes_on() -> None:
    d = two_items().completed("b", "second").say({**FAILED, "item_id": "a"})
    d.repair(FAILED)
    assert d.texts == ["second"] and len(d.of(ev.ServerError)) == 1 and d.closed == [2]
    (loss,) = d.of(ev.AudioLost)
    assert (loss.start_ms, loss.duration_ms, loss.cause) == (0, 900, "vendor_failed")
    d.at(d.now + 30).say({**FAILED, "item_id": "a"})
    assert len(d.repairs) == 1 and d.texts == ["second"]


def test_a_repair_whose_connection_drops_starts_over() -> None:
    d = two_items().say({**FAILED, "item_id": "a"})
    d.open(2).session.connection_lost(2, 1006, "", d.now)
    d.pump()
    d.at(d.now + 0.6)
    assert [conn for _, conn in d.repairs] == [2, 3] and d.closed == [2]
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": "first"})
    assert d.texts == ["first"] and d.of(ev.ClientError) == []


def test_items_that_fail_are_repaired_one_after_the_other() -> None:
    d = two_items().say({**FAILED, "item_id": "b"}, {**FAILED, "item_id": "a"})
    assert len(d.repairs) == 1
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": "second"})
    assert d.texts == [] and len(d.repairs) == 2
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": "first"})
    assert d.texts == ["first", "second"] and d.closed == [2, 3]


def test_a_repair_that_is_never_answered_is_a_gap_after_six_seconds_and_its_audio() -> None:
    d = two_items().completed("b", "second").at(1.0).say({**FAILED, "item_id": "a"})
    d.repair().at(1.0 + 6.0 + 0.9 / 4 - 0.01)
    assert d.texts == []
    d.at(1.0 + 6.0 + 0.9 / 4 + 0.01)
    assert d.texts == ["second"]
    assert [(e.cause, e.start_ms, e.duration_ms) for e in d.of(ev.AudioLost)] == [("no_transcript", 0, 900)]


def test_an_item_that_holds_the_order_for_four_seconds_is_repaired() -> None:
    d = two_items().at(1.0).completed("b", "second")
    d.at(4.99)
    assert d.repairs == []
    d.at(5.01)
    assert len(d.repairs) == 1 and d.texts == []
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": "first"})
    assert d.texts == ["first", "second"]
    d.completed("a", "too late for its place")
    assert d.texts == ["first", "second"] and d.session.stats.duplicate_events == 1


def test_text_that_comes_while_its_item_is_repaired_ends_the_repair() -> None:
    d = two_items().completed("b", "second").at(4.1)
    d.open(2).configure(2).completed("a", "first after all")
    assert d.texts == ["first after all", "second"] and d.closed == [2]
    d.at(20.0)
    assert len(d.repairs) == 1 and d.of(ev.AudioLost) == []


@pytest.mark.parametrize("repair_first", [True, False])
def test_an_outage_of_everything_is_no_failure_of_a_repair(repair_first: bool) -> None:
    """The network goes while a repair is under way: its connection may end before or after the stream's own."""
    d = two_items().completed("b", "second").say({**FAILED, "item_id": "a"})
    d.open(2).configure(2)
    for conn in (2, 1) if repair_first else (1, 2):
        d.session.connection_lost(conn, 1006, "", d.now)
        d.pump()
    while d.now < 20.0:  # nothing can be reached for longer than a repair may take
        d.at(d.now + 0.5)
        for _, conn in [*d.dialled, *d.repairs]:
            d.session.connection_refused(conn, 0, {"reason": "unreachable"}, d.now)
            d.pump()
    assert d.of(ev.AudioLost) == [] and d.texts == []
    while not d.session.connected:
        d.at(d.now + 5.0)
        if d.conn:
            d.open(d.conn).configure(d.conn)
    d.at(d.now + 1.0)
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": "first"})
    assert d.texts == ["first", "second"] and d.of(ev.AudioLost) == []


def live_turn_heard_for(seconds: float) -> Driver:
    """Three words of a streaming model, at 0.5, 2.0 and 3.5 s; its `usage` says how much it heard of them."""
    d = Driver(options("none", STREAMING)).connect()
    d.push((silence(500) + tone(500) + silence(500)) * 3, realtime=True).finalize()
    d.at(d.now + 1.5).committed("a")
    return d.completed("a", "one two", usage={"type": "duration", "seconds": seconds})


def test_what_a_streaming_model_had_not_heard_at_its_commit_is_repaired_from_there() -> None:
    d = live_turn_heard_for(3.2)
    assert d.texts == ["one two"]
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": "three"})
    assert d.texts == ["one two", "three"] and d.of(ev.AudioLost) == []
    first, second = d.finals
    assert first.start_ms + first.duration_ms <= second.start_ms
    assert second.start_ms == pytest.approx(3_500, abs=20) and second.duration_ms == pytest.approx(500, abs=60)


@pytest.mark.parametrize("seconds", [4.0, 4.9, 0, 100.0, None, "3"])
def test_what_was_heard_is_not_repaired(seconds: Any) -> None:
    d = live_turn_heard_for(seconds)
    assert d.texts == ["one two"] and d.repairs == [] and d.of(ev.AudioLost) == []
