"""One bad thing stays one bad thing: reported once, with whose it is, and the stream goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asr_tester import Call, Json, node, poll, run_call
from tone_script import ToneScript
from wire_servers import COMMIT, TRANSCRIPTION, FakeServer, Peer

pytestmark = pytest.mark.socket

SPEECH = ToneScript().pause(100).say(5, ms=300).pause(100).pcm


async def two_turns(call: Call) -> None:
    for number in (1, 2):
        await call.send(SPEECH)
        await call.finalize(f"f{number}")
        await call.answer(f"f{number}")


def between_turns(*odd: Json | str | bytes) -> Any:
    """Two good turns, with something odd before and after the first."""

    async def behaviour(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        await peer.say(*odd)
        await peer.transcribe("one")
        await peer.say(*odd)
        await peer.transcribe("two", 2)

    return behaviour


def error_event(**details: Any) -> Json:
    return {"type": "error", "event_id": "event_9", "error": details}


@pytest.mark.parametrize(
    ("details", "code"),
    [
        (
            {"type": "server_error", "code": "overloaded", "message": "busy", "param": None, "event_id": None},
            "overloaded",
        ),
        ({"type": "rate_limit_error", "code": None, "message": "slow down"}, "rate_limit_error"),
        ({"type": "server_error", "code": 429, "message": "slow down"}, "429"),
        ({"type": "invalid_request_error", "code": "bad", "message": "no", "event_id": "stranger"}, "bad"),
        ({"type": None, "code": None, "message": None}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_an_error_event_is_one_error_and_the_stream_goes_on(details: Json, code: str) -> None:
    with FakeServer(between_turns(error_event(**details))) as server:
        call = run_call(node(server.url), two_turns)
        assert len(server.peers) == 1
    assert call.texts == ["one", "two"]
    # The server said it twice, so it is told twice.
    assert [(e["code"], e["vendor_info"]["code"]) for e in call.errors] == [(1000, code), (1000, code)]
    assert all(e["vendor_info"]["message"] == (details.get("message") or "") for e in call.errors)


@pytest.mark.parametrize(
    "junk",
    [
        "not json",
        "",
        "42",
        "[1]",
        '"text"',
        "null",
        "{}",
        '{"type": 7}',
        '{"type": null}',
        b"\x00\xff binary",
        b"\xff\xfe\xfd",
        '{"type": "' + "x" * 5000 + '"}',
        "[" * 5000,
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "tomorrows.event", "deep": {"er": [None]}},
        {"type": TRANSCRIPTION + "delta", "item_id": "stranger"},
        {"type": TRANSCRIPTION + "delta", "item_id": 7, "delta": {"no": "text"}},
        {"type": TRANSCRIPTION + "completed", "item_id": None, "transcript": ["no"]},
        {"type": "input_audio_buffer.committed", "item_id": []},
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": "soon", "item_id": "x"},
        {"type": "session.updated", "session": {"audio": None}},
        {"type": "session.created", "session": {}},
        {"type": "error", "error": "no object"},
        {"type": "error"},
    ],
    ids=lambda junk: repr(junk)[:40],
)
def test_junk_and_strange_events_pass_by(junk: Json | str | bytes) -> None:
    with FakeServer(between_turns(junk)) as server:
        call = run_call(node(server.url), two_turns)
        assert len(server.peers) == 1
    assert call.texts == ["one", "two"]
    assert not call.errors or junk == {"type": "error"}, "only an error event, however empty, is an error"


def test_an_error_that_keeps_coming_does_not_flood_the_graph() -> None:
    busy = [error_event(type="server_error", code="overloaded", message="busy")] * 50
    with FakeServer(between_turns(*busy)) as server:
        call = run_call(node(server.url), two_turns)
    assert call.texts == ["one", "two"]
    first, rest = call.errors
    assert first["message"] == "the server reported overloaded: busy"
    assert rest["message"] == "the server reported overloaded 99 more times: busy"
    assert rest["vendor_info"] == {"vendor": "openai", "code": "overloaded", "message": "busy"}


def test_null_and_missing_fields_of_transcripts_are_no_fault() -> None:
    async def sparse(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        await peer.say({"type": "input_audio_buffer.committed", "item_id": "item_1"})
        await peer.say({"type": TRANSCRIPTION + "delta", "item_id": "item_1", "delta": None})
        await peer.say({"type": TRANSCRIPTION + "delta", "item_id": "item_1", "delta": "one", "content_index": None})
        await peer.say(
            {
                "type": TRANSCRIPTION + "completed", "item_id": "item_1", "transcript": "one",
                "usage": None, "logprobs": None, "languages": None,
            }
        )  # fmt: skip
        await peer.transcribe("two", 2)

    with FakeServer(sparse) as server:
        call = run_call(node(server.url), two_turns)
    assert call.texts == ["one", "two"]
    assert not call.errors


def test_an_event_type_nobody_knows_is_said_once_however_often_it_comes() -> None:
    strange = {"type": "tomorrows.event"}
    with FakeServer(between_turns(strange, strange, strange)) as server:
        call = run_call(node(server.url), two_turns)
    said = [record for record in call.logs if "tomorrows.event" in record.getMessage()]
    assert len(said) == 1
    assert call.metric("vendor_metrics")[-1]["unknown_events"] == 6


async def fail_first(peer: Peer) -> None:
    await peer.configure()
    await peer.heard(COMMIT)
    await peer.committed("item_1")
    await peer.delta("item_1", "shown")
    error = {"type": "server_error", "code": None, "message": "no luck"}
    await peer.say({"type": TRANSCRIPTION + "failed", "item_id": "item_1", "content_index": 0, "error": error})
    await peer.transcribe("two", 2)


def test_the_audio_of_a_failed_item_is_tried_once_more() -> None:
    async def mend(peer: Peer) -> None:
        await peer.configure()
        await peer.transcribe("shown now", 1)

    with FakeServer(fail_first, mend) as server:
        call = run_call(node(server.url), two_turns)
        assert len(server.peers) == 2
    assert call.texts == ["shown now", "two"]
    assert call.finals[0]["id"] == call.partials[0]["id"], "the same result, once more"
    (error,) = call.errors
    assert (error["code"], error["vendor_info"]["code"]) == (1000, "server_error")
    assert "300 ms" in error["message"] and "100 ms" in error["message"] and "once more" in error["message"]


def test_an_item_that_fails_twice_costs_its_own_turn_and_no_other() -> None:
    async def fail(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        await peer.committed("again")
        error = {"type": "server_error", "code": None, "message": "no luck"}
        await peer.say({"type": TRANSCRIPTION + "failed", "item_id": "again", "content_index": 0, "error": error})

    with FakeServer(fail_first, fail) as server:
        call = run_call(node(server.url), two_turns)
        assert len(server.peers) == 2
    assert call.texts == ["", "two"]
    assert call.finals[0]["id"] == call.partials[0]["id"], "what was shown is taken back under its own id"
    first, second = call.errors
    assert first["vendor_info"] == {"vendor": "openai", "code": "server_error", "message": "no luck"}
    assert second["vendor_info"]["code"] == "vendor_failed"
    assert "300 ms" in second["message"] and "100 ms" in second["message"], "says which audio has no text"
    assert first["metadata"]["session_id"] == second["metadata"]["session_id"] == "call-1"


def test_an_error_while_connecting_does_not_end_the_attempts() -> None:
    """The first connection is refused with an error event before the session; the second is healthy."""

    async def refuse(peer: Peer) -> None:
        await peer.say(error_event(type="server_error", code="not_now", message="try again"))
        await peer.close(1013, "try again later")

    with FakeServer(refuse, between_turns()) as server:
        call = run_call(node(server.url), two_turns)
    assert call.texts == ["one", "two"]
    (error,) = call.errors
    assert (error["code"], error["vendor_info"]["code"]) == (1000, "not_now")


def test_a_refused_configuration_says_which_property_to_change() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.say({"type": "session.created", "session": {}})
        update = await peer.heard("session.update")
        details = {"type": "invalid_request_error", "code": "unknown_parameter", "message": "no such thing"}
        await peer.say(error_event(**details, param="session.audio.input.x", event_id=update["event_id"]))

    async def scenario(call: Call) -> None:
        await call.error("session.audio.input.x")

    with FakeServer(refuse) as server:
        call = run_call(node(server.url), scenario)
    assert all(error["code"] == 1000 for error in call.errors)
    assert any("property" in error["message"] for error in call.errors)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_a_refused_handshake_is_one_error_that_does_not_give_up(status: int) -> None:
    with FakeServer(between_turns(), refuse=lambda dial: status if dial == 1 else None) as server:
        call = run_call(node(server.url, dialect="openai"), two_turns)
    assert call.texts == ["one", "two"]
    (error,) = call.errors
    assert (error["code"], error["vendor_info"]["code"]) == (1000, str(status))


def test_a_wrong_key_is_told_without_the_key(serve) -> None:
    async def scenario(call: Call) -> None:
        await call.error("invalid_api_key")
        await asyncio.sleep(0.5)

    call = run_call(node(serve(api_key="sk-right").url, api_key="sk-wrong-canary-123456"), scenario)
    assert [error["code"] for error in call.errors] == [1000]
    assert "canary" not in call.story() and "sk-wrong" not in call.story()


def test_a_session_that_is_never_ready_is_given_up_and_dialled_again() -> None:
    """Accepts, and says nothing: after connect_timeout_ms that is one error and another attempt."""

    async def silent(peer: Peer) -> None:
        await poll("the end", lambda: peer.close_code is not None)

    with FakeServer(silent, between_turns()) as server:
        call = run_call(node(server.url, connect_timeout_ms=2_000), two_turns)
    assert call.texts == ["one", "two"]
    (error,) = call.errors
    assert error["code"] == 1000 and "did not come in time" in error["message"] + error["vendor_info"]["message"]
