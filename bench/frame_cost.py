"""CPU time the extension's own work takes for a second of audio, without socket and host.

Prints a Markdown table: `.venv/bin/python bench/frame_cost.py`. The floor is what cannot be avoided: resampling to the
wire's rate and base64, for the same frames, in the same run. Ratios are medians over interleaved rounds; absolute times
belong to the machine they were taken on.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("loader", ROOT / "devkit" / "host" / "loader.py")
assert spec is not None and spec.loader is not None
loader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loader)
loader.load_extension()

from ten_packages.extension.openai_asr_python.audio.encoder import WireEncoder  # noqa: E402
from ten_packages.extension.openai_asr_python.audio.level import LevelDetector  # noqa: E402
from ten_packages.extension.openai_asr_python.audio.turns import TurnDetector, TurnStarted  # noqa: E402
from ten_packages.extension.openai_asr_python.audio.vad import SileroDetector  # noqa: E402
from ten_packages.extension.openai_asr_python.realtime.actions import Send  # noqa: E402
from ten_packages.extension.openai_asr_python.realtime.messages import encode_append  # noqa: E402
from ten_packages.extension.openai_asr_python.realtime.options import (  # noqa: E402
    SessionOptions,
    TranscriptionOptions,
    TurnDetectionOptions,
)
from ten_packages.extension.openai_asr_python.realtime.session import Session  # noqa: E402

RATE = 16_000
SECONDS = 10
FRAME_MS = 20
FRAMES = SECONDS * 1000 // FRAME_MS
FRAME_BYTES = 2 * RATE * FRAME_MS // 1000
ROUNDS = 9


def frames() -> list[bytes]:
    """Ten seconds of noise at the level of speech, in frames of 20 ms."""
    noise = np.random.default_rng(1).normal(0, 3000, RATE * SECONDS).astype("<i2").tobytes()
    return [noise[i : i + FRAME_BYTES] for i in range(0, len(noise), FRAME_BYTES)]


def floor(audio: list[bytes]) -> None:
    """Resample and encode: a client cannot do with less."""
    encoder = WireEncoder(RATE, "pcm16")
    for frame in audio:
        encode_append(encoder.encode(frame))


def session(detection: str, audio: list[bytes]) -> None:
    """The whole way of a frame through ledger, level, encoder and session; with the detector for local turns."""
    numbers = itertools.count()
    options = SessionOptions(
        turn_detection=TurnDetectionOptions(type=detection),  # type: ignore[arg-type]
        transcription=TranscriptionOptions(model="gpt-4o-transcribe"),
    )
    s = Session(
        options,
        encoder=lambda _: WireEncoder(RATE, "pcm16"),
        level=LevelDetector(RATE),
        random=lambda: 0.5,
        new_id=lambda purpose: f"{purpose}{next(numbers)}",
    )
    detector = TurnDetector(
        RATE,
        SileroDetector(),
        threshold=0.5,
        silence_duration_ms=800,
        min_speech_ms=96,
        prefix_padding_ms=300,
    )
    s.start(0.0)
    s.connection_opened(1, {}, 0.0)
    s.receive_message(1, b'{"type":"session.created"}', 0.0)
    update = next(json.loads(a.data) for a in s.actions() if isinstance(a, Send))
    s.sent(1, 1, 0.0)
    s.receive_message(1, json.dumps({"type": "session.updated", "session": update["session"]}), 0.0)
    for i, frame in enumerate(audio):
        now = i * FRAME_MS / 1000
        s.push_audio(frame, now)
        if detection == "local_vad":
            for event in detector.process(frame):
                (s.turn_started if isinstance(event, TurnStarted) else s.turn_ended)(event.position, now)
        for action in s.actions():
            if isinstance(action, Send):
                s.sent(1, 1, now)
        while s.next_event() is not None:
            pass
        s.get_timer()


def main() -> None:
    """Print the table."""
    audio = frames()
    cases: dict[str, Callable[[], None]] = {
        "floor: resample 16 to 24 kHz and base64": lambda: floor(audio),
        "session, server turns": lambda: session("server_vad", audio),
        "session, local turns (with Silero)": lambda: session("local_vad", audio),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, run in cases.items():
            began = time.process_time()
            run()
            times[name].append((time.process_time() - began) / SECONDS * 1000)
    base = times["floor: resample 16 to 24 kHz and base64"]
    print("| what | CPU ms per second of audio | x floor |")
    print("| --- | --- | --- |")
    for name, values in times.items():
        ratio = statistics.median(v / b for v, b in zip(values, base, strict=True))
        print(f"| {name} | {statistics.median(values):.2f} | {ratio:.1f} |")
    print(f"\nPython {platform.python_version()}, {platform.machine()}, frames of {FRAME_MS} ms, {ROUNDS} rounds.")


if __name__ == "__main__":
    main()
