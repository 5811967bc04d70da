"""A key, a model or a quota that is refused: tried for half a minute, then fatal, and started anew."""

from __future__ import annotations

import pytest
from sessions import Driver, options, silence, tone
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.session import SessionState


def refused(d: Driver, code: str = "invalid_api_key", close: int = 3000) -> None:
    d.session.connection_opened(d.conn, {}, d.now)
    d.error(code, type="invalid_request_error", message="Incorrect API key provided")
    d.drop(close, f"invalid_request_error.{code}")


def test_a_refused_key_is_tried_for_half_a_minute_then_it_is_fatal() -> None:
    for luck in (0.0, 0.5, 0.999):
        d = Driver(options(), rng=luck).start()
        refusals = []
        while d.session.state.value != "failed":
            refusals.append(d.now)
            assert len(refusals) <= 6
            refused(d)
            if d.session.state.value != "failed":
                assert not any(e.fatal for e in d.of(ev.ClientError))
                due = d.session.get_timer()
                assert due is not None
                d.at(due)
        assert len(refusals) == 6 and refusals[-1] - refusals[0] >= 30.0
        assert len(d.of(ev.ServerError)) == 1, "the first refusal is told, the others are status only"
        assert [e.fatal for e in d.of(ev.ClientError)] == [True]
        assert "api_key" in d.of(ev.ClientError)[0].message
        d.at(d.now + 600)
        assert len(d.dialled) == 6, "not hammered"


def test_after_a_fatal_refusal_audio_is_lost_told_and_start_tries_again() -> None:
    d = Driver(options(), rng=0.5).start()
    d.finalize("f1")
    while d.session.state.value != "failed":
        refused(d)
        due = d.session.get_timer()
        if due is not None:
            d.at(due)
    assert [e.finalize_id for e in d.of(ev.FinalizeDone)] == ["f1"]
    d.push(tone(10_000), realtime=True).finalize("f2")
    assert d.of(ev.FinalizeDone)[-1].outcome == "inactive"
    assert d.totals["lost"] == 8_000 and d.totals["pending"] == 2_000
    d.start().open().configure().finalize("f3").committed("i").completed("i", "back")
    assert d.texts == ["back"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_these_answers_to_the_handshake_are_refusals(status: int) -> None:
    d = Driver(options(), rng=0.0).start()
    d.session.connection_refused(1, status, {}, d.now)
    d.pump()
    assert d.of(ev.Disconnected)[0].retry_in_ms == 1_000, "2 s, halved at most"


def test_a_quota_that_ran_out_is_a_refusal_though_its_close_code_says_try_again() -> None:
    d = Driver(options(), rng=0.0).start()
    refused(d, "insufficient_quota", 1013)
    assert d.of(ev.Disconnected)[0].retry_in_ms == 1_000
    plain = Driver(options(), rng=0.0).start()
    plain.drop(1013)
    assert plain.of(ev.Disconnected)[0].retry_in_ms == 0


def test_a_key_that_becomes_valid_forgets_the_refusals() -> None:
    d = Driver(options(), rng=0.0).start()
    for _ in range(4):
        refused(d)
        d.at(d.session.get_timer() or d.now)
    d.open().configure()
    d.drop(3000)
    assert d.of(ev.Disconnected)[-1].retry_in_ms == 1_000 and d.session.state.value == "backoff"


def test_what_is_lost_after_a_fatal_error_is_told_at_once_and_then_when_it_ends() -> None:
    d = Driver(options("none")).start()
    while d.session.state is not SessionState.FAILED:
        if d.session.state is SessionState.CONNECTING:
            d.session.connection_refused(d.conn, 401, {}, d.now)
            d.pump()
        else:
            d.at(d.session.get_timer() or 0.0)
    for _ in range(10):
        d.push(tone(1_000) + silence(1_000), realtime=True).finalize()
    assert [e.cause for e in d.of(ev.AudioLost)] == ["fatal"], "one report while it goes on"
    d.session.stop(d.now)
    d.pump()
    losses = d.of(ev.AudioLost)
    assert [e.cause for e in losses][:2] == ["fatal", "fatal"] and len(losses) <= 3
    assert sum(e.lost_ms for e in losses) == d.totals["lost"]
