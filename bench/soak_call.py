"""A simulated call that goes on for hours: our session, the local server's sessions, and all that goes wrong between.

What is said and what goes wrong is drawn from a seed for one *round* and is the same in every round, so that the rounds
of one call can be compared: the fourth is the first again, hours later.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

import msgspec
import soak_load  # noqa: F401  (makes the names below importable)
from halves import Halves, ServerEnd
from sessions import options
from soak_truth import Said, Truth
from ten_packages.extension.openai_asr_python.devkit.server.tones import GUARD_MS, make_block
from ten_packages.extension.openai_asr_python.realtime import stream
from ten_packages.extension.openai_asr_python.realtime.options import SessionOptions
from ten_packages.extension.openai_asr_python.realtime.session import Session

RATE = 16_000
SLOT_S = 6
"An utterance and the silence behind it."
MINUTE_S = 60
FRAME_BYTES = 2 * RATE * 480 // 1000
LENGTHS_MS = (300, 400, 500)
EVENT_ERROR = b'{"type":"error","event_id":"e","error":{"type":"server_error","code":null,"message":"of no item"}}'
INPUTS = (
    "start", "stop", "push_audio", "turn_started", "turn_ended", "finalize", "reconfigure", "actions", "handle_timer",
    "receive_message", "connection_opened", "connection_refused", "connection_lost", "sent", "pong_received",
)  # fmt: skip
"What a session is driven by; none of them calls another."


class MeteredSession(Session):
    """A session that knows how much CPU it took."""

    cpu_s = 0.0


def _metered(name: str) -> Any:
    method = getattr(Session, name)

    def call(self: MeteredSession, *args: Any, **more: Any) -> Any:
        began = time.thread_time()
        try:
            return method(self, *args, **more)
        finally:
            self.cpu_s += time.thread_time() - began

    return call


for _name in INPUTS:
    setattr(MeteredSession, _name, _metered(_name))


@dataclass(frozen=True)
class Kind:
    """One call of the soak: how turns are found, what transcribes, how long sessions last, what goes wrong."""

    name: str
    detection: str
    model: str
    session_s: float = 3600.0
    drops: float = 0.0
    "Connections cut, a minute; as the following, on average."
    outages: float = 0.0
    outage_s: float = 150.0
    mutes: float = 0.0
    mute_s: float = 20.0
    errors: float = 0.5
    updates: float = 0.2
    finalizes: float = 1.0
    failing: float = 0.03
    "Share of the items that fail, and are sent once more."
    silent: float = 0.01
    "Share of the items that have no answer at all."
    window_ms: int = 60_000

    @property
    def options(self) -> SessionOptions:
        """What the session begins with."""
        return options(self.detection, self.model, sample_rate=RATE, replay_window_ms=self.window_ms)

    @property
    def horizon_s(self) -> float:
        """After so long nothing more is said of a piece of audio."""
        return stream.UNANSWERED_S + self.window_ms / 1000 + 30


@dataclass(frozen=True)
class Utterance:
    """What is said in a slot, and what goes wrong meanwhile: (seconds into the slot, what)."""

    lengths_ms: tuple[int, ...]
    troubles: tuple[tuple[float, str], ...]


def plan(kind: Kind, minutes: int, seed: int) -> list[Utterance]:
    """The slots of one round."""
    chance = random.Random(f"{seed}/{kind.name}/plan")
    slots = minutes * MINUTE_S // SLOT_S
    troubles: dict[int, list[tuple[float, str]]] = {}
    rates = {
        "drop": kind.drops, "outage": kind.outages, "mute": kind.mutes, "error": kind.errors, "update": kind.updates,
        "finalize": kind.finalizes,
    }  # fmt: skip
    for what, per_minute in rates.items():
        for _ in range(round(per_minute * minutes)):
            troubles.setdefault(chance.randrange(slots), []).append((chance.uniform(0, SLOT_S), what))
    return [
        Utterance(tuple(chance.choice(LENGTHS_MS) for _ in range(chance.choice((1, 1, 2)))), tuple(sorted(found)))
        for found in (troubles.get(slot, []) for slot in range(slots))
    ]


class SoakCall(Halves):
    """One call. `minute` plays the next one; nothing of what is over is kept."""

    session_class = MeteredSession

    def __init__(self, kind: Kind, minutes: int, seed: int = 1) -> None:
        """*minutes*: length of a round."""
        self.kind = kind
        self.happened: dict[str, int] = {}
        "How often each trouble did."
        self.truth = Truth(kind.horizon_s)
        self._plan, self._seed = plan(kind, minutes, seed), seed
        self._slot = 0
        self._chance = random.Random()
        self._said_ms = 0.0
        self._outage_until = self._mute_until = 0.0
        self._asked = 0
        self._language = ""
        super().__init__(kind.options, session_seconds=kind.session_s, recognise_s=self._think)

    # The call

    def minute(self) -> None:
        """Play a minute."""
        for _ in range(MINUTE_S // SLOT_S):
            number = self._slot % len(self._plan)
            if number == 0:
                self._chance = random.Random(f"{self._seed}/{self.kind.name}/chance")
            self._slot += 1
            self._say(self._plan[number])
        self.truth.settle(self.now)
        self._servers = {conn: server for conn, server in self._servers.items() if not server.gone}
        self.expired_at.clear()

    def end(self) -> None:
        """Hang up, and judge what is left."""
        self.stop()
        self.run_until(self.now + self.client.options.stop_drain_ms / 1000 + 5)
        self.truth.settle(float("inf"))

    def _say(self, utterance: Utterance) -> None:
        """One slot: its sound, then silence to its end; what is to happen meanwhile happens between two frames."""
        pcm = b""
        for ms in utterance.lengths_ms:
            label, begin = self.truth.next_label(), self._said_ms + len(pcm) / 2 * 1000 / RATE
            sound = (begin + GUARD_MS, begin + ms - GUARD_MS)
            self.truth.say(Said(label, *sound, self.now, unheard=self._may_be_unheard()))
            pcm += make_block(label, ms, RATE)
        due = [(self.now + at, what) for at, what in utterance.troubles]
        if self.kind.detection == "none":
            due = sorted([*due, (self.now + len(pcm) / 2 / RATE, "finalize")])
        self._said_ms += SLOT_S * 1000
        pcm = pcm.ljust(2 * RATE * SLOT_S, b"\0")
        for at in range(0, len(pcm), FRAME_BYTES):
            while due and due[0][0] <= self.now:
                self._trouble(due.pop(0)[1])
            self.push(pcm[at : at + FRAME_BYTES])

    def _finalize(self) -> None:
        self._asked += 1
        self.finalize(f"f{self._asked}")

    def _may_be_unheard(self) -> bool:
        server_turns = self.kind.detection in ("server_vad", "semantic_vad")
        return server_turns and self.now - self.kind.mute_s - SLOT_S < self._mute_until

    # Troubles

    def _trouble(self, what: str) -> None:
        self.happened[what] = self.happened.get(what, 0) + 1
        getattr(self, f"_{what}")()
        self._pump()

    def _drop(self) -> None:
        up = sorted(conn for conn, server in self._servers.items() if not server.gone)
        if up:
            self._cut(self._chance.choice(up), self._chance.choice((1000, 1001, 1006, 1011)))

    def _cut(self, conn: int, code: int) -> None:
        self._servers[conn].gone = True
        self.client.connection_lost(conn, code, "", self.now)

    def _outage(self) -> None:
        self._outage_until = self.now + self.kind.outage_s
        for conn in [conn for conn, server in self._servers.items() if not server.gone]:
            self._cut(conn, 1006)

    def _mute(self) -> None:
        self._mute_until = self.now + self.kind.mute_s

    def _error(self) -> None:
        for conn in [conn for conn, server in self._servers.items() if not server.gone]:
            self._deliver(conn, EVENT_ERROR)

    def _update(self) -> None:
        self._language = "de" if self._language == "en" else "en"
        transcription = msgspec.structs.replace(self.kind.options.transcription, language=self._language)
        changed = self.client.options.replace(transcription=transcription)
        self.client.reconfigure(f"u{self.happened['update']}", changed, self.now)

    # Seams of the halves

    def _think(self) -> float:
        return self._chance.uniform(0.1, 1.0)

    def _pump(self) -> None:
        super()._pump()
        if self.events:
            self.truth.hear(self.events)
            self.events.clear()

    def _note(self, data: bytes) -> None:
        """What was sent is not kept."""

    def _accept(self, conn: int) -> None:
        if self.now < self._outage_until:
            self.client.connection_refused(conn, self._chance.choice((0, 503)), {}, self.now)
        else:
            super()._accept(conn)

    def _deliver(self, conn: int, frame: Any) -> None:
        if self.now >= self._mute_until:
            super()._deliver(conn, frame)

    def _answer(self, server: ServerEnd, item_id: str, text: str) -> None:
        drawn = self._chance.random()
        if drawn < self.kind.failing:
            self.happened["failed item"] = self.happened.get("failed item", 0) + 1
            server.session.failed(item_id, self.now)
        elif drawn < self.kind.failing + self.kind.silent:
            self.happened["silent item"] = self.happened.get("silent item", 0) + 1
        else:
            super()._answer(server, item_id, text)
