"""A client of the local server in any dialect: the `websockets` library and JSON, and golden traces to play."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from server_peers import silence, speech
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

AUDIO = {
    "$SPEECH_100MS": base64.b64encode(speech(100)).decode(),
    "$SILENCE_100MS": base64.b64encode(silence(100)).decode(),
    "$SPEECH_16K_100MS": base64.b64encode(speech(100, 16000)).decode(),
}
DELTAS = ("conversation.item.input_audio_transcription.delta", "transcription.delta")
FINALS = {"conversation.item.input_audio_transcription.completed": "transcript", "transcription.done": "text"}

Json = dict[str, Any]


async def receive(socket: ClientConnection) -> Json:
    event: Json = json.loads(await asyncio.wait_for(socket.recv(), 10))
    return event


async def until(socket: ClientConnection, *kinds: str) -> list[Json]:
    """Everything up to the first event of one of these types, that included."""
    events = [await receive(socket)]
    while events[-1]["type"] not in kinds:
        events.append(await receive(socket))
    return events


async def say(socket: ClientConnection, *messages: Json) -> None:
    for message in messages:
        await socket.send(json.dumps(message))


async def closed(socket: ClientConnection) -> tuple[int, str] | None:
    """The CLOSE frame that ends the connection; None if it ends without one."""
    with pytest.raises(ConnectionClosed) as ended:
        while True:
            await receive(socket)
    return (ended.value.rcvd.code, ended.value.rcvd.reason) if ended.value.rcvd is not None else None


async def refusal(url: str, headers: dict[str, str]) -> tuple[int, Any]:
    """Status and body of an upgrade that is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, additional_headers=headers, compression=None):
            pass
    response = refused.value.response
    text = (response.body or b"").decode()
    return response.status_code, json.loads(text) if text.startswith("{") else text


async def post(url: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
    """Status and body of an HTTP request. *body*: bytes, or what is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url.replace("ws://", "http://"), data, headers, method="POST")

    def send() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    status, answer = await asyncio.to_thread(send)
    return status, json.loads(answer) if answer.startswith(b"{") else answer.decode()


class Trace:
    """Plays the client's part of a golden trace over real sockets. How text is cut into deltas is up to the server."""

    def __init__(self, base: str, key: str, path: Path) -> None:
        self.base, self.words = base, {"$KEY": key}
        self.steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        self.socket: ClientConnection | None = None
        self.names: dict[str, str] = {}
        self.said = ""
        self.deltas_expected = any(step["m"].get("type") in DELTAS for step in self.steps)

    async def play(self) -> int:
        """Returns how many of the server's messages and answers were as in the trace."""
        checked = 0
        try:
            for step in self.steps:
                message, direction = step["m"], step["d"]
                if direction == "c>s":
                    await self.send(message, step.get("n", 1))
                    continue
                if direction == "http":
                    await self.post(message)
                elif direction == "s>c":
                    await self.expect(message)
                else:
                    await self.on_socket(message)
                checked += 1
        finally:
            if self.socket is not None:
                await self.socket.close()
        return checked

    async def on_socket(self, message: Json) -> None:
        if message["ws"] == "close":
            assert self.socket is not None
            await self.socket.close()
            with pytest.raises(ConnectionClosed):
                raise AssertionError(f"nobody waits for {await receive(self.socket)}")
            return
        headers = {name: self.filled(value) for name, value in message["headers"].items()}
        url = self.base + message["url"]
        if message["ws"] == "refused":
            assert (await refusal(url, headers))[0] == message["status"], message
        else:
            self.socket = await connect(url, additional_headers=headers, compression=None)

    async def post(self, message: Json) -> None:
        headers = {name: self.filled(value) for name, value in message["headers"].items()}
        status, answer = await post(self.base + message["post"], message["body"], headers)
        assert status == message["status"], answer
        self.match(message["answer"], answer, "answer")
        self.words["$SECRET"] = answer["value"]

    async def send(self, message: Json, count: int) -> None:
        assert self.socket is not None
        if message.get("audio") in AUDIO:
            message = {**message, "audio": AUDIO[message["audio"]]}
        await say(self.socket, *[message] * count)

    async def expect(self, expected: Json) -> None:
        assert self.socket is not None
        if expected["type"] in DELTAS:
            return
        event = await receive(self.socket)
        while event["type"] in DELTAS:
            assert self.deltas_expected, event
            self.said += event["delta"]
            event = await receive(self.socket)
        self.match(expected, event, expected["type"])
        if expected["type"] in FINALS and self.deltas_expected:
            assert self.said == event[FINALS[expected["type"]]]

    def match(self, expected: Any, actual: Any, where: str) -> None:
        """Equal, aside from placeholders and ids."""
        if where.endswith("usage") and "prompt_tokens" in expected:
            assert sorted(expected) == sorted(actual)
            assert actual["total_tokens"] == actual["prompt_tokens"] + actual["completion_tokens"] > 0
        elif isinstance(expected, dict):
            assert isinstance(actual, dict) and sorted(expected) == sorted(actual), f"{where}: {actual}"
            for name, value in expected.items():
                self.match(value, actual[name], f"{where}.{name}")
        elif isinstance(expected, list):
            assert isinstance(actual, list) and len(expected) == len(actual), f"{where}: {actual}"
            for one, other in zip(expected, actual, strict=True):
                self.match(one, other, where)
        elif isinstance(expected, str) and expected.startswith("$"):
            assert actual, where
        elif isinstance(expected, str) and re.fullmatch(r"(event|sess|item)[_-]\d+", expected):
            assert isinstance(actual, str) and self.names.setdefault(expected, actual) == actual, where
        else:
            assert actual == expected, where

    def filled(self, text: str) -> str:
        for name, value in self.words.items():
            text = text.replace(name, value)
        return text
