"""The promises under fault, as a table: `make chaos`, or `.venv/bin/python bench/chaos.py --quick --only kills`.

A black box: TEN's tester plays labelled audio into the extension and keeps what comes out; a local server of ours,
with faults, is at the other end of a real socket. See docs/chaos.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import chaos_load
from chaos_run import Row, run, split
from chaos_scenarios import SCENARIOS, Scenario

OUT = chaos_load.ROOT / "bench" / "out" / "chaos.json"
COLUMNS = (
    "scenario", "fault", "blocks", "received", "lost", "doubled", "order", "start ms", "errors", "answers", "worst ms",
    "reconnects", "verdict",
)  # fmt: skip
FINALIZES = 10_000
"So many at least, in the whole run."

# A stream in real time, its server included, takes some 6 % of a core. Many more would change what deadlines see.
_STREAMS_PER_CORE = 12


def cells(row: Row) -> list[str]:
    """A row of the table."""
    figures = row.score
    asked = f"{figures.answers}/{figures.finalizes}"
    verdict = "as expected" if not row.failed else "; ".join(row.failed)
    if row.failed and not row.scenario.kept:
        verdict = f"not yet ({row.scenario.needs}): {verdict}"
    return [
        row.scenario.name,
        re.sub(r"\d+ kills", f"{row.kills} kills", row.scenario.fault),
        *map(str, (figures.expected, figures.received, figures.lost, figures.doubled, figures.out_of_order)),
        f"{figures.worst_start_ms:.0f}",
        str(figures.errors),
        asked,
        f"{figures.worst_answer_ms:.0f}",
        str(row.reconnects),
        verdict,
    ]


def table(rows: list[Row]) -> str:
    """Markdown that lines up."""
    lines = [list(COLUMNS), *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def summary(rows: list[Row]) -> list[str]:
    """What the table adds up to: where the kills fell, and what became of the finalizes."""
    lines = []
    killed = [row for row in rows if row.scenario.trouble.kills]
    for row in killed:
        lines.append(f"{row.scenario.name}: {_fell(row.kills, split(row.fell))}")
    if len(killed) > 1:
        parts = [split(row.fell) for row in killed]
        lines.append(f"All: {_fell(sum(row.kills for row in killed), {k: sum(p[k] for p in parts) for k in parts[0]})}")
    asked, mass = (sum(row.score.finalizes for row in part) for part in (rows, _finalize_rows(rows)))
    worst = max((row.score.worst_answer_ms for row in rows), default=0.0)
    unanswered = sum(row.score.unanswered for row in rows)
    lines.append(f"Finalizes: {asked} asked ({mass} of them in the rows finalize-*), {asked - unanswered} answered, "
                 f"the worst after {worst:.0f} ms.")  # fmt: skip
    return lines


def _fell(kills: int, parts: dict[str, int]) -> str:
    where = ", ".join(f"{count} {name}" for name, count in parts.items())
    return f"{kills} kills, {sum(parts.values())} while speech was sent and not final ({where})."


def _finalize_rows(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.scenario.name.startswith("finalize-")]


def play(scenarios: list[Scenario], seed: int, streams: int) -> Iterator[Row]:
    """Run each in a process of its own, so many *streams* at a time; yields rows as they are done."""
    if len(scenarios) == 1:
        yield run(scenarios[0], seed)
        return
    # The longest first, so that none is left over at the end.
    waiting = sorted(scenarios, key=lambda scenario: -scenario.speech.seconds)
    running: dict[Future[Row], int] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(2, streams // 3), mp_context=context, initializer=_quiet) as pool:
        while waiting or running:
            for scenario in list(waiting):
                weight = min(streams, scenario.weight)
                if sum(running.values()) + weight <= streams:
                    waiting.remove(scenario)
                    running[pool.submit(run, scenario, seed)] = weight
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                yield future.result()


def main(arguments: list[str] | None = None) -> int:
    """Print the table and write the JSON; 1 if a promise that holds by now was broken."""
    options = _parse(arguments)
    if options.list:
        print("\n".join(f"{scenario.name:20} {scenario.fault}" for scenario in SCENARIOS))
        return 0
    chosen = [s for s in SCENARIOS if not options.only or any(part in s.name for part in options.only)]
    if not chosen:
        names = ", ".join(scenario.name for scenario in SCENARIOS)
        print(f"--only {' '.join(options.only)}: no such scenario; there are {names}", file=sys.stderr)
        return 2
    if options.quick:
        chosen = [scenario.quick() for scenario in chosen if not scenario.slow]
    _quiet()
    began = time.monotonic()
    done: dict[str, Row] = {}
    for row in play(chosen, options.seed, options.streams):
        done[row.scenario.name] = row
        print(f"{row.scenario.name}: {row.seconds:.0f} s", file=sys.stderr)
    rows = [done[scenario.name] for scenario in chosen]
    print(table(rows), "", *summary(rows), sep="\n")
    _write(options.out, rows, options, time.monotonic() - began)
    whole = not (options.quick or options.only)
    finalizes = sum(row.score.finalizes for row in _finalize_rows(rows))
    if whole and finalizes < FINALIZES:
        print(f"{finalizes} finalizes in the rows finalize-*, {FINALIZES} expected")
        return 1
    return int(any(row.failed and row.scenario.kept for row in rows))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="scenarios with this in their name")
    parser.add_argument("--list", action="store_true", help="name the scenarios and do nothing")
    parser.add_argument("--quick", action="store_true", help="eight seconds of speech and three streams each")
    parser.add_argument("--seed", type=int, default=1, help="of speech, kills and delays (default: 1)")
    default = _STREAMS_PER_CORE * (os.cpu_count() or 1)
    parser.add_argument("--streams", type=int, default=default, help=f"played at the same time (default: {default})")
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    return parser.parse_args(arguments)


def _quiet() -> None:
    """No logs: what a stream did is in the table. And no key or address of the machine's owner takes part."""
    logging.disable(logging.CRITICAL)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        os.environ.pop(name, None)


def _write(path: Path, rows: list[Row], options: argparse.Namespace, seconds: float) -> None:
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "seed": options.seed,
        "quick": options.quick,
        "seconds": round(seconds, 1),
        "rows": [row.to_json() for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
