"""A configuration that changes while the stream runs: one answer each, nothing lost, and in force what it says."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from sessions import COMMITTING, TRANSCRIPTION, Driver, options, server, silence, started, stopped, tone
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.dialects.choice import DialectChoice
from ten_packages.extension.openai_asr_python.realtime.options import NoiseReductionOptions, SessionOptions
from ten_packages.extension.openai_asr_python.realtime.session import SessionState

OLD = options("server_vad")
SERVICE = (ev.Connecting, ev.Connected, ev.Disconnected, ev.ClientError, ev.ServerError)
OTHER_MODEL = "gpt-4o-mini-transcribe"


def told(opts: SessionOptions = OLD, **transcription: Any) -> SessionOptions:
    """*opts* with other words for the recogniser."""
    return opts.replace(transcription=replace(opts.transcription, **transcription))


def turns(kind: Any = "server_vad", opts: SessionOptions = OLD, **numbers: Any) -> SessionOptions:
    """*opts* with another detection of turns."""
    return opts.replace(turn_detection=replace(opts.turn_detection, type=kind, **numbers))


def of_service(d: Driver, since: int) -> list[ev.Event]:
    """What a user noticed of connections after the first *since* events."""
    return [e for e in d.events[since:] if isinstance(e, SERVICE)]


GERMAN = told(language="de")

# On the live connection


@pytest.mark.parametrize(
    ("new", "field", "value"),
    [
        (GERMAN, "transcription", {"model": COMMITTING, "language": "de"}),
        (told(prompt="names"), "transcription", {"model": COMMITTING, "prompt": "names"}),
        (
            OLD.replace(noise_reduction=NoiseReductionOptions("near_field", 0.5)),
            "noise_reduction",
            {"type": "near_field", "strength": 0.5},
        ),
        (
            turns(threshold=0.7, silence_duration_ms=300),
            "turn_detection",
            {"type": "server_vad", "threshold": 0.7, "prefix_padding_ms": 300, "silence_duration_ms": 300},
        ),
        (turns("semantic_vad"), "turn_detection", {"type": "semantic_vad", "eagerness": "auto"}),
    ],
)
def test_what_a_session_can_change_changes_on_its_connection(new: SessionOptions, field: str, value: Any) -> None:
    d = server().push(tone(500))
    before = len(d.events)
    d.reconfigure(new)
    assert d.changes == [] and d.session.options == OLD, "not before the server has said so"
    d.configure()
    assert d.changes == [("r1", "applied")] and d.session.options == new
    assert [len(d.configurations(1)), d.configurations(1)[-1][field]] == [2, value]
    assert len(d.dialled) == 1 and of_service(d, before) == []
    d.at(3.0).drop().at(3.5).open()
    assert d.configurations(2) == d.configurations(1)[-1:], "the next connection has it"


@pytest.mark.parametrize("by_id", [True, False])
def test_a_refusal_is_told_in_the_servers_words_and_changes_nothing(by_id: bool) -> None:
    d = server().push(tone(500)).reconfigure(GERMAN)
    event_id = d.wire[1][-1]["event_id"]
    before = len(d.events)
    names = {"event_id": event_id} if by_id else {"param": "session.audio.input.transcription.language"}
    d.error("invalid_value", message="no such language here", **names)
    assert d.changes == [("r1", "refused")] and "no such language here" in d.of(ev.Reconfigured)[0].message
    assert d.session.options == OLD and of_service(d, before) == []
    d.at(3.0).drop().at(3.5).open()
    assert d.configurations(2) == d.configurations(1)[:1], "the next connection has what was in force"


def test_an_error_about_something_else_is_no_answer() -> None:
    d = server().push(tone(500)).reconfigure(GERMAN)
    d.error("invalid_value", event_id="somebody", param="session.audio.input.transcription.language")
    assert d.changes == [] and len(d.of(ev.ServerError)) == 1
    assert d.configure().changes == [("r1", "applied")]


def test_an_update_nobody_answers_becomes_a_switch() -> None:
    d = server().push(silence(500)).reconfigure(GERMAN)
    d.at(2.9)
    assert len(d.dialled) == 1
    d.at(3.1).open(2).configure(2)
    assert d.changes == [("r1", "applied")] and d.conn == 2
    assert d.configurations(2)[0]["transcription"]["language"] == "de"


def test_an_echo_of_something_else_becomes_a_switch() -> None:
    d = server().push(silence(500)).reconfigure(turns(threshold=0.7))
    d.say({"type": "session.updated", "session": {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}})
    assert len(d.dialled) == 2 and d.changes == []
    assert d.open(2).configure(2).changes == [("r1", "applied")]


def test_what_nobody_asked_the_server_for_applies_at_once() -> None:
    d = server().push(tone(500))
    d.say(started("a", 0))
    new = OLD.replace(finalize_timeout_ms=700, replay_window_ms=0, order_hold_ms=100)
    sent = len(d.wire[1])
    d.reconfigure(OLD, "same").reconfigure(new, "numbers")
    assert d.changes == [("same", "applied"), ("numbers", "applied")] and len(d.wire[1]) == sent
    d.finalize().at(0.8)
    assert [e.latency_ms for e in d.of(ev.FinalizeDone)] == [700]
    d.drop().at(1.2).open().configure()
    assert d.totals["lost"] > 0 and not d.audio[2], "without a window nothing goes out again"


def test_what_the_model_does_not_take_is_said_with_the_answer() -> None:
    d = server().reconfigure(told(keywords=("Ada",)))
    assert d.changes == [("r1", "applied")] and "does not take keywords" in d.of(ev.Reconfigured)[0].message


def test_several_changes_are_answered_in_their_order() -> None:
    d = server().push(silence(500))
    d.reconfigure(GERMAN, "a").reconfigure(told(GERMAN, model=OTHER_MODEL), "b")
    d.reconfigure(told(GERMAN, model=OTHER_MODEL, prompt="names"), "c")
    assert len(d.dialled) == 1, "one after the other"
    d.configure()
    assert d.changes == [("a", "applied")] and len(d.dialled) == 2
    d.open(2).configure(2)
    assert d.changes[1:] == [("b", "applied")] and d.conn == 2
    d.configure()
    assert d.changes[2:] == [("c", "applied")]
    assert d.configurations(2)[-1]["transcription"] == {"model": OTHER_MODEL, "language": "de", "prompt": "names"}


# By a switch

MULAW = OLD.replace(input_audio_format="g711_ulaw")
SWITCHES = pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (OLD, told(model=OTHER_MODEL), None),
        (GERMAN, OLD, None),
        (OLD, MULAW, None),
        (MULAW, OLD, None),
        (OLD, OLD, DialectChoice()),
    ],
    ids=["model", "language taken back", "wire format", "wire format back", "another server"],
)


@SWITCHES
def test_what_a_session_cannot_change_is_another_sessions(
    old: SessionOptions, new: SessionOptions, place: DialectChoice | None
) -> None:
    d = Driver(old).connect().push(tone(1_000))
    d.say(started("a", 0))
    before = len(d.events)
    d.reconfigure(new, place=place)
    d.open(2).configure(2)
    assert d.conn == 1 and d.changes == [], "not in the middle of what is said"
    d.say(stopped("a", 1_000)).committed("a")
    assert d.conn == 2 and d.changes == [("r1", "applied")]
    d.push(silence(600) + tone(500) + silence(600))
    d.say(
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": "a", "transcript": "one"}, conn=1
    )
    assert d.closed == [1], "when its last text is there"
    d.say(started("b", 600), stopped("b", 1_100)).committed("b").completed("b", "two")
    assert [(f.text, f.start_ms, f.duration_ms) for f in d.finals] == [("one", 0, 1_000), ("two", 1_600, 500)]
    width = 8 if new.input_audio_format == "g711_ulaw" else 48
    assert len(d.audio[2]) == pytest.approx(1_700 * width, abs=100), "from the end of the last turn, and once"
    assert of_service(d, before) == [] and d.of(ev.AudioLost) == []
    assert d.configurations(2)[0]["format"]["type"] == ("audio/pcmu" if width == 8 else "audio/pcm")


def test_the_rest_of_a_turn_that_was_committed_does_not_go_to_the_session_that_takes_over() -> None:
    """Sound goes on for a moment behind the end the detector names: it was committed with the turn."""
    own = options("local_vad")
    d = Driver(own).connect().push(tone(1_000)).turn(0, 980)
    assert d.types() == ["session.update", "append", "commit"]
    d.reconfigure(told(own, model=OTHER_MODEL)).open(2).configure(2)
    assert d.conn == 2
    d.say({"type": "input_audio_buffer.committed", "item_id": "a"}, conn=1)
    d.say({"type": TRANSCRIPTION + "completed", "item_id": "a", "transcript": "said"}, conn=1)
    assert d.texts == ["said"] and d.totals["final"] == 1_000 and d.totals["pending"] == 0


def test_a_turn_that_does_not_end_is_ended_in_time() -> None:
    d = server().push(tone(1_000))
    d.say(started("a", 0)).reconfigure(told(model=OTHER_MODEL)).open(2).configure(2)
    d.push(tone(3_600), realtime=True)
    assert d.conn == 2 and d.changes == [("r1", "applied")]
    assert len(d.commits(1)) == 1 and d.totals["lost"] == 0
    assert len(d.audio[1]) + len(d.audio[2]) == pytest.approx(4_600 * 48, abs=200), "each sample is on one of them"


@pytest.mark.parametrize("status", [0, 401])
def test_a_refused_session_changes_nothing(status: int) -> None:
    d = server().push(tone(500))
    before = len(d.events)
    d.reconfigure(told(model=OTHER_MODEL))
    if status:
        d.session.connection_refused(2, status, {"reason": "no such model for you"}, d.now)
        d.pump()
    else:
        d.open(2)
        update = d.wire[2][-1]["event_id"]
        error = {"code": "invalid_model", "event_id": update, "message": "no such model for you"}
        d.say({"type": "error", "error": error}, conn=2)
    assert d.changes == [("r1", "refused")] and "no such model for you" in d.of(ev.Reconfigured)[0].message
    assert d.conn == 1 and d.session.options == OLD and of_service(d, before) == []
    d.say(started("a", 0), stopped("a", 500)).committed("a").completed("a", "still here")
    d.at(30.0)
    assert d.texts == ["still here"] and len(d.dialled) == 2, "the old session lives its time"


def test_a_session_that_does_not_come_about_is_given_up() -> None:
    d = server().push(silence(500)).reconfigure(told(model=OTHER_MODEL))
    for _ in range(8):
        d.at(d.now + 1.0)
        if d.spare not in d.closed and d.spare != 1:
            d.session.connection_lost(d.spare, 1006, "no route", d.now)
            d.pump()
    assert len(d.dialled) > 2, "it is tried again"
    d.at(10.1)
    assert d.changes == [("r1", "refused")] and "no route" in d.of(ev.Reconfigured)[0].message
    assert d.conn == 1 and d.session.options == OLD


def test_where_an_update_is_not_confirmed_a_new_session_is() -> None:
    d = Driver(options("none", "a"), dialects=DialectChoice("vllm")).start().open()
    d.push(silence(500)).reconfigure(told(options("none", "a"), keywords=("Ada",)), "words")
    assert d.changes == [("words", "applied")] and "does not take keywords" in d.of(ev.Reconfigured)[0].message
    d.reconfigure(options("none", "b"), "model")
    assert d.changes[1:] == [] and len(d.dialled) == 2
    d.open(2)
    assert d.changes[1:] == [("model", "applied")] and d.conn == 2 and d.wire[2][0]["model"] == "b"


# Without a connection


def test_while_connecting_it_waits_for_the_connection() -> None:
    d = Driver(OLD).start().reconfigure(GERMAN)
    assert d.changes == []
    d.open().configure()
    assert d.configurations(1)[-1]["transcription"]["language"] == "de" and d.changes == []
    assert d.configure().changes == [("r1", "applied")]


def test_a_connection_that_does_not_come_leaves_it_to_the_next() -> None:
    d = Driver(OLD).start().reconfigure(GERMAN)
    d.session.connection_refused(1, 503, {}, d.now)
    d.pump()
    assert d.changes == [("r1", "taken")]
    d.at(9.0).open()
    assert d.configurations(2)[0]["transcription"]["language"] == "de"


@pytest.mark.parametrize("where", ["idle", "backoff", "failed"])
def test_without_a_connection_the_next_one_has_it(where: str) -> None:
    d = Driver(OLD)
    if where == "backoff":
        d.connect().at(3.0).drop()
    elif where == "failed":
        d.start()
        while d.session.state is not SessionState.FAILED:
            d.session.connection_refused(d.conn, 401, {}, d.now)
            d.pump()
            d.at(d.session.get_timer() or d.now)
    assert d.session.state.value == where
    d.reconfigure(GERMAN)
    assert d.changes == [("r1", "taken")]
    if where == "idle":
        d.start()
    d.at(d.now + 1.0).open()
    assert d.configurations(d.conn)[0]["transcription"]["language"] == "de", "failed: it is tried again with it"


def test_what_was_taken_and_is_refused_is_taken_back() -> None:
    d = server().push(tone(500)).at(3.0)
    d.drop().reconfigure(told(model=OTHER_MODEL)).at(3.5).open()
    assert d.configurations(2)[0]["transcription"]["model"] == OTHER_MODEL
    update = d.wire[2][-1]["event_id"]
    d.say({"type": "error", "error": {"code": "invalid_model", "event_id": update, "message": "not for you"}})
    assert d.changes == [("r1", "taken"), ("", "reverted")] and "not for you" in d.of(ev.Reconfigured)[1].message
    assert d.session.options == OLD
    d.at(9.0).open().configure()
    assert d.configurations(3) == d.configurations(1) and len(d.audio[3]) == pytest.approx(500 * 48, abs=100)


# While it is under way


@pytest.mark.parametrize("new", [GERMAN, told(model=OTHER_MODEL)])
def test_stopped_before_it_was_applied(new: SessionOptions) -> None:
    d = server().push(tone(500)).reconfigure(new).reconfigure(OLD, "r2")
    d.session.stop(d.now)
    d.pump()
    assert d.changes == [("r1", "stopped"), ("r2", "stopped")]
    d.at(5.0)
    assert len(d.changes) == 2 and set(d.closed) == {conn for _, conn in d.dialled}
    assert d.reconfigure(new, "r3").changes[2:] == [("r3", "stopped")], "afterwards, too"


def test_a_drop_while_the_server_is_asked() -> None:
    d = server().push(tone(500)).reconfigure(GERMAN).at(2.5).drop()
    assert d.changes == [("r1", "taken")]
    d.at(3.0).open().configure()
    assert d.configurations(2)[0]["transcription"]["language"] == "de"
    assert len(d.changes) == 1 and len(d.audio[2]) == pytest.approx(500 * 48, abs=100)


@pytest.mark.parametrize("ready", [True, False])
def test_a_drop_while_another_is_to_take_over(ready: bool) -> None:
    d = server().push(tone(500))
    d.say(started("a", 0)).reconfigure(told(model=OTHER_MODEL)).at(2.5)
    if ready:
        d.open(2).configure(2)
    d.drop()
    assert d.conn == 2 and d.changes == [("r1", "applied" if ready else "taken")]
    if not ready:
        d.open(2).configure(2)
    assert len(d.changes) == 1 and d.session.options.transcription.model == OTHER_MODEL
    assert len(d.audio[2]) == pytest.approx(500 * 48, abs=100) and d.of(ev.AudioLost) == []
