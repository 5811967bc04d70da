"""The local server on a real socket: what goes through, what bounds it, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from server_clients import KEY, client
from server_peers import VAD, append, silence, speech
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import (
    Recognition,
    RecognitionRequest,
    RecognizerUnavailable,
)
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.server.tones import make_block
from websockets.asyncio.client import connect

pytestmark = pytest.mark.socket

# What goes through --------------------------------------------------------------------------------------------


async def test_tones_come_back_as_labels_through_turns_of_the_server() -> None:
    async with LocalServer(port=0, recognizer="scripted") as server, client(server) as peer:
        await peer.configure(transcription={"model": "gpt-4o-transcribe"}, turn_detection=VAD)
        for first in (1, 4):
            audio = b"".join(make_block(label, 200, 24000) for label in range(first, first + 3)) + silence(700)
            for at in range(0, len(audio), 4800):
                await peer.send(append(audio[at : at + 4800]))
        texts = [(await peer.until("completed"))["transcript"] for _ in range(2)]
    assert texts == ["b1 b2 b3", "b4 b5 b6"]


async def test_a_binary_frame_and_junk_do_not_end_the_session() -> None:
    async with LocalServer(port=0, recognizer=ScriptedRecognizer(["still here"])) as server, client(server) as peer:
        await peer.configure(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None)
        await peer.socket.send(b"\x00\x01")
        assert (await peer.until("error"))["error"]["code"] == "invalid_event"
        await peer.socket.send("{not json")
        assert (await peer.until("error"))["error"]["code"] == "invalid_json"
        await peer.send(append(speech(300)), {"type": "input_audio_buffer.commit"})
        assert (await peer.until("completed"))["transcript"] == "still here"


async def test_minutes_of_audio_in_one_message_are_taken() -> None:
    """15 MiB: five and a half minutes, most of it read in a thread."""
    blocks = b"".join(make_block(label, 500, 24000) for label in range(100)) + silence(1000)
    audio = blocks.ljust(15 * 1024 * 1024, b"\0")
    async with LocalServer(port=0, recognizer="scripted") as server, client(server) as peer:
        await peer.configure(transcription={"model": "gpt-4o-transcribe"}, turn_detection=VAD)
        await peer.send(append(audio))
        assert (await peer.until("completed"))["transcript"] == " ".join(f"b{label}" for label in range(100))


async def test_a_language_that_the_recogniser_does_not_know_is_refused_before_any_audio() -> None:
    class English(ScriptedRecognizer):
        def knows_language(self, language: str) -> bool:
            return language == "en"

    async with LocalServer(port=0, recognizer=English(["hello"])) as server, client(server) as peer:
        await peer.configure(transcription={"model": "gpt-transcribe", "languages": ["en"]}, turn_detection=None)
        update = {"transcription": {"languages": ["en", "xx"]}}
        await peer.send({"type": "session.update", "session": {"type": "transcription", "audio": {"input": update}}})
        error = (await peer.until("error"))["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_value")
        assert error["param"] == "session.audio.input.transcription.languages[1]"
        assert error["message"] == "Invalid value: 'xx'. This model does not know the language."
        await peer.send(append(speech(300)), {"type": "input_audio_buffer.commit"})  # the session goes on as it was
        assert (await peer.until("completed"))["transcript"] == "hello"


async def test_a_recogniser_that_breaks_costs_one_item() -> None:
    class Broken(ScriptedRecognizer):
        def session(self, request: RecognitionRequest) -> Any:
            session = super().session(request)
            if not self._lines:

                async def accept(pcm: bytes) -> str | None:
                    raise OSError("broken")

                session.accept = accept  # type: ignore[method-assign]
            return session

    async with LocalServer(port=0, recognizer=Broken(["fine", "never heard"])) as server, client(server) as peer:
        await peer.configure(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None)
        for expected in ("completed", "failed"):
            for _ in range(5):
                await peer.send(append(speech(300)))
            await peer.send({"type": "input_audio_buffer.commit"})
            await peer.until(expected)
        await peer.send({"type": "input_audio_buffer.clear"})
        await peer.until("cleared")


class Stuck(ScriptedRecognizer):
    """Hears nothing until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()
        self.bytes = 0

    def session(self, request: RecognitionRequest) -> Any:
        outer = self

        class Session:
            async def accept(self, pcm: bytes) -> str | None:
                await outer.released.wait()
                outer.bytes += len(pcm)
                return None

            async def finish(self) -> Recognition:
                return Recognition(f"{outer.bytes} bytes")

            async def abandon(self) -> None:
                pass

        return Session()


async def test_a_recogniser_that_lags_stops_the_reading_and_loses_nothing() -> None:
    stuck = Stuck()
    async with LocalServer(port=0, recognizer=stuck, max_lag_seconds=2) as server:
        async with client(server, write_limit=1024) as peer:
            await peer.configure(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None)
            piece = append(speech(1000))
            sent = 0

            async def send_all() -> None:
                nonlocal sent
                for _ in range(400):
                    await peer.send(piece)
                    sent += 1
                await peer.send({"type": "input_audio_buffer.commit"})

            sending = asyncio.create_task(send_all())
            before = -1
            while sent != before:  # until the sender is blocked
                before = sent
                await asyncio.sleep(0.3)
            assert not sending.done(), "400 s of audio were taken, 2 s may wait"
            stuck.released.set()
            completed = await peer.until("completed")
            await sending
    assert completed["transcript"] == f"{400 * 32000} bytes"


async def test_a_client_that_leaves_while_its_reading_is_stopped_is_forgotten() -> None:
    stuck = Stuck()
    async with LocalServer(port=0, recognizer=stuck, max_lag_seconds=1) as server:
        async with client(server) as peer:
            await peer.configure(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None)
            for _ in range(5):
                await peer.send(append(speech(1000)))
            peer.socket.transport.abort()
        async with client(server) as peer:
            await peer.until("created")
    # `stop` has waited for the connection's tasks: a forgotten one would hang here.


class Late:
    """Holds `session.updated` back."""

    def __init__(self) -> None:
        self.held: list[dict[str, Any]] = []
        self.due: float | None = None

    def incoming(self, frame: Any, now: float) -> Any:
        return [frame]

    def outgoing(self, event: dict[str, Any], now: float) -> Any:
        if event["type"] != "session.updated":
            return [event]
        self.held.append(event)
        self.due = now + 0.1
        return []

    def get_timer(self) -> float | None:
        return self.due

    def handle_timer(self, now: float) -> Any:
        held, self.held, self.due = self.held, [], None
        return held


async def test_what_a_layer_holds_back_comes_later() -> None:
    async with LocalServer(port=0, recognizer="scripted", middleware=lambda: [Late()]) as server:
        async with client(server) as peer:
            update = {"type": "session.update", "session": {"type": "transcription"}}
            await peer.send(update, {"type": "input_audio_buffer.clear"})
            await peer.until("session.updated")
    assert [event["type"] for event in peer.events[-2:]] == ["input_audio_buffer.cleared", "session.updated"]


async def test_forty_sessions_at_once_keep_apart() -> None:
    async def one(server: LocalServer, number: int) -> str:
        async with client(server) as peer:
            await peer.configure(transcription={"model": "gpt-live-transcribe"}, turn_detection=None)
            for label in (number, number + 500):
                await peer.send(append(make_block(label, 200, 24000)))
                await asyncio.sleep(0)
            await peer.send({"type": "input_audio_buffer.commit"})
            return str((await peer.until("completed"))["transcript"])

    async with LocalServer(port=0, recognizer="scripted") as server:
        texts = await asyncio.gather(*(one(server, number) for number in range(40)))
    assert texts == [f"b{number} b{number + 500}" for number in range(40)]


# The end ------------------------------------------------------------------------------------------------------


async def test_a_session_ends_after_its_seconds_with_1001() -> None:
    async with LocalServer(port=0, recognizer="scripted", session_seconds=0.3) as server, client(server) as peer:
        assert (await peer.until("error"))["error"]["code"] == "session_expired"
        assert (await peer.until_closed())[0] == 1001


async def test_stopping_the_server_closes_its_connections() -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        async with client(server) as peer:
            await peer.until("created")
            await server.stop()
            assert (await peer.until_closed())[0] == 1001
            with pytest.raises(OSError):
                await connect(server.url + "/realtime?intent=transcription")


async def test_a_port_in_use_is_an_os_error() -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        with pytest.raises(OSError):
            await LocalServer(port=server.port, recognizer="scripted").start()


def test_a_session_without_time_is_refused() -> None:
    with pytest.raises(ValueError, match="session_seconds: 0 given"):
        LocalServer(session_seconds=0, recognizer="scripted")


def test_a_server_in_a_thread_serves_and_stops() -> None:
    async def ask(url: str) -> str:
        async with connect(url + "/realtime?intent=transcription") as socket:
            return str(json.loads(await socket.recv())["type"])

    with run_in_thread(recognizer="scripted") as server:
        assert server.url == f"ws://127.0.0.1:{server.port}/v1" and server.port > 0
        assert asyncio.run(ask(server.url)) == "session.created"
    with pytest.raises(OSError):
        asyncio.run(ask(server.url))


def test_a_server_in_a_thread_stops_when_its_block_breaks() -> None:
    with pytest.raises(KeyError):
        with run_in_thread(recognizer="scripted") as server:
            raise KeyError("x")
    with run_in_thread(port=server.port, recognizer="scripted"):
        pass


def test_a_server_that_cannot_start_in_a_thread_says_why() -> None:
    class Unavailable(ScriptedRecognizer):
        async def start(self) -> None:
            raise RecognizerUnavailable("install it")

    with pytest.raises(RecognizerUnavailable, match="install it"):
        with run_in_thread(recognizer=Unavailable()):
            pytest.fail("it did start")


async def test_keys_and_speech_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sentence = "canary sentence"
    async with LocalServer(port=0, recognizer=ScriptedRecognizer([sentence]), api_key=KEY) as server:
        async with client(server, headers={"Authorization": "Bearer sk-other-canary"}) as peer:
            await peer.until("error")
        # Only the server's side of the library: the client's log is its own affair.
        async with client(server, logger=logging.getLogger("unheard")) as peer:
            await peer.configure(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None)
            await peer.send(append(speech(300)), {"type": "input_audio_buffer.commit"})
            await peer.until("completed")
    ours = [record for record in caplog.records if record.name.startswith("openai_asr")]
    assert ours, "the server does log"
    text = "\n".join(record.getMessage() for record in ours)
    assert not any(secret in text for secret in (KEY, "canary", sentence))
