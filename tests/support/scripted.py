"""A scripted network for the client: a test writes down a whole conversation, and any deviation fails the test.

Written from the wire protocol alone; it imports nothing of this project, so what it accepts is evidence. It stands in
for a socket through the `dial` argument of the client, whose two exceptions it is given:

    async with ScriptedNetwork(
        Connection(
            say(CREATED),
            expect("session.update"),
            say(echo),                                   # a function of the connection: accepts the update as it is
            hear(ms=100),                                # appends, however they are cut, that add up to 100 ms
            expect("input_audio_buffer.commit"),
            say(committed("item_1"), completed("item_1", "hello")),
            expect_close(1000),
        ),
        closed=TransportClosed,
        refused=TransportRefused,
    ) as network:
        client = OpenAIASRClient(options, endpoint, listener, dial=network.dial)
        ...

Steps happen in their order. Those that say, block or close happen as soon as the step before them is through, still
inside the `send` that got there, so nothing depends on the scheduler. A test fails at once, with the place in the
script, when the client sends what the next step does not expect, dials more often than there are scripts, or closes
while steps are left; when it is not over after `timeout_s`; and at the end when a step or a connection is left over.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

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


# Steps --------------------------------------------------------------------------------------------------------


class Step:
    """One line of a script."""

    def enter(self, connection: ScriptedTransport) -> bool:
        """The step's turn has come; returns whether it is through at once."""
        return False

    def take(self, connection: ScriptedTransport, message: Json) -> bool:
        """The client sent *message*; returns whether the step is through. Raises Unexpected."""
        raise Unexpected(f"the client sent {_short(message)}")

    def passes(self, message: Json | None) -> bool:
        """Whether *message* (None: a close) is for the step behind this one."""
        return False


Said = Mapping[str, Any] | bytes | str | Callable[["ScriptedTransport"], Mapping[str, Any]]


@dataclass(init=False)
class say(Step):
    """The server says *messages*: JSON, raw frames, or functions of the connection that make JSON."""

    messages: tuple[Said, ...]

    def __init__(self, *messages: Said) -> None:
        self.messages = messages

    def enter(self, connection: ScriptedTransport) -> bool:
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

    def take(self, connection: ScriptedTransport, message: Json) -> bool:
        if message["type"] != self.kind or not matches(self.fields, message):
            raise Unexpected(f"the client sent {_short(message)}")
        return True


@dataclass
class hear(Step):
    """The client appends exactly *ms* (or *count* bytes) of audio, in any number of messages.

    Without either: any amount, until something else comes.
    """

    ms: float | None = None
    count: int | None = None
    heard: int = field(default=0, init=False)

    def take(self, connection: ScriptedTransport, message: Json) -> bool:
        if message["type"] != APPEND:
            raise Unexpected(f"the client sent {_short(message)} after {self.heard} bytes of audio")
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

    def enter(self, connection: ScriptedTransport) -> bool:
        if self.gate.is_open:
            return True
        self.gate.when_open(connection.step_done)
        return False

    def take(self, connection: ScriptedTransport, message: Json) -> bool:
        if not self.audio or message["type"] != APPEND:
            raise Unexpected(f"the client sent {_short(message)}")
        return False


@dataclass
class block(Step):
    """The transport takes nothing: the `send` under way, and any later one, returns when *gate* opens."""

    gate: Gate

    def enter(self, connection: ScriptedTransport) -> bool:
        connection.blocked = self.gate
        return True


@dataclass
class ignore_pings(Step):
    """No pong comes any more."""

    def enter(self, connection: ScriptedTransport) -> bool:
        connection.answers_pings = False
        return True


@dataclass
class close(Step):
    """The server closes the connection; 1006 is a connection that just breaks."""

    code: int = 1006
    reason: str = ""

    def enter(self, connection: ScriptedTransport) -> bool:
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


# Connections --------------------------------------------------------------------------------------------------


class Connection:
    """A dial that succeeds once *after* is open, with *headers* in the upgrade's answer, and its script."""

    def __init__(self, *steps: Step, headers: Mapping[str, str] | None = None, after: Gate | None = None) -> None:
        self.steps = steps
        self.headers = dict(headers or {})
        self.after = after


class Refuse:
    """A dial that fails: with an HTTP *status*, or before HTTP (0)."""

    def __init__(self, status: int, reason: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


class NeverConnects:
    """A dial that does not end by itself."""


def echo(connection: ScriptedTransport) -> Json:
    """`session.updated` that accepts the newest update as it is."""
    return {"type": "session.updated", "session": connection.sent("session.update")[-1]["session"]}


def configured(*steps: Step, headers: Mapping[str, str] | None = None, after: Gate | None = None) -> Connection:
    """A connection that is set up as it should be, followed by *steps*."""
    return Connection(say(CREATED), expect("session.update"), say(echo), *steps, headers=headers, after=after)


class ScriptedTransport:
    """The client's end of one scripted connection."""

    def __init__(self, network: ScriptedNetwork, number: int, script: Connection) -> None:
        self.number = number
        self.messages: list[Json] = []
        "What the client sent, as JSON."
        self.log: list[str] = []
        "The types of that, and `ping`, in order."
        self.audio = b""
        "All appended audio."
        self.blocked: Gate | None = None
        self.answers_pings = True
        self.close_code: int | None = None
        "What the client closed with."
        self._network = network
        self._headers = script.headers
        self._steps = deque(script.steps)
        self._total = len(script.steps)
        self._inbox: deque[bytes | str] = deque()
        self._arrived = asyncio.Event()
        self._ended: tuple[int, str] | None = None

    # What the client calls (its `Transport` protocol)

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    async def send(self, data: bytes) -> None:
        self._raise_if_ended()
        message = json.loads(data)
        if not isinstance(data, bytes) or not isinstance(message, dict) or not isinstance(message.get("type"), str):
            self._network.fail(f"{self}: the client sent {data!r}")
        self.messages.append(message)
        self.log.append(message["type"])
        if message["type"] == APPEND:
            self.audio += base64.b64decode(message["audio"], validate=True)
        self._offer(message)
        while self.blocked is not None and not self.blocked.is_open:
            await self.blocked.wait()

    async def receive(self) -> bytes | str:
        while not self._inbox:
            self._raise_if_ended()
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def ping(self) -> Awaitable[Any]:
        self._raise_if_ended()
        self.log.append("ping")
        pong: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        if self.answers_pings:
            pong.set_result(0.0)
        return pong

    async def close(self, code: int, reason: str) -> None:
        if self._ended is None and self.close_code is None:
            self.close_code = code
            self._offer(None)
        self._end(1006, "")

    # What steps do

    def deliver(self, data: bytes | str) -> None:
        """The client receives *data*."""
        self._inbox.append(data)
        self._arrived.set()

    def closed_by_server(self, code: int, reason: str) -> None:
        """The client receives what is on its way, then the end."""
        self._end(code, reason)

    def step_done(self) -> None:
        """The step that was waited for is through."""
        if self._ended is None:
            self._steps.popleft()
            self.advance()

    # What a test reads

    def sent(self, kind: str) -> list[Json]:
        """The messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    def __str__(self) -> str:
        done = self._total - len(self._steps)
        where = f"step {done + 1} of {self._total}, {self._steps[0]}" if self._steps else "the end of the script"
        return f"connection {self.number}, {where}"

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        while self._steps and self._steps[0].passes(None):
            self._steps.popleft()
        return not self._steps

    def advance(self) -> None:
        """Do what the script does by itself."""
        while self._steps and self._steps[0].enter(self):
            self._steps.popleft()

    def _offer(self, message: Json | None) -> None:
        """The client sent *message*, or closed (None)."""
        while self._steps and self._steps[0].passes(message):
            self._steps.popleft()
            self.advance()
        try:
            self._judge(message)
        except Unexpected as problem:
            self._network.fail(f"{self}: {problem}")

    def _judge(self, message: Json | None) -> None:
        step = self._steps[0] if self._steps else None
        if message is None:
            if step is None:
                return
            if not isinstance(step, expect_close) or step.code != self.close_code:
                raise Unexpected(f"the client closed with {self.close_code}")
            self._steps.popleft()
        elif step is None or isinstance(step, expect_close):
            raise Unexpected(f"the client sent {_short(message)}")
        elif step.take(self, message):
            self._steps.popleft()
            self.advance()

    def _end(self, code: int, reason: str) -> None:
        self._ended = self._ended or (code, reason)
        self._arrived.set()

    def _raise_if_ended(self) -> None:
        if self._ended is not None:
            raise self._network.closed(*self._ended)


class ScriptedNetwork:
    """All connections of one test, in the order in which they are dialled. See the module's docstring."""

    def __init__(
        self,
        *scripts: Connection | Refuse | NeverConnects,
        closed: Callable[[int, str], Exception],
        refused: Callable[[int, str, Mapping[str, str]], Exception],
        timeout_s: float = 5.0,
    ) -> None:
        """*closed*, *refused*: the exceptions the client takes for a connection that ended or never came about."""
        self.closed = closed
        self.dials: list[tuple[str, dict[str, str]]] = []
        "URL and headers of every dial."
        self.connections: list[ScriptedTransport] = []
        self._refused = refused
        self._scripts = deque(scripts)
        self._timeout_s = timeout_s
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._problem = ""

    async def dial(self, url: str, headers: Mapping[str, str], endpoint: object) -> ScriptedTransport:
        """The client's dialler."""
        self.dials.append((url, dict(headers)))
        if not self._scripts:
            self.fail(f"dial {len(self.dials)}: the script has no such connection")
        script = self._scripts.popleft()
        if isinstance(script, NeverConnects):
            await asyncio.Event().wait()
        if isinstance(script, Refuse):
            raise self._refused(script.status, script.reason, script.headers)
        assert isinstance(script, Connection)
        if script.after is not None:
            await script.after.wait()
        transport = ScriptedTransport(self, len(self.dials), script)
        self.connections.append(transport)
        transport.advance()
        return transport

    def fail(self, problem: str) -> None:
        """End the test: what awaits in it is cancelled, and leaving the `async with` raises *problem*.

        Raises the same here, so that the client does not go on.
        """
        self._problem = self._problem or problem
        if self._task is not None:
            self._task.cancel()
        raise self.closed(1006, "the script failed")

    async def __aenter__(self) -> ScriptedNetwork:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._overdue)
        return self

    def _overdue(self) -> None:
        places = "; ".join(map(str, self.connections)) or "no connection"
        self._problem = self._problem or f"not over after {self._timeout_s} s: {places}"
        if self._task is not None:
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        task, self._task = self._task, None
        if self._problem:
            if not isinstance(error, asyncio.CancelledError):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)  # ours, not delivered yet
            if task is not None and hasattr(task, "uncancel"):  # Python 3.11 counts
                task.uncancel()
            raise AssertionError(self._problem) from error
        if error is None:
            left = [str(connection) for connection in self.connections if not connection.finished]
            left += [f"{len(self._scripts)} connection(s) never dialled"] if self._scripts else []
            assert not left, f"left over: {'; '.join(left)}"


def _short(message: Json) -> str:
    if message["type"] == APPEND:
        return f"{APPEND} of {len(message['audio']) * 3 // 4} bytes"
    return json.dumps(message)
