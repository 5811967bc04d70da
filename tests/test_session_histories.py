"""What the random histories found (tests/test_invariants.py), each as the shortest story that shows it."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from sessions import TRANSCRIPTION, Driver, options, silence, started, stopped, tone
from ten_packages.extension.openai_asr_python.realtime import events as ev

EPOCH = 1_790_000_000


def failed(item: str) -> dict[str, object]:
    return {"type": TRANSCRIPTION + "failed", "item_id": item, "error": {"code": None, "type": "server_error"}}


def accept(d: Driver, conn: int, life: int) -> None:
    """Let *conn* have a session that ends in *life* seconds."""
    d.open(conn, {"Date": formatdate(EPOCH + d.now, usegmt=True)})
    d.configure(conn, expires_at=EPOCH + int(d.now) + life)


def test_after_a_machine_slept_everything_that_is_due_at_once_is_done() -> None:
    d = Driver(options("none")).connect().push(tone(500)).finalize()
    d.committed("i1").say(failed("i1"))
    assert len(d.repairs) == 1, "it is still being dialled when the lid closes"
    d.auto_pong = False
    d.at(6.0)
    d.now = 600.0
    d.session.handle_timer(d.now)
    d.pump()
    d.at(610.0)
    assert sorted(d.closed)[:2] == [1, 2] and len(d.dialled) >= 2, "both are given up, and the stream goes on"
    d.open().configure().at(d.now + 1.0)
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": "said before"})
    assert d.texts == ["said before"] and d.of(ev.AudioLost) == [], "nobody could be asked while it slept"


def test_speech_that_waits_to_be_heard_again_moves_with_a_rollover() -> None:
    d = Driver(options("server_vad")).connect().push(tone(1_000)).say(started("a", 0), stopped("a", 1_000))
    d.at(3.0).drop().at(3.3)
    accept(d, 2, 4)
    assert len(d.audio[2]) == pytest.approx(1_000 * 48, abs=100)
    d.at(7.2)
    accept(d, d.spare, 3_600)
    d.at(7.25)
    assert d.conn == d.spare == 3
    assert len(d.audio[3]) == pytest.approx(1_000 * 48, abs=100), "no server has heard it yet"
    d.say(started("b", 0), stopped("b", 1_000)).committed("b").completed("b", "hello")
    assert d.texts == ["hello"]


def test_what_a_retired_server_makes_of_audio_that_moved_on_is_void() -> None:
    d = Driver(options("server_vad", sample_rate=24_000)).start()
    accept(d, 1, 4)
    before, behind = tone(500, rate=24_000), tone(500, 300.0, rate=24_000)
    d.push(before, rate=24_000).say(started("a", 0), stopped("a", 500)).committed("a").push(behind, rate=24_000)
    d.at(3.2)
    accept(d, 2, 3_600)
    d.at(3.25)
    assert d.conn == 2 and 1 not in d.closed, "the text of its item is due"
    assert bytes(d.audio[2]) == behind, "all that lies behind the item, to the sample"
    d.say(started("b", 500), stopped("b", 1_000), conn=1)
    d.say({"type": TRANSCRIPTION + "completed", "item_id": "b", "transcript": "twice"}, conn=1)
    d.say(started("x", 0), stopped("x", 500)).committed("x").completed("x", "once")
    d.say({"type": TRANSCRIPTION + "completed", "item_id": "a", "transcript": "first"}, conn=1)
    assert [(f.text, f.start_ms, f.duration_ms) for f in d.finals] == [("first", 0, 500), ("once", 500, 500)]


def test_speech_that_a_server_finds_behind_the_answer_is_late() -> None:
    d = Driver(options("server_vad")).connect().push(tone(500)).finalize().at(2.1)
    assert len(d.of(ev.FinalizeDone)) == 1
    d.push(tone(500)).say(started("a", 100), stopped("a", 500)).committed("a").completed("a", "before")
    assert [(f.text, f.late) for f in d.finals] == [("before", True)]


def test_an_echo_of_an_item_under_repair_takes_nothing_from_the_live_audio() -> None:
    d = Driver(options("none")).connect().push(tone(500)).finalize()
    d.committed("i1").say(failed("i1"))
    d.push(tone(500)).committed("i1").push(tone(500)).finalize("f2")
    assert len(d.commits()) == 2, "what follows is committed at its fence"
    d.committed("i2", "i1").completed("i2", "second")
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": "first"})
    assert [(f.text, f.start_ms, f.duration_ms) for f in d.finals] == [("first", 0, 500), ("second", 500, 1_000)]


def test_an_item_ends_at_its_own_commit_however_many_are_under_way() -> None:
    d = Driver(options("semantic_vad")).start()
    d.push(tone(500)).finalize("f1").push(tone(700)).finalize("f2").open().configure()
    assert len(d.commits()) == 2
    d.committed("i1").committed("i2", "i1").completed("i2", "second").completed("i1", "first")
    assert [(f.text, f.start_ms, f.duration_ms) for f in d.finals] == [("first", 0, 500), ("second", 500, 700)]


def test_an_item_that_begins_with_a_long_silence_is_repaired_like_any_other() -> None:
    d = Driver(options("server_vad")).connect().push(silence(500)).say(started("a", 0))
    d.push(silence(3_000) + tone(500)).say(stopped("a", 4_000)).push(silence(1_000))
    d.committed("a").say(failed("a"))
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": "hello"})
    assert d.texts == ["hello"] and d.of(ev.AudioLost) == []


def test_a_repair_whose_audio_has_left_the_window_asks_for_no_text() -> None:
    d = Driver(options("none", replay_window_ms=2_000, max_turn_ms=1_000)).connect().push(tone(500)).finalize()
    d.committed("i1").say(failed("i1"))
    d.push(tone(3_000))
    conn = d.repairs[-1][1]
    d.open(conn).configure(conn)
    d.at(d.now + 1.0)
    assert not d.commits(conn) and conn in d.closed
    assert (d.of(ev.AudioLost)[0].start_ms, sum(e.lost_ms for e in d.of(ev.AudioLost) if e.start_ms < 500)) == (0, 500)


def test_a_drop_while_the_next_session_is_dialled_is_told_as_connecting() -> None:
    """Bases with a connection status allow no way from disconnected to connected but this one."""
    d = Driver(options("server_vad")).start()
    accept(d, 1, 4)
    d.at(3.2)
    assert d.spare == 2, "the next session is on its way"
    d.drop()
    accept(d, 2, 3_600)
    service = [e for e in d.events if isinstance(e, (ev.Connecting, ev.Connected, ev.Disconnected))]
    steps = [ev.Connecting, ev.Connected, ev.Disconnected, ev.Connecting, ev.Connected]
    assert [type(event) for event in service] == steps
    assert [event.connection for event in service] == [1, 1, 1, 2, 2]
