"""What a soak reads off a process and a session, and what it makes of a series of readings."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import os
import statistics
import sys
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import soak_load  # noqa: F401  (makes the names below importable)
from ten_packages.extension.openai_asr_python.audio import resample

RATES = (16_000, 24_000)
"Of all calls of the soak, and of their wire."
_NOT_OURS = (type, ModuleType, FunctionType, BuiltinFunctionType, asyncio.AbstractEventLoop, resample._Tables)
"What a walk stops at: shared by the whole process."
PATIENCE_S = 5.0
"For sockets and tasks that are on their way out."


@dataclass(frozen=True)
class Verdict:
    """One line of the table."""

    what: str
    start: float
    end: float
    limit: str
    holds: bool
    kept: bool = True
    "Whether the run fails with it: not where only the clock of the machine is judged in a short run."


def reachable(root: object, *, but: Sequence[object] = ()) -> tuple[int, int]:
    """How many objects hang on *root*, and their bytes; not what hangs on *but*, nor what the process shares."""
    seen = {id(root), *map(id, but)}
    waiting, size = [root], 0
    count = 0
    while waiting:
        thing = waiting.pop()
        count += 1
        size += sys.getsizeof(thing)
        keys = thing if type(thing) is dict else ()  # the collector passes over keys that are text
        for other in (*gc.get_referents(thing), *keys):
            if id(other) not in seen and not isinstance(other, _NOT_OURS):
                seen.add(id(other))
                waiting.append(other)
    return count, size


def kinds_of_objects() -> Counter[str]:
    """Live objects that the collector knows and that are not frozen, by class."""
    return Counter(f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.get_objects())


def grown(before: Counter[str], after: Counter[str]) -> str:
    """The classes that grew most, for who has to find a leak."""
    most = (after - before).most_common(4)
    return ", ".join(f"{name} +{count}" for name, count in most)


_clear_caches = getattr(sys, "_clear_internal_caches", None) or getattr(sys, "_clear_type_cache", None)


def allocated() -> int:
    """Blocks that Python's allocator has given out.

    Without what a process remembers, up to a bound that it may take hours to reach: the interpreter thousands of names
    of attributes that it looked up, and the resampler how frames of each length are worked off.
    """
    for space in resample._tables(*RATES).spare:
        space.clear()
    if _clear_caches is not None:
        _clear_caches()
    gc.collect()
    return sys.getallocatedblocks()


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    """In here `gc.get_objects` names only what was made in here."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


_TEXT = json.dumps({"type": "x" * 20, "list": list(range(200)), "text": "so it goes " * 20})
_PACE_S = 0.1
_WAVE = np.arange(4_000, dtype=np.int16)


def yardstick() -> float:
    """CPU seconds of a fixed piece of work in this thread: how fast the machine is at the moment."""
    began = time.thread_time()
    for _ in range(30):
        json.dumps(json.loads(_TEXT))
        float(np.abs(_WAVE.astype(np.float64)).mean())
    return time.thread_time() - began


class Pace:
    """How fast the machine is while something runs: a thread beside it does the fixed piece of work now and then."""

    def __init__(self) -> None:
        self.middle = 0.0
        "Of all the times it was done."
        self.cpu_s = 0.0
        "What the process used in the meantime, without this thread."
        self._over = threading.Event()
        self._found: list[float] = []
        self._own = 0.0
        self._thread = threading.Thread(target=self._run, name="soak-pace")

    def _run(self) -> None:
        while True:
            self._found.append(yardstick())
            if self._over.wait(_PACE_S):
                break
        self._own = time.thread_time()

    def __enter__(self) -> Pace:
        self._began = time.process_time()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.cpu_s = time.process_time() - self._began - self._own
        self.middle = statistics.median(self._found)


def paired(first: Sequence[float], last: Sequence[float]) -> float:
    """The middle of what each minute of the last round cost, as a multiple of the same minute of the first."""
    return statistics.median(b / a for a, b in zip(first, last, strict=True) if a > 0)


class Series:
    """Numbers by name, one for each minute or checkpoint, kept so that they are no objects to the collector."""

    def __init__(self) -> None:
        self.values: dict[str, array[float]] = {}

    def add(self, **numbers: float) -> None:
        """One more of each."""
        for name, number in numbers.items():
            self.values.setdefault(name, array("d")).append(number)

    def part(self, name: str, number: int, parts: int) -> array[float]:
        """The *number*-th (from 0) of *parts* equal parts."""
        values = self.values[name]
        length = len(values) // parts
        return values[number * length : (number + 1) * length]

    @property
    def lists(self) -> dict[str, list[float]]:
        """All of it, for a file."""
        return {name: list(values) for name, values in self.values.items()}


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the line through the points: the middle of the slopes of all pairs, so that one step makes no slope."""
    pairs = itertools.combinations(zip(x, y, strict=True), 2)
    return statistics.median([(d - b) / (c - a) for (a, b), (c, d) in pairs if c != a] or [0.0])


# A process -----------------------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of this process in memory; 0 where that is not to be had."""
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def descriptors() -> list[str]:
    """What this process has open, where the system tells."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # that of the listing itself
                found.append(os.readlink(f"/proc/self/fd/{name}").split(":")[0])
    return sorted(found)


@dataclass(frozen=True)
class Left:
    """What a process holds between two calls that should leave nothing."""

    tasks: int
    timers: int
    descriptors: int
    threads: int
    objects: int
    "Live clients, sessions, connections and, where there are some, extensions."

    @property
    def named(self) -> dict[str, int]:
        """By name."""
        return asdict(self)


def left(classes: tuple[type, ...], loop: asyncio.AbstractEventLoop | None) -> Left:
    """Look. *classes*: of which nothing should be alive; *loop*: whose tasks and timers count."""
    gc.collect()
    tasks: set[Any] = {task for task in asyncio.all_tasks(loop)} if loop else set()
    timers = [timer for timer in getattr(loop, "_scheduled", ()) if not timer.cancelled()]
    alive = sum(isinstance(thing, classes) for thing in gc.get_objects())
    return Left(len(tasks), len(timers), len(descriptors()), threading.active_count(), alive)
