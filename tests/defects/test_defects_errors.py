"""Errors and recovery: what went wrong is told once, as what it is, and the stream comes back (docs/defects.md, E)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from asr_tester import Call, Json, node, poll, run_call
from ten_packages.extension.openai_asr_python.extension import HAS_STATUS
from tone_script import ToneScript
from wire_servers import COMMIT, FakeServer, Peer

pytestmark = pytest.mark.socket

SPEECH = ToneScript().pause(100).say(5, ms=300).pause(100).pcm


async def one_turn(call: Call, finalize_id: str = "f1") -> None:
    await call.send(SPEECH)
    await call.finalize(finalize_id)
    await call.answer(finalize_id)


async def transcribe_all(peer: Peer) -> None:
    await peer.configure()
    turn = 1
    while True:
        await peer.transcribe(f"turn {turn}", turn)
        turn += 1


def error_event(**details: object) -> Json:
    return {"type": "error", "event_id": "event_9", "error": details}


@pytest.mark.parametrize("kind", ["server_error", "rate_limit_error", "authentication_error"])
def test_E1_an_error_before_the_session_is_told_and_nobody_waits_for_ever(kind: str) -> None:
    async def complain(peer: Peer) -> None:
        await peer.say(error_event(type=kind, code=None, message="not now"))
        await poll("the end", lambda: peer.close_code is not None)

    with FakeServer(complain, transcribe_all) as server:
        call = run_call(node(server.url, connect_timeout_ms=500), one_turn)
    assert call.texts == ["turn 1"]
    first = call.errors[0]
    assert first["code"] == 1000
    assert first["vendor_info"] == {"vendor": "openai", "code": kind, "message": "not now"}


def test_E5_a_request_refused_before_the_session_leaves_no_zombie() -> None:
    """The server refuses the configuration once, and takes the same from the next connection."""

    async def refuse(peer: Peer) -> None:
        await peer.say({"type": "session.created", "session": {}})
        update = await peer.heard("session.update")
        details = {"type": "invalid_request_error", "code": "bad", "message": "no", "event_id": update["event_id"]}
        await peer.say(error_event(**details))
        await poll("the end", lambda: peer.close_code is not None)

    with FakeServer(refuse, transcribe_all) as server:
        call = run_call(node(server.url, connect_timeout_ms=1_000), one_turn)
        assert server.peers[1].audio, "what was said in the meantime is still there"
    assert call.texts == ["turn 1"]
    assert call.errors and all(error["code"] == 1000 for error in call.errors)


def test_E7_a_service_that_returns_after_an_outage_is_found_however_often_it_was_tried() -> None:
    """Twenty attempts in vain, hurried by trigger_connect; then the service is back. One error told of it all."""
    back = 21

    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        for attempt in range(1, back):
            await poll(f"attempt {attempt}", lambda n=attempt: server.dials >= n)
            await call.send_data("trigger_connect")
        await call.finalize("f1")
        await call.answer("f1")

    with FakeServer(transcribe_all, refuse=lambda dial: 503 if dial < back else None) as server:
        call = run_call(node(server.url), scenario)
        assert server.dials == back
    assert call.texts == ["turn 1"]
    assert call.errors and {error["code"] for error in call.errors} == {1000}
    assert len(call.errors) <= 2, "one cause is no news twenty times"


def test_E11_each_connection_is_measured_and_its_state_told_where_the_base_can() -> None:
    async def die(peer: Peer) -> None:
        await peer.configure()
        await peer.transcribe("one")
        peer.abort()

    async def scenario(call: Call) -> None:
        await one_turn(call)
        await call.error("1006")
        await one_turn(call, "f2")

    with FakeServer(die, transcribe_all) as server:
        call = run_call(node(server.url), scenario)
    assert len(call.metric("connect_delay")) == 2
    states = [change["current"] for change in call.payloads("connection_status_changed")]
    expected = ["connecting", "connected", "disconnected", "connecting", "connected"]
    assert states[:5] == (expected if HAS_STATUS else [])


def test_E15_an_error_says_in_plain_words_what_where_and_whose() -> None:
    async def complain(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        details = {"type": "invalid_request_error", "code": "odd_value", "message": "that is odd"}
        await peer.say(error_event(**details, param="session.audio.input", event_id="stranger"))
        await peer.transcribe("one")

    with FakeServer(complain) as server:
        call = run_call(node(server.url), one_turn)
    (error,) = call.errors
    assert error["vendor_info"] == {"vendor": "openai", "code": "odd_value", "message": "that is odd"}
    assert error["message"] == "the server reported odd_value (field session.audio.input): that is odd"


def test_E16_a_key_that_is_exchanged_is_used_by_the_next_connection(tmp_path: Path) -> None:
    """Ephemeral keys live for minutes: each connect asks the command for one that is good."""
    key = tmp_path / "key"
    key.write_text("sk-first")

    async def expire(peer: Peer) -> None:
        await peer.configure()
        await peer.transcribe("one")
        key.write_text("sk-second")
        await peer.close(3000, "invalid_request_error.invalid_api_key")

    async def scenario(call: Call) -> None:
        await one_turn(call)
        await call.error("3000")
        await one_turn(call, "f2")

    command = f'"{sys.executable}" -c "print(open({str(key)!r}).read())"'
    with FakeServer(expire, transcribe_all) as server:
        call = run_call(node(server.url, api_key="", api_key_command=command), scenario)
        keys = [peer.headers["Authorization"] for peer in server.peers]
    assert keys == ["Bearer sk-first", "Bearer sk-second"]
    assert call.texts == ["one", "turn 1"]
