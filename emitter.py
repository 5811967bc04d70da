"""The one way out to the graph.

The base class sends with whatever `uuid`, `metadata` and `finalize_id` it holds at that moment, so two senders would
mix them up. Here is the only sender: for each message it sets those fields and calls the base with no await between,
and the next message begins when the send before it has ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

MAX_OUTPUTS = 256
"Messages that may wait for the graph; whoever brings more of them waits too."


class Base(Protocol):
    """The fields of the base class that its send methods read."""

    uuid: str
    metadata: dict[str, Any] | None
    session_id: str | None
    finalize_id: str | None
    last_finalize_time: float | None


@dataclass(eq=False)
class Output:
    """One message for the graph, with the fields the base must hold while it is sent."""

    send: Callable[[], Awaitable[object]]
    metadata: dict[str, Any] | None
    result_id: str | None = None
    finalize_id: str | None = None
    final_start_ms: int | None = None
    "Set for a final: where its speech begins."
    finalize_time: float | None = None
    "When the finalize that this final completes came in: the base makes the TTLW metric of it."


class Emitter:
    """A queue of outputs and the task that sends them."""

    def __init__(self, base: Base, on_failure: Callable[[BaseException], None]) -> None:
        self._base = base
        self._on_failure = on_failure
        self._queue: deque[Output] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self._room.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin sending; needs the running loop."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def put(self, output: Output) -> None:
        """Queue *output* behind all others."""
        self._queue.append(output)
        self._idle.clear()
        self._wake.set()
        if len(self._queue) >= MAX_OUTPUTS:
            self._room.clear()

    @property
    def has_room(self) -> bool:
        """Whether fewer than `MAX_OUTPUTS` messages wait."""
        return self._room.is_set()

    def room(self) -> Awaitable[None] | None:
        """None if there is room for more, else what to await until there is."""
        return None if self.has_room else self._until_room()

    async def _until_room(self) -> None:
        await self._room.wait()

    def mark_completing_final(self, fence_ms: int, finalize_time: float | None) -> None:
        """The newest final not yet sent that belongs before *fence_ms* completes a finalize."""
        for output in reversed(self._queue):
            if output.final_start_ms is not None and output.final_start_ms < max(fence_ms, 1):
                output.finalize_time = finalize_time
                return

    async def drain(self) -> None:
        """Return when everything queued so far, and what that causes, was sent; at once if it never started."""
        if self._task is not None:
            await self._idle.wait()

    async def stop(self) -> None:
        """Send what is queued, then end."""
        await self.drain()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            while self._queue:
                output = self._queue.popleft()
                if len(self._queue) < MAX_OUTPUTS // 2:
                    self._room.set()
                try:
                    await self._send(output)
                except Exception as exc:  # a failed send must not silence the rest
                    self._on_failure(exc)
            self._idle.set()
            self._wake.clear()
            await self._wake.wait()

    async def _send(self, output: Output) -> None:
        base = self._base
        latest, base.metadata = base.metadata, output.metadata
        session, base.session_id = base.session_id, _session_of(output.metadata)
        if output.result_id is not None:
            base.uuid = output.result_id
        if output.finalize_id is not None:
            base.finalize_id = output.finalize_id
        base.last_finalize_time = output.finalize_time
        try:
            await output.send()
        finally:
            base.last_finalize_time = None
            if base.metadata is output.metadata:  # else a newer frame set it meanwhile
                base.metadata = latest
                base.session_id = session


def _session_of(metadata: dict[str, Any] | None) -> str | None:
    """Newer bases put their `session_id` over the metadata's: it must be this message's, not the last frame's."""
    session_id = (metadata or {}).get("session_id")
    return None if session_id is None else str(session_id)
