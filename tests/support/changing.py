"""Random histories in which the configuration changes, too, and what must hold of those changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from histories import HEALTHY, SERVER_TURNS, UNHEALTHY, Peer, Simulation
from msgspec.structs import replace
from promises import Promises
from sessions import COMMITTING, STREAMING
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.connection import Role
from ten_packages.extension.openai_asr_python.realtime.models import session_object
from ten_packages.extension.openai_asr_python.realtime.options import SessionOptions
from ten_packages.extension.openai_asr_python.realtime.session import SessionState

OTHER_MODEL = "gpt-4o-mini-transcribe"
TURNS = ("none", "local_vad", *SERVER_TURNS)
LONGEST_ANSWER_S = 45.0
"An update that is not answered, a connection that is lost when it was about to take over, and a second one."


class Changing(Simulation):
    """A history with changes; *turns*: the kind of turn detection may change as well."""

    def __init__(self, detection: str, model: str, seed: int, *, healthy: bool, turns: bool) -> None:
        super().__init__(detection, model, seed, 60_000, healthy=healthy)
        self.turns = turns
        self.wanted = self.d.session.options
        self.requests: list[tuple[str, SessionOptions, float]] = []
        self.slept_at = 0.0

    @property
    def ours(self) -> bool:
        """Whether all turns of this history are the client's own."""
        return not self.turns and super().ours

    def reconfigure(self) -> None:
        kinds = [self._words, self._numbers, self._model, *([self._turn_type] * 3 if self.turns else [])]
        self.ask(self.rng.choice(kinds)())

    def ask(self, wanted: SessionOptions) -> None:
        self.wanted = wanted
        request = f"r{len(self.requests)}"
        self.requests.append((request, self.wanted, self.d.now))
        self.d.session.reconfigure(request, self.wanted, self.d.now)
        self.d.pump()

    def _words(self) -> SessionOptions:
        language, prompt = self.rng.choice([None, "en", "de"]), self.rng.choice([None, "names"])
        return self.wanted.replace(transcription=replace(self.wanted.transcription, language=language, prompt=prompt))

    def _numbers(self) -> SessionOptions:
        silence, padding = self.rng.choice([None, 300, 700]), self.rng.choice([0, 300])
        turns = replace(self.wanted.turn_detection, silence_duration_ms=silence, prefix_padding_ms=padding)
        return self.wanted.replace(turn_detection=turns, item_timeout_ms=self.rng.choice([6_000, 7_000]))

    def _model(self) -> SessionOptions:
        server = self.wanted.turn_detection.type in SERVER_TURNS
        model = self.rng.choice([COMMITTING, OTHER_MODEL] if server else [COMMITTING, OTHER_MODEL, STREAMING])
        return self.wanted.replace(transcription=replace(self.wanted.transcription, model=model))

    def _turn_type(self) -> SessionOptions:
        streams = self.wanted.transcription.model == STREAMING
        return self.as_turns(self.rng.choice(TURNS[:2] if streams else TURNS))

    def as_turns(self, kind: Any) -> SessionOptions:
        return self.wanted.replace(turn_detection=replace(self.wanted.turn_detection, type=kind))

    def push_speech(self) -> None:
        self._follow()
        super().push_speech()

    def push_silence(self) -> None:
        self._follow()
        super().push_silence()

    def finalize(self) -> None:
        self._follow()
        super().finalize()

    def _follow(self) -> None:
        """A detector ends with its kind of turns, and one that follows begins anew."""
        self.speaking = self.speaking and self.d.session._turns._detector_open

    def sleep(self) -> None:
        super().sleep()
        self.slept_at = self.d.now

    def _update(self, peer: Peer, message: dict[str, Any]) -> None:
        if not self.healthy:
            super()._update(peer, message)
        else:
            peer.session = message["session"]
            peer.due.append({"type": "session.updated", "session": message["session"]})


class ChangingPromises(Promises):
    """The ten promises, and: each change has one answer, in order and in time, and what is in force is what it says."""

    s: Changing

    def __init__(self, simulation: Changing) -> None:
        super().__init__(simulation)
        self._in_force = simulation.d.session.options
        self._answered = 0
        self._answered_at = 0.0
        self._looked = 0

    def check(self) -> None:
        """Everything that holds at every step."""
        super().check()
        for event, at in zip(self.d.events[self._looked :], self.d.times[self._looked :], strict=True):
            if isinstance(event, ev.Reconfigured):
                self._check_change(event, at)
        self._looked = len(self.d.events)
        self._check_in_time()
        self._check_in_force()

    def _check_change(self, answer: ev.Reconfigured, at: float) -> None:
        if answer.outcome == "reverted":
            assert not answer.request
            self._in_force = self.d.session.options
            return
        request, options, _ = self.s.requests[self._answered]
        assert answer.request == request, "one answer each, in order"
        assert answer.outcome in ("applied", "taken", "refused", "stopped") and answer.message
        self._answered, self._answered_at = self._answered + 1, at
        if answer.outcome in ("applied", "taken"):
            self._in_force = options

    def _check_dial(self, at: float) -> None:
        changes = [t for e, t in zip(self.d.events, self.d.times, strict=True) if isinstance(e, ev.Reconfigured)]
        if any(self._down_at <= t <= at for t in changes):
            self._useless = 0  # with another configuration it is tried at once, and anew
        else:
            super()._check_dial(at)

    def _check_in_time(self) -> None:
        for request, _, at in self.s.requests[self._answered : self._answered + 1]:
            since = max(at, self._answered_at, self.s.slept_at)
            assert self.d.now <= since + LONGEST_ANSWER_S, f"{request} has no answer"

    def _check_in_force(self) -> None:
        """The options are those of the last answer; the connection that carries the stream was told them last."""
        session = self.d.session
        assert session.options == self._in_force
        conn = session._conn
        if session.state is SessionState.READY and conn is not None and self._answered == len(self.s.requests):
            assert conn.options == session.options
            told = [m["session"] for m in self.d.wire[conn.id] if m["type"] == "session.update"]
            if self.s.healthy:
                assert told[-1] == session_object(session.options)[0]

    def finish(self) -> None:
        """Stop, and see that nothing is left open."""
        super().finish()
        assert self._answered == len(self.s.requests), "each change is answered"
        assert all(c.role is not Role.NEXT for c in self.d.session._connections())


def _with_changes(steps: list[Callable[[Simulation], None]]) -> list[Callable[[Changing], None]]:
    return [*(getattr(Changing, step.__name__) for step in steps), *[Changing.reconfigure] * 2]


CHANGES_HEALTHY, CHANGES_UNHEALTHY = _with_changes(HEALTHY), _with_changes(UNHEALTHY)
