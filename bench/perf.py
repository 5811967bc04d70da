"""What the client and the extension cost, beside the floors below them: `make bench`, or `python bench/perf.py`.

    python bench/perf.py                       everything, some minutes; the table, and bench/out/latest.json
    python bench/perf.py --quick               a short form that only shows that all of it runs (bench/out/quick.json)
    python bench/perf.py --show bench/out/latest.json
    python bench/perf.py --parts               what single parts cost, beside the ways that were not taken
    python bench/perf.py --profile client      where the time of a frame goes, flat out (or: extension, events)

Every figure is CPU time of a process that does nothing else, less that of the harness alone, and every ratio is taken
inside one round: docs/performance.md tells how to read it. Ends with 1 if a floor was slower than what contains it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from perf_figures import Figures, as_json, impossible, targets
from perf_plan import BUSY_MS, FULL, QUICK, Plan, Results
from perf_run import CYCLE_MS, cores, run
from perf_table import table

OUT = Path(__file__).resolve().parent / "out"
PARTS = ("audio_cost", "event_cost", "transports", "vad_cost", "hand_over")
LIBRARIES = ("websockets", "picows", "numpy", "pydantic", "msgspec", "onnxruntime")


def machine() -> dict[str, Any]:
    """What the figures belong to."""
    versions = {name: metadata.version(name) for name in LIBRARIES}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "pinned": cores()[1] is not None,
        "load_before": round(load, 2),
        "libraries": versions,
    }


def profile(what: str) -> None:
    """Print a profile of frames flat out, or of events."""
    subject = "extension" if what == "extension" else "client"
    cycle_ms = BUSY_MS if what == "events" else CYCLE_MS
    print(run("flat", cycle_ms=cycle_ms, subject=subject, streams=10, seconds=5, profile=True)["profile"])


def parts() -> int:
    """Run the small benches of single parts, one after the other; 0 if all could be run."""
    failed = 0
    for name in PARTS:
        print(f"\n== python bench/{name}.py", flush=True)
        failed += subprocess.run([sys.executable, str(OUT.parent / f"{name}.py")]).returncode != 0
    return 1 if failed else 0


def shared(results: Results) -> float:
    """The part of the time others had the core, over all runs with streams: how much the figures are worth."""
    timed = [result for rounds in results.values() for result in rounds if "waited_s" in result]
    waited, wall = (sum(one[key] for one in timed) for key in ("waited_s", "wall_s"))
    return waited / wall if wall else 0.0


def bench(quick: bool) -> int:
    """Measure, write, print; 0 if what was found can be true."""
    began, about = time.monotonic(), machine()
    plan = Plan(QUICK if quick else FULL)
    results = plan.play()
    when = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    told = {"when": when, "seconds": round(time.monotonic() - began), "quick": quick, "machine": about}
    told |= {"targets": as_json(targets(results)), "impossible": impossible(results), "failed": plan.failed}
    told |= {"results": results}
    OUT.mkdir(exist_ok=True)
    (OUT / ("quick.json" if quick else "latest.json")).write_text(json.dumps(told, indent=1), encoding="utf-8")
    show(told)
    return 1 if (told["impossible"] or plan.failed) and not quick else 0


def show(told: dict[str, Any]) -> None:
    """Print the tables of a run, as its JSON file has it."""
    results, about, scale = told["results"], told["machine"], QUICK if told["quick"] else FULL
    for line in table(Figures(results), targets(results), scale.streams):
        print(line)
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    print(f"\nPython {about['python']}, {about['system']}, load before {about['load_before']}; {libraries}.")
    print(f"{told['when'][:10]}, {scale.rounds} round(s), {told['seconds']} s. Medians; in brackets least and most.")
    print(f"Of their time the processes with streams waited {100 * shared(results):.0f} % for a core that others had.")
    for line in [*impossible(results), *(f"not measured: {name}" for name in told["failed"])]:
        print(f"WRONG: {line}")


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short form; prints, never fails")
    parser.add_argument("--parts", action="store_true", help="single parts, and alternatives to them")
    parser.add_argument("--profile", choices=("client", "extension", "events"))
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the tables of a run again, from its JSON")
    asked = parser.parse_args()
    if asked.show:
        show(json.loads(asked.show.read_text(encoding="utf-8")))
        return 0
    if asked.parts:
        return parts()
    if asked.profile:
        profile(asked.profile)
        return 0
    return bench(asked.quick)


if __name__ == "__main__":
    sys.exit(main())
