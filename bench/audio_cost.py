"""CPU time of one call of the parts every frame passes: decoder, level, encoder.

Prints a Markdown table: `python bench/audio_cost.py`. Fifty streams take turns, as in a busy process, so that each
finds the caches as the others left them. Medians; absolute times belong to the machine they were taken on, and to
the kernels its OpenBLAS takes (`OPENBLAS_CORETYPE`).
"""

from __future__ import annotations

import importlib.util
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("loader", ROOT / "devkit" / "host" / "loader.py")
assert spec is not None and spec.loader is not None
loader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loader)
loader.load_extension()

from ten_packages.extension.openai_asr_python.audio.encoder import WireEncoder  # noqa: E402
from ten_packages.extension.openai_asr_python.audio.level import LevelDetector  # noqa: E402
from ten_packages.extension.openai_asr_python.audio.pcm import FrameDecoder  # noqa: E402

STREAMS = 50
ROUNDS = 15
ROUND_S = 0.01
Call = Callable[[bytes], Any]
CASES: dict[str, tuple[Callable[[], Call], int, float]] = {
    "decode pcm16, 16 kHz": (lambda: FrameDecoder().decode, 32_000, 3000),
    "decode pcm16, 16 kHz, two channels": (lambda: FrameDecoder("pcm16", 2).decode, 64_000, 3000),
    "decode G.711, 8 kHz": (lambda: FrameDecoder("g711_ulaw", 1, 8_000).decode, 8_000, 3000),
    "level, 16 kHz, speech": (lambda: LevelDetector(16_000).process, 32_000, 3000),
    "level, 16 kHz, quiet": (lambda: LevelDetector(16_000).process, 32_000, 5),
    "level, 16 kHz, noise just below the threshold": (lambda: LevelDetector(16_000).process, 32_000, 45),
    "encode 16 to 24 kHz": (lambda: WireEncoder(16_000, "pcm16").encode, 32_000, 3000),
    "encode 8 to 24 kHz": (lambda: WireEncoder(8_000, "pcm16").encode, 16_000, 3000),
    "encode 48 to 24 kHz": (lambda: WireEncoder(48_000, "pcm16").encode, 96_000, 3000),
    "encode 44.1 to 24 kHz": (lambda: WireEncoder(44_100, "pcm16").encode, 88_200, 3000),
    "encode 16 kHz to G.711": (lambda: WireEncoder(16_000, "g711_ulaw").encode, 32_000, 3000),
    "encode 8 kHz to G.711": (lambda: WireEncoder(8_000, "g711_ulaw").encode, 16_000, 3000),
}
LENGTHS_MS = (10, 20, 100, 2_000)


def cost_us(calls: list[Call], data: bytes) -> float:
    """CPU microseconds of one call with *data*."""
    for call in calls:
        call(data)
    rounds = []
    for _ in range(ROUNDS):
        count, began = 0, time.thread_time()
        while time.thread_time() - began < ROUND_S:
            for call in calls:
                call(data)
            count += len(calls)
        rounds.append((time.thread_time() - began) / count * 1e6)
    return statistics.median(rounds)


def main() -> None:
    """Print the table."""
    random = np.random.default_rng(1)
    print(f"| CPU µs a call | {' | '.join(f'{ms} ms' for ms in LENGTHS_MS)} |")
    print(f"| --- {'| --- ' * len(LENGTHS_MS)}|")
    for name, (make, bytes_a_second, amplitude) in CASES.items():
        sound = random.normal(0, amplitude, bytes_a_second).astype("<i2").tobytes()
        calls = [make() for _ in range(STREAMS)]
        costs = [cost_us(calls, sound[: bytes_a_second * ms // 1000]) for ms in LENGTHS_MS]
        print(f"| {name} | {' | '.join(f'{cost:.2f}' for cost in costs)} |")
    print(f"\nPython {platform.python_version()}, numpy {np.__version__}, {platform.machine()}, {STREAMS} streams.")


if __name__ == "__main__":
    main()
