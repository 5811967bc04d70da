"""Measurements of streams: paced as callers speak, and flat out. Each gives plain numbers; `perf_child` prints them."""

from __future__ import annotations

import asyncio
import contextlib
import cProfile
import io
import pstats
import resource
import time
from pathlib import Path
from typing import Any

from perf_audio import Sound, latencies, marked
from perf_subjects import Subject, report

Json = dict[str, Any]
TICK_S = 0.001
WARM_S = 1.0
YIELD_EVERY = 8


def cpu_s() -> float:
    """User and system time of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def waited_s() -> float:
    """How long this process was ready to run and did not get its core; 0 where the system does not tell."""
    total = 0
    for file in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            total += int(file.read_text().split()[1])
    return total / 1e9


def percentile(values: list[float], part: float) -> float:
    """The value below which *part* (0 to 1) of them lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


class Usage:
    """What this process used since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall, self._waited = cpu_s(), time.monotonic(), waited_s()

    def so_far(self) -> Json:
        """CPU, wall and waiting time in seconds."""
        used, wall, waited = cpu_s(), time.monotonic(), waited_s()
        return {"cpu_s": used - self._cpu, "wall_s": wall - self._wall, "waited_s": waited - self._waited}


async def live(
    subject: Subject, url: str, sound: Sound, streams: int, seconds: float, watch: list[int], *, apart: bool = False
) -> Json:
    """Push frames at the pace of callers whose frames do not coincide, and count CPU while they speak.

    With *apart* the loop turns between two pushes, so that each is a call of its own to it.
    """
    await subject.open()
    signs = marked(sound)[1] if watch else [0]
    watched = set(watch)
    pushed: dict[int, list[tuple[int, int]]] = {number: [] for number in watch}
    ticks = sound.frame_ms
    slots: dict[int, list[int]] = {}
    for number in range(streams):
        slots.setdefault(number * ticks // streams, []).append(number)
    late: list[float] = []
    usage = Usage()
    began = time.monotonic() + 0.01
    for tick in range(round((WARM_S + seconds) / TICK_S)):
        if tick == round(WARM_S / TICK_S):
            usage = Usage()
            late.clear()
        slot = slots.get(tick % ticks)
        if slot is None:
            continue
        await asyncio.sleep(max(0.0, began + tick * TICK_S - time.monotonic()))
        late.append(time.monotonic() - began - tick * TICK_S)
        number = tick // ticks
        for stream in slot:
            if stream in watched and signs[number % len(signs)]:
                pushed[stream].append((time.monotonic_ns(), signs[number % len(signs)]))
            pending = subject.push(stream, number)
            if pending is not None:
                await pending
            if apart:
                await asyncio.sleep(0)
    used = usage.so_far()
    return {
        **used,
        "core_needed": used["cpu_s"] / seconds,
        "audio_s": seconds * streams,
        "late_p99_ms": percentile(late, 0.99) * 1000,
        "late_end_ms": (late[-1] if late else 0.0) * 1000,
        **await _outcome(subject, url, pushed),
    }


async def _outcome(subject: Subject, url: str, pushed: dict[int, list[tuple[int, int]]]) -> Json:
    """Latency and counts, by the server's word; and the streams are closed."""
    if not url:
        return {}
    await asyncio.sleep(0.2)
    told = await report(url)
    await subject.close()
    found: list[float] = []
    wrong = 0
    for number, given in pushed.items():
        times, unfit = latencies(given, told[str(number)].get("marks", []))
        found += times
        wrong += unfit
    appends, audio_ms = (sum(stream[key] for stream in told.values()) for key in ("appends", "audio_ms"))
    return {
        "latency_p50_ms": percentile(found, 0.5),
        "latency_p99_ms": percentile(found, 0.99),
        "frames_seen": len(found),
        "frames_wrong": wrong,
        "messages_per_s": appends / audio_ms * 1000 if audio_ms else 0.0,
        "events": sum(stream["events"] for stream in told.values()),
    }


async def flat_out(
    subject: Subject, url: str, sound: Sound, streams: int, seconds: float, *, profile: bool = False
) -> Json:
    """Push frames as fast as they are taken; counts CPU and frames."""
    await subject.open()
    await _rounds(subject, streams, 0, 0.3)
    profiler = cProfile.Profile(time.process_time) if profile else None
    if profiler:
        profiler.enable()
    usage = Usage()
    rounds = await _rounds(subject, streams, 100, seconds)
    used = usage.so_far()
    if profiler:
        profiler.disable()
    count = rounds * streams
    result = {**used, "frames": count, "audio_s": count * sound.frame_ms / 1000}
    if profiler:
        result["profile"] = _top(profiler, count)
    return {**result, **await _outcome(subject, url, {})}


async def _rounds(subject: Subject, streams: int, first: int, seconds: float) -> int:
    """One frame to each stream, over and over for *seconds*; returns how often."""
    until, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        for stream in range(streams):
            pending = subject.push(stream, first + rounds)
            if pending is not None:
                await pending
        rounds += 1
        await asyncio.sleep(0)
        if rounds % YIELD_EVERY == 0:
            while subject.behind():
                await asyncio.sleep(0.001)
    return rounds


def _top(profiler: cProfile.Profile, frames: int) -> str:
    text = io.StringIO()
    text.write(f"{frames} frames\n")
    pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(45)
    return text.getvalue()
