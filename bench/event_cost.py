"""What one event of the server costs without a transport: reading it, and all that the session makes of it.

.venv/bin/python bench/event_cost.py             CPU-µs by kind of event, the best of several runs
.venv/bin/python bench/event_cost.py --profile   where the time goes
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import json
import pstats
import time
from typing import Any

import chaos_load  # noqa: F401  (makes the extension importable)
from ten_packages.extension.openai_asr_python.audio.encoder import WireEncoder
from ten_packages.extension.openai_asr_python.audio.level import LevelDetector
from ten_packages.extension.openai_asr_python.realtime.messages import decode_server_message
from ten_packages.extension.openai_asr_python.realtime.options import (
    SessionOptions,
    TranscriptionOptions,
    TurnDetectionOptions,
)
from ten_packages.extension.openai_asr_python.realtime.session import Ping, Send, Session

RATE = 16_000
TURN_MS = 1_000
DELTAS = 9
TURNS = 400
RUNS = 7
LOUD = b"\x00\x20\x00\xe0" * (RATE * TURN_MS // 2000)
TRANSCRIPTION = "conversation.item.input_audio_transcription."


def events_of(number: int) -> list[bytes]:
    """What a server says of one turn, as `make bench`'s does."""
    item, at = f"item_{number:08d}", number * TURN_MS
    told: list[dict[str, Any]] = [
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": at, "item_id": item},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": at + TURN_MS, "item_id": item},
        {"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": None},
        {"type": "conversation.item.added", "previous_item_id": None, "item": {"id": item, "type": "message"}},
    ]
    word = {"type": f"{TRANSCRIPTION}delta", "item_id": item, "content_index": 0}
    told += [{**word, "delta": f" word{place}", "obfuscation": "abcdef"} for place in range(DELTAS)]
    text = "".join(f" word{place}" for place in range(DELTAS))
    usage = {"type": "duration", "seconds": 1}
    told.append({"type": f"{TRANSCRIPTION}completed", "item_id": item, "transcript": text, "usage": usage})
    return [json.dumps({"event_id": f"event_{place:016d}", **one}).encode() for place, one in enumerate(told)]


class Line:
    """One session, and a transport that takes everything."""

    def __init__(self) -> None:
        numbers = itertools.count()
        self.session = Session(
            SessionOptions(
                sample_rate=RATE,
                transcription=TranscriptionOptions(model="gpt-4o-transcribe"),
                turn_detection=TurnDetectionOptions(type="server_vad"),
            ),
            encoder=lambda rate: WireEncoder(RATE, "pcm16", pcm_rate=rate),
            level=LevelDetector(RATE),
            random=lambda: 0.5,
            new_id=lambda purpose: f"{purpose}_{next(numbers)}",
        )
        self.now, self.told = 0.0, 0
        self.session.start(self.now)
        self._update: dict[str, Any] = {}
        self.do()
        self.session.connection_opened(1, {}, self.now)
        self.hear(b'{"type":"session.created","session":{}}')
        self.hear(json.dumps({"type": "session.updated", "session": self._update}).encode())

    def do(self) -> None:
        """What the client's pump does after every input."""
        while actions := self.session.actions():
            for action in actions:
                if isinstance(action, Send):
                    if b"session.update" in action.data:
                        self._update = json.loads(action.data)["session"]
                    self.session.sent(action.conn, 1, self.now)
                elif isinstance(action, Ping):
                    self.session.pong_received(action.conn, self.now)
        while self.session.next_event() is not None:
            self.told += 1

    def hear(self, frame: bytes) -> None:
        """One event."""
        self.session.receive_message(1, frame, self.now)
        self.do()

    def speak(self) -> None:
        """The audio of one turn."""
        for at in range(0, len(LOUD), 3_200):
            self.now += 0.1
            self.session.push_audio(LOUD[at : at + 3_200], self.now)
            self.do()


def play() -> dict[str, list[int]]:
    """Nanoseconds of every event, by type, of one call of many turns."""
    line, spent = Line(), {}
    for number in range(TURNS):
        line.speak()
        for frame in events_of(number):
            kind = json.loads(frame)["type"].rpartition(".")[2]
            began = time.thread_time_ns()
            line.hear(frame)
            spent.setdefault(kind, []).append(time.thread_time_ns() - began)
    assert line.told > TURNS * (DELTAS + 4), "the session does not take what it is told"
    return spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true")
    if parser.parse_args().profile:
        profiler = cProfile.Profile()
        line = Line()
        for number in range(TURNS):
            line.speak()
            frames = events_of(number)
            profiler.enable()
            for frame in frames:
                line.hear(frame)
            profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
        return
    runs = [play() for _ in range(RUNS)]
    frames = [frame for number in range(TURNS) for frame in events_of(number)]
    decoding = []
    for _ in range(RUNS):
        began = time.thread_time_ns()
        for frame in frames:
            decode_server_message(frame)
        decoding.append((time.thread_time_ns() - began) / len(frames) / 1000)
    print(f"{'reading alone':>16} {min(decoding):6.2f}")
    whole = 0.0
    for kind in runs[0]:
        best = min(sum(run[kind]) for run in runs) / TURNS / 1000
        each = best / (DELTAS if kind == "delta" else 1)
        whole += best
        print(f"{kind:>16} {each:6.2f}")
    print(f"{'all, each':>16} {whole / len(events_of(0)):6.2f}")


if __name__ == "__main__":
    main()
