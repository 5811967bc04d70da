"""The first part of the soak: hours of simulated calls, read off every simulated minute."""

from __future__ import annotations

import contextlib
import gc
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import soak_load  # noqa: F401  (makes the names below importable)
from sessions import COMMITTING, STREAMING
from soak_call import RATE, Kind, SoakCall
from soak_meter import Series, Verdict, allocated, frozen, grown, kinds_of_objects, paired, reachable
from ten_packages.extension.openai_asr_python.realtime import limits, stream
from ten_packages.extension.openai_asr_python.realtime.session import Session

Json = dict[str, Any]

ROUNDS, WARM = 6, 2
"What counts is the last beside the first that is no longer to warm up: the same speech and troubles, hours later."
MINUTES = 60
SIZE_TOLERANCE, SIZE_SLACK = 1.02, 1_000
OBJECT_SLACK, BLOCK_SLACK = 25, 60
CPU_RATIO = 1.15
PACKAGE = "ten_packages.extension.openai_asr_python."
SHORT: dict[str, Any] = {"SETTLED_REMEMBERED": 4, "MAX_STRETCHES": 4, "UNANSWERED_S": 20.0}
"What is remembered in rounds of less than an hour, which do not fill what remembers hundreds of things."
RUNS = 400
"Of states and marks: what a minute of speech, silence and trouble makes, several times over."

_ROUGH = {"drops": 0.5, "outages": 1 / 20, "mutes": 1 / 10}
_CALM = {"failing": 0.05, "silent": 0.0}
"What costs no session its hour."
KINDS = (
    Kind("server turns, rough", "server_vad", COMMITTING, session_s=60, **_ROUGH),
    Kind("server turns, an hour a session", "server_vad", COMMITTING, **_CALM),
    Kind("local turns, rough", "local_vad", COMMITTING, session_s=60, **_ROUGH),
    Kind("local turns, an hour a session", "local_vad", COMMITTING, **_CALM),
    Kind("finalize only, rough", "none", COMMITTING, session_s=60, **_ROUGH),
    Kind("finalize only, an hour a session", "none", COMMITTING, **_CALM),
    Kind("streaming model, rough", "local_vad", STREAMING, session_s=60, **_ROUGH),
    Kind("streaming model, an hour a session", "local_vad", STREAMING, **_CALM),
)


def held(session: Session) -> dict[str, int]:
    """What a session holds of everything that has a bound."""
    stream, conn = session.stream, session._conn
    return {
        "kept bytes": stream.ledger.kept_bytes,
        "runs": stream.ledger.run_count,
        "unsettled": stream.ledger.accepted - stream.ledger.settled_until,
        "turns": len(stream.book.turns),
        "requests": len(session._finalizer._requests),
        "stretches": len(conn.map) if conn else 0,
    }


def bounds(kind: Kind) -> dict[str, int]:
    """The most of each; those of docs/memory.md, and fewer where nothing here comes near them."""
    window = RATE * kind.window_ms // 1000
    return {
        "kept bytes": 2 * (window + RATE),
        "runs": RUNS,
        "unsettled": window + RATE * (1 + round(stream.UNANSWERED_S)),
        "turns": limits.MAX_TURNS,
        "requests": limits.MAX_REQUESTS,
        "stretches": limits.MAX_MAPPED,
    }


@dataclass
class Hours:
    """One call that was played."""

    kind: Kind
    minutes: int
    "Simulated, the first round included."
    verdicts: list[Verdict]
    said: int
    fates: dict[str, int]
    happened: dict[str, int]
    wrong: list[str]
    rollovers: int
    dials: int
    cpu_ms: float
    "Of the session, for a minute of the call."
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> Json:
        """Everything that is known of it."""
        told = {**vars(self), "kind": vars(self.kind), "verdicts": [vars(verdict) for verdict in self.verdicts]}
        return told


@contextlib.contextmanager
def short_memory(minutes: int) -> Iterator[None]:
    """Let what remembers hundreds of things remember few, where rounds of *minutes* would not fill it."""
    if minutes >= MINUTES:
        yield
        return
    with contextlib.ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            for limit, number in SHORT.items():
                if name.startswith(PACKAGE) and hasattr(module, limit):
                    stack.enter_context(mock.patch.object(module, limit, number))
        yield


def play(
    kind: Kind, *, minutes: int = MINUTES, seed: int = 1, after_minute: Callable[[SoakCall], None] = lambda call: None
) -> Hours:
    """Play rounds of *minutes*, reading everything off after each. *after_minute* is for who plants a leak."""
    series, most = Series(), dict.fromkeys(bounds(kind), 0)
    before: Counter[str] = Counter()
    with short_memory(minutes):
        SoakCall(kind, minutes, seed).start().minute()  # what the first call of a process fills is not the call's
        with frozen():
            blocks = allocated()
            call = SoakCall(kind, minutes, seed).start()
            for minute in range(ROUNDS * minutes):
                spent, began = call.client.cpu_s, time.thread_time()
                call.minute()
                ours = call.client.cpu_s - spent
                series.add(cpu=ours / (time.thread_time() - began - ours), cpu_ms=1000 * ours)
                after_minute(call)
                most = {name: max(most[name], number) for name, number in held(call.client).items()}
                _read(call, series, blocks)
                if minute + 1 == minutes:
                    before = kinds_of_objects()
            gc.collect()
            notes = [f"grew: {grown(before, kinds_of_objects())}"]
            call.end()
    return _judged(call, series, most, minutes, notes)


def _read(call: SoakCall, series: Series, blocks: int) -> None:
    """Sizes, as they are now, beyond the *blocks* there were before the call; the kept audio counts by itself."""
    gc.collect()
    objects, size = reachable(call.client, but=[call.client.stream.ledger._audio])
    series.add(
        bytes=size, reachable=objects, alive=len(gc.get_objects()), blocks=allocated() - blocks,
        kept=call.client.stream.ledger.kept_bytes, runs=call.client.stream.ledger.run_count,
    )  # fmt: skip


def _judged(call: SoakCall, series: Series, most: dict[str, int], minutes: int, notes: list[str]) -> Hours:
    kind, truth, stats = call.kind, call.truth, call.client.stats

    def flat(name: str, what: str, slack: float) -> Verdict:
        """By the least of each round: what is under way at the end of a minute comes and goes."""
        first, last = (min(series.part(name, number, ROUNDS)) for number in (WARM, ROUNDS - 1))
        return Verdict(what, first, last, f"+{slack:g} or 2 %", last <= max(first + slack, first * SIZE_TOLERANCE))

    ratio = paired(series.part("cpu", WARM, ROUNDS), series.part("cpu", ROUNDS - 1, ROUNDS))
    least = round(ROUNDS * minutes * 60 / kind.session_s) - 1 if not kind.drops else 0
    over = [f"{name} {most[name]}" for name, bound in bounds(kind).items() if most[name] > bound]
    verdicts = [
        flat("bytes", "session's bytes, kept audio aside", SIZE_SLACK),
        flat("reachable", "session's objects", OBJECT_SLACK),
        flat("alive", "live objects of the process", OBJECT_SLACK),
        flat("blocks", "allocated blocks of the process", BLOCK_SLACK),
        flat("runs", "runs in the ledger", 4),
        Verdict("ledger, turns, requests, map: most held", most["runs"], most["kept bytes"], f"runs {RUNS}, bytes "
                f"{bounds(kind)['kept bytes']}", not over),
        Verdict("blocks of speech unaccounted for, or twice", truth.said, truth.wrong, "0", not truth.wrong),
        Verdict("sessions that were followed by the next", ROUNDS * minutes, stats.rollovers, f">= {least}",
                stats.rollovers >= least),
        Verdict("CPU of a minute, last round to first", 1.0, ratio, f"x {CPU_RATIO}", ratio <= CPU_RATIO,
                kept=minutes >= MINUTES // 2),
    ]  # fmt: skip
    cpu_ms = statistics.median(series.values["cpu_ms"])
    return Hours(kind, ROUNDS * minutes, verdicts, truth.said, dict(truth.fates), call.happened, list(truth.examples),
                 stats.rollovers, stats.dials, cpu_ms, [*notes, *over])  # fmt: skip
