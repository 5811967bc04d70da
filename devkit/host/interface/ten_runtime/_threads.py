"""Event loops in threads of their own: one shared by all async extensions, one for each tester."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import threading
from collections.abc import Callable
from typing import Any

from ._log import note

LEFTOVER_GRACE_S = 0.5


def _new_loop() -> asyncio.AbstractEventLoop:
    """As TEN does: uvloop where it is installed."""
    if importlib.util.find_spec("uvloop") is not None:
        loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
        return loop
    return asyncio.new_event_loop()


class LoopThread:
    """A daemon thread that runs one event loop until :meth:`close`."""

    def __init__(self, name: str) -> None:
        self.loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._ident = self._thread.ident

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        try:
            self.loop.run_until_complete(_cancel_leftovers())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()

    @property
    def here(self) -> bool:
        """True when the caller runs in this thread."""
        return threading.get_ident() == self._ident

    def call(self, function: Callable[..., Any], *args: Any) -> bool:
        """Run *function* on the loop, in the order of calls; False when the loop has ended."""
        try:
            if self.here:
                self.loop.call_soon(function, *args)
            else:
                self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return False
        return True

    def close(self) -> None:
        """End the loop: what is left over is cancelled and given half a second. Not for calls from the loop."""
        self.call(self.loop.stop)
        self._thread.join(timeout=10 * LEFTOVER_GRACE_S)
        if self._thread.is_alive():
            note(logging.WARNING, f"thread {self._thread.name} is blocked by code that does not return: left behind")


async def _cancel_leftovers() -> None:
    this = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not this]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LEFTOVER_GRACE_S)
    for task in tasks:
        # Retrieve what a cancelled task raised, or asyncio reports it at some later garbage collection.
        if task.done() and not task.cancelled():
            task.exception()


class SharedLoop:
    """The loop that all async extensions of the process share while at least one of them lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._thread: LoopThread | None = None

    def acquire(self) -> LoopThread:
        with self._lock:
            self._users += 1
            if self._thread is None:
                self._thread = LoopThread("PythonGlobalMainThread")
            return self._thread

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            thread = self._thread
            if self._users or thread is None:
                return
            self._thread = None
        thread.close()


shared_loop = SharedLoop()
