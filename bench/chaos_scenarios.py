"""What is tried, and what is expected of it: one table."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from chaos_call import Play, Speech, Stream, run_stream
from chaos_score import Score, score
from chaos_server import Target, Trouble, serve

Json = dict[str, Any]

KEPT: frozenset[str] = frozenset({"basics", "replay", "repair", "overdue", "rollover"})
"""Promises that hold by now. A scenario that needs another is measured, and not held to its expectations.

basics: the stream without drops · replay: S6 · repair: S7 · overdue: S8 · rollover: S11 ·
streaming: S5 on a server whose commits cut off what it has not heard.
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
    late: int | None = None
    "Blocks in text that came after its finalize had been answered at its deadline."
    lost_at_least: int = 0
    "A control must show losses."


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    name: str
    fault: str
    needs: str = "basics"
    streams: int = 2
    speech: Speech = field(default_factory=Speech)
    play: Play = field(default_factory=Play)
    trouble: Trouble = field(default_factory=Trouble)
    turns: str = "server_vad"
    model: str = COMMITTING
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
    def weight(self) -> int:
        """How many streams in real time it is worth."""
        return 10 if not self.play.speed else self.streams

    @property
    def kept(self) -> bool:
        """Whether its expectations are promises that hold by now."""
        return set(self.needs.split()) <= KEPT


NONE, SERVER = {"turns": "none"}, {"turns": "server_vad", "play": Play(finalize="end")}
LIVE = {"turns": "none", "model": STREAMING}
_KILLS = Trouble(kills=10, over_s=56)
_SMOOTH = Expect(errors=0, late=0)


def _scenarios() -> Iterator[Scenario]:
    short = Speech(seconds=12)
    for name, kind in (("server", SERVER), ("none", NONE), ("live", LIVE)):
        yield Scenario(f"control-{name}", "none", speech=short, expect=_SMOOTH, **kind)
    for name, kind in (("server", SERVER), ("none", NONE), ("live", LIVE)):
        yield Scenario(f"kills-{name}", "100 kills", needs="replay", streams=10, trouble=_KILLS, **kind)
    yield Scenario(
        "control-no-replay",
        "kills, replay off",
        speech=Speech(seconds=30),
        trouble=Trouble(kills=6, over_s=28, phases=("speaking", "before-commit", "after-commit")),
        params={"replay_window_ms": 0},
        expect=Expect(lost=None, lost_at_least=1, worst_start_ms=None),
        **SERVER,
    )
    voiced = Speech(voiced=True, blocks=(1, 3), lengths_ms=(200, 250, 300), pause_ms=(1100, 1500))
    local = {"turns": "local_vad", "play": Play(finalize="end")}
    yield Scenario("control-local", "none", speech=replace(voiced, seconds=12), expect=_SMOOTH, **local)
    yield Scenario("kills-local", "100 kills", "replay", 10, voiced, trouble=_KILLS, **local)
    yield Scenario("kills-local-live", "40 kills", "replay", 4, voiced, trouble=_KILLS, model=STREAMING, **local)
    lossy = replace(_KILLS, faults=("commit-loses-undecoded:speed=1.5",))
    yield Scenario(
        "kills-live-lossy", "40 kills, hears at 1.5 ×", "replay streaming", 4, Speech(), trouble=lossy, **LIVE
    )
    outage = Trouble(kills=4, over_s=50, outage_s=3.0)
    for name, kind in (("server", SERVER), ("none", NONE)):
        yield Scenario(f"outage-{name}", "kills, then 503 for 3 s", needs="replay", trouble=outage, **kind)
    limit = Trouble(faults=("session-limit:seconds=5",))
    for name, kind in (("server", SERVER), ("none", NONE), ("live", LIVE)):
        yield Scenario(f"limit-{name}", "sessions of 5 s", needs="rollover", trouble=limit, expect=_SMOOTH, **kind)
    talk = Speech(seconds=60, blocks=(1, 1), lengths_ms=(150, 200, 250, 300), pause_ms=(140, 240))
    yield Scenario(
        "limit-talk", "sessions of 5 s", needs="rollover", speech=talk, trouble=limit, expect=_SMOOTH, **SERVER
    )
    yield from _events(short)
    yield from _delays(short)
    yield from _finalizes()


def _events(speech: Speech) -> Iterator[Scenario]:
    """One bad thing stays one bad thing."""
    for name, fault, needs, faults in (
        ("duplicate", "each event twice", "basics", ("duplicate",)),
        ("reorder", "text in groups of 3, last first", "basics", ("reorder:group=3,hold=1",)),
        ("interleave", "texts mixed", "basics", ("interleave",)),
        ("error-events", "harmless errors", "basics", ("error-event:interval=0.5",)),
        ("commit-empty", "commit_empty errors", "basics", ("error-event:code=input_audio_buffer_commit_empty",)),
        ("junk", "junk frames", "basics", ("junk",)),
        ("failed", "every 4th item fails", "repair", ("fail-item:every=4,connections=1",)),
        ("swallowed", "every 4th item unanswered", "repair overdue", ("swallow-item:every=4,connections=1",)),
    ):
        for kind_name, kind in (("server", SERVER), ("none", NONE)):
            yield Scenario(f"{name}-{kind_name}", fault, needs, speech=speech, trouble=Trouble(faults=faults), **kind)
    swallow = Trouble(faults=("swallow-commit:every=4,connections=1",))
    yield Scenario("swallowed-commit", "every 4th commit unseen", "overdue", 2, speech, trouble=swallow, **NONE)


def _delays(speech: Speech) -> Iterator[Scenario]:
    """What comes late, and what never comes."""
    for seconds in (1, 5):
        late = Trouble(faults=(f"late-updated:ms={seconds * 1000}",))
        for name, kind in (("server", SERVER), ("none", NONE), ("live", LIVE)):
            expect = _SMOOTH if name == "server" or seconds == 1 else Expect()
            yield Scenario(
                f"ready-{seconds}s-{name}", f"session ready {seconds} s late", "basics", 2, speech,
                trouble=late, expect=expect, **kind,
            )  # fmt: skip
    for name, fault, text in (
        ("mute", "mute:at=6,times=1", "mute from 6 s on"),
        ("half-open", "half-open:at=6,times=1", "half-open at 6 s"),
        ("no-pong", "no-pong:times=1", "first connection: no pongs"),
        ("slow-read", "slow-read:at=5,stop=3,times=1", "nothing read for 3 s"),
        ("late-final", "late-final:ms=3000,every=5", "every 5th text 3 s late"),
    ):
        needs = "basics" if name in ("slow-read", "late-final") else "overdue replay"
        yield Scenario(name, text, needs, 2, Speech(seconds=30), trouble=Trouble(faults=(fault,)), **NONE)


def _finalizes() -> Iterator[Scenario]:
    """Ten thousand of them."""
    fast = Play(speed=0, finalize="utterances", wait=True)
    tiny = Speech(blocks=(1, 1), lengths_ms=(100, 120), pause_ms=(60, 120), utterances=350)
    quick = Trouble(thinks_s=(0.0, 0.005))
    yield Scenario("finalize-none", "7,000 finalizes", "basics", 20, tiny, fast, quick, turns="none")
    few = replace(tiny, utterances=200)
    yield Scenario("finalize-server", "2,000 finalizes", "basics", 10, few, fast, quick)
    mean = replace(tiny, utterances=25)
    mute = replace(quick, faults=("mute:after=0.5",))
    yield Scenario(
        "finalize-mute", "500 to a mute server", "basics", 20, mean, fast, mute, turns="none",
        expect=Expect(lost=None, fatal=None), params={"finalize_timeout_ms": 500},
    )  # fmt: skip
    live = replace(tiny, utterances=25, pause_ms=(400, 600))
    yield Scenario("finalize-live", "500, streaming model", "basics", 20, live, replace(fast, speed=1.0), quick, **LIVE)


SCENARIOS = tuple(_scenarios())


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
            "kills_while_speech_was_not_final": self.kills - self.fell.get("quiet", 0),
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
    with serve(scenario.trouble, names, seed) as targets, ThreadPoolExecutor(len(names)) as pool:

        def play(name: str) -> Stream:
            time.sleep(random.Random(f"{seed}/{name}/offset").uniform(0.0, 0.3))
            return run_stream(
                name, properties(scenario, targets[name].server.url), scenario.speech, scenario.play, seed
            )

        streams = list(pool.map(play, names))
    total = Score()
    for stream in streams:
        total.add(score(stream.played, stream.received, PREFIX_MS if scenario.turns == "server_vad" else 0))
    return _row(scenario, total, list(targets.values()), time.monotonic() - began)


def _row(scenario: Scenario, total: Score, targets: list[Target], seconds: float) -> Row:
    fell: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    for target in targets:
        fell += target.fell
        happened += Counter(target.faults.counts)
    connections = sum(target.faults.connections for target in targets)
    refused = sum(target.faults.refused for target in targets)
    failed = judge(scenario.expect, total)
    return Row(scenario, total, connections, refused, dict(fell), dict(happened), seconds, failed)


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
