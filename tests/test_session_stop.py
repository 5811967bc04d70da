"""A stop before the session is ready: what was said gets the time of the drain."""

from __future__ import annotations

import pytest
from sessions import Driver, options, silence, tone
from ten_packages.extension.openai_asr_python.realtime.session import SessionState


def test_a_stop_while_connecting_gives_what_was_said_the_drain_time() -> None:
    d = Driver(options("none")).start().push(tone(500))
    d.session.stop(d.now)
    d.pump()
    d.at(0.2).open().configure()
    assert d.commits() and d.session.state is SessionState.DRAINING
    d.committed("a").completed("a", "said on the way out")
    assert d.texts == ["said on the way out"] and d.session.state is SessionState.STOPPED and d.closed == [1]


def test_a_stop_during_back_off_tries_once_more_for_what_was_said() -> None:
    d = Driver(options("none")).connect().push(tone(500)).drop()
    d.session.stop(d.now)
    d.pump()
    assert len(d.dialled) == 2
    d.open().configure().committed("a").completed("a", "said on the way out")
    assert d.texts == ["said on the way out"] and d.session.state is SessionState.STOPPED


@pytest.mark.parametrize("said", [b"", silence(500)])
def test_a_stop_while_connecting_without_speech_is_at_once(said: bytes) -> None:
    d = Driver(options("none")).start().push(said)
    d.session.stop(d.now)
    d.pump()
    assert d.session.state is SessionState.STOPPED and d.closed == [1]


def test_a_stop_whose_connection_does_not_come_ends_with_the_drain_time() -> None:
    d = Driver(options("none", stop_drain_ms=500)).start().push(tone(500))
    d.session.stop(d.now)
    d.pump()
    d.at(0.49)
    assert d.session.state is SessionState.DRAINING
    d.at(0.5)
    assert d.session.state is SessionState.STOPPED and d.totals["lost"] == 500


@pytest.mark.parametrize("detection", ["server_vad", "local_vad", "none"])
def test_audio_behind_a_stop_is_not_taken(detection: str) -> None:
    d = Driver(options(detection)).start().push(silence(40))
    d.session.stop(d.now)
    d.pump()
    d.push(tone(100))
    assert d.session.state.value == "stopped" and d.session.stream.ledger.accepted == 40 * 16
