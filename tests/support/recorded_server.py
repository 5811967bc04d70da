"""A clean environment, and a local server that keeps a record of all that passed: fixtures for who imports them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fast_calls import fast_calls
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key or address of the machine's owner takes part."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


class Wire:
    """Everything that passed on one connection of the local server."""

    def __init__(self) -> None:
        self.heard: list[Json] = []
        self.said: list[Json] = []

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        self.heard.append(json.loads(frame))
        return [frame]

    def outgoing(self, event: Json, now: float) -> Iterable[Json]:
        self.said.append(event)
        return [event]

    def get_timer(self) -> float | None:
        return None

    def handle_timer(self, now: float) -> Iterable[Json]:
        return []

    def all(self, kind: str) -> list[Json]:
        """Events of a type that the server sent."""
        return [event for event in self.said if event["type"] == kind]

    @property
    def audio(self) -> bytes:
        """What the client appended, as raw wire bytes."""
        appends = [message["audio"] for message in self.heard if message["type"] == "input_audio_buffer.append"]
        return b"".join(map(base64.b64decode, appends))


class Recorded:
    """A running local server with a record of each connection."""

    def __init__(self, server: LocalServer, wires: list[Wire]) -> None:
        self.server = server
        self.wires = wires

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def session(self) -> Json:
        """The session the client asked for on the first connection."""
        session: Json = next(m for m in self.wires[0].heard if m["type"] == "session.update")["session"]
        return session


@pytest.fixture
def fast_clock() -> Iterator[None]:
    """Minutes pass in a moment (`fast_calls`). A test names it before `serve`, whose servers are to go by it."""
    with fast_calls():
        yield


@pytest.fixture
def serve() -> Iterator[Callable[..., Recorded]]:
    """Start a local server: `serve(recognizer=..., session_seconds=...)`; reads tones unless told otherwise."""
    with ExitStack() as stack:

        def start(**options: Any) -> Recorded:
            wires: list[Wire] = []

            def middleware() -> list[Wire]:
                wires.append(Wire())
                return [wires[-1]]

            server = stack.enter_context(
                run_in_thread(**{"recognizer": "scripted", "middleware": middleware, **options})
            )
            return Recorded(server, wires)

        yield start
