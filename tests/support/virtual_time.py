"""Time that passes only while nobody has anything to do: for tests that touch no socket, thread or process.

    with virtual_time():
        client = OpenAIASRClient(..., clock=asyncio.get_running_loop().time)

The clock of the running loop stands still while anything is ready to run, and jumps to the next timer when nothing is.
So a minute takes no time, and a machine that is busy with something else changes nothing: durations may be asserted to
the millisecond, and no deadline is missed because a process did not get its turn.

Wait with a time (`sleep(0.001)`), not with `sleep(0)`: a loop of those keeps time from passing, its own timeout too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

STANDSTILL = 100_000
"Steps of a loop in no time at all: nothing waits for so many."


@contextlib.contextmanager
def virtual_time() -> Iterator[None]:
    """See the module's docstring. Belongs around everything that uses the loop's clock."""
    loop: Any = asyncio.get_running_loop()
    selector = loop._selector  # asyncio lets one give a loop its selector, but not to a loop that runs
    select_really = selector.select
    now, steps = loop.time(), 0

    def select(timeout: float | None = None) -> Any:
        nonlocal now, steps
        ready = select_really(0 if timeout is not None else None)
        if not ready and timeout:
            now, steps = now + timeout, 0
        steps += 1
        assert steps < STANDSTILL, "time stands still: something polls with sleep(0), or a due timer does nothing"
        return ready

    loop.time = lambda: now
    selector.select = select
    try:
        yield
    finally:
        del loop.time
        del selector.select
