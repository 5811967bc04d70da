"""The client and the local server on real sockets: every kind of turn, every format, words and times.

What was said and when comes from how the audio was built: labelled tones at chosen times.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from client_peers import KEY, Recorder, tidy
from halves import ToneDetector
from sessions import COMMITTING, STREAMING, options
from ten_packages.extension.openai_asr_python import openai_asr_client
from ten_packages.extension.openai_asr_python.audio.g711 import encode_ulaw
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.openai_asr_client import Endpoint, OpenAIASRClient
from ten_packages.extension.openai_asr_python.realtime import events as ev
from tone_script import ToneScript
from websockets.asyncio.server import ServerConnection, serve

pytestmark = pytest.mark.socket

TOLERANCE_MS = 20
PREFIX_MS = 300
SILENCE_MS = {"server_vad": 480, "local_vad": 320}


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    async with tidy():
        yield


class Format(NamedTuple):
    """How the caller's frames come, and what goes on the wire."""

    encoding: str
    channels: int
    rate: int
    wire: str = "pcm16"

    def frame(self, mono: bytes) -> bytes:
        """*mono* s16le as the caller has it."""
        if self.encoding == "g711_ulaw":
            return encode_ulaw(mono)
        return np.frombuffer(mono, dtype="<i2").repeat(self.channels).tobytes()


FORMATS = {
    "8 kHz": Format("pcm16", 1, 8_000),
    "16 kHz": Format("pcm16", 1, 16_000),
    "44.1 kHz": Format("pcm16", 1, 44_100),
    "48 kHz stereo": Format("pcm16", 2, 48_000),
    "µ-law frames": Format("g711_ulaw", 1, 8_000),
    "µ-law on the wire": Format("pcm16", 1, 16_000, "g711_ulaw"),
}
MODES = [
    ("server_vad", COMMITTING),
    ("none", COMMITTING),
    ("none", STREAMING),
    ("local_vad", COMMITTING),
    ("local_vad", STREAMING),
]
UTTERANCES = [(101, 102, 103), (204, 205, 206)]
# The server's detector knows windows of 32 ms and rounds outwards. Sound begins 12 ms after the beginning of one and
# ends 13 ms before the end of one, so that this rounding stays below the tolerance, and filters on the way (8 ms at
# most) do not carry it into the next one.
BEFORE_MS, BETWEEN_MS = 20 * 32 + 12, 30 * 32 + 20


def speak(script: ToneScript, labels: tuple[int, ...]) -> tuple[str, float, float]:
    """Says three words in 620 ms; returns the text, and where its sound begins and ends."""
    before = len(script.spoken)
    script.say(labels[0], ms=400).say(labels[1], ms=120).say(labels[2], ms=100)
    words = script.spoken[before:]
    return " ".join(f"b{label}" for label in labels), words[0].start_ms, words[-1].end_ms


class Caller:
    """Somebody who speaks two utterances to the server, as fast as the client takes them."""

    def __init__(self, server: LocalServer, detection: str, model: str, form: Format) -> None:
        turns = {"silence_duration_ms": SILENCE_MS[detection]} if detection in SILENCE_MS else {}
        # Room for a slow machine: what is checked is never how soon.
        opts = options(
            detection,
            model,
            sample_rate=form.rate,
            input_audio_format=form.wire,
            turns=turns,
            finalize_timeout_ms=15_000,
            order_hold_ms=15_000,
            commit_timeout_ms=15_000,
            item_timeout_ms=15_000,
            ping_timeout_ms=15_000,
        )
        self.detection = detection
        self.form = form
        self.heard = Recorder()
        self.client = OpenAIASRClient(
            opts,
            Endpoint(server.url, api_key=KEY),
            self.heard,
            input_format=(form.encoding, form.channels, form.rate),
        )
        self.expected: list[tuple[str, float, float]] = []

    async def call(self) -> None:
        self.client.start()
        script = ToneScript(self.form.rate).pause(BEFORE_MS)
        done = 0
        for labels in UTTERANCES:
            self.expected.append(speak(script, labels))
            if self.detection == "none":
                done = await self._push(script, done)
                await self.client.finalize()
            script.pause(BETWEEN_MS)
        await self._push(script, done)
        answer = await self.client.finalize()
        await self.client.stop()
        assert answer.outcome in ("final", "empty")

    async def _push(self, script: ToneScript, done: int) -> int:
        """Push what is new, in frames of 20 ms."""
        pcm = script.pcm
        step = 2 * (self.form.rate // 50)
        for at in range(done, len(pcm), step):
            self.client.push_audio(self.form.frame(pcm[at : at + step]))
            await asyncio.sleep(0)
        return len(pcm)

    def check(self) -> None:
        assert self.heard.texts == [text for text, _, _ in self.expected]
        for final, (_, start, end) in zip(self.heard.finals, self.expected, strict=True):
            if self.detection == "server_vad":
                start, end = start - PREFIX_MS, end + SILENCE_MS[self.detection]
            assert abs(final.start_ms - start) <= TOLERANCE_MS, (final, start)
            assert abs(final.start_ms + final.duration_ms - end) <= TOLERANCE_MS, (final, end)
        assert [e for e in self.heard.events if isinstance(e, (ev.ClientError, ev.ServerError, ev.AudioLost))] == []


@pytest.mark.parametrize(("detection", "model"), MODES)
async def test_words_and_times_in_every_format(detection: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_asr_client, "SileroDetector", ToneDetector)
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        callers = {name: Caller(server, detection, model, form) for name, form in FORMATS.items()}
        await asyncio.gather(*(caller.call() for caller in callers.values()))
    for name, caller in callers.items():
        try:
            caller.check()
        except AssertionError as exc:
            raise AssertionError(f"{name}: {exc}") from exc


async def test_a_streaming_model_shows_words_while_they_are_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_asr_client, "SileroDetector", ToneDetector)
    async with LocalServer(port=0, recognizer="scripted") as server:
        caller = Caller(server, "local_vad", STREAMING, FORMATS["16 kHz"])
        caller.client.start()
        script = ToneScript().pause(320).say(7, 8, 9, ms=300)
        await caller._push(script, 0)
        shown = await caller.heard.first(ev.Transcript)
        assert not shown.final and shown.text in ("b7", "b7 b8")
        begun = await caller.heard.first(ev.SpeechStarted)
        assert abs(begun.start_ms - script.spoken[0].start_ms) <= TOLERANCE_MS
        await caller.client.finalize()
        await caller.client.stop()
    assert caller.heard.texts == ["b7 b8 b9"]
    ids = {event.result_id for event in caller.heard.of(ev.Transcript)}
    assert ids == {begun.result_id}, "one id for a turn, from its start to its final"


async def test_the_words_that_were_said_before_the_server_was_there_come_first() -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        caller = Caller(server, "none", COMMITTING, FORMATS["16 kHz"])
        script = ToneScript().say(1, 2, 3, 4, 5)
        caller.client.start()
        caller.client.push_audio(script.pcm)
        assert not caller.client.connected
        await caller.client.finalize()
        await caller.client.stop()
    assert caller.heard.texts == [script.words]
    (final,) = caller.heard.finals
    assert abs(final.start_ms) <= TOLERANCE_MS and abs(final.duration_ms - script.ms) <= TOLERANCE_MS


async def test_two_clients_of_one_process_keep_apart() -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        callers = [Caller(server, "none", COMMITTING, FORMATS["16 kHz"]) for _ in range(8)]
        for number, caller in enumerate(callers):
            caller.client.start()
            caller.client.push_audio(ToneScript().say(100 + number, 200 + number).pcm)
        await asyncio.gather(*(caller.client.finalize("same") for caller in callers))
        await asyncio.gather(*(caller.client.stop() for caller in callers))
    assert [caller.heard.texts for caller in callers] == [[f"b{100 + n} b{200 + n}"] for n in range(8)]


async def test_what_the_handshake_offers() -> None:
    """No compression is ever offered, and the credentials are where the protocol wants them."""
    seen: list[dict[str, str]] = []
    paths: list[str] = []

    async def handler(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append({name.lower(): value for name, value in socket.request.headers.raw_items()})
        paths.append(socket.request.path)

    silent: Any = logging.Logger("silent", level=logging.CRITICAL + 1)
    async with serve(handler, "127.0.0.1", 0, logger=silent) as server:
        port = server.sockets[0].getsockname()[1]
        endpoint = Endpoint(f"http://127.0.0.1:{port}", api_key=KEY, organization="org", project="proj")
        heard = Recorder()
        client = OpenAIASRClient(options(), endpoint, heard)
        client.start()
        await heard.first(ev.Disconnected)
        await client.stop()
    assert paths[0] == "/v1/realtime?intent=transcription"
    headers = seen[0]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (headers["openai-organization"], headers["openai-project"]) == ("org", "proj")
    assert "sec-websocket-extensions" not in headers and "openai-beta" not in headers
