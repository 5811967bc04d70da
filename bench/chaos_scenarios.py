"""What is tried, and what is expected of it: one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from chaos_call import Play, Speech
from chaos_server import Trouble

Json = dict[str, Any]

KEPT: frozenset[str] = frozenset({"basics", "replay", "repair", "overdue", "rollover", "poison"})
"""Promises that hold by now. A scenario that needs another is measured, and not held to its expectations.

basics: the stream without drops · replay: S6 · repair: S7 · overdue: S8 · rollover: S11 ·
streaming: S5 on a server whose commits cut off what it has not heard, and where a machine short of time meets sessions
that end every 5 s · poison: S6, audio that ends connections.
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
    codes: tuple[tuple[str, int], ...] = ()
    "Of these codes at most so many."
    worst_start_ms: float | None = 60.0
    "40 ms for turns of our own; 20 ms of the server's word, which comes in windows of 32 ms."
    worst_answer_ms: float | None = 2_250.0
    "finalize_timeout_ms + 20, and what a loaded machine adds."
    late: int | None = None
    "Blocks in text that came after its finalize had been answered at its deadline."
    lost_at_least: int = 0
    "A control must show losses."
    late_at_least: int = 0
    promoted_at_least: int = 0
    "Finals that could not wait for the server's. What a row is about must have happened in it."
    fatal_at_least: int = 0
    fatal_not_before_s: float = 0.0
    "From the first error of a stream to its fatal one."
    refused: int | None = None
    "Upgrades refused, at most: how often the extension knocked."
    open_kills_at_least: int = 0
    "Kills while speech was sent and not final, a sixth of them each before its commit, after it, inside a message."


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
    dialect: str = "openai"
    "What the servers speak; the extension is told nothing of it unless *params* do."
    expect: Expect = field(default_factory=Expect)
    slow: bool = False
    "What it shows takes longer than the quick form."

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
            expect=replace(self.expect, open_kills_at_least=0, late_at_least=0, promoted_at_least=0),
        )

    @property
    def prefix_ms(self) -> int:
        """What stands before the speech of a turn; nothing in turns of our own."""
        return PREFIX_MS if self.turns in ("server_vad", "semantic_vad") else 0

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
LOCAL, SEMANTIC = {**SERVER, "turns": "local_vad"}, {**SERVER, "turns": "semantic_vad"}
VOICED = Speech(voiced=True, blocks=(1, 3), lengths_ms=(200, 250, 300), pause_ms=(1100, 1500))
_KILLS = Trouble(kills=10, over_s=56)
_SMOOTH = Expect(errors=0, late=0)
_MOSTLY_OPEN = Expect(open_kills_at_least=60)


def _scenarios() -> Iterator[Scenario]:
    short = Speech(seconds=12)
    for name, kind in (("server", SERVER), ("none", NONE), ("live", LIVE)):
        yield Scenario(f"control-{name}", "none", speech=short, expect=_SMOOTH, **kind)
    for name, kind in (("server", SERVER), ("none", NONE), ("live", LIVE)):
        yield Scenario(f"kills-{name}", "100 kills", "replay", 10, trouble=_KILLS, expect=_MOSTLY_OPEN, **kind)
    yield Scenario(
        "control-no-replay",
        "kills, replay off",
        speech=Speech(seconds=30),
        trouble=Trouble(kills=6, over_s=28, phases=("speaking", "before-commit", "after-commit")),
        params={"replay_window_ms": 0},
        expect=Expect(lost=None, lost_at_least=1, worst_start_ms=None),
        **SERVER,
    )
    local_live = {**LOCAL, "model": STREAMING}
    yield Scenario("control-local", "none", speech=replace(VOICED, seconds=12), expect=_SMOOTH, **LOCAL)
    yield Scenario("kills-local", "100 kills", "replay", 10, VOICED, trouble=_KILLS, expect=_MOSTLY_OPEN, **LOCAL)
    yield Scenario("kills-local-live", "40 kills", "replay", 4, VOICED, trouble=_KILLS, **local_live)
    yield Scenario("control-semantic", "none", speech=short, expect=_SMOOTH, **SEMANTIC)
    yield Scenario("kills-semantic", "40 kills", "replay", 4, trouble=_KILLS, **SEMANTIC)
    lossy = replace(_KILLS, faults=("commit-loses-undecoded:speed=1.5",))
    yield Scenario(
        "kills-live-lossy", "40 kills, hears at 1.5 ×", "replay streaming", 4, Speech(), trouble=lossy, **LIVE
    )
    outage = Trouble(kills=4, over_s=50, outage_s=3.0)
    for name, kind in (("server", SERVER), ("none", NONE)):
        yield Scenario(f"outage-{name}", "kills, then 503 for 3 s", needs="replay", trouble=outage, **kind)
    told, knocks = replace(outage, retry_after_s=3.0), Expect(refused=2 * 4 * 2)  # twice for each kill of a stream
    yield Scenario("retry-after", "the same with Retry-After", needs="replay", trouble=told, expect=knocks, **NONE)
    limit = Trouble(faults=("session-limit:seconds=5",))
    # A session is left at a pause; where there is none for a second and a half, in the middle of a word.
    words = Speech(blocks=(1, 2))
    for name, kind in (("server", SERVER), ("none", NONE), ("live", LIVE)):
        yield Scenario(f"limit-{name}", "sessions of 5 s", "rollover", 2, words, trouble=limit, expect=_SMOOTH, **kind)
    talk = Speech(seconds=60, blocks=(1, 1), lengths_ms=(150, 200, 250, 300), pause_ms=(140, 240))
    for name, needs, kind in (("", "rollover", SERVER), ("-live", "rollover streaming", {**SERVER, **LIVE})):
        yield Scenario(f"limit-talk{name}", "sessions of 5 s", needs, 2, talk, trouble=limit, expect=_SMOOTH, **kind)
    words = replace(VOICED, blocks=(1, 1))
    for name, kind in (("local", LOCAL), ("local-live", local_live)):
        yield Scenario(f"limit-{name}", "sessions of 5 s", "rollover", 2, words, trouble=limit, expect=_SMOOTH, **kind)
    yield from _events(short)
    yield from _delays(short)
    yield from _late_text(short)
    yield from _refusals()
    yield from _dialects()
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
    # One at a time and not the next item whatever it is: that would soon be the second chance of the same audio.
    failing = Trouble(kills=5, over_s=28, faults=tuple(f"fail-item:at={at},times=1" for at in (4, 11, 18, 25)))
    for name, kind in (("server", SERVER), ("none", NONE)):
        yield Scenario(
            f"failed-kills-{name}", "4 items fail, 10 kills", "repair replay", 2, Speech(seconds=30),
            trouble=failing, **kind,
        )  # fmt: skip
    # One block a turn, so that what goes with the poisoned one is little: what is within 5 s of it.
    apart = Speech(blocks=(1, 1), lengths_ms=(300, 400, 500))
    for name, kind in (("server", {"turns": "server_vad"}), ("none", NONE)):
        yield Scenario(
            f"poison-{name}", "block 5 ends connections", "replay poison", 2, apart, Play(patience_s=30),
            Trouble(faults=("poison:label=5",)), slow=True, expect=Expect(lost=8, lost_at_least=2), **kind,
        )  # fmt: skip


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


def _late_text(speech: Speech) -> Iterator[Scenario]:
    """Finalizes that cannot wait: what is shown becomes final, and what comes late is said once."""
    thinking = Trouble(thinks_s=(2.8, 3.4))
    for name, kind in (("server", {"turns": "server_vad"}), ("none", NONE)):
        yield Scenario(
            f"late-text-{name}", "all text some 3 s late", "basics", 2, speech, trouble=thinking,
            expect=Expect(late_at_least=1), **kind,
        )  # fmt: skip
    late, apart = Trouble(faults=("late-final:ms=3000",)), replace(speech, seconds=20, pause_ms=(4000, 5000))
    slow = Trouble(faults=("slow-answer:ms=2600",))
    for name, fault, trouble, said, kind in (
        ("promote-none", "completed 3 s late", late, speech, NONE),
        ("promote-live", "completed 3 s late", late, speech, LIVE),
        ("promote-rest", "all events 2.6 s late", slow, apart, LIVE),
    ):
        expect = Expect(promoted_at_least=1, late_at_least=int(name == "promote-rest"))
        yield Scenario(name, fault, "basics", 2, said, trouble=trouble, expect=expect, **kind)


def _refusals() -> Iterator[Scenario]:
    """A key that is refused is not hammered, and given up for good after half a minute."""
    good_again = Trouble(faults=("http:status=401,for=8",))
    expect = Expect(refused=2 * 4, codes=(("401", 2),))
    yield Scenario("key-returns", "key refused for 8 s", "replay", 2, Speech(seconds=30), trouble=good_again,
                   expect=expect, slow=True, **NONE)  # fmt: skip
    for name, fault, code in (
        ("bad-key", "key refused", "invalid_api_key"),
        ("quota", "no credit", "insufficient_quota"),
    ):
        # A stream says it once when it happens, and once when it is final.
        told = Expect(lost=None, fatal=2, fatal_at_least=2, fatal_not_before_s=30.0, codes=((code, 4),))
        yield Scenario(name, f"{fault}, for good", "basics", 2, Speech(seconds=75), trouble=Trouble(faults=(name,)),
                       expect=told, slow=True, **NONE)  # fmt: skip


def _dialects() -> Iterator[Scenario]:
    """Other servers: what is promised of one holds of all, in the turns they can be asked for."""
    azure, beta = {"params": {"dialect": "azure"}}, {"params": {"dialect": "beta"}}
    ephemeral = {"params": {"dialect": "azure_ephemeral"}}
    for name, dialect, model, speech, kind in (
        ("azure", "azure", "speech-prod", Speech(), {**SERVER, **azure}),
        (
            "azure-ephemeral",
            "azure_ephemeral",
            "speech-prod",
            Speech(),
            {**NONE, **ephemeral},
        ),
        ("beta", "beta", "whisper-1", Speech(), {**SERVER, **beta}),
        ("speaches", "speaches", "Systran/faster-whisper-small", Speech(), NONE),
        ("speaches-local", "speaches", "Systran/faster-whisper-small", VOICED, LOCAL),
        ("vllm", "vllm", "mistralai/Voxtral-Mini", Speech(), NONE),
        ("vllm-local", "vllm", "mistralai/Voxtral-Mini", VOICED, LOCAL),
    ):
        given: Json = {"model": model, "dialect": dialect, **kind}
        calm = replace(speech, seconds=12)
        # One utterance at a time: a finalize soon after another waits for two texts, and some for longer than its time.
        calmly = Expect() if dialect == "vllm" else _SMOOTH
        yield Scenario(f"dialect-{name}", f"none ({dialect})", speech=calm, expect=calmly, **given)
        yield Scenario(f"dialect-{name}-kills", f"40 kills ({dialect})", "replay", 4, speech, trouble=_KILLS, **given)


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
