"""The lines of a script for `scripted.ScriptedNetwork`: what the server says and does, and what the client must say.

Written from the wire protocol alone; it imports nothing of this project.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]

APPEND = "input_audio_buffer.append"
COMMIT = "input_audio_buffer.commit"
TRANSCRIPTION = "conversation.item.input_audio_transcription."
WIRE_BYTES_PER_MS = 48
"24 kHz, 16 bits."

CREATED: Json = {
    "type": "session.created",
    "event_id": "event_created",
    "session": {"type": "transcription", "object": "realtime.transcription_session", "id": "sess_1"},
}


def committed(item_id: str, previous: str | None = None) -> Json:
    """The server made an item of the buffer."""
    return {"type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": previous}


def delta(item_id: str, text: str) -> Json:
    """More text of an item."""
    return {"type": TRANSCRIPTION + "delta", "item_id": item_id, "content_index": 0, "delta": text}


def completed(item_id: str, text: str, **fields: Any) -> Json:
    """All text of an item."""
    return {
        "type": TRANSCRIPTION + "completed",
        "item_id": item_id,
        "content_index": 0,
        "transcript": text,
        "usage": {"type": "duration", "seconds": 1},
        **fields,
    }


def error(code: str | None, message: str = "", *, event_id: str | None = None, **fields: Any) -> Json:
    """Something the server disliked."""
    details = {"type": "invalid_request_error", "code": code, "message": message, "param": None, "event_id": event_id}
    return {"type": "error", "event_id": "event_error", "error": {**details, **fields}}


class Unexpected(AssertionError):
    """The client did what the script does not have."""


class Gate:
    """Something that has not happened yet, until the test says so. Stands in for a delay."""

    def __init__(self) -> None:
        self.is_open = False
        self._waiting: list[Callable[[], None]] = []

    def open(self) -> None:
        """Let everything that waits go on."""
        self.is_open = True
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def when_open(self, callback: Callable[[], None]) -> None:
        """Call *callback* once it is open: now, or later."""
        if self.is_open:
            callback()
        else:
            self._waiting.append(callback)

    async def wait(self) -> None:
        """Return once it is open."""
        opened = asyncio.Event()
        self.when_open(opened.set)
        await opened.wait()


class Wire(Protocol):
    """What a step can do to its connection (`scripted.ScriptedTransport`)."""

    blocked: Gate | None
    answers_pings: bool

    def deliver(self, data: bytes | str) -> None: ...

    def closed_by_server(self, code: int, reason: str) -> None: ...

    def step_done(self) -> None: ...

    def sent(self, kind: str) -> list[Json]: ...


class Step:
    """One line of a script."""

    def enter(self, connection: Wire) -> bool:
        """The step's turn has come; returns whether it is through at once."""
        return False

    def take(self, connection: Wire, message: Json) -> bool:
        """The client sent *message*; returns whether the step is through. Raises Unexpected."""
        raise Unexpected(f"the client sent {shown(message)}")

    def passes(self, message: Json | None) -> bool:
        """Whether *message* (None: a close) is for the step behind this one."""
        return False


Said = Mapping[str, Any] | bytes | str | Callable[[Wire], Mapping[str, Any]]


@dataclass(init=False)
class say(Step):
    """The server says *messages*: JSON, raw frames, or functions of the connection that make JSON."""

    messages: tuple[Said, ...]

    def __init__(self, *messages: Said) -> None:
        self.messages = messages

    def enter(self, connection: Wire) -> bool:
        for message in self.messages:
            made = message(connection) if callable(message) else message
            connection.deliver(made if isinstance(made, (bytes, str)) else json.dumps(made).encode())
        return True


@dataclass(init=False)
class expect(Step):
    """The client sends one message of *kind* whose fields match (see `matches`)."""

    kind: str
    fields: Json

    def __init__(self, kind: str, **fields: Any) -> None:
        self.kind, self.fields = kind, fields

    def take(self, connection: Wire, message: Json) -> bool:
        if message["type"] != self.kind or not matches(self.fields, message):
            raise Unexpected(f"the client sent {shown(message)}")
        return True


@dataclass
class hear(Step):
    """The client appends exactly *ms* (or *count* bytes) of audio, in any number of messages.

    Without either: any amount, until something else comes.
    """

    ms: float | None = None
    count: int | None = None
    heard: int = field(default=0, init=False)

    def take(self, connection: Wire, message: Json) -> bool:
        if message["type"] != APPEND:
            raise Unexpected(f"the client sent {shown(message)} after {self.heard} bytes of audio")
        self.heard += len(base64.b64decode(message["audio"], validate=True))
        wanted = self.count if self.ms is None else round(self.ms * WIRE_BYTES_PER_MS)
        if wanted is not None and self.heard > wanted:
            raise Unexpected(f"the client sent {self.heard} bytes of audio")
        return self.heard == wanted

    def passes(self, message: Json | None) -> bool:
        return self.ms is None and self.count is None and (message is None or message["type"] != APPEND)


@dataclass
class wait(Step):
    """Nothing happens until *gate* opens; with *audio*, appends may come meanwhile."""

    gate: Gate
    audio: bool = False

    def enter(self, connection: Wire) -> bool:
        if self.gate.is_open:
            return True
        self.gate.when_open(connection.step_done)
        return False

    def take(self, connection: Wire, message: Json) -> bool:
        if not self.audio or message["type"] != APPEND:
            raise Unexpected(f"the client sent {shown(message)}")
        return False


@dataclass
class block(Step):
    """The transport is full: the `send` under way, and any later one, gives False; *gate* opens: it has room again."""

    gate: Gate

    def enter(self, connection: Wire) -> bool:
        connection.blocked = self.gate
        return True


@dataclass
class ignore_pings(Step):
    """No pong comes any more."""

    def enter(self, connection: Wire) -> bool:
        connection.answers_pings = False
        return True


@dataclass
class close(Step):
    """The server closes the connection; 1006 is a connection that just breaks."""

    code: int = 1006
    reason: str = ""

    def enter(self, connection: Wire) -> bool:
        connection.closed_by_server(self.code, self.reason)
        return True


@dataclass
class expect_close(Step):
    """The client closes the connection with *code*."""

    code: int = 1000


def matches(pattern: Any, actual: Any) -> bool:
    """Whether *actual* has what *pattern* asks for: objects may hold more, functions judge, `...` takes anything."""
    if pattern is ...:
        return True
    if isinstance(pattern, dict):
        return isinstance(actual, dict) and all(k in actual and matches(v, actual[k]) for k, v in pattern.items())
    if callable(pattern):
        return bool(pattern(actual))
    return bool(pattern == actual)


def shown(message: Json) -> str:
    """*message* for a complaint."""
    if message["type"] == APPEND:
        return f"{APPEND} of {len(message['audio']) * 3 // 4} bytes"
    return json.dumps(message)


def echo(connection: Wire) -> Json:
    """`session.updated` that accepts the newest update as it is."""
    return {"type": "session.updated", "session": connection.sent("session.update")[-1]["session"]}
