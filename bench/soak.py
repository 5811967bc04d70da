"""Hours of calls, and whether anything grows: `make soak`, or `python bench/soak.py --quick`.

    python bench/soak.py                       everything, some eight minutes; the tables, and bench/out/soak.json
    python bench/soak.py --only finalize       the simulated calls with this in their name
    python bench/soak.py --only client --minutes 60
    python bench/soak.py --quick               a short form that shows that all of it runs (bench/out/soak-quick.json)

Simulated calls first: our session and the local server's, hours on a clock of their own. Then real ones, against the
local server in another process. docs/soak.md tells how to read it. Ends with 1 if a verdict does not hold.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

# Before anything imports numpy: on busy cores the threads of one small product wait for each other ten times as long
# as the product takes. What is started from here inherits it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import soak_load
from soak_call import Kind
from soak_hours import KINDS, MINUTES, ROUNDS, play
from soak_real import SUBJECTS

Json = dict[str, Any]

OUT = soak_load.ROOT / "bench" / "out"
REAL_MINUTES = 5.0
QUICK_MINUTES, QUICK_BATCHES = 2, 2
COLUMNS = ("call", "what", "start", "end", "allowed", "verdict")


def quick(kind: Kind) -> Kind:
    """The same, with as much trouble in minutes as there is in an hour."""
    more = {"errors": 2.0, "updates": 1.0, "failing": 0.1, "session_s": 60.0, "outage_s": 25.0, "window_ms": 10_000}
    rough = {"drops": 2.0, "outages": 0.5, "mutes": 0.5} if kind.drops else {}
    return replace(kind, **more, **rough)


def hours(kind: Kind, minutes: int, seed: int) -> Json:
    """One simulated call; in a process of its own."""
    logging.disable(logging.CRITICAL)
    return play(kind, minutes=minutes, seed=seed).to_json()


def real(subject: str, minutes: float, batches: int) -> Json:
    """Real calls, in a process of their own."""
    asked = json.dumps({"subject": subject, "seconds": minutes * 60, "batches": batches})
    script = Path(__file__).with_name("soak_real.py")
    # One heap for all threads: with one for each, memory that nobody uses comes and goes by megabytes.
    env = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run([sys.executable, str(script), asked], stdout=subprocess.PIPE, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"the calls of {subject} ended with {done.returncode}; see above")
    told: Json = json.loads(done.stdout.splitlines()[-1])
    return told


def mark(verdict: Json) -> str:
    """How it stands in the table."""
    return "holds" if verdict["holds"] else "DOES NOT HOLD" if verdict["kept"] else "not judged"


def failed(row: Json) -> bool:
    """Whether a verdict of the row does not hold."""
    return any(not verdict["holds"] and verdict["kept"] for verdict in row["verdicts"])


def number(value: float) -> str:
    """Short, and the same for counts and ratios."""
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:.2f}"


def table(rows: list[Json]) -> list[str]:
    """Markdown that lines up."""
    lines = [list(COLUMNS)]
    for row in rows:
        for index, verdict in enumerate(row["verdicts"]):
            name = row["title"] if index == 0 else ""
            values = (number(verdict["start"]), number(verdict["end"]), verdict["limit"], mark(verdict))
            lines.append([name, verdict["what"], *values])
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return text


def story(row: Json) -> str:
    """What happened in one row, in a sentence; and what grew or went wrong, if a verdict does not hold."""
    if "fates" in row:
        fates = ", ".join(f"{count} {fate}" for fate, count in row["fates"].items())
        troubles = ", ".join(f"{count} x {what}" for what, count in sorted(row["happened"].items()))
        said = f"{row['minutes'] / 60:.1f} h; {row['said']} blocks of speech: {fates}; {troubles}; "
        said += f"{row['rollovers']} rollovers, {row['dials']} dials; {row['cpu_ms']:.1f} CPU-ms a minute."
    else:
        said = f"{row['calls']} calls in {row['seconds']:.0f} s."
    more = [*row["notes"], *row.get("wrong", ())] if failed(row) else []
    return " ".join([f"{row['title']}: {said}", *more])


def run(asked: argparse.Namespace) -> list[Json]:
    """All rows that were asked for."""
    chosen = [kind for kind in KINDS if not asked.only or any(part in kind.name for part in asked.only)]
    subjects = [name for name in SUBJECTS if not asked.only or name in asked.only]
    if not chosen and not subjects:
        names = ", ".join([*(kind.name for kind in KINDS), *SUBJECTS])
        raise SystemExit(f"--only {' '.join(asked.only)}: there is no such call; there are {names}")
    minutes, batches = (QUICK_MINUTES, QUICK_BATCHES) if asked.quick else (asked.round, 0)
    rows = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.jobs, mp_context=context) as pool:
        kinds = [quick(kind) for kind in chosen[::3]] if asked.quick else chosen
        running = [(kind.name, pool.submit(hours, kind, minutes, asked.seed)) for kind in kinds]
        for name, future in running:
            rows.append({"title": name, **future.result()})
            print(f"{name}: done", file=sys.stderr)
    for name in subjects:
        rows.append({"title": f"real calls, {name}", **real(name, asked.minutes / len(subjects), batches)})
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Soak, print, write; 1 if a verdict does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few minutes of three calls and a few real ones")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="calls with this in their name")
    parser.add_argument("--minutes", type=float, default=REAL_MINUTES, help="of real calls (default: %(default)g)")
    help_round = f"simulated minutes of a round; {ROUNDS} are played (default: %(default)s)"
    parser.add_argument("--round", type=int, default=MINUTES, metavar="MINUTES", help=help_round)
    parser.add_argument("--seed", type=int, default=1, help="of speech and trouble (default: 1)")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="simulated calls at a time")
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    rows = run(asked)
    print("\n".join(table(rows)), "", *map(story, rows), sep="\n")
    told: Json = {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "seed": asked.seed,
        "quick": asked.quick,
        "seconds": round(time.monotonic() - began),
    }
    print(f"\n{told['when'][:10]}, Python {told['python']}, {told['system']}; {told['seconds']} s.")
    OUT.mkdir(exist_ok=True)
    path = OUT / ("soak-quick.json" if asked.quick else "soak.json")
    path.write_text(json.dumps({**told, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return int(any(map(failed, rows)))


if __name__ == "__main__":
    sys.exit(main())
