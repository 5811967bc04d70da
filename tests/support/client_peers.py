"""Clients with somebody who listens, on a scripted network or a real one."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from raw_serving import answering
from scripted import Connection, NeverConnects, Refuse, ScriptedNetwork
from sessions import COMMITTING, options
from ten_packages.extension.openai_asr_python.openai_asr_client import (
    Endpoint,
    OpenAIASRClient,
    OpenAIASRListener,
)
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.limiter import Unlimited
from ten_packages.extension.openai_asr_python.realtime.options import SessionOptions
from ten_packages.extension.openai_asr_python.transport import TransportRefused

E = TypeVar("E", bound=ev.Event)

KEY = "sk-canary-0123456789"
WIRE_RATE = 24_000
"Streams of this rate are not resampled: what is pushed is what is on the wire, byte for byte."


class Recorder(OpenAIASRListener):
    """Keeps every event, in order."""

    def __init__(self) -> None:
        self.events: list[ev.Event] = []
        self._news = asyncio.Event()

    def _note(self, event: ev.Event) -> None:
        self.events.append(event)
        self._news.set()

    on_asr_start = on_asr_delta = on_asr_completed = on_asr_committed = _note
    on_asr_server_error = on_asr_client_error = on_other_event = _note

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def finals(self) -> list[ev.Transcript]:
        return [event for event in self.of(ev.Transcript) if event.final]

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.finals]

    async def until(self, condition: Callable[[], Any], timeout_s: float = 40.0) -> None:
        """Return once *condition* holds; it is asked again after each event."""

        async def watch() -> None:
            while not condition():
                self._news.clear()
                await self._news.wait()

        try:
            await asyncio.wait_for(watch(), timeout_s)
        except asyncio.TimeoutError:
            told = "\n".join(map(str, self.events[-20:]))
            raise AssertionError(f"nothing for {timeout_s} s; the last events were:\n{told}") from None

    async def first(self, kind: type[E], number: int = 1) -> E:
        """The event of *kind* with that number (from 1), once it is there."""
        await self.until(lambda: len(self.of(kind)) >= number)
        return self.of(kind)[number - 1]


@contextlib.asynccontextmanager
async def tidy() -> AsyncIterator[None]:
    """Whatever happens inside, no task is left running and no exception goes unheard."""
    loop = asyncio.get_running_loop()
    unheard: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unheard.append(context))
    yield
    await asyncio.sleep(0)
    running = asyncio.all_tasks() - {asyncio.current_task()}
    assert not running, f"left running: {running}"
    gc.collect()
    assert not unheard, [context.get("exception") or context["message"] for context in unheard]


def scripted(*scripts: Connection | Refuse | NeverConnects, timeout_s: float = 5.0) -> ScriptedNetwork:
    """A scripted network that speaks this client's exception."""
    return ScriptedNetwork(*scripts, refused=TransportRefused, timeout_s=timeout_s)


def at_wire_rate(detection: str = "none", model: str = COMMITTING, **changes: Any) -> SessionOptions:
    """Options of a stream that needs no resampling."""
    return options(detection, model, sample_rate=WIRE_RATE, **changes)


def make_client(
    network: ScriptedNetwork, opts: SessionOptions | None = None, listener: OpenAIASRListener | None = None, **more: Any
) -> tuple[OpenAIASRClient, Recorder]:
    """A client on *network*, and the recorder that listens to it unless *listener* does."""
    recorder = Recorder()
    endpoint = more.pop("endpoint", None) or Endpoint("ws://test.invalid/v1", api_key="sk-test")
    more.setdefault("dial", network.dial)
    more.setdefault("rng", lambda: 0.0)  # back-off without delay
    more.setdefault("clock", asyncio.get_running_loop().time)
    more.setdefault("limiter", Unlimited())  # the process's own counts in another time
    client = OpenAIASRClient(opts or at_wire_rate(), endpoint, listener or recorder, **more)
    return client, recorder


def socket_client(url: str, *, key: Any = KEY, rng: float = 0.1, **more: Any) -> tuple[OpenAIASRClient, Recorder]:
    """A client without a detector on real sockets, and its listener. *rng*: how much of the back-off is waited for."""
    heard = Recorder()
    endpoint = Endpoint(url, api_key=key, **more.pop("endpoint", {}))
    return OpenAIASRClient(options("none", COMMITTING, **more), endpoint, heard, rng=lambda: rng), heard


@contextlib.asynccontextmanager
async def raw_server(answer: bytes, *, reads: bool = True) -> AsyncIterator[str]:
    """URL of somebody who reads a request, gives *answer*, and hangs up."""
    async with answering(answer, reads=reads) as port:
        yield f"ws://127.0.0.1:{port}/v1"
