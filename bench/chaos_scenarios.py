"""What is tried, and what is expected of it: one table."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from chaos_call import Play, Speech, Stream, run_stream
from chaos_score import Score, score
from chaos_server import Trouble, Watch, serve

Json = dict[str, Any]

KEPT: frozenset[str] = frozenset({"basics"})
"""Promises that hold by now. A scenario that needs another is measured, and not held to its expectations.

basics: the stream without drops · replay: S6 · repair: S7 · overdue: S8 · rollover: S11 · errors: the error table.
"""

COMMITTING, STREAMING = "gpt-4o-transcribe", "gpt-live-transcribe"
PREFIX_MS = 300


@dataclass(frozen=True)
class Expect:
    """What must hold; None: anything goes. Figures are those of `Score`."""

    lost: int | None = 0
    doubled: int | None = 0
    invented: int | None = 0
    out_of_order: int | None = 0
    unanswered: int = 0
    answered_twice: int = 0
    mixed: int = 0
    dropped: int = 0
    fatal: int | None = 0
    errors: int | None = None
    "At most so many."
    worst_start_ms: float | None = 60.0
    "40 ms for turns of our own; 20 ms of the server's word, which comes in windows of 32 ms."
    worst_answer_ms: float | None = 2_250.0
    "finalize_timeout_ms + 20, and what a loaded machine adds."
    lost_at_least: int = 0
    "A control must show losses."


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    name: str
    fault: str
    needs: str = "basics"
    turns: str = "server_vad"
    model: str = COMMITTING
    streams: int = 4
    speech: Speech = field(default_factory=Speech)
    play: Play = field(default_factory=Play)
    trouble: Trouble = field(default_factory=Trouble)
    params: Json = field(default_factory=dict)
    expect: Expect = field(default_factory=Expect)

    def quick(self) -> Scenario:
        """The same in about ten seconds."""
        share = min(1.0, 8.0 / self.speech.seconds)
        kills = max(1, round(self.trouble.kills * share)) if self.trouble.kills else 0
        return replace(
            self,
            streams=min(self.streams, 3),
            play=replace(self.play, patience_s=6.0),
            speech=replace(self.speech, seconds=8.0, utterances=min(self.speech.utterances, 20)),
            trouble=replace(self.trouble, kills=kills, over_s=self.trouble.over_s * share),
        )

    @property
    def kept(self) -> bool:
        """Whether its expectations are promises that hold by now."""
        return set(self.needs.split()) <= KEPT


def _kills(name: str, turns: str, model: str, **changes: Any) -> Scenario:
    base = Scenario(
        name,
        "kills",
        needs="replay",
        turns=turns,
        model=model,
        streams=10,
        speech=Speech(seconds=60),
        play=Play(finalize="end" if turns == "server_vad" else "utterances"),
        trouble=Trouble(kills=10, over_s=56),
    )
    return replace(base, **changes)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("control-server", "none", play=Play(finalize="end"), speech=Speech(seconds=20)),
    Scenario("control-none", "none", turns="none", speech=Speech(seconds=20)),
    Scenario("control-streaming", "none", turns="none", model=STREAMING, speech=Speech(seconds=20)),
    _kills("kills-server", "server_vad", COMMITTING, fault="100 kills"),
    _kills("kills-none", "none", COMMITTING, fault="100 kills"),
    _kills("kills-streaming", "none", STREAMING, fault="100 kills"),
    _kills(
        "control-no-replay",
        "server_vad",
        COMMITTING,
        fault="kills, replay off",
        needs="basics",
        streams=4,
        speech=Speech(seconds=30),
        trouble=Trouble(kills=6, over_s=28, phases=("before_commit", "after_commit")),
        params={"replay_window_ms": 0},
        expect=Expect(lost=None, lost_at_least=1, worst_start_ms=None),
    ),
    Scenario(
        "limit-server",
        "sessions of 5 s",
        needs="rollover",
        play=Play(finalize="end"),
        trouble=Trouble(session_seconds=5.0),
        expect=Expect(errors=0),
    ),
    Scenario(
        "limit-none",
        "sessions of 5 s",
        needs="rollover",
        turns="none",
        trouble=Trouble(session_seconds=5.0),
        expect=Expect(errors=0),
    ),
)


@dataclass
class Row:
    """A scenario that was run."""

    scenario: Scenario
    score: Score
    connections: int
    kills: int
    fell: dict[str, int]
    seconds: float
    failed: list[str]
    "Expectations that were not met."

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
            "reconnects": self.connections - self.score.streams,
            "kills": self.kills,
            "kills_fell": self.fell,
            "seconds": round(self.seconds, 1),
            "needs": scenario.needs,
            "held_to_it": scenario.kept,
            "not_met": self.failed,
        }


def properties(scenario: Scenario, url: str, stream: str) -> Json:
    """The node's property; its key tells the server which stream it is."""
    params: Json = {
        "api_key": f"sk-{stream}",
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
    with serve(scenario.trouble, names, seed) as (url, watches), ThreadPoolExecutor(len(names)) as pool:

        def play(name: str) -> Stream:
            time.sleep(random.Random(f"{seed}/{name}/offset").uniform(0.0, 0.3))
            return run_stream(name, properties(scenario, url, name), scenario.speech, scenario.play, seed)

        streams = list(pool.map(play, names))
    total = Score()
    for stream in streams:
        total.add(score(stream.played, stream.received, PREFIX_MS if scenario.turns == "server_vad" else 0))
    return _row(scenario, total, list(watches.values()), time.monotonic() - began)


def _row(scenario: Scenario, total: Score, watches: list[Watch], seconds: float) -> Row:
    fell: dict[str, int] = {}
    for watch in watches:
        for where, count in watch.fell.items():
            fell[where] = fell.get(where, 0) + count
    connections = sum(watch.connections for watch in watches)
    kills = sum(watch.kills for watch in watches)
    return Row(scenario, total, connections, kills, fell, seconds, judge(scenario.expect, total))


def judge(expect: Expect, total: Score) -> list[str]:
    """Expectations that were not met, each as a short text."""
    failed = []
    for name, most in asdict(expect).items():
        if name == "lost_at_least":
            if total.lost < most:
                failed.append(f"lost {total.lost}, at least {most} expected")
        elif most is not None and getattr(total, name) > most:
            failed.append(f"{name} {getattr(total, name):g}, at most {most:g} expected")
    return failed + total.failures
