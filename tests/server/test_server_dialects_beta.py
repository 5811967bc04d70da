"""`--dialect beta`: the retired shape of the provider's protocol."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dialect_peers import closed, receive, say, until
from server_clients import BEARER, KEY
from server_peers import append, speech
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer
from websockets.asyncio.client import ClientConnection, connect

pytestmark = pytest.mark.socket

BETA = {**BEARER, "OpenAI-Beta": "realtime=v1"}
INTENT = "/realtime?intent=transcription"


def update(**session: Any) -> dict[str, Any]:
    return {"type": "transcription_session.update", "event_id": "c_1", "session": session}


@contextlib.asynccontextmanager
async def session(
    *lines: str, headers: dict[str, str] = BETA, path: str = INTENT, **options: Any
) -> AsyncIterator[ClientConnection]:
    recognizer = ScriptedRecognizer(lines, word_ms=10_000)
    async with LocalServer(port=0, recognizer=recognizer, api_key=KEY, dialect="beta", **options) as server:
        async with connect(server.url + path, additional_headers=headers, compression=None) as socket:
            yield socket


@pytest.mark.parametrize(
    ("headers", "path", "code", "ending"),
    [
        (BEARER, INTENT, "missing_beta_header", (4000, "invalid_request_error.missing_beta_header")),
        ({"OpenAI-Beta": "realtime=v1"}, INTENT, None, (3000, "invalid_request_error")),
        (BETA, "/realtime", "missing_model", (4000, "invalid_request_error.missing_model")),
    ],
)
async def test_what_it_does_not_want_it_refuses_on_the_socket(
    headers: dict[str, str], path: str, code: str | None, ending: tuple[int, str]
) -> None:
    async with session(headers=headers, path=path) as socket:
        assert (await receive(socket))["error"]["code"] == code
        assert await closed(socket) == ending


async def test_a_subprotocol_will_do_for_the_header() -> None:
    async with LocalServer(port=0, recognizer="scripted", dialect="beta") as server:
        offered: Any = ["realtime", "openai-insecure-api-key.sk-x", "openai-beta.realtime-v1"]
        async with connect(server.url + INTENT, subprotocols=offered) as socket:
            assert (await receive(socket))["type"] == "transcription_session.created"


async def test_the_flat_session_goes_there_and_back() -> None:
    async with session() as socket:
        await receive(socket)
        given = {
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "whisper-1", "language": "en", "prompt": "sea"},
            "input_audio_noise_reduction": {"type": "far_field"},
            "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
            "include": ["item.input_audio_transcription.logprobs"],
        }
        await say(socket, update(**given, modalities=["text"]))
        told = (await receive(socket))["session"]
        assert {name: told[name] for name in given} == given
        await say(socket, update(turn_detection=None, input_audio_noise_reduction=None))
        told = (await receive(socket))["session"]
        assert (told["turn_detection"], told["input_audio_noise_reduction"]) == (None, None)
        assert told["input_audio_transcription"] == given["input_audio_transcription"]


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ({"type": "transcription"}, "unknown_parameter", "session.type"),
        ({"audio": {}}, "unknown_parameter", "session.audio"),
        ({"input_audio_format": "pcm24"}, "invalid_value", "session.input_audio_format"),
        (
            {"input_audio_transcription": {"model": "whisper-1", "languages": ["en"]}},
            "unknown_parameter",
            "session.input_audio_transcription.languages",
        ),
        (
            {"input_audio_noise_reduction": {"type": "near_field", "strength": 1}},
            "unknown_parameter",
            "session.input_audio_noise_reduction.strength",
        ),
        ({"turn_detection": {"type": "server_vad", "threshold": 2}}, "decimal_above_max_value", None),
    ],
)
async def test_what_is_wrong_is_named_as_the_client_named_it(
    wrong: dict[str, Any], code: str, param: str | None
) -> None:
    async with session() as socket:
        await receive(socket)
        await say(socket, update(**wrong))
        error = (await receive(socket))["error"]
        assert (error["code"], error["param"], error["event_id"]) == (
            code,
            param or "session.turn_detection.threshold",
            "c_1",
        )
        assert "audio.input" not in error["message"]


async def test_todays_update_is_refused_and_the_session_lives() -> None:
    async with session("aye") as socket:
        await receive(socket)
        await say(socket, {"type": "session.update", "session": {"type": "transcription"}})
        assert (await receive(socket))["error"]["param"] == "type"
        await say(socket, update(input_audio_transcription={"model": "gpt-4o-transcribe"}, turn_detection=None))
        await receive(socket)
        await say(socket, append(speech(300)), {"type": "input_audio_buffer.commit"})
        events = await until(socket, "conversation.item.input_audio_transcription.completed")
        kinds = [event["type"].rpartition(".")[2] for event in events]
        assert kinds == ["committed", "created", "delta", "completed"]
        assert events[1]["item"]["object"] == "realtime.item"
        assert events[2].keys() == {"type", "event_id", "item_id", "content_index", "delta"}


async def test_a_session_has_half_an_hour() -> None:
    async with session(session_seconds=0.2) as socket:
        await receive(socket)
        error = (await receive(socket))["error"]
        assert (error["code"], "30 minutes" in error["message"]) == ("session_expired", True)
        assert await closed(socket) == (1001, error["message"])
