"""The client against each kind of server on real sockets: named, and found out; cut off in mid-speech; refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from client_peers import Recorder, tidy
from halves import ToneDetector
from sessions import options, silence
from ten_packages.extension.openai_asr_python import openai_asr_client
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.devkit.server.tones import make_block
from ten_packages.extension.openai_asr_python.openai_asr_client import Endpoint, OpenAIASRClient
from ten_packages.extension.openai_asr_python.realtime import events as ev

pytestmark = pytest.mark.socket

KEY = "canary-0123456789abcdef"
RATE = 16_000
MODELS = {"vllm": "mistralai/Voxtral-Mini", "speaches": "Systran/faster-whisper-small", "beta": "whisper-1"}
NAMES = ("openai", "azure", "azure_ephemeral", "beta", "speaches", "vllm")
# A host of one's own does not show that it is Azure, and wants its own header.
FOUND = ("openai", "beta", "speaches", "vllm")


@pytest.fixture(autouse=True)
async def nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(openai_asr_client, "SileroDetector", ToneDetector)
    async with tidy():
        yield


def client_of(url: str, word: str, model: str, *, key: Any = KEY, headers: dict[str, str] | None = None) -> Any:
    heard = Recorder()
    opts = options("local_vad", model, turns={"silence_duration_ms": 320}, replay_speed_streaming=4.0)
    endpoint = Endpoint(url, api_key=key, dialect=word, headers=headers or {})
    return OpenAIASRClient(opts, endpoint, heard, rng=lambda: 0.1), heard


async def say(client: OpenAIASRClient, *labels: int) -> None:
    """Two words a label, and a pause that ends the turn, at four times the speed of speech."""
    for label in labels:
        audio = make_block(label, 300, RATE) + make_block(label + 1, 300, RATE) + silence(500)
        for at in range(0, len(audio), 640):
            client.push_audio(audio[at : at + 640])
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(("dialect", "word"), [*((name, name) for name in NAMES), *((name, "auto") for name in FOUND)])
async def test_two_turns_across_a_drop_are_heard_once_each(dialect: str, word: str) -> None:
    model = MODELS.get(dialect, "gpt-transcribe")
    async with LocalServer(dialect=dialect, recognizer="scripted", api_key=KEY) as server:
        # Found out, a server of the retired protocol must be asked with its header by whoever knows of it.
        headers = {"OpenAI-Beta": "realtime=v1"} if (dialect, word) == ("beta", "auto") else {}
        client, heard = client_of(server.url, word, model, headers=headers)
        client.start()
        await heard.first(ev.Connected)
        await say(client, 101)
        await heard.until(lambda: heard.texts == ["b101 b102"], 15)
        speaking = asyncio.ensure_future(say(client, 301))
        await asyncio.sleep(0.1)
        server.faults.kill_all()
        await speaking
        await heard.until(lambda: len(heard.texts) == 2, 15)
        await client.stop()
    assert heard.texts == ["b101 b102", "b301 b302"]
    assert heard.of(ev.AudioLost) == [] and heard.of(ev.ServerError) == []
    first, second = heard.finals
    assert first.start_ms <= 30 and 1_070 <= second.start_ms <= 1_130


@pytest.mark.parametrize("word", ["vllm", "auto"])
async def test_frames_of_another_rate_than_configured_are_heard_as_what_they_are(word: str) -> None:
    """The first frame tells the rate while the connection is being made, and the server's first event comes later."""
    rate = 11_025
    async with LocalServer(dialect="vllm", recognizer="scripted") as server:
        client, heard = client_of(server.url, word, MODELS["vllm"])
        client.start()
        client.set_input_format("pcm16", 1, rate)
        await heard.first(ev.Connected)
        client.push_audio(make_block(101, 300, rate) + make_block(102, 300, rate) + silence(500, rate))
        await heard.until(lambda: heard.texts, 15)
        await client.stop()
    assert heard.texts == ["b101 b102"]


@pytest.mark.parametrize("dialect", NAMES)
async def test_a_wrong_key_is_told_and_never_shown(dialect: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with LocalServer(dialect=dialect, recognizer="scripted", api_key="the right one") as server:
        client, heard = client_of(server.url, dialect, MODELS.get(dialect, "gpt-transcribe"))
        client.start()
        await heard.until(lambda: heard.of(ev.ClientError) or heard.of(ev.ServerError), 15)
        await client.stop()
    told = str(heard.events)
    assert KEY not in caplog.text and KEY not in told
    assert any(word in told for word in ("401", "403", "invalid_api_key", "3000", "1008"))


async def test_a_secret_is_bought_anew_for_every_connection_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with LocalServer(dialect="azure_ephemeral", recognizer="scripted", api_key=KEY) as server:
        client, heard = client_of(server.url, "azure_ephemeral", "speech-prod")
        client.start()
        await heard.first(ev.Connected)
        server.faults.kill_all()
        await heard.first(ev.Connected, 2)
        await client.stop()
    assert KEY not in caplog.text and "ek_" not in caplog.text


async def test_the_service_that_sells_no_secret_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async with LocalServer(dialect="vllm", recognizer="scripted") as server:
        client, heard = client_of(server.url, "azure_ephemeral", "speech-prod")
        client.start()
        error = await heard.first(ev.ClientError)
        await client.stop()
    assert "client secret" in error.message + error.vendor_message and KEY not in str(heard.events)
