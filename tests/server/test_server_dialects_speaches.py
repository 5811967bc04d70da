"""`--dialect speaches`: the beta's flat session in today's events, and quirks of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dialect_peers import closed, receive, refusal, say, until
from server_clients import BEARER, KEY
from server_peers import append, silence, speech
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from ten_packages.extension.openai_asr_python.realtime.messages import ErrorDetails
from websockets.asyncio.client import ClientConnection, connect

pytestmark = pytest.mark.socket

PATH = "/realtime?model=example/whisper&intent=transcription"
OWN = {
    "type": "server_vad",
    "threshold": 1.0,
    "prefix_padding_ms": 0,
    "silence_duration_ms": 550,
    "create_response": False,
}
COMMIT = {"type": "input_audio_buffer.commit"}
CLEAR = {"type": "input_audio_buffer.clear"}
COMPLETED = "conversation.item.input_audio_transcription.completed"


def update(**session: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": session}


@contextlib.asynccontextmanager
async def session(*lines: str | Line, path: str = PATH, **options: Any) -> AsyncIterator[ClientConnection]:
    recognizer = ScriptedRecognizer(lines, word_ms=10_000)
    async with LocalServer(port=0, recognizer=recognizer, api_key=KEY, dialect="speaches", **options) as server:
        async with connect(server.url + path, additional_headers=BEARER, compression=None) as socket:
            yield socket


async def own_turns(socket: ClientConnection) -> None:
    """Turn detection as good as off: nothing is as likely to be speech as that."""
    await say(socket, update(turn_detection=OWN))
    await until(socket, "session.updated")


async def effective(socket: ClientConnection) -> dict[str, Any]:
    session: dict[str, Any] = (await receive(socket))["session"]
    return session


async def test_the_url_says_what_the_session_begins_with() -> None:
    async with session(path=PATH + "&language=de") as socket:
        created = await receive(socket)
        assert created["type"] == "session.created"
        told = created["session"]
        assert told["input_audio_transcription"] == {"model": "example/whisper", "language": "de"}
        assert told["turn_detection"] == {
            "type": "server_vad",
            "threshold": 0.9,
            "prefix_padding_ms": 0,
            "silence_duration_ms": 550,
            "create_response": False,
        }
        assert told["input_audio_format"] == "pcm16" and "audio" not in told and "type" not in told


async def test_without_the_intent_the_model_is_that_of_the_conversation() -> None:
    async with session(path="/realtime?model=example/talker&transcription_model=example/ear") as socket:
        told = await effective(socket)
        assert (told["model"], told["input_audio_transcription"]["model"]) == ("example/talker", "example/ear")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/realtime?intent=transcription", BEARER),
        (PATH, {}),
        (PATH, {"Authorization": "Bearer wrong"}),
        (PATH + "&api_key=wrong", {}),
        ("/realtime/elsewhere?model=m", BEARER),
    ],
)
async def test_what_it_does_not_want_has_no_socket(path: str, headers: dict[str, str]) -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY, dialect="speaches") as server:
        assert await refusal(server.url + path, headers) == (403, "")


@pytest.mark.parametrize(("query", "headers"), [("", {"X-API-Key": KEY}), (f"&api_key={KEY}", {}), ("", BEARER)])
async def test_the_key_may_come_in_three_ways(query: str, headers: dict[str, str]) -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY, dialect="speaches") as server:
        async with connect(server.url + PATH + query, additional_headers=headers) as socket:
            assert (await receive(socket))["type"] == "session.created"


async def test_it_complains_and_applies_the_rest() -> None:
    async with session() as socket:
        await receive(socket)
        await say(
            socket,
            update(
                input_audio_format="pcm16",
                input_audio_transcription={"model": "example/other", "language": "fr"},
                turn_detection={**OWN, "threshold": 0.3, "prefix_padding_ms": 300},
            ),
        )
        *errors, updated = await until(socket, "session.updated")
        assert [event["error"]["code"] for event in errors] == [None, None]
        assert "`session.input_audio_format`" in errors[0]["error"]["message"]
        assert "`session.turn_detection.prefix_padding_ms`" in errors[1]["error"]["message"]
        told = updated["session"]
        assert told["input_audio_transcription"] == {"model": "example/other", "language": "fr"}
        assert (told["turn_detection"]["threshold"], told["turn_detection"]["prefix_padding_ms"]) == (0.3, 0)


@pytest.mark.parametrize("missing", ["threshold", "prefix_padding_ms", "silence_duration_ms", "create_response"])
async def test_turn_detection_that_is_not_complete_is_ignored_without_a_word(missing: str) -> None:
    async with session() as socket:
        await receive(socket)
        await say(socket, update(turn_detection={name: value for name, value in OWN.items() if name != missing}))
        assert (await effective(socket))["turn_detection"]["threshold"] == 0.9


@pytest.mark.parametrize(
    "message",
    [
        update(turn_detection=None, input_audio_transcription={"model": "example/other"}),
        update(input_audio_transcription=None),
        update(input_audio_format="mp3"),
        {"type": "session.update"},
        {"type": "transcription_session.update", "session": {}},
    ],
)
async def test_what_the_schema_refuses_is_discarded_whole(message: dict[str, Any]) -> None:
    async with session() as socket:
        await receive(socket)
        await say(socket, {**message, "event_id": "c_1"}, update())
        refused = (await receive(socket))["error"]
        assert (refused["type"], refused["code"], refused["event_id"]) == ("invalid_request_error", None, None)
        told = await effective(socket)
        assert told["input_audio_transcription"]["model"] == "example/whisper"
        assert told["turn_detection"]["threshold"] == 0.9


async def test_an_update_in_the_providers_shape_changes_nothing_and_is_confirmed() -> None:
    async with session() as socket:
        await receive(socket)
        nested = {"input": {"transcription": {"model": "example/other"}, "turn_detection": None}}
        await say(socket, update(type="transcription", audio=nested))
        told = await effective(socket)
        assert told["input_audio_transcription"]["model"] == "example/whisper" and told["turn_detection"] is not None


async def test_a_turn_of_the_client_has_finished_text_only() -> None:
    async with session("hello there") as socket:
        await own_turns(socket)
        await say(socket, append(speech(500)), append(silence(2000)), COMMIT)
        kinds = [event["type"] for event in await until(socket, COMPLETED)]
        assert kinds == ["input_audio_buffer.committed", "conversation.item.created", COMPLETED]


async def test_its_own_turns_end_after_silence() -> None:
    async with session("hello there") as socket:
        await receive(socket)
        await say(socket, append(speech(500)), append(silence(1000)))
        kinds = [event["type"].rpartition(".")[2] for event in await until(socket, COMPLETED)]
        assert kinds == ["speech_started", "speech_stopped", "committed", "created", "completed"]


@pytest.mark.parametrize("cut", [COMMIT, CLEAR])
async def test_positions_count_from_the_beginning_of_the_buffer(cut: dict[str, Any]) -> None:
    async with session("one", "two") as socket:
        await receive(socket)
        await say(socket, append(silence(2000)), cut, append(silence(1024)), append(speech(512)), append(silence(1000)))
        events = await until(socket, "input_audio_buffer.speech_stopped")
        started = next(event for event in events if event["type"].endswith("speech_started"))
        assert started["audio_start_ms"] == pytest.approx(1024, abs=40)
        assert events[-1]["audio_end_ms"] == pytest.approx(1024 + 512 + 550, abs=80)
        assert not any("buffer_start_ms" in event for event in events)


async def test_text_of_a_later_turn_may_come_first_and_the_chain_is_a_guess() -> None:
    async with session(Line("slow", delay_s=0.3), "quick", "last") as socket:
        await own_turns(socket)
        await say(socket, append(speech(300)), COMMIT, append(speech(300)), COMMIT)
        events = await until(socket, COMPLETED)
        events += await until(socket, COMPLETED)
        committed = [event for event in events if event["type"].endswith("committed")]
        finished = [event for event in events if event["type"] == COMPLETED]
        assert [event["transcript"] for event in finished] == ["quick", "slow"]
        assert [event["previous_item_id"] for event in committed] == [None, None]
        await say(socket, append(speech(300)), COMMIT)
        third = (await receive(socket))["previous_item_id"]
        assert third == committed[0]["item_id"] == finished[-1]["item_id"]


async def test_errors_say_neither_code_nor_what_they_answer() -> None:
    async with session() as socket:
        await receive(socket)
        await say(socket, {**COMMIT, "event_id": "c_1"})
        error = (await receive(socket))["error"]
        assert (error["code"], error["param"], error["event_id"]) == (None, None, None)
        assert "100ms" in error["message"]


async def test_failed_text_is_an_error_that_names_no_item() -> None:
    async with session(Line("", error=ErrorDetails(type="server_error", message="gone"))) as socket:
        await own_turns(socket)
        await say(socket, append(speech(300)), COMMIT)
        *_, failed = await until(socket, "error")
        assert failed["error"]["type"] == "server_error" and failed["error"]["code"] is None
        assert "item" not in failed["error"]["message"] and "item_id" not in failed


async def test_a_session_has_half_an_hour_and_ends_without_a_word() -> None:
    async with LocalServer(port=0, recognizer="scripted", dialect="speaches") as server:
        assert server.dialect.session_seconds == 1800
    async with session(session_seconds=0.2) as socket:
        assert await closed(socket) is None
