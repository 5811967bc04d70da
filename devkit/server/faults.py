"""What goes wrong on purpose: given beforehand, or told while the server runs, from any thread.

    faults = Faults(["fail-item:every=5", fault("drop", interval=10)])
    with run_in_thread(faults=faults) as server:
        faults.kill_all()
        kill = faults.kill_when("after_commit")
        kill.wait(10)

The same seed, connections and messages give the same faults. docs/faults.md lists them.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from .faults_layer import Layer, Link, Tally
from .faults_moments import phase_named
from .faults_registry import FAULTS, Fault, fault, parse_fault, read_fault_script
from .faults_spec import FaultError
from .faults_stack import FaultStack, Kill

__all__ = ["Fault", "FaultError", "FaultStack", "Faults", "Kill", "fault", "parse_fault", "read_fault_script"]

_LOOP_SECONDS = 10.0
"How long another thread waits for the server's loop."
_DEFAULT_FORMAT = {"type": "audio/pcm", "rate": 24000}


class HttpRefusal(NamedTuple):
    """What an upgrade is answered with instead of 101."""

    status: int
    retry_after: float | None
    "Seconds."


class Target(Protocol):
    """A connection that is being served; all in the server's loop."""

    @property
    def frozen(self) -> bool:
        """Whether it is half-open: there for nobody."""
        ...

    @property
    def reading(self) -> bool:
        """Whether it takes notice of what its peer sends."""
        ...

    def abort(self) -> None:
        """Cut its TCP connection."""
        ...

    def wake(self) -> None:
        """Look at its timers again."""
        ...


class _Active:
    """A fault that is on, over all connections."""

    def __init__(self, given: Fault, origin: float) -> None:
        self.fault = given
        self.tally = Tally(given.arguments.get("every", 1), given.arguments["times"], origin)

    def layer(self, link: Link) -> Layer | None:
        """What makes it on one connection, if it concerns that."""
        make = FAULTS[self.fault.name].layer
        if make is None or not self.fault.concerns(link.number):
            return None
        return make(self.fault.arguments, self.tally, link)


class Faults:
    """The faults of one server."""

    def __init__(self, faults: Iterable[Fault | str] = (), *, seed: int | None = None) -> None:
        """*faults*: as `fault` and `parse_fault` make them, or their text. *seed*: of what is random (default: the
        server's). Raises FaultError.
        """
        self._seed = seed
        self._seed_used: int = seed or 0
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._active = [_Active(_read(given), 0.0) for given in faults]
        self._serving: dict[FaultStack, Target] = {}
        self._kills: tuple[Kill, ...] = ()
        self._ordered = 0
        self.connections = 0
        "Upgrades accepted so far."
        self.refused = 0
        "Upgrades answered with an HTTP status instead."

    # From any thread ------------------------------------------------------------------------------------------

    @property
    def live(self) -> int:
        """Connections that are open now, half-open ones not counted."""
        with self._lock:
            return sum(not target.frozen for target in self._serving.values())

    @property
    def counts(self) -> dict[str, int]:
        """How often each fault has happened so far, by its text."""
        with self._lock:
            return {str(active.fault): active.tally.struck for active in self._active}

    def kill_all(self) -> int:
        """Cut the TCP connection of every client now. Returns how many there were, once it is done."""
        return self._in_loop(self._kill_all) or 0

    def kill_when(self, phase: str) -> Kill:
        """Cut the first connection on which the next such moment comes.

        *phase*: `speaking` (audio with speech comes in; a random piece of it, up to 1.5 s, is taken before),
        `before_commit` (the client's commit is not taken, or that of the server not told), `after_commit` (before the
        item's text, or right after `committed`), `inside_message` (in the middle of a frame of an item). Raises
        ValueError for any other. Returns what tells whether it has happened.
        """
        wanted = phase_named(phase)
        with self._lock:
            self._ordered += 1
            kill = Kill(wanted, self._ordered)
            self._kills = (*(pending for pending in self._kills if pending.pending), kill)
        return kill

    def refuse(self, status: int = 503, seconds: float | None = None, retry_after: float | None = None) -> None:
        """Answer upgrades with an HTTP *status* for the next *seconds* (None: until `clear`)."""
        given: dict[str, object] = {"status": status, "for": seconds, "retry-after": retry_after}
        self.add(fault("http", **{name: value for name, value in given.items() if value is not None}))

    def add(self, given: Fault | str) -> None:
        """One fault more, on live connections as well; its `at` and `after` count from now. Raises FaultError."""
        wanted = _read(given)

        def work() -> int:
            active = _Active(wanted, time.monotonic())
            with self._lock:
                self._active.append(active)
                serving = list(self._serving.items())
            for stack, target in serving:
                layer = active.layer(stack.link)
                if layer is not None:
                    stack.add(layer)
                    target.wake()
            return len(serving)

        # In the loop, so that no connection can be on its way in meanwhile.
        if self._in_loop(work) is None:
            with self._lock:
                self._active.append(_Active(wanted, 0.0))

    def clear(self) -> None:
        """No faults any more; connections that are half-open or answer no pings stay so."""

        def work() -> int:
            with self._lock:
                self._active = []
                kills, serving = self._kills, list(self._serving)
            for kill in kills:
                kill.cancel()
            for stack in serving:
                stack.calm()
            return len(serving)

        if self._in_loop(work) is None:
            work()

    # Of the server, in its loop -------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop, now: float, seed: int) -> None:
        """The server starts: times count from *now*."""
        with self._lock:
            self._loop = loop
            self._seed_used = self._seed if self._seed is not None else seed
            self.connections = self.refused = 0
            self._active = [_Active(active.fault, now) for active in self._active]

    def stop(self) -> None:
        """The server is about to stop: connections that would not notice a CLOSE frame of the peer are cut."""
        for target in self._targets():
            if not target.reading:
                target.abort()
        self._loop = None

    def refusal(self, now: float) -> HttpRefusal | None:
        """What an upgrade is refused with, if it is."""
        with self._lock:
            asked = self.connections + self.refused + 1
            for active in self._active:
                arguments = active.fault.arguments
                begins = active.tally.origin + arguments["at"]
                length = arguments["for"]
                ends = math.inf if length is None else begins + length
                concerned = active.fault.name == "http" and active.fault.concerns(asked)
                if concerned and begins <= now < ends and active.tally.strikes():
                    self.refused += 1
                    return HttpRefusal(arguments["status"], arguments["retry-after"])
        return None

    def open(self, now: float, epoch: float) -> FaultStack:
        """The faults of the next connection, accepted *now*; *epoch* is the wall clock's time."""
        with self._lock:
            self.connections += 1
            link = Link(
                number=self.connections,
                opened=now,
                epoch=epoch,
                seed=f"{self._seed_used}/faults",
                audio_format=_DEFAULT_FORMAT,
            )
            layers = [active.layer(link) for active in self._active]
        return FaultStack(link, [layer for layer in layers if layer is not None], lambda: self._kills)

    @contextlib.contextmanager
    def serving(self, stack: FaultStack, target: Target) -> Iterator[None]:
        """*target* is open, with the faults of *stack*, for as long as the context lasts."""
        with self._lock:
            self._serving[stack] = target
        try:
            yield
        finally:
            with self._lock:
                del self._serving[stack]

    def _targets(self) -> list[Target]:
        with self._lock:
            return list(self._serving.values())

    def _kill_all(self) -> int:
        targets = self._targets()
        for target in targets:
            target.abort()
        return len(targets)

    def _in_loop(self, work: Callable[[], int]) -> int | None:
        """Do *work* in the server's loop and wait for it. None if the server does not run: then it was not done."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return None
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is loop:
            return work()

        async def run() -> int:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), loop).result(_LOOP_SECONDS)


def _read(given: Fault | str) -> Fault:
    return parse_fault(given) if isinstance(given, str) else given
