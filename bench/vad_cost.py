"""What the choices of local turns cost: prints the tables behind the numbers in `audio/turns.py` and `local_turns.py`.

    .venv/bin/python bench/vad_cost.py [--rounds 5]

First the model alone, by how many windows go in one call, by plain `run` and with inputs and outputs bound once
(`run_with_iobinding`). Then fifty calls, half of them silence, as production judges them, with one number changed at a
time. CPU time, medians over interleaved rounds; ratios are to the model alone, every window, one at a time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import chaos_load  # noqa: F401  (makes the extension importable)
import numpy as np
import perf_parts
from ten_packages.extension.openai_asr_python import local_turns
from ten_packages.extension.openai_asr_python.audio import turns, vad, vad_batch

SECONDS = 1.0
SIZES = (1, 2, 4, 8, 16, 32, 64)
NEVER = 10**9
CHOICES: dict[str, list[tuple[Any, str, Any]]] = {
    "as it is": [],
    "each window alone, at once": [(vad_batch, "MAX_TOGETHER", 1), (local_turns, "DELAY_S", 0.0)],
    "at most 8 in a call": [(vad_batch, "MAX_TOGETHER", 8)],
    "windows wait 2 ms": [(local_turns, "DELAY_S", 0.002)],
    "windows wait 5 ms": [(local_turns, "DELAY_S", 0.005)],
    "windows wait 20 ms": [(local_turns, "DELAY_S", 0.020)],
    "no level gate": [(turns, "_SILENT_WINDOWS", NEVER)],
    "gate after 10 silent windows": [(turns, "_SILENT_WINDOWS", 10)],
    "no run-in": [(turns, "_RUN_IN", 0)],
    "run-in of 8": [(turns, "_RUN_IN", 8)],
    "run-in of 16": [(turns, "_RUN_IN", 16)],
}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    _model_alone(rounds)
    _fifty_calls(rounds)


def _model_alone(rounds: int) -> None:
    print("| windows in a call | µs a window, run | µs a window, bound |\n| ---: | ---: | ---: |")
    work = {(size, bound): (_bound if bound else _plain)(size) for size in SIZES for bound in (False, True)}
    cost: dict[tuple[int, bool], list[float]] = {case: [] for case in work}
    for _ in range(rounds):
        for (size, bound), run in work.items():
            repeats = max(20, 1_000 // size)
            began = time.thread_time()
            for _ in range(repeats):
                run()
            cost[size, bound].append((time.thread_time() - began) / repeats / size * 1e6)
    for size in SIZES:
        plain, bound = (statistics.median(cost[size, kind]) for kind in (False, True))
        print(f"| {size} | {plain:.1f} | {bound:.1f} |")


def _arrays(size: int) -> tuple[Any, Any, Any]:
    audio = np.random.default_rng(size).normal(0, 0.05, (size, 576)).astype(np.float32)
    return audio, np.zeros((2, size, 128), dtype=np.float32), np.array(16_000, dtype=np.int64)


def _plain(size: int) -> Callable[[], None]:
    model, (audio, state, rate) = vad.load(), _arrays(size)

    def run() -> None:
        nonlocal state
        _, state = model.run(None, {"input": audio, "state": state, "sr": rate})

    return run


def _bound(size: int) -> Callable[[], None]:
    model, (audio, state, rate) = vad.load(), _arrays(size)
    after, output, binding = np.zeros_like(state), np.zeros((size, 1), dtype=np.float32), model.io_binding()
    for name, array in (("input", audio), ("state", state), ("sr", rate)):
        binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    for name, array in (("output", output), ("stateN", after)):
        binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    held = (audio, rate, output)  # the binding knows addresses only

    def run() -> None:
        assert held
        model.run_with_iobinding(binding)
        state[:] = after

    return run


def _fifty_calls(rounds: int) -> None:
    floor: list[float] = []
    cost: dict[str, list[float]] = {name: [] for name in CHOICES}
    for _ in range(rounds):
        floor.append(_cost(gated=False))
        for name, changes in CHOICES.items():
            before = [(module, key, getattr(module, key)) for module, key, _ in changes]
            for module, key, value in changes:
                setattr(module, key, value)
            cost[name].append(_cost(gated=True))
            for module, key, value in before:
                setattr(module, key, value)
    print("\n| fifty calls, half silence | CPU-ms per s of audio | x model alone |\n| --- | ---: | ---: |")
    print(f"| floor: the model alone, every window | {statistics.median(floor):.2f} | 1.00 |")
    for name, values in cost.items():
        ratio = statistics.median(a / b for a, b in zip(values, floor, strict=True))
        print(f"| {name} | {statistics.median(values):.2f} | {ratio:.2f} |")


def _cost(gated: bool) -> float:
    found = perf_parts.detector(SECONDS, gated)
    return float(1_000 * found["cpu_s"] / found["audio_s"])


if __name__ == "__main__":
    main()
