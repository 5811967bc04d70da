"""Runs one measurement of `make bench`: a fresh server, a fresh process, each on its own core where that can be."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]
HERE = Path(__file__).resolve().parent
TIMEOUT_S = 180
CYCLE_MS = 2_000.0


class MeasurementFailed(Exception):
    """A measuring process ended without a result; the message is what it said."""


def cores() -> tuple[int | None, int | None]:
    """A core for the server and one for who is measured; None where they cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    free = sorted(os.sched_getaffinity(0))
    return (free[0], free[-1]) if len(free) > 1 else (None, None)


@contextlib.contextmanager
def server(cycle_ms: float = CYCLE_MS, watch: list[int] | None = None) -> Iterator[str]:
    """The address of a server that lives as long as the context."""
    asked = json.dumps({"cycle_ms": cycle_ms, "watch": watch or [], "core": cores()[0]})
    command = [sys.executable, str(HERE / "perf_server.py"), asked]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise MeasurementFailed("the server of the bench did not start; see above")
            yield f"ws://127.0.0.1:{port}"
        finally:
            process.kill()


def with_byte_code() -> dict[str, str]:
    """An environment in which an import finds byte code, as that of the installed libraries always does.

    A clone in an environment that says PYTHONDONTWRITEBYTECODE has none, and would compile its source every time.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(HERE / "out" / "pycache")}


def run(measure: str, *, cycle_ms: float | None = CYCLE_MS, **asked: Any) -> Json:
    """What `perf_child.py` finds. Without *cycle_ms* there is no server. Raises MeasurementFailed."""
    with contextlib.ExitStack() as stack:
        if cycle_ms is not None:
            asked["url"] = stack.enter_context(server(cycle_ms, asked.get("watch")))
        told = json.dumps({"measure": measure, "core": cores()[1], **asked})
        command, environment = [sys.executable, str(HERE / "perf_child.py"), told], dict(os.environ)
        try:
            if measure == "imports":
                environment = with_byte_code()
                subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, env=environment)  # it is written now
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment)
        except subprocess.TimeoutExpired:
            raise MeasurementFailed(f"{told} was not done in {TIMEOUT_S} s") from None
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise MeasurementFailed(f"{told} failed:\n{done.stderr[-3000:]}")
    result: Json = json.loads(lines[-1])
    return result
