"""A scripted network for the client: a test writes down a whole conversation, and any deviation fails the test.

Written from the wire protocol alone; it imports nothing of this project, so what it accepts is evidence. It stands in
for a socket through the `dial` argument of the client, whose exception for a refused dial it is given:

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
        refused=TransportRefused,
    ) as network:
        client = OpenAIASRClient(options, endpoint, listener, dial=network.dial)
        ...

Steps happen in their order. Those that say, block or close happen as soon as the step before them is through, still
inside the `send` that got there. The client is told, as by a real socket, not inside of its own call but in the loop's
next round, all of it in order. A test fails at once, with the place in the
script, when the client sends what the next step does not expect, dials more often than there are scripts, or closes
while steps are left; when it is not over after `timeout_s`; and at the end when a step or a connection is left over.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol

from script_steps import (
    APPEND,
    COMMIT,
    CREATED,
    Gate,
    Json,
    Step,
    Unexpected,
    block,
    close,
    committed,
    completed,
    delta,
    echo,
    error,
    expect,
    expect_close,
    hear,
    ignore_pings,
    matches,
    say,
    shown,
    wait,
)

__all__ = [
    "APPEND",
    "COMMIT",
    "CREATED",
    "Connection",
    "Gate",
    "NeverConnects",
    "Refuse",
    "ScriptedNetwork",
    "ScriptedTransport",
    "Unexpected",
    "block",
    "close",
    "committed",
    "completed",
    "configured",
    "delta",
    "echo",
    "error",
    "expect",
    "expect_close",
    "hear",
    "ignore_pings",
    "matches",
    "say",
    "wait",
]


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


def configured(*steps: Step, headers: Mapping[str, str] | None = None, after: Gate | None = None) -> Connection:
    """A connection that is set up as it should be, followed by *steps*."""
    return Connection(say(CREATED), expect("session.update"), say(echo), *steps, headers=headers, after=after)


class Receiver(Protocol):
    """Who is told what happens on a connection: the client."""

    def message(self, data: bytes) -> None: ...

    def pong(self) -> None: ...

    def writable(self) -> None: ...

    def closed(self, code: int, reason: str) -> None: ...


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
        self._receiver: Receiver | None = None
        self._news: deque[Callable[[Receiver], None]] = deque()
        self._telling: asyncio.Handle | None = None
        self._awaits_room = False
        self._ended = False

    # What the client calls (its `Transport` protocol)

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    def start(self, receiver: Receiver) -> None:
        assert self._receiver is None, "started twice"
        self._receiver = receiver
        self._tell_soon()

    def send(self, data: bytes) -> bool:
        if self._ended:
            return True
        message = json.loads(data)
        if not isinstance(data, bytes) or not isinstance(message, dict) or not isinstance(message.get("type"), str):
            self._fail(f"{self}: the client sent {data!r}")
            return True
        self.messages.append(message)
        self.log.append(message["type"])
        if message["type"] == APPEND:
            self.audio += base64.b64decode(message["audio"], validate=True)
        self._offer(message)
        if self.blocked is None or self.blocked.is_open:
            return True
        if not self._awaits_room:
            self._awaits_room = True
            self.blocked.when_open(self._has_room)
        return False

    def ping(self) -> None:
        if self._ended:
            return
        self.log.append("ping")
        if self.answers_pings:
            self._tell(lambda receiver: receiver.pong())

    async def close(self, code: int, reason: str) -> None:
        if not self._ended:
            self._ended = True
            self.close_code = code
            self._offer(None)
        self._news.clear()
        if self._telling is not None:
            self._telling.cancel()

    # What steps do

    def deliver(self, data: bytes | str) -> None:
        """The client receives *data*."""
        content = data.encode() if isinstance(data, str) else data
        self._tell(lambda receiver: receiver.message(content))

    def closed_by_server(self, code: int, reason: str) -> None:
        """The client receives what is on its way, then the end."""
        if not self._ended:
            self._ended = True
            self._tell(lambda receiver: receiver.closed(code, reason))

    def step_done(self) -> None:
        """The step that was waited for is through."""
        if not self._ended:
            self._steps.popleft()
            self.advance()

    def _has_room(self) -> None:
        self._awaits_room = False
        if not self._ended:
            self._tell(lambda receiver: receiver.writable())

    def _tell(self, news: Callable[[Receiver], None]) -> None:
        self._news.append(news)
        self._tell_soon()

    def _tell_soon(self) -> None:
        if self._receiver is not None and self._news and self._telling is None:
            self._telling = asyncio.get_running_loop().call_soon(self._tell_now)

    def _tell_now(self) -> None:
        self._telling = None
        assert self._receiver is not None
        while self._news:
            self._news.popleft()(self._receiver)

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
            self._fail(f"{self}: {problem}")

    def _judge(self, message: Json | None) -> None:
        step = self._steps[0] if self._steps else None
        if message is None:
            if step is None:
                return
            if not isinstance(step, expect_close) or step.code != self.close_code:
                raise Unexpected(f"the client closed with {self.close_code}")
            self._steps.popleft()
        elif step is None or isinstance(step, expect_close):
            raise Unexpected(f"the client sent {shown(message)}")
        elif step.take(self, message):
            self._steps.popleft()
            self.advance()

    def _fail(self, problem: str) -> None:
        self.closed_by_server(1006, "the script failed")
        self._network.fail(problem)


class ScriptedNetwork:
    """All connections of one test, in the order in which they are dialled. See the module's docstring."""

    def __init__(
        self,
        *scripts: Connection | Refuse | NeverConnects,
        refused: Callable[[int, str, Mapping[str, str]], Exception],
        timeout_s: float = 5.0,
    ) -> None:
        """*refused*: the exception the client takes for a connection that never came about."""
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
            raise self._refused(0, "the script failed", {})
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
        """End the test: what awaits in it is cancelled, and leaving the `async with` raises *problem*."""
        self._problem = self._problem or problem
        if self._task is not None:
            self._task.cancel()

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
