"""Connecting: nothing before the configuration is confirmed, first words survive, drops are redialled with manners."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from sessions import COMMITTING, LEEWAY, RATE, STREAMING, Driver, options, silence, started, stopped, tone
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.dialects.base import Dialect
from ten_packages.extension.openai_asr_python.realtime.dialects.choice import DialectChoice
from ten_packages.extension.openai_asr_python.realtime.messages import Decoded, read_server_message
from ten_packages.extension.openai_asr_python.realtime.session import SessionState


def test_nothing_is_sent_before_the_server_speaks_and_no_audio_before_the_echo() -> None:
    d = Driver(options()).start()
    d.push(tone(500))
    assert d.wire[1] == []
    d.session.connection_opened(1, {}, d.now)
    d.pump()
    assert d.wire[1] == []
    d.say({"type": "session.created", "session": {}})
    assert d.types() == ["session.update"]
    d.configure()
    assert d.types() == ["session.update", "append"]


def test_first_words_survive_a_session_that_is_ready_five_seconds_late() -> None:
    d = Driver(options())
    d.start()
    spoken = tone(5_000)
    d.push(spoken, realtime=True)
    d.open().configure()
    assert len(d.audio[1]) == pytest.approx(4_000 * 48, abs=48), "the burst, and a message at its speed"
    d.at(d.now + 0.5)
    assert len(d.audio[1]) == pytest.approx(5_000 * 48, abs=48)
    d.finalize().committed("i1").completed("i1", "first words")
    final = d.finals[0]
    assert (final.start_ms, final.duration_ms) == (0, 5_000)
    assert d.totals["final"] == 5_000 and d.totals["lost"] == 0


def test_the_update_names_every_field() -> None:
    d = Driver(options("server_vad")).start().open()
    session = d.wire[1][0]["session"]
    assert session["type"] == "transcription"
    audio = session["audio"]["input"]
    assert audio["format"] == {"type": "audio/pcm", "rate": 24000}
    assert audio["noise_reduction"] is None
    assert audio["transcription"]["model"] == COMMITTING
    assert audio["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
    }


def test_turn_detection_off_is_an_explicit_null() -> None:
    d = Driver(options("local_vad", STREAMING)).start().open()
    assert d.wire[1][0]["session"]["audio"]["input"]["turn_detection"] is None


def _echo(d: Driver, **changes: Any) -> dict[str, Any]:
    session = json.loads(json.dumps(d.wire[d.conn][-1]["session"]))
    session["audio"]["input"].update(changes)
    return {"type": "session.updated", "session": session}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("transcription", {"model": "whisper-1"}),
        ("format", {"type": "audio/pcmu"}),
        ("turn_detection", {"type": "server_vad", "threshold": 0.5}),
    ],
)
def test_a_wrong_echo_is_asked_again_once_then_reported_and_redialled(field: str, value: Any) -> None:
    d = Driver(options()).start().open()
    d.push(tone(200))
    d.say(_echo(d, **{field: value}))
    assert d.types() == ["session.update"] and len(d.wire[1]) == 2, "asked once more, and no audio yet"
    d.say(_echo(d, **{field: value}))
    errors = d.of(ev.ClientError)
    assert errors[0].code == "echo_mismatch" and not errors[0].fatal
    assert field in errors[0].message
    assert d.closed == [1] and d.session.state is SessionState.BACKOFF
    assert "append" not in d.types(1)


def test_a_small_difference_in_the_echo_is_one_warning() -> None:
    d = Driver(options()).start().open()
    d.say(_echo(d, noise_reduction={"type": "near_field"}))
    assert d.session.connected
    assert [w.code for w in d.of(ev.Warned)] == ["echo"]


def test_fields_the_server_adds_to_the_echo_are_its_own() -> None:
    d = Driver(options("server_vad")).start().open()
    echo = _echo(d)
    echo["session"]["expires_at"] = 1
    echo["session"]["audio"]["input"]["transcription"]["language"] = None
    echo["session"]["audio"]["input"]["turn_detection"]["create_response"] = False
    d.say(echo)
    assert d.session.connected and not d.of(ev.Warned)


def test_a_refused_update_is_told_with_its_field_and_redialled() -> None:
    d = Driver(options()).start().open()
    update = d.wire[1][0]
    d.error("unknown_parameter", event_id=update["event_id"], message="no such field", param="session.x")
    (error,) = d.of(ev.ClientError)
    assert (error.code, error.vendor_code) == ("config_refused", "unknown_parameter") and "session.x" in error.message
    assert d.of(ev.ServerError) == [], "one cause is one report"
    assert d.session.state is SessionState.BACKOFF


@pytest.mark.parametrize("stage", ["dial", "created", "updated"])
def test_a_connection_that_stays_mute_is_given_up_after_ten_seconds(stage: str) -> None:
    d = Driver(options()).start()
    if stage != "dial":
        d.session.connection_opened(1, {}, d.now)
        d.pump()
    if stage == "updated":
        d.say({"type": "session.created", "session": {}})
    d.at(9.9)
    assert d.closed == []
    d.at(10.1)
    assert d.closed == [1]
    assert d.of(ev.ClientError)[0].code == "connect_failed"


def test_a_drop_is_reported_once_and_redialled_within_a_quarter_second() -> None:
    d = Driver(options(), rng=0.999).connect()
    d.at(3.0).drop(1001, "going away")
    down = d.of(ev.Disconnected)[0]
    assert (down.code, down.retry_in_ms) == ("1001", 250)
    assert len(d.of(ev.ClientError)) == 1 and not d.of(ev.ClientError)[0].fatal
    d.at(3.26)
    assert [conn for _, conn in d.dialled] == [1, 2]


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012, 1013])
def test_every_close_we_did_not_ask_for_is_a_drop(code: int) -> None:
    d = Driver(options()).connect()
    d.at(3.0).drop(code)
    assert d.session.state is SessionState.BACKOFF


def test_what_was_not_answered_goes_out_again_at_its_place() -> None:
    d = Driver(options()).connect()
    d.take = False
    d.push(tone(20))  # handed to the transport, which takes no more
    d.push(tone(980, 600))
    d.take = True
    d.at(3.0).drop()
    d.at(3.3)
    assert len(d.dialled) == 2
    d.open().configure().finalize()
    assert len(d.audio[2]) == pytest.approx(1_000 * 48, abs=100)
    d.committed("i1").completed("i1", "all of it")
    final = d.finals[0]
    assert (final.start_ms, final.duration_ms, final.replayed) == (0, 1_000, True)
    assert d.totals["final"] == 1_000 and d.totals["lost"] == 0 and d.of(ev.AudioLost) == []


def test_with_replay_off_what_was_sent_is_lost_and_told_and_the_rest_goes_out() -> None:
    d = Driver(options(replay_window_ms=0)).connect()
    d.take = False
    d.push(tone(20))
    d.push(tone(980, 600))
    d.take = True
    d.at(3.0).drop()
    d.at(3.3).open().configure().finalize()
    assert len(d.audio[2]) == pytest.approx(980 * 48, abs=100)
    d.committed("i1").completed("i1", "the rest")
    final = d.finals[0]
    assert final.start_ms == pytest.approx(20, abs=1) and final.start_ms + final.duration_ms == 1_000
    assert d.totals["final"] == 980 and d.totals["lost"] == 20
    assert [(e.start_ms, e.duration_ms, e.cause) for e in d.of(ev.AudioLost)] == [(0, 20, "dropped")]


def test_useless_attempts_grow_apart_and_stay_below_eight_seconds() -> None:
    d = Driver(options(), rng=0.999).start()
    for _ in range(8):
        d.session.connection_refused(d.conn, 503, {}, d.now)
        d.pump()
        d.at(d.now + 8.01)
    waits = [e.retry_in_ms for e in d.of(ev.Disconnected)]
    assert waits[:5] == [500, 999, 1998, 3996, 7992]
    assert max(waits) <= 8_000
    assert len(d.of(ev.ClientError)) == 1, "one report per cause, not per attempt"


def test_accept_then_close_is_useless() -> None:
    d = Driver(options(), rng=0.999)
    d.start()
    for _ in range(4):
        d.open().configure()
        d.drop(1011)
        d.at(d.now + 8.01)
    assert [e.retry_in_ms for e in d.of(ev.Disconnected)] == [500, 999, 1998, 3996]


def test_retry_after_is_a_floor() -> None:
    d = Driver(options(), rng=0.0).start()
    d.session.connection_refused(1, 429, {"Retry-After": "7"}, d.now)
    d.pump()
    d.at(6.9)
    assert len(d.dialled) == 1
    d.at(7.1)
    assert len(d.dialled) == 2


def test_start_during_back_off_means_now_and_during_an_attempt_nothing() -> None:
    d = Driver(options(), rng=0.999).start()
    d.start()
    assert len(d.dialled) == 1
    for _ in range(4):
        d.session.connection_refused(d.conn, 503, {}, d.now)
        d.pump()
        d.start()
    assert len(d.dialled) == 5 and d.now == 0.0


def test_not_started_keeps_the_last_two_seconds_and_answers_at_once() -> None:
    d = Driver(options())
    d.push(tone(10_000), realtime=True)
    assert d.totals["gated"] == 8_000 and d.totals["lost"] == 0
    d.finalize()
    assert [(e.finalize_id, e.outcome) for e in d.of(ev.FinalizeDone)] == [("f1", "inactive")]
    d.connect().finalize("f2")
    assert len(d.audio[1]) == pytest.approx(2_000 * 48, abs=2_000)


def test_an_hour_of_outage_keeps_a_window_and_reports_the_loss_while_it_happens() -> None:
    d = Driver(options())
    d.start()
    frame = tone(1_000)
    for second in range(3_600):
        d.session.push_audio(frame, float(second))
        d.pump()
    assert d.session.stream.ledger.kept_bytes <= 61 * 32_000
    assert d.totals["lost"] == 3_540_000
    reported = sum(e.duration_ms for e in d.of(ev.AudioLost))
    assert reported >= 3_530_000, "what is not yet reported is the newest few seconds"
    assert len(d.of(ev.AudioLost)) < 1_000


def test_pings_and_a_missing_pong() -> None:
    d = Driver(options()).connect()
    d.auto_pong = False
    d.at(5.1)
    assert [t for t, _ in d.pings] == [5.0]
    d.session.pong_received(1, 5.2)
    d.at(10.9)
    assert [t for t, _ in d.pings] == [5.0, 10.0]
    d.at(15.9)
    assert d.closed == []
    d.at(16.1)
    assert d.closed == [1], "found within 15 s of the last sign of life"


def test_a_server_that_stops_reading_is_found() -> None:
    d = Driver(options()).connect()
    d.take = False
    d.push(tone(100))
    d.at(7.9)
    assert d.closed == []
    d.at(8.1)
    assert d.closed == [1]


def test_late_news_of_an_old_connection_change_nothing() -> None:
    d = Driver(options()).connect()
    d.at(3.0).drop()
    before = len(d.events)
    d.session.receive_message(1, b'{"type":"error","error":{}}', d.now)
    d.session.connection_lost(1, 1006, "", d.now)
    d.session.sent(1, 1, d.now)
    d.session.pong_received(1, d.now)
    d.pump()
    assert len(d.events) == before and len(d.dialled) == 1


def test_the_rate_is_fixed_by_the_first_audio() -> None:
    d = Driver(options()).connect()
    from ten_packages.extension.openai_asr_python.audio.level import LevelDetector

    d.session.set_sample_rate(48_000, LevelDetector(48_000))
    d.session.push_audio(tone(100, rate=48_000), d.now)
    assert d.session.stream.book.ms(d.session.stream.ledger.accepted) == 100
    with pytest.raises(ValueError, match="sample_rate"):
        d.session.set_sample_rate(RATE, LevelDetector(RATE))


def test_what_counts_as_one_frame_goes_by_the_rate_in_force() -> None:
    d = Driver(options(sample_rate=48_000)).connect()
    from ten_packages.extension.openai_asr_python.audio.level import LevelDetector

    d.session.set_sample_rate(8_000, LevelDetector(8_000))
    d.push(tone(100, rate=8_000), frame_ms=20, rate=8_000, realtime=True)
    d.push(tone(5_000, rate=8_000), frame_ms=5_000, rate=8_000)
    d.at(d.now + 5)
    assert max(m["audio"] for m in d.wire[1] if "audio" in m) <= 2_000 * 48, "long ones go out in pieces"


def test_silence_costs_nothing_to_remember() -> None:
    d = Driver(options("server_vad")).connect()
    for second in range(600):
        d.session.push_audio(silence(1_000), float(second))
        d.pump()
    assert d.session.stream.ledger.kept_bytes < 3 * 32_000 + 2 * LEEWAY
    assert d.totals["gated"] > 590_000
    assert d.session.stream.ledger.run_count < 20


class Several(Dialect):
    """A server that puts several events into one frame."""

    def decode(self, frame: bytes | str) -> Sequence[Decoded]:
        data = json.loads(frame)
        return [read_server_message(one) for one in (data if isinstance(data, list) else [data])]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1)])
def test_a_frame_of_several_events_hastens_what_any_of_them_hastens(order: tuple[int, ...]) -> None:
    choice = DialectChoice()
    choice.kind = Several
    d = Driver(options("server_vad", ping_interval_ms=60_000), dialects=choice).connect()
    d.push(tone(3_000), realtime=True).say(started("i1", 0)).push(silence(600), realtime=True)
    committed = {"type": "input_audio_buffer.committed", "item_id": "i1", "previous_item_id": None}
    events = [stopped("i1", 3_200), committed, started("i2", 3_400)]
    before = d.session.get_timer()
    nothing_came_of_it = d.session.receive_message(1, json.dumps([events[i] for i in order]), d.now)
    after = d.session.get_timer()
    assert before is not None and after is not None and after < before, "the text of the item is due now"
    assert not nothing_came_of_it
