"""The local server on a real socket: who gets in, what bounds it, how it ends, and whether it understands speech."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from server_peers import append, silence, speech, word_errors
from ten_packages.extension.openai_asr_python.audio.g711 import encode_ulaw
from ten_packages.extension.openai_asr_python.audio.resample import Resampler
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import (
    Recognition,
    RecognitionRequest,
    RecognizerUnavailable,
)
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.server.tones import make_block
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

KEY = "sk-canary-0123456789"
BEARER = {"Authorization": f"Bearer {KEY}"}
VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}


class Client:
    """JSON over one socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    async def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            await self.socket.send(json.dumps(message))

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event whose type ends like this; those before it are kept too."""
        while True:
            event = json.loads(await asyncio.wait_for(self.socket.recv(), 30))
            self.events.append(event)
            if event["type"].endswith(kind):
                return event

    async def configure(self, **fields: Any) -> None:
        await self.send({"type": "session.update", "session": {"type": "transcription", "audio": {"input": fields}}})
        await self.until("session.updated")


@contextlib.asynccontextmanager
async def client(
    server: LocalServer,
    path: str = "/realtime?intent=transcription",
    headers: dict[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    url = server.url + path
    headers = BEARER if headers is None else headers
    async with connect(url, additional_headers=headers, compression=None, max_size=None, **options) as socket:
        yield Client(socket)


# Who gets in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "code", "closed"),
    [
        ("?intent=transcription", {"Authorization": "Bearer sk-wrong"}, "invalid_api_key", (3000, ".invalid_api_key")),
        ("?intent=transcription", {"api-key": "sk-wrong"}, "invalid_api_key", (3000, ".invalid_api_key")),
        ("?intent=transcription", {}, None, (3000, "")),
        ("", BEARER, "missing_model", (4000, ".missing_model")),
        ("?model=gpt-4o-transcribe", BEARER, "invalid_model", (4000, ".invalid_model")),
        ("?intent=transcription&model=whisper-1", BEARER, "invalid_model", (4000, ".invalid_model")),
        ("?intent=chat", BEARER, "invalid_value", (4000, ".invalid_value")),
        (
            "?intent=transcription",
            {**BEARER, "OpenAI-Beta": "realtime=v1"},
            "beta_api_shape_disabled",
            (4000, ".beta_api_shape_disabled"),
        ),
    ],
)
async def test_who_does_not_get_in_is_told_after_the_upgrade(
    path: str, headers: dict[str, str], code: str | None, closed: tuple[int, str]
) -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        async with client(server, f"/realtime{path}", headers) as peer:
            error = await peer.until("error")
            assert (error["error"]["type"], error["error"]["code"]) == ("invalid_request_error", code)
            with pytest.raises(ConnectionClosed):
                await peer.until("anything")
            assert (peer.socket.close_code, peer.socket.close_reason) == (
                closed[0],
                f"invalid_request_error{closed[1]}",
            )
            assert KEY not in json.dumps(error) and "sk-wrong" not in json.dumps(error)


@pytest.mark.parametrize("headers", [BEARER, {"api-key": KEY}, {"Authorization": f"bearer  {KEY}"}])
async def test_the_right_key_gets_in(headers: dict[str, str]) -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        async with client(server, headers=headers) as peer:
            assert (await peer.until("created"))["session"]["type"] == "transcription"


async def test_a_browser_gets_in_with_its_subprotocols() -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        protocols = ["realtime", f"openai-insecure-api-key.{KEY}"]
        async with client(server, headers={}, subprotocols=protocols) as peer:
            await peer.until("created")
            assert peer.socket.subprotocol == "realtime"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer whatever"}])
async def test_without_a_key_of_its_own_the_server_takes_any(headers: dict[str, str]) -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        async with client(server, headers=headers) as peer:
            await peer.until("created")


async def test_other_prefixes_work_and_other_paths_do_not() -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        base = server.url.removesuffix("/v1")
        for path in ("/v1/realtime", "/openai/v1/realtime", "/realtime/"):
            async with connect(f"{base}{path}?intent=transcription", additional_headers=BEARER) as socket:
                assert json.loads(await socket.recv())["type"] == "session.created"
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{base}/v1/realtime/transcription", additional_headers=BEARER)
        assert refused.value.response.status_code == 404


async def test_health_is_answered_without_a_key() -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:

        def get() -> int:
            link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            try:
                link.request("GET", "/healthz")
                return link.getresponse().status
            finally:
                link.close()

        assert await asyncio.to_thread(get) == 200


async def test_compression_is_not_offered() -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        async with connect(server.url + "/realtime?intent=transcription", compression="deflate") as socket:
            assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_sessions_of_one_server_have_their_own_ids_and_a_seed_repeats_them() -> None:
    ids: list[str] = []
    for _ in range(2):
        async with LocalServer(port=0, recognizer="scripted", seed=7) as server:
            for _ in range(2):
                async with client(server) as peer:
                    ids.append((await peer.until("created"))["session"]["id"])
    assert ids[0] != ids[1] and ids[:2] == ids[2:]


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
        with pytest.raises(ConnectionClosed):
            await peer.until("anything")
        assert peer.socket.close_code == 1001


async def test_stopping_the_server_closes_its_connections() -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        async with client(server) as peer:
            await peer.until("created")
            await server.stop()
            with pytest.raises(ConnectionClosed):
                await peer.until("anything")
            assert peer.socket.close_code == 1001
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


# Speech -------------------------------------------------------------------------------------------------------

SENTENCES = [
    "the meeting starts at ten o'clock tomorrow morning",
    "they have been living in the same house for thirty years",
    "he opened the door and looked into the dark room",
]


async def dictate(peer: Client, samples: np.ndarray, encode: Any = None, commit: bool = False) -> str:
    """Send 16 kHz samples as fast as the server takes them; returns the text of all items."""
    rate = 8000 if encode else 24000
    wire = Resampler(16000, rate).process(samples).tobytes()
    for at in range(0, len(wire), rate // 5):
        piece = wire[at : at + rate // 5]
        data = base64.b64encode(encode(piece) if encode else piece).decode()
        await peer.send({"type": "input_audio_buffer.append", "audio": data})
    if commit:
        await peer.send({"type": "input_audio_buffer.commit"})
        return str((await peer.until("completed"))["transcript"])
    texts = {}
    while len(texts) < len(SENTENCES):
        event = await peer.until("completed")
        texts[event["item_id"]] = event["transcript"]
    order = [event["item_id"] for event in peer.events if event["type"].endswith("committed")]
    return " ".join(texts[item] for item in order)


@pytest.mark.parametrize(
    ("speaker", "wire"),
    [("kal16", "server turns"), ("slt", "server turns"), ("slt", "client turns"), ("kal16", "ulaw")],
)
async def test_speech_goes_in_and_words_come_out(voice, speaker: str, wire: str) -> None:
    pause = np.zeros(16000, np.int16)
    parts = [np.concatenate((pause[:8000], voice.say(sentence, speaker), pause)) for sentence in SENTENCES]
    reference = " ".join(SENTENCES)
    async with LocalServer(port=0) as server, client(server) as peer:
        if wire == "client turns":
            await peer.configure(transcription={"model": "gpt-live-transcribe"}, turn_detection=None)
            text = " ".join([await dictate(peer, part, commit=True) for part in parts])
        else:
            coding = {"type": "audio/pcmu"} if wire == "ulaw" else {"type": "audio/pcm", "rate": 24000}
            model = {"model": "gpt-4o-transcribe", "language": "en"}
            await peer.configure(format=coding, transcription=model, turn_detection=VAD)
            text = await dictate(peer, np.concatenate(parts), encode_ulaw if wire == "ulaw" else None)
    assert word_errors(reference, text) / len(reference.split()) <= 0.1, text
