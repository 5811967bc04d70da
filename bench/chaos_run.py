"""Plays one scenario and judges it."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from chaos_call import Stream, run_stream
from chaos_scenarios import Expect, Scenario
from chaos_score import Score, score
from chaos_server import Target, serve

Json = dict[str, Any]


@dataclass
class Row:
    """A scenario that was run."""

    scenario: Scenario
    score: Score
    connections: int
    "Upgrades that the servers accepted."
    refused: int
    "Upgrades that they did not."
    fell: dict[str, int]
    "Kills by what they hit: `speaking`, `before-commit`, `after-commit`, `inside-message`; `quiet` is between turns."
    happened: dict[str, int]
    "How often the servers' other faults happened."
    seconds: float
    failed: list[str]
    "Expectations that were not met."

    @property
    def reconnects(self) -> int:
        """Connections beyond the first of each stream, those of repairs and rollovers included."""
        return self.connections - self.score.streams

    @property
    def kills(self) -> int:
        """Connections cut."""
        return sum(self.fell.values())

    def to_json(self) -> Json:
        """Everything that is known of it."""
        scenario = self.scenario
        return {
            "name": scenario.name,
            "fault": scenario.fault,
            "turns": scenario.turns,
            "model": scenario.model,
            "audio_seconds": scenario.speech.seconds if not scenario.speech.utterances else None,
            **asdict(self.score),
            "connections": self.connections,
            "refused": self.refused,
            "reconnects": self.reconnects,
            "kills": self.kills,
            "kills_while_speech_was_not_final": sum(split(self.fell).values()),
            "kills_fell": self.fell,
            "faults_happened": self.happened,
            "seconds": round(self.seconds, 1),
            "needs": scenario.needs,
            "held_to_it": scenario.kept,
            "not_met": self.failed,
        }


def properties(scenario: Scenario, url: str) -> Json:
    """The node's property."""
    params: Json = {
        "api_key": "sk-chaos",
        "base_url": url,
        "turn_detection": {"type": scenario.turns},
        "input_audio_transcription": {"model": scenario.model, "language": "en"},
        "log_level": "error",
    }
    return {"params": {**params, **scenario.params}}


def run(scenario: Scenario, seed: int) -> Row:
    """Play all streams of a scenario at the same time."""
    names = [f"s{number}" for number in range(scenario.streams)]
    began = time.monotonic()
    with serve(scenario.trouble, names, seed, scenario.dialect) as targets, ThreadPoolExecutor(len(names)) as pool:

        def play(name: str) -> Stream:
            time.sleep(random.Random(f"{seed}/{name}/offset").uniform(0.0, 0.3))
            return run_stream(
                name, properties(scenario, targets[name].server.url), scenario.speech, scenario.play, seed
            )

        streams = list(pool.map(play, names))
    total = Score()
    for stream in streams:
        total.add(score(stream.played, stream.received, scenario.prefix_ms))
    return _row(scenario, total, list(targets.values()), time.monotonic() - began)


def _row(scenario: Scenario, total: Score, targets: list[Target], seconds: float) -> Row:
    fell: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    for target in targets:
        fell += target.fell
        happened += Counter(target.faults.counts)
    connections = sum(target.faults.connections for target in targets)
    refused = sum(target.faults.refused for target in targets)
    failed = judge(scenario.expect, total, refused, fell)
    return Row(scenario, total, connections, refused, dict(fell), dict(happened), seconds, failed)


def judge(expect: Expect, total: Score, refused: int = 0, fell: dict[str, int] | None = None) -> list[str]:
    """Expectations that were not met, each as a short text."""
    failed = []
    figures = {**asdict(total), "refused": refused}
    for name, bound in asdict(expect).items():
        least = name.removesuffix("_at_least")
        if least in figures and least != name:
            if figures[least] < bound:
                failed.append(f"{least} {figures[least]}, at least {bound} expected")
        elif name in figures and bound is not None and figures[name] > bound:
            failed.append(f"{name} {figures[name]:g}, at most {bound:g} expected")
    for code, most in expect.codes:
        if total.error_codes.get(code, 0) > most:
            failed.append(f"{total.error_codes[code]} errors {code}, at most {most} expected")
    soonest = min(total.fatal_after_s, default=expect.fatal_not_before_s)
    if soonest < expect.fatal_not_before_s:
        failed.append(f"fatal after {soonest:.1f} s, {expect.fatal_not_before_s:g} s expected")
    return failed + _judge_kills(expect.open_kills_at_least, split(fell or {})) + total.failures


def split(fell: dict[str, int]) -> dict[str, int]:
    """Kills while speech was sent and not final, by when that was."""
    return {
        "before the commit": fell.get("speaking", 0) + fell.get("before-commit", 0),
        "after it": fell.get("after-commit", 0),
        "inside a message": fell.get("inside-message", 0),
    }


def _judge_kills(wanted: int, parts: dict[str, int]) -> list[str]:
    failed = [f"{count} kills {name}, {wanted // 6} expected" for name, count in parts.items() if count < wanted // 6]
    if sum(parts.values()) < wanted:
        failed.append(f"{sum(parts.values())} kills while speech was not final, {wanted} expected")
    return failed
