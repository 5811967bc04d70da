"""What `make bench` runs: each case is one process; they are played in rounds, so that a slow minute hits all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from perf_run import CYCLE_MS, MeasurementFailed, run

Json = dict[str, Any]
Results = dict[str, list[Json]]
Runner = Callable[..., Json]

BUSY_MS = 200.0
"A server that plays its fifteen events for every so much audio: what an event costs is the difference."
LADDER = (100, 200, 350, 500, 750, 1_000)
SLIP_MS = 100.0
"Pacing has slipped when one tick in a hundred is later than this, unless others had the core (`OTHERS`)."
OTHERS = 0.05
"Of the time: a process that waited longer for its core shares it, and its late ticks say nothing about it."
FULL_CORE = 0.95
G711 = {"rate": 8_000, "encoding": "g711_ulaw"}


@dataclass(frozen=True)
class Scale:
    """How much is run."""

    rounds: int = 3
    streams: int = 50
    live_s: float = 4.0
    flat_s: float = 2.0
    part_s: float = 1.0
    opened: int = 40
    ladder: tuple[int, ...] = LADDER
    variants: bool = True
    memory: bool = True


FULL = Scale()
QUICK = Scale(1, 10, 1.0, 0.6, 0.3, 10, (), variants=False, memory=False)


@dataclass(frozen=True)
class Case:
    """One measurement: `asked` is what `perf_child` gets."""

    name: str
    measure: str
    asked: Json = field(default_factory=dict)
    cycle_ms: float | None = None


def live(name: str, subject: str, streams: int, scale: Scale, sound: Json | None = None, **more: Any) -> Case:
    """Streams at the pace of callers; ten of them are watched for latency."""
    sound = sound or {}
    step = max(1, streams // 10)
    watch = list(range(0, streams, step))[:10] if sound.get("call", "marked") == "marked" else []
    asked = {"subject": subject, "streams": streams, "seconds": scale.live_s, "sound": sound, "watch": watch, **more}
    return Case(f"live/{name}/{subject}", "live", asked, CYCLE_MS)


def flat(subject: str, scale: Scale, name: str = "flat", cycle_ms: float = CYCLE_MS) -> Case:
    """Ten streams as fast as they go."""
    return Case(
        f"{name}/{subject}", "flat", {"subject": subject, "streams": 10, "seconds": scale.flat_s}, cycle_ms=cycle_ms
    )


def round_cases(scale: Scale) -> list[Case]:
    """What is played in every round, in this order."""
    subjects = ("nobody", "picows", "websockets", "client", "frames", "extension")
    cases = [live("base", subject, scale.streams, scale) for subject in subjects]
    cases += [flat(subject, scale) for subject in ("picows", "websockets", "client", "extension")]
    cases += [flat(subject, scale, "busy", BUSY_MS) for subject in ("websockets", "client")]
    cases.append(Case("part/resample", "resample", {"seconds": scale.part_s}))
    cases.append(Case("part/vad model", "detector", {"seconds": scale.part_s, "gated": False}))
    cases.append(Case("part/vad", "detector", {"seconds": scale.part_s, "gated": True}))
    cases.append(Case("open/client", "opening", {"streams": scale.opened}, CYCLE_MS))
    cases.append(Case("open/websockets", "opening_floor", {"streams": scale.opened}, CYCLE_MS))
    for _ in range(3):
        cases += [Case(f"import/{what}", "imports", {"what": what}) for what in ("libraries", "extension")]
    if scale.memory:
        for case, streams in (("idle", 60), ("talking", 60), ("outage", 20)):
            cases.append(Case(f"memory/{case}", "memory", {"case": case, "streams": streams}, CYCLE_MS))
    return cases


def single_cases(scale: Scale) -> list[Case]:
    """What is played once: other sounds, the event loop."""
    cases: list[Case] = []
    if scale.variants:
        for frame_ms in (10, 100):
            sound = {"frame_ms": frame_ms}
            for subject in ("nobody", "picows", "client", "frames", "extension"):
                cases.append(live(f"{frame_ms} ms", subject, scale.streams, scale, sound))
        for name, sound in (("24 kHz", {"rate": 24_000}), ("8 kHz G.711", G711)):
            cases += [live(name, subject, scale.streams, scale, sound) for subject in ("client", "extension")]
        for subject in ("client", "extension"):
            cases.append(live("local", subject, scale.streams, scale, {"call": "speech"}, turns="local_vad"))
        cases += [live("1", subject, 1, scale) for subject in ("nobody", "picows", "client")]
    for turns, sound in (("server_vad", {}), ("local_vad", {"call": "speech"})):
        asked = {"streams": scale.streams, "seconds": scale.live_s, "turns": turns, "sound": sound}
        cases.append(Case(f"blocked/{turns}", "blocked", asked, CYCLE_MS))
        cases.append(Case(f"blocked/{turns}, frozen", "blocked", {**asked, "frozen": True}, CYCLE_MS))
    return cases


def slipped(result: Json) -> bool:
    """Whether the pacing of a live run could not be kept by a core of its own."""
    late = result["late_p99_ms"] > SLIP_MS and result["waited_s"] < OTHERS * result["wall_s"]
    return bool(late or result["core_needed"] > FULL_CORE)


class Plan:
    """Plays all cases and keeps what they gave. A case that fails is told and left out."""

    def __init__(self, scale: Scale, runner: Runner = run) -> None:
        self.scale = scale
        self.results: Results = {}
        self.failed: list[str] = []
        self._run = runner

    def play(self) -> Results:
        """Run everything."""
        for _ in range(self.scale.rounds):
            for case in round_cases(self.scale):
                self._one(case)
        for case in single_cases(self.scale):
            self._one(case)
        for streams in self.scale.ladder:
            result = self._rung(streams)
            if streams >= 200 and (result is None or slipped(result)) and streams != self.scale.ladder[-1]:
                self._rung(self.scale.ladder[-1])  # for the record
                break
        return self.results

    def _rung(self, streams: int) -> Json | None:
        self._one(live(str(streams), "nobody", streams, self.scale))
        if streams == 200:
            self._one(live(str(streams), "picows", streams, self.scale))
        return self._one(live(str(streams), "client", streams, self.scale))

    def _one(self, case: Case) -> Json | None:
        began = time.monotonic()
        try:
            result = self._run(case.measure, cycle_ms=case.cycle_ms, **case.asked)
        except MeasurementFailed as exc:
            self.failed.append(case.name)
            print(f"{case.name}: {exc}", file=sys.stderr)
            return None
        self.results.setdefault(case.name, []).append(result)
        print(f"  {case.name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        return result
