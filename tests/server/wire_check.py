"""Plays the client's part of a golden trace over a real socket. Knows nothing of this project but the trace.

    python wire_check.py ws://127.0.0.1:8765 KEY golden/g01_server_vad.json

Written from the protocol alone, with the `websockets` library and `json`: what it accepts is evidence about a server.
Fails on any message the trace does not have, and if the trace has one that does not come. How a server cuts text into
deltas is its own affair: they must come in the places where the trace has some, and add up to the transcript.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
import struct
import sys
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

TIMEOUT = 10.0
DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
RATE = 24000


def _tone() -> bytes:
    count = RATE // 10
    return struct.pack(f"<{count}h", *(round(8000 * math.sin(2 * math.pi * 440 * i / RATE)) for i in range(count)))


AUDIO = {
    "$SPEECH_100MS": base64.b64encode(_tone()).decode(),
    "$SILENCE_100MS": base64.b64encode(bytes(RATE // 10 * 2)).decode(),
}


class Mismatch(AssertionError):
    """The server did not say what the trace has it say."""


class Player:
    """One trace."""

    def __init__(self, base: str, key: str, trace: dict[str, Any]) -> None:
        self.base = base
        self.key = key
        self.steps = trace["steps"]
        self.socket: ClientConnection | None = None
        self.names: dict[str, str] = {}
        self.text: dict[str, str] = {}
        self.speaking: set[str] = set()
        self.seen_ids: set[str] = set()

    async def play(self) -> int:
        """Returns how many of the server's messages were checked. Raises Mismatch."""
        checked = 0
        try:
            for step in self.steps:
                message = step["m"]
                if step["d"] == "c>s":
                    await self.send(message, step.get("n", 1))
                elif step["d"] == "s>c":
                    await self.expect(message)
                    checked += 1
                elif message["ws"] == "open":
                    await self.open(message)
                elif message["ws"] == "close":
                    await self.close(message)
            await self.nothing_more()
        finally:
            if self.socket is not None:
                await self.socket.close()
        return checked

    async def open(self, message: dict[str, Any]) -> None:
        headers = {name: value.replace("$KEY", self.key) for name, value in message["headers"].items()}
        self.names, self.text = {}, {}
        self.socket = await connect(
            self.base + message["url"], additional_headers=headers, compression=None, max_size=None
        )

    async def send(self, message: dict[str, Any], count: int) -> None:
        assert self.socket is not None
        if message.get("audio") in AUDIO:
            message = {**message, "audio": AUDIO[message["audio"]]}
        for _ in range(count):
            await self.socket.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        assert self.socket is not None
        try:
            frame = await asyncio.wait_for(self.socket.recv(), TIMEOUT)
        except asyncio.TimeoutError:
            raise Mismatch("the server is silent") from None
        if not isinstance(frame, str):
            raise Mismatch("a binary frame")
        event: dict[str, Any] = json.loads(frame)
        if event["event_id"] in self.seen_ids:
            raise Mismatch(f"event id {event['event_id']} came twice")
        self.seen_ids.add(event["event_id"])
        return event

    async def expect(self, expected: dict[str, Any]) -> None:
        if expected["type"] == DELTA:
            name = expected["item_id"]
            if name not in self.names:
                # Text of an item that no other event has announced: it has to come now.
                self.delta(await self.receive(), name)
            self.speaking.add(self.names[name])
            return
        while True:
            try:
                event = await self.receive()
            except ConnectionClosed as closed:
                raise Mismatch(f"closed ({closed}) instead of {expected['type']}") from None
            if event["type"] == DELTA and event["item_id"] in self.speaking:
                self.delta(event, None)
                continue
            self.match(expected, event, expected["type"])
            if event["type"] == COMPLETED and self.text.get(event["item_id"], "") != event["transcript"]:
                raise Mismatch("the deltas do not add up to the transcript")
            return

    def delta(self, event: dict[str, Any], name: str | None) -> None:
        wanted = {"type", "event_id", "item_id", "content_index", "delta", "obfuscation"}
        if event["type"] != DELTA or set(event) != wanted or event["content_index"] != 0:
            raise Mismatch(f"not a delta: {event}")
        if name is not None and self.names.setdefault(name, event["item_id"]) != event["item_id"]:
            raise Mismatch("a delta of another item")
        self.text[event["item_id"]] = self.text.get(event["item_id"], "") + event["delta"]

    async def close(self, message: dict[str, Any]) -> None:
        assert self.socket is not None
        if message["by"] == "server":
            try:
                event = await self.receive()
            except ConnectionClosed as closed:
                actual = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd is not None else None
                if actual != (message["code"], message["reason"]):
                    raise Mismatch(f"closed with {actual}, not {message['code']} {message['reason']}") from None
            else:
                raise Mismatch(f"{event['type']} instead of a close")
        elif message["by"] == "network":
            self.socket.transport.abort()
        else:
            await self.nothing_more()
            await self.socket.close(message["code"])
        self.socket = None

    async def nothing_more(self) -> None:
        """A question is answered at once, so what comes before its answer was not asked for."""
        if self.socket is not None:
            await self.socket.send('{"type": "input_audio_buffer.clear"}')
            event = await self.receive()
            if event["type"] != "input_audio_buffer.cleared":
                raise Mismatch(f"nobody waits for {event}")

    def match(self, expected: Any, actual: Any, where: str) -> None:
        """Equal, aside from placeholders and ids."""
        if isinstance(expected, dict):
            if not isinstance(actual, dict) or set(expected) != set(actual):
                raise Mismatch(f"{where}: {actual} instead of {expected}")
            for name in expected:
                self.match(expected[name], actual[name], f"{where}.{name}")
        elif isinstance(expected, list):
            if not isinstance(actual, list) or len(expected) != len(actual):
                raise Mismatch(f"{where}: {actual} instead of {expected}")
            for one, other in zip(expected, actual, strict=True):
                self.match(one, other, where)
        elif isinstance(expected, str) and expected.startswith("$"):
            if not actual:
                raise Mismatch(f"{where} is empty")
        elif isinstance(expected, str) and re.fullmatch(r"(event|sess|item)_\d+", expected):
            if not isinstance(actual, str) or self.names.setdefault(expected, actual) != actual:
                raise Mismatch(f"{where}: {actual} is not {expected}")
        else:
            if isinstance(expected, str):
                for name, value in self.names.items():
                    expected = expected.replace(f"'{name}'", f"'{value}'")
            if expected != actual:
                raise Mismatch(f"{where}: {actual!r} instead of {expected!r}")


async def check(base: str, key: str, path: Path) -> int:
    """Play one trace file against the server at *base* (`ws://host:port`)."""
    return await Player(base, key, json.loads(path.read_text(encoding="utf-8"))).play()


if __name__ == "__main__":
    for name in sys.argv[3:]:
        print(name, asyncio.run(check(sys.argv[1], sys.argv[2], Path(name))), "messages as in the trace")
