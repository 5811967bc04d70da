"""The second part of the soak: thousands of real calls over real sockets, and what is left of them.

The project's own server runs in another process and has faults: connections that drop, sessions of seconds, items that
fail. A *subject* makes the calls, in batches; between two batches nothing of them may be left in the process.

    python bench/soak_real.py '{"subject": "client", "seconds": 60}'     prints one JSON object
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import soak_load
from chaos_call import Play, Speech, run_stream, write
from chaos_run import properties
from chaos_scenarios import SCENARIOS
from sessions import COMMITTING, RATE, options
from soak_meter import (
    PATIENCE_S,
    Left,
    Pace,
    Series,
    Verdict,
    allocated,
    frozen,
    grown,
    kinds_of_objects,
    left,
    resident,
    slope,
)
from ten_packages.extension.openai_asr_python.devkit.server.tones import LABELS, make_block
from ten_packages.extension.openai_asr_python.extension import OpenAIASRExtension
from ten_packages.extension.openai_asr_python.openai_asr_client import Endpoint, OpenAIASRClient, OpenAIASRListener
from ten_packages.extension.openai_asr_python.realtime.connection import Connection
from ten_packages.extension.openai_asr_python.realtime.limiter import Unlimited
from ten_packages.extension.openai_asr_python.realtime.session import Session

Json = dict[str, Any]

FAULTS = ("drop:interval=3", "session-limit:seconds=1.2", "fail-item:every=9", "error-event:interval=1")
"Repairs, rollovers and replays are part of many calls with these."
CLASSES = (OpenAIASRExtension, OpenAIASRClient, Session, Connection)
"Of which none is alive between two batches."
SIDE_BY_SIDE = 8
CALLS = 80
"Of a batch."
WARM = 3
"Batches before the first that counts."
KB_PER_1000_CALLS, BLOCKS_PER_1000_CALLS = 200, 100
NOISE_KB = 512
"By which the resident set of a process comes and goes whatever it does: what a short run's slope is not judged by."
CPU_RATIO = 1.15
LONG_S = 1.5
HEARD_SHARE = 0.7
"Of the calls, so many must have had their text, or it is not calls that were measured."
EXTENSION_SCENARIOS = ("control-server", "control-none", "control-live")


@contextlib.contextmanager
def serving(faults: tuple[str, ...] = FAULTS) -> Iterator[str]:
    """The address of the project's own server, in a process of its own."""
    command = [sys.executable, str(soak_load.ROOT / "devkit"), "serve", "--recognizer", "scripted", "--port", "0", "-q"]
    command += [part for fault in faults for part in ("--fault", fault)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0]
        finally:
            process.kill()


# The client ----------------------------------------------------------------------------------------------------


class Heard(OpenAIASRListener):
    """Counts finals."""

    def __init__(self) -> None:
        self.finals = 0

    def on_asr_completed(self, event: Any) -> None:
        """See `OpenAIASRListener`."""
        self.finals += bool(event.text)


async def one_call(url: str, chance: random.Random) -> int:
    """Start, talk, finalize, stop, in one of several ways; returns how many finals came."""
    heard = Heard()
    turns = chance.choice(("none", "none", "server_vad", "local_vad"))
    opts = options(turns, COMMITTING, stop_drain_ms=500, finalize_timeout_ms=1_000)
    client = OpenAIASRClient(opts, Endpoint(url, api_key="sk-soak"), heard, rng=lambda: 0.1, limiter=Unlimited())
    client.start()
    way = chance.random()
    if way < 0.1:
        await asyncio.sleep(chance.uniform(0.0, 0.01))  # hung up while it is being dialled
    else:
        ends = time.monotonic() + (LONG_S * chance.random() if way > 0.9 else 0.0)
        while True:
            block = make_block(chance.randrange(LABELS), 300, RATE) + bytes(RATE // 2)
            client.push_audio(voiced() if turns == "local_vad" else block)
            await client.finalize()
            if way > 0.9:
                transcription = msgspec.structs.replace(opts.transcription, language=chance.choice(("en", "de")))
                opts = opts.replace(transcription=transcription)
                client.update(opts)
            if time.monotonic() >= ends:
                break
            await asyncio.sleep(0.1)
    await client.stop()
    return heard.finals


@functools.lru_cache(maxsize=1)
def voiced() -> bytes:
    """A block with voice around it, for calls in which it is our own detector that has to hear it."""
    (utterance,) = write(Speech(utterances=1, blocks=(1, 1), lengths_ms=(300,), voiced=True), random.Random(1))
    return utterance.pcm + utterance.after


Call = Callable[[str, random.Random], Awaitable[int]]


class Clients:
    """Batches of calls of the client on this loop, so many side by side."""

    def __init__(self, url: str, *, calls: int = CALLS, side: int = SIDE_BY_SIDE, call: Call = one_call) -> None:
        self._url, self._side, self._call = url, side, call
        self.calls = calls
        self._loop = asyncio.new_event_loop()

    def batch(self) -> int:
        """Make the calls, the same in every batch; returns how many had a text."""
        return self._loop.run_until_complete(self._batch())

    async def _batch(self) -> int:
        waiting = list(range(self.calls))
        heard = 0

        async def line() -> None:
            nonlocal heard
            while waiting:
                finals = await self._call(self._url, random.Random(waiting.pop()))
                heard += finals > 0

        await asyncio.gather(*(line() for _ in range(self._side)))
        return heard

    def left(self) -> Left:
        """What there is now, after the loop has had a moment for what is on its way out."""
        self._loop.run_until_complete(asyncio.sleep(0.01))
        return left(CLASSES, self._loop)

    def close(self) -> None:
        """The end."""
        self._loop.close()


class Extensions:
    """Batches of calls through the extension, each in a host of its own, in threads."""

    def __init__(self, url: str, *, calls: int = 4 * SIDE_BY_SIDE, side: int = 2 * SIDE_BY_SIDE) -> None:
        self._url, self._side = url, side
        self.calls = calls
        self._scenarios = [scenario for scenario in SCENARIOS if scenario.name in EXTENSION_SCENARIOS]

    def batch(self) -> int:
        """See `Clients.batch`."""
        with ThreadPoolExecutor(self._side) as pool:
            return sum(pool.map(self._call, range(self.calls)))

    def _call(self, number: int) -> int:
        scenario = self._scenarios[number % len(self._scenarios)]
        speech, play = Speech(utterances=2, blocks=(1, 2)), Play(speed=0, wait=True, patience_s=1.0)
        stream = run_stream(f"soak-{number}", properties(scenario, self._url), speech, play, number)
        if stream.received.failure:
            raise RuntimeError(f"call {number}: {stream.received.failure}")
        return bool(stream.received.labels())

    def left(self) -> Left:
        """See `Clients.left`; loops are the hosts' own and go with them."""
        return left((*CLASSES, asyncio.BaseEventLoop), None)

    def close(self) -> None:
        """The end."""


SUBJECTS: dict[str, Any] = {"client": Clients, "extension": Extensions}


# What is measured ----------------------------------------------------------------------------------------------


@dataclass
class Real:
    """What became of one subject."""

    name: str
    calls: int
    seconds: float
    verdicts: list[Verdict]
    notes: list[str]
    series: dict[str, list[float]]
    "What was read after each batch."

    def to_json(self) -> Json:
        """Everything that is known of it."""
        return {**vars(self), "verdicts": [vars(verdict) for verdict in self.verdicts]}


def settled(subject: Any, baseline: Left | None) -> Left:
    """What is left once it is no more than the *baseline*, or once patience is at an end."""
    until = time.monotonic() + PATIENCE_S
    while True:
        found: Left = subject.left()
        if baseline is None or time.monotonic() > until or not over(found, baseline):
            return found
        time.sleep(0.02)


def over(found: Left, baseline: Left) -> dict[str, int]:
    """By how much there is more than there was."""
    return {name: found.named[name] - most for name, most in baseline.named.items() if found.named[name] > most}


def measure(name: str, subject: Any, seconds: float, *, batches: int = 0, warm: int = WARM) -> Real:
    """Batches for *seconds*, or just so many; everything is read off after each. Whoever closes the subject calls."""
    short = bool(batches)
    began = time.monotonic()
    heard = calls = 0
    with frozen():
        for _ in range(warm):
            subject.batch()
        baseline = settled(subject, None)
        baseline = replace(baseline, objects=0, tasks=0, timers=0)
        before, series, worst = kinds_of_objects(), Series(), Counter[str]()
        until = time.monotonic() + seconds
        while len(series.values.get("calls", ())) < batches if short else time.monotonic() < until:
            with Pace() as pace:
                heard += subject.batch()
            calls += subject.calls
            cpu = pace.cpu_s / subject.calls
            worst |= Counter(over(settled(subject, baseline), baseline))
            series.add(calls=calls, cpu=cpu / pace.middle, cpu_ms=1000 * cpu, rss=resident(), blocks=allocated())
        notes = [f"grew: {grown(before, kinds_of_objects())}"]
    verdicts = [*_judged(series, short), _heard(heard, calls), *_nothing_left(baseline, worst)]
    return Real(name, calls, time.monotonic() - began, verdicts, notes, series.lists)


def _judged(series: Series, short: bool) -> list[Verdict]:
    calls = series.values["calls"]
    quarters = 4 if len(calls) >= 4 else 1
    first_ms, last_ms = (statistics.median(series.part("cpu_ms", number, quarters)) for number in (0, quarters - 1))
    found = {name: slope(calls, series.values[name]) * 1000 for name in ("rss", "blocks", "cpu")}
    rss, blocks = (series.values[name] for name in ("rss", "blocks"))
    ratio = 1 + found["cpu"] / 1000 * (calls[-1] - calls[0]) / statistics.median(series.values["cpu"])
    kb = found["rss"] / 1024
    return [
        Verdict(f"resident set, MB: {kb:+.0f} KB for 1,000 calls", rss[0] / 1e6, rss[-1] / 1e6,
                f"+{KB_PER_1000_CALLS} KB", kb <= max(KB_PER_1000_CALLS, NOISE_KB / calls[-1] * 1000), kept=not short),
        Verdict(f"allocated blocks: {found['blocks']:+.0f} for 1,000 calls", blocks[0], blocks[-1],
                f"+{BLOCKS_PER_1000_CALLS}", found["blocks"] <= BLOCKS_PER_1000_CALLS, kept=not short),
        Verdict(f"CPU-ms of a call, by the yardstick x {ratio:.2f}", first_ms, last_ms,
                f"x {CPU_RATIO}", ratio <= CPU_RATIO, kept=not short),
    ]  # fmt: skip


def _heard(heard: int, calls: int) -> Verdict:
    return Verdict("calls that had a text", calls, heard, f">= {HEARD_SHARE:.0%}", heard >= HEARD_SHARE * calls)


def _nothing_left(baseline: Left, worst: Counter[str]) -> list[Verdict]:
    return [
        Verdict(f"{name} left after a batch, at worst", most, most + worst[name], "+0", not worst[name])
        for name, most in baseline.named.items()
    ]


def main(asked: Json) -> Json:
    """Measure one subject against a server of its own."""
    logging.disable(logging.CRITICAL)
    with serving() as url:
        subject = SUBJECTS[asked["subject"]](url)
        try:
            return measure(asked["subject"], subject, asked["seconds"], batches=asked.get("batches", 0)).to_json()
        finally:
            subject.close()


if __name__ == "__main__":
    print("\n" + json.dumps(main(json.loads(sys.argv[1]))), flush=True)
    os._exit(0)
