"""The golden traces in the client's direction: it says what the trace has, and makes of the answers what they mean."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from golden_client import APPEND, COMMIT, RATE, SOUNDS, Play, Socket, current_traces, options_of, trace
from sessions import TRANSCRIPTION, Driver
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.session import SessionState

NEVER_SAID = {"input_audio_buffer.clear", "nope"}
"What a trace's client says and ours has no reason to."


def spans(driver: Driver) -> list[tuple[str, int, int]]:
    return [(f.text, f.start_ms, f.start_ms + f.duration_ms) for f in driver.finals]


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    """Types in order, neighbouring appends as one."""
    return [kind for kind, _ in itertools.groupby(m["type"] for m in messages if m["type"] not in NEVER_SAID)]


def includes(asked: Any, said: Any) -> bool:
    """Whether *said* has all of *asked*; beyond that it may only switch things off."""
    if isinstance(asked, dict):
        return all(k in said and includes(v, said[k]) for k, v in asked.items()) and all(
            said[k] is None for k in said.keys() - asked.keys()
        )
    return bool(asked == said)


# What the client says -----------------------------------------------------------------------------------------

SAME_WORDS = ["g01_server_vad", "g02_manual_commit", "g04_failed_item", "g05_out_of_order", "g09_text_before_commit"]


def check_audio(socket: Socket) -> None:
    """All that was spoken is on the wire, in its order; what the client adds is silence."""
    at, spoken, added = 0, socket.spoken, 0
    step = 4_800
    for begin in range(0, len(socket.audio), step):
        piece = socket.audio[begin : begin + step]
        if spoken[at : at + len(piece)] == piece:
            at += len(piece)
        else:
            assert not any(piece), "only silence may be added"
            added += len(piece)
    assert at == len(spoken) and added <= 2 * 400 * 48


@pytest.mark.parametrize("name", SAME_WORDS)
def test_the_client_says_what_the_trace_has(name: str) -> None:
    play = Play(trace(name))
    (socket,) = play.sockets[:1]
    assert kinds(socket.sent) == kinds(socket.expected)
    check_audio(socket)
    (update,) = socket.said("session.update")
    asked = next(m for m in socket.expected if m["type"] == "session.update")
    assert includes(asked["session"], update["session"])
    assert all(message.get("event_id") for message in socket.said(COMMIT)), "an error must be able to name its commit"


@pytest.mark.parametrize("name", current_traces())
def test_the_handshake_of_every_trace(name: str) -> None:
    steps = [step["m"] for step in trace(name) if step["m"].get("ws") == "open"]
    play = Play(trace(name))
    for opened, socket in zip(steps, play.sockets, strict=True):
        assert socket.url == opened["url"]
        assert set(socket.headers) == set(opened["headers"])
        assert socket.headers["authorization"].startswith("Bearer sk-")


@pytest.mark.parametrize("name", current_traces())
def test_nothing_in_a_trace_is_strange_to_the_client(name: str) -> None:
    for driver in Play(trace(name)).drivers:
        stats = driver.session.stats
        assert stats.malformed_events == stats.unknown_events == 0
        assert [e for e in driver.of(ev.WireEvent) if not e.known] == []
        odd = [warning.message for warning in driver.of(ev.Warned) if "obfuscation" not in warning.message]
        assert odd == []


# What it makes of the answers ---------------------------------------------------------------------------------


def test_g01_a_turn_of_the_server() -> None:
    d = Play(trace("g01_server_vad")).driver
    assert spans(d) == [("The ferry leaves now.", 0, 2_016)]
    texts = ["The", "The ferry", "The ferry leaves", "The ferry leaves now", "The ferry leaves now."]
    assert [p.text for p in d.partials] == texts
    assert len({t.result_id for t in d.of(ev.Transcript)}) == 1
    assert [(e.item_id, e.start_ms) for e in d.of(ev.SpeechStarted)] == [("item_1", 0)]
    assert [(e.item_id, e.end_ms) for e in d.of(ev.SpeechStopped)] == [("item_1", 2_016)]
    assert [(e.item_id, e.previous_item_id, e.start_ms, e.duration_ms) for e in d.of(ev.Committed)] == [
        ("item_1", None, 0, 2_016)
    ]
    assert d.finals[0].usage["total_tokens"] == 25 and d.session.stats.billed_tokens == 25
    assert d.of(ev.ServerError) == d.of(ev.ClientError) == d.of(ev.AudioLost) == []
    assert d.session.state is SessionState.STOPPED and d.closed == [1]


def test_g02_a_turn_of_the_client_with_hints_and_a_detected_language() -> None:
    d = Play(trace("g02_manual_commit")).driver
    assert spans(d) == [("Kestrel has docked.", 0, 300)]
    assert d.finals[0].language == "en" and d.session.stats.billed_seconds == 1
    assert [(e.finalize_id, e.outcome, e.fence_ms) for e in d.of(ev.FinalizeDone)] == [("f1", "final", 300)]
    assert d.session.connected


def test_g03_a_commit_of_nothing_is_never_sent_and_another_ones_error_is_never_told() -> None:
    play = Play(trace("g03_empty_commit"))
    d = play.driver
    assert len(play.sockets[0].said(COMMIT)) == 1, "the trace has two: one over nothing"
    assert [(e.finalize_id, e.outcome) for e in d.of(ev.FinalizeDone)] == [("f1", "empty"), ("f2", "final")]
    assert spans(d) == [("Aye.", 0, 200)]
    assert d.of(ev.ServerError) == d.of(ev.ClientError) == []


def test_g04_a_failed_item_is_told_with_its_times_and_the_next_one_is_heard() -> None:
    d = Play(trace("g04_failed_item"), finalize_timeout_ms=5_000).driver
    (failure,) = d.of(ev.ServerError)
    assert (failure.code, failure.item_id, failure.start_ms, failure.duration_ms, failure.fatal) == (
        "server_error",
        "item_1",
        0,
        200,
        False,
    )
    assert failure.repairing and d.finals == []
    d.repair({"type": TRANSCRIPTION + "failed", "error": {"type": "server_error", "code": None}})
    assert [(e.start_ms, e.duration_ms) for e in d.of(ev.AudioLost)] == [(0, 200)]
    assert spans(d) == [("Once more.", 200, 400)]
    assert [e.finalize_id for e in d.of(ev.FinalizeDone)] == ["f1", "f2"] and len(d.dialled) == 1


def test_g05_finals_leave_in_the_order_of_the_audio_and_partials_are_not_mixed() -> None:
    d = Play(trace("g05_out_of_order")).driver
    assert spans(d) == [("The tide tables are on the wall.", 500, 6_016), ("No.", 6_900, 8_416)]
    assert [(p.item_id, p.text) for p in d.partials] == [
        ("item_2", "No."),
        ("item_1", "The tide tables"),
        ("item_1", "The tide tables are on the wall."),
    ]
    ids = {t.item_id: t.result_id for t in d.of(ev.Transcript)}
    assert [f.result_id for f in d.finals] == [ids["item_1"], ids["item_2"]] and len(set(ids.values())) == 2


def test_g06_the_end_of_a_session_is_a_drop_and_the_stream_goes_on() -> None:
    steps = trace("g06_session_expiry")
    d = Play(steps[:2]).driver.configure()
    d.at(3_599.9).push(SOUNDS["$SPEECH_100MS"], rate=RATE)
    for step in steps[4:6]:
        d.at(step["t"] / 1000).say(step["m"])
    d.drop(steps[6]["m"]["code"], steps[6]["m"]["reason"])
    (down,) = d.of(ev.Disconnected)
    assert down.code == "1001" and down.retry_in_ms is not None and down.retry_in_ms <= 250
    assert d.of(ev.ServerError) == d.of(ev.ClientError) == [], "nobody's fault"
    d.at(3_600.3).open().configure()
    d.push(SOUNDS["$SPEECH_100MS"] * 5 + SOUNDS["$SILENCE_100MS"] * 6, rate=RATE)
    heard = len(d.audio[d.conn]) // 48
    d.say({"type": "input_audio_buffer.speech_started", "item_id": "n", "audio_start_ms": 0})
    d.say({"type": "input_audio_buffer.speech_stopped", "item_id": "n", "audio_end_ms": heard})
    d.committed("n").completed("n", "and on it goes")
    (final,) = d.finals
    lost = sum(e.duration_ms for e in d.of(ev.AudioLost))
    assert (final.text, final.start_ms, final.start_ms + final.duration_ms) == ("and on it goes", lost, 1_200)


def test_g07_a_rate_limited_item_and_an_account_without_credit() -> None:
    play = Play(trace("g07_rate_limit_and_quota"))
    first, second = play.drivers
    (limited,) = first.of(ev.ServerError)
    assert limited.code == "rate_limit_exceeded" and not limited.fatal and "try again in 2s" in limited.message
    assert [(e.start_ms, e.duration_ms) for e in first.of(ev.AudioLost)] == [(0, 200)]
    assert [(e.finalize_id) for e in first.of(ev.FinalizeDone)] == ["f1"]
    (broke,) = second.of(ev.ServerError)
    assert broke.code == "insufficient_quota" and "billing" in broke.message
    assert second.of(ev.ClientError) == [], "one cause, one report"
    assert [down.code for down in second.of(ev.Disconnected)] == ["1013"]
    assert second.wire[1] == [], "nothing is sent to a server that refuses"
    assert second.session.state is SessionState.BACKOFF


@pytest.mark.parametrize("which", [0, 1])
def test_g08_a_refused_configuration_names_the_field(which: int) -> None:
    """Each of the two bad updates is the first of its session, which is how this client configures."""
    steps = trace("g08_invalid_updates")
    bad = [i for i, s in enumerate(steps) if s["m"].get("type") == "session.update"][which]
    d = Driver(options_of(steps[bad]["m"]["session"] if which == 0 else None)).start().open()
    error = steps[bad + 1]["m"]
    error["error"]["event_id"] = d.wire[1][0]["event_id"]
    d.say(error)
    (report,) = d.of(ev.ClientError)
    assert (report.code, report.vendor_code) == ("config_refused", error["error"]["code"]) and not report.fatal
    assert error["error"]["param"] in report.message and report.vendor_message == error["error"]["message"]
    assert d.of(ev.ServerError) == [], "one cause, one report"
    assert d.session.state is SessionState.BACKOFF and d.closed == [1]


def test_g08_a_request_the_server_does_not_know_harms_nothing_and_the_good_update_is_taken() -> None:
    steps = trace("g08_invalid_updates")
    good = steps[-2]["m"]
    d = Driver(options_of(good["session"])).start()
    d.session.connection_opened(1, {}, 0.0)
    d.say(steps[1]["m"])
    assert includes(good["session"], d.wire[1][0]["session"])
    d.say(steps[-1]["m"])
    assert d.session.connected and d.of(ev.Warned) == []
    d.say(steps[-3]["m"])
    (told,) = d.of(ev.ServerError)
    assert (told.code, told.param, told.fatal) == ("invalid_value", "type", False)
    assert d.session.connected


def test_g09_text_before_the_commit_belongs_to_the_turn_it_comes_in() -> None:
    d = Play(trace("g09_text_before_commit")).driver
    assert spans(d) == [("We sail at six tonight.", 0, 3_300), ("Good.", 3_300, 5_000)]
    assert [p.text for p in d.partials] == [
        "We",
        "We sail",
        "We sail at six",
        "We sail at six tonight.",
        "Good",
        "Good.",
    ]
    first, second = ({t.result_id for t in d.of(ev.Transcript) if t.item_id == item} for item in ("item_1", "item_2"))
    assert len(first) == len(second) == 1 and first != second
    assert d.session.stats.billed_seconds == pytest.approx(5.0)


def test_g10_a_drop_in_the_middle_of_a_turn_withdraws_its_text_and_goes_on() -> None:
    play = Play(trace("g10_reconnect"), stop_drain_ms=0, replay_speed_streaming=100.0)  # as fast as the trace's client
    d = play.driver
    assert len(play.sockets) == 2 and len(play.drivers) == 1, "it dials again by itself"
    assert [e.code for e in d.of(ev.ClientError)] == ["dropped"]
    final = d.finals[-1]
    assert final.text == "The anchor is stuck." and not final.retracted
    shown_first = {p.result_id for p in d.partials if p.item_id == "item_1"}
    shown_second = [p.text for p in d.partials if p.item_id == "item_9"]
    assert shown_second[-1] == "The anchor is stuck."
    assert all(final.text.startswith(text) for text in shown_second), "not mixed with what came before the drop"
    ended = {f.result_id for f in d.finals}
    assert shown_first <= ended, "what was shown before the drop ends in a final or is taken back"
    # The trace's client sends 12 pieces again, ours all of them.
    spoken_ms = (len(play.sockets[0].spoken) + len(play.sockets[1].spoken)) // 48
    assert d.of(ev.AudioLost) == [] and (final.start_ms, final.duration_ms) == (0, spoken_ms)


def test_g13_a_wrong_key_is_one_report_and_the_next_attempt_waits() -> None:
    d = Play(trace("g13_wrong_key")).driver
    (told,) = d.of(ev.ServerError)
    assert (told.code, told.fatal) == ("invalid_api_key", False)
    assert d.of(ev.ClientError) == [] and d.wire[1] == []
    (down,) = d.of(ev.Disconnected)
    assert (down.code, down.reason) == ("3000", "invalid_request_error.invalid_api_key")
    assert d.session.state is SessionState.BACKOFF and down.retry_in_ms is not None and down.retry_in_ms > 0


def test_a_client_that_says_something_else_is_noticed() -> None:
    """The comparison itself must be able to fail."""
    play = Play(trace("g02_manual_commit"))
    (socket,) = play.sockets
    socket.sent.append({"type": COMMIT})
    assert kinds(socket.sent) != kinds(socket.expected)
    socket.spoken += b"\x01\x00"
    with pytest.raises(AssertionError):
        check_audio(socket)
    assert not includes({"a": 1}, {"a": 2}) and not includes({"a": 1}, {"a": 1, "b": 2})
    assert APPEND in kinds(socket.expected)
