"""`--dialect vllm`: 16 kHz, an utterance begins and ends with a commit, and nothing has an id."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dialect_peers import receive, refusal, say, until
from server_clients import BEARER, KEY
from server_peers import append, silence
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.devkit.server.dialects.vllm import Vllm
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.server.tones import make_block
from ten_packages.extension.openai_asr_python.realtime.messages import ErrorDetails
from websockets.asyncio.client import ClientConnection, connect

pytestmark = pytest.mark.socket

UPDATE = {"type": "session.update", "model": "example/voice"}
BEGIN = {"type": "input_audio_buffer.commit", "final": False}
END = {"type": "input_audio_buffer.commit", "final": True}
BOGUS = {"type": "bogus"}


def block(label: int) -> dict[str, Any]:
    """An append that says `b` and the label, at 16 kHz."""
    pad = silence(100, 16000)
    return append(pad + make_block(label, 300, 16000) + pad)


@contextlib.asynccontextmanager
async def session(
    *lines: str | Line, dialect: str | Vllm = "vllm", updated: bool = True, **options: Any
) -> AsyncIterator[ClientConnection]:
    recognizer = ScriptedRecognizer(lines, word_ms=100)
    async with LocalServer(port=0, recognizer=recognizer, api_key=KEY, dialect=dialect, **options) as server:
        async with connect(server.url + "/realtime", additional_headers=BEARER, compression=None) as socket:
            created = await receive(socket)
            assert created.keys() == {"type", "id", "created"} and created["id"].startswith("sess-")
            if updated:
                await say(socket, UPDATE)
            yield socket


async def error(socket: ClientConnection) -> tuple[str, str | None]:
    event = await receive(socket)
    assert event.keys() == {"type", "error", "code"} and event["type"] == "error"
    return event["code"], event["error"]


async def text(socket: ClientConnection) -> str:
    """Of the next utterance."""
    *deltas, done = await until(socket, "transcription.done")
    assert {event["type"] for event in deltas} <= {"transcription.delta"}
    assert "".join(event["delta"] for event in deltas) == done["text"]
    return str(done["text"])


async def nothing_waits(socket: ClientConnection) -> None:
    """A message nobody knows is answered at once: what comes before that was not asked for."""
    await say(socket, BOGUS)
    assert await error(socket) == ("unknown_event", "Unknown event type: bogus")


async def test_a_commit_begins_an_utterance_and_another_ends_it() -> None:
    async with session() as socket:
        await say(socket, BEGIN, block(1), block(2), END)
        assert await text(socket) == "b1 b2"
        await say(socket, BEGIN, block(3), END)
        assert await text(socket) == "b3"


async def test_text_comes_while_the_speaker_speaks_and_some_deltas_are_empty() -> None:
    async with session("one two three four") as socket:
        await say(socket, BEGIN, append(silence(200, 16000)))
        deltas = [(await receive(socket))["delta"] for _ in range(1)]
        await say(socket, append(silence(200, 16000)), END)
        *events, done = await until(socket, "transcription.done")
        deltas += [event["delta"] for event in events]
        assert "" in deltas and "".join(deltas) == done["text"] == "one two three four"
        assert done["usage"] == {"prompt_tokens": 39, "completion_tokens": 5, "total_tokens": 44}


async def test_the_update_is_not_acknowledged() -> None:
    async with session() as socket:
        await nothing_waits(socket)


async def test_a_commit_before_the_update_is_refused() -> None:
    async with session(updated=False) as socket:
        for commit in (BEGIN, END):
            await say(socket, commit)
            assert (await error(socket))[0] == "model_not_validated"


async def test_an_update_in_the_providers_shape_is_refused() -> None:
    async with session(updated=False) as socket:
        await say(socket, {"type": "session.update", "session": {"type": "transcription"}})
        assert await error(socket) == ("invalid_event", "Missing required field: model")
        await say(socket, BEGIN)
        assert (await error(socket))[0] == "model_not_validated"


async def test_a_model_it_does_not_serve_is_not_found() -> None:
    async with session(dialect=Vllm(frozenset({"example/other"}))) as socket:
        assert await error(socket) == ("model_not_found", "The model `example/voice` does not exist.")


async def test_audio_sent_before_the_beginning_is_heard() -> None:
    async with session() as socket:
        await say(socket, block(5), BEGIN, END)
        assert await text(socket) == "b5"


async def test_audio_sent_between_the_end_and_done_is_lost() -> None:
    async with session(Line("first", delay_s=0.2)) as socket:
        await say(socket, BEGIN, append(silence(100, 16000)), END, block(7), block(8))
        assert await text(socket) == "first"
        await say(socket, BEGIN, block(9), END)
        assert await text(socket) == "b9"


async def test_a_second_beginning_is_ignored_without_a_word() -> None:
    async with session() as socket:
        await say(socket, BEGIN, block(1), BEGIN)
        await nothing_waits(socket)
        await say(socket, block(2), END)
        assert await text(socket) == "b1 b2"


async def test_a_beginning_before_the_last_text_is_ignored_too() -> None:
    async with session(Line("first", delay_s=0.2)) as socket:
        await say(socket, BEGIN, append(silence(100, 16000)), END, BEGIN, block(7))
        assert await text(socket) == "first"
        await say(socket, BEGIN, block(9), END)
        assert await text(socket) == "b9"


async def test_an_end_without_a_beginning_ends_the_next_utterance() -> None:
    async with session() as socket:
        await say(socket, END, BEGIN)
        assert await text(socket) == ""


async def test_after_a_failure_the_queue_is_kept() -> None:
    broken = Line("", delay_s=0.2, error=ErrorDetails(type="server_error", message="out of memory"))
    async with session(broken) as socket:
        await say(socket, BEGIN, append(silence(100, 16000)), END, block(4))
        assert await error(socket) == ("processing_error", "out of memory")
        await say(socket, BEGIN, END)
        assert await text(socket) == "b4"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{no JSON", "invalid_json"),
        ('{"type": "input_audio_buffer.clear"}', "unknown_event"),
        ('{"type": "input_audio_buffer.append", "audio": ""}', "invalid_audio"),
        ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', "invalid_audio"),
        ('{"type": "input_audio_buffer.append", "audio": "not base64"}', "invalid_audio"),
        ('{"type": "input_audio_buffer.append"}', "processing_error"),
    ],
)
async def test_what_it_cannot_read_is_an_error_and_no_more(frame: str, code: str) -> None:
    async with session() as socket:
        await socket.send(frame)
        assert (await error(socket))[0] == code
        await say(socket, BEGIN, block(6), END)
        assert await text(socket) == "b6"


async def test_a_wrong_key_has_no_socket() -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY, dialect="vllm") as server:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"api-key": KEY}):
            assert await refusal(server.url + "/realtime", headers) == (401, {"error": "Unauthorized"})
        assert (await refusal(server.url + "/elsewhere", BEARER))[0] == 403


async def test_a_session_has_no_end() -> None:
    dialect = Vllm()
    async with session(dialect=dialect) as socket:
        await nothing_waits(socket)
    assert dialect.session_seconds == float("inf")
