"""The servers of a scenario, one for each stream, and the hand that strikes at them while speech is under way."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import chaos_load  # noqa: F401  (makes the names below importable)
import numpy as np
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.faults import Faults, Kill
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import Recognition, RecognitionRequest
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import (
    ScriptedRecognizer,
    ToldSession,
    ToneSession,
)

Json = dict[str, Any]

PHASES = ("speaking", "before-commit", "after-commit", "inside-message", "random")
"Moments of a kill: those of `Faults.kill_when`, and any time."
_PCM_PEAK = 328
_TICK_S = 0.01
_HEARTBEAT_S = 0.1
_READ_TO_BYTES = 6400


@dataclass(frozen=True)
class Trouble:
    """What goes wrong on a scenario's servers. Everything is drawn from the seed, per stream."""

    faults: tuple[str, ...] = ()
    "Faults of the server, as for `openai-asr serve --fault`."
    kills: int = 0
    "Connections of each stream that are cut."
    over_s: float = 0.0
    "The wall time over which they are spread."
    phases: tuple[str, ...] = PHASES
    close_share: float = 0.2
    "Share of the kills at `random` that are a CLOSE frame (1001, 1011, 4000) instead."
    outage_s: float = 0.0
    "HTTP 503 for so long after each kill,"
    retry_after_s: float | None = None
    "with this `Retry-After`."
    thinks_s: tuple[float, float] = (0.05, 0.35)
    "How long the recogniser thinks about an item, from and to."


class Speaking:
    """Sees what passes on the connections of one server, and knows whether speech on them is not final yet."""

    def __init__(self) -> None:
        self._taps: list[_Tap] = []

    def new_connection(self) -> list[_Tap]:
        """The layer of one more connection."""
        # A new list: another thread may be looking at the old one.
        self._taps = [*self._taps, tap := _Tap()]
        return [tap]

    @property
    def state(self) -> str:
        """Where speech stands at the moment: `after-commit`, `speaking` or `quiet`."""
        taps = self._taps
        return "after-commit" if any(t.pending for t in taps) else "speaking" if any(t.open for t in taps) else "quiet"

    def forget(self) -> None:
        """The connections so far are cut; what they still seem to do does not count."""
        self._taps = []


class _Tap:
    """A layer that changes nothing."""

    def __init__(self) -> None:
        self.open = False
        "Speech came in after the last commit."
        self.pending: set[str] = set()
        "Items that are committed and not final."
        self._look_again = time.monotonic() + _HEARTBEAT_S

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        message = json.loads(frame)
        if message.get("type") == "input_audio_buffer.append":
            samples = np.frombuffer(base64.b64decode(message["audio"]), dtype="<i2")
            if len(samples) and int(np.abs(samples.astype(np.int32)).max()) > _PCM_PEAK:
                self.open = True
        return (frame,)

    def outgoing(self, event: Json, now: float) -> Iterable[Json]:
        kind = event["type"]
        if kind == "input_audio_buffer.committed":
            self.open = False
            self.pending.add(event["item_id"])
        elif kind.endswith((".completed", ".failed")):
            self.pending.discard(event["item_id"])
        return (event,)

    def get_timer(self) -> float | None:
        # What a fault holds back after a recogniser's word must go out even if nothing comes in that moves the timers.
        return self._look_again

    def handle_timer(self, now: float) -> Iterable[Json]:
        self._look_again = now + _HEARTBEAT_S
        return ()


class SlowRecognizer:
    """Reads tones, and thinks for a while about each utterance, as a model does."""

    def __init__(self, thinks_s: tuple[float, float], chance: random.Random) -> None:
        self._inner = ScriptedRecognizer()
        self._thinks_s, self._chance = thinks_s, chance
        self.vad = self._inner.vad

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        """Nothing to give back."""

    def knows_language(self, language: str) -> bool:
        """Any."""
        return True

    def session(self, request: RecognitionRequest) -> _SlowSession:
        """Begin an utterance."""
        return _SlowSession(self._inner.session(request), request.partials, self._chance.uniform(*self._thinks_s))


class _SlowSession:
    def __init__(self, inner: ToldSession | ToneSession, partials: bool, thinks_s: float) -> None:
        self._inner, self._partials, self._thinks_s = inner, partials, thinks_s
        self._kept = bytearray()

    async def accept(self, pcm: bytes) -> str | None:
        # Audio is read in pieces of 200 ms, and at the end if nobody wants partials: it saves most of the time.
        self._kept += pcm
        if not self._partials or len(self._kept) < _READ_TO_BYTES:
            return None
        kept, self._kept = bytes(self._kept), bytearray()
        return await self._inner.accept(kept)

    async def finish(self) -> Recognition:
        await self._inner.accept(bytes(self._kept))
        result = await self._inner.finish()
        await asyncio.sleep(self._thinks_s)
        return result

    async def abandon(self) -> None:
        await self._inner.abandon()


@dataclass
class Target:
    """One stream's server."""

    server: LocalServer
    faults: Faults
    speaking: Speaking
    planned: list[tuple[float, str]]
    "When (seconds after the first connection) and in which phase it is struck; the next one first."
    began: float = 0.0
    waiting: Kill | None = None
    fell: Counter[str] = field(default_factory=Counter)
    "Kills by what they hit."

    def strike(self, trouble: Trouble, chance: random.Random, now: float) -> None:
        """Do what is due."""
        if not self.began:
            self.began = now if self.faults.connections else 0.0
            return
        if self.waiting is not None:
            if self.waiting.happened:
                self._note(self.waiting.phase, trouble)
                self.waiting = None
            return
        if not self.planned or now < self.began + self.planned[0][0] or not self.faults.live:
            return
        _, phase = self.planned.pop(0)
        if phase != "random":
            self.waiting = self.faults.kill_when(phase)
            return
        state = self.speaking.state
        if chance.random() < trouble.close_share:
            self.faults.add(f"close:code={chance.choice((1001, 1011, 4000))},times=1")
        else:
            self.faults.kill_all()
        self._note(state, trouble)

    def _note(self, what: str, trouble: Trouble) -> None:
        self.fell[what] += 1
        self.speaking.forget()
        if trouble.outage_s:
            self.faults.refuse(503, trouble.outage_s, trouble.retry_after_s)


def plan_kills(trouble: Trouble, chance: random.Random) -> list[tuple[float, str]]:
    """Spread a stream's kills over the time, one in each equal part of it, phases in turn from a random one on."""
    first = chance.randrange(len(trouble.phases))
    part = trouble.over_s / max(1, trouble.kills)
    return [
        (part * (index + chance.uniform(0.1, 0.7)), trouble.phases[(first + index) % len(trouble.phases)])
        for index in range(trouble.kills)
    ]


@contextlib.contextmanager
def serve(trouble: Trouble, streams: Iterable[str], seed: int, dialect: str = "openai") -> Iterator[dict[str, Target]]:
    """A server for each stream, with that trouble, each in a thread of its own."""
    with contextlib.ExitStack() as stack:
        targets: dict[str, Target] = {}
        for name in streams:
            speaking, faults = Speaking(), Faults(trouble.faults, seed=seed)
            recognizer = SlowRecognizer(trouble.thinks_s, random.Random(f"{seed}/{name}/thinks"))
            options = {"recognizer": recognizer, "faults": faults, "middleware": speaking.new_connection}
            server = stack.enter_context(run_in_thread(dialect=dialect, **options))
            plan = plan_kills(trouble, random.Random(f"{seed}/{name}/kills"))
            targets[name] = Target(server, faults, speaking, plan)
        over = threading.Event()
        striker = threading.Thread(target=_strike, args=(targets, trouble, seed, over), name="chaos-striker")
        striker.start()
        try:
            yield targets
        finally:
            over.set()
            striker.join()


def _strike(targets: dict[str, Target], trouble: Trouble, seed: int, over: threading.Event) -> None:
    chance = random.Random(f"{seed}/strikes")
    while not over.wait(_TICK_S):
        for target in targets.values():
            target.strike(trouble, chance, time.monotonic())
