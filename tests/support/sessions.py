"""A session with a hand on every string: fake time, and a server that says what the test tells it to."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from ten_packages.extension.openai_asr_python.audio.encoder import WireEncoder
from ten_packages.extension.openai_asr_python.audio.level import LevelDetector
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.audio_path import LOOK_AFTER_MS
from ten_packages.extension.openai_asr_python.realtime.audio_store import BLOCK
from ten_packages.extension.openai_asr_python.realtime.dialects.choice import DialectChoice
from ten_packages.extension.openai_asr_python.realtime.limiter import DialLimiter
from ten_packages.extension.openai_asr_python.realtime.options import (
    SessionOptions,
    TranscriptionOptions,
    TurnDetectionOptions,
)
from ten_packages.extension.openai_asr_python.realtime.sending import GATHER_S
from ten_packages.extension.openai_asr_python.realtime.session import Close, Connect, Ping, Send, Session

RATE = 16_000
LEEWAY = BLOCK + LOOK_AFTER_MS * RATE // 1000
"Samples that may be kept beyond a window: audio is looked after every half second, and forgotten in blocks."
COMMITTING = "gpt-4o-transcribe"
STREAMING = "gpt-live-transcribe"
TRANSCRIPTION = "conversation.item.input_audio_transcription."


def tone(ms: float, frequency: float = 440.0, rate: int = RATE) -> bytes:
    """Audio no level detector takes for silence."""
    t = np.arange(round(rate * ms / 1000)) / rate
    return bytes((8000 * np.sin(2 * np.pi * frequency * t)).astype("<i2").tobytes())


def silence(ms: float, rate: int = RATE) -> bytes:
    """Digital silence."""
    return bytes(2 * round(rate * ms / 1000))


def options(detection: str = "none", model: str = COMMITTING, **changes: Any) -> SessionOptions:
    """Session options for a kind of turn detection and a model."""
    turns = changes.pop("turns", {})
    return SessionOptions(
        transcription=TranscriptionOptions(model=model),
        turn_detection=TurnDetectionOptions(type=detection, **turns),  # type: ignore[arg-type]
        **changes,
    )


class Driver:
    """Plays the network and the clock for one session. `wire` is all that was sent, per connection."""

    def __init__(
        self,
        opts: SessionOptions,
        *,
        rng: float | Callable[[], float] = 0.5,
        limiter: DialLimiter | None = None,
        dialects: DialectChoice | None = None,
    ) -> None:
        numbers = itertools.count(1)
        self.now = 0.0
        self.wire: dict[int, list[dict[str, Any]]] = {}
        self.audio: dict[int, bytearray] = {}
        self.events: list[ev.Event] = []
        self.dialled: list[tuple[float, int]] = []
        "When each connection that carries the stream, or is to carry it, was dialled."
        self.repairs: list[tuple[float, int]] = []
        "When each connection of a repair was dialled."
        self.closed: list[int] = []
        self.pings: list[tuple[float, int]] = []
        self.auto_pong = True
        "Whether pings are answered at once."
        self.take = True
        "Whether the transport takes what is sent."
        self.session = Session(
            opts,
            encoder=self._new_encoder,
            level=LevelDetector(opts.sample_rate),
            random=rng if callable(rng) else lambda: rng,
            new_id=lambda purpose: f"{purpose}_{next(numbers)}",
            limiter=limiter,
            dialects=dialects,
        )

    def _new_encoder(self, rate: int) -> WireEncoder:
        dialling = self.session.dialling
        return WireEncoder(dialling.sample_rate, dialling.input_audio_format, pcm_rate=rate)

    # The pump

    def pump(self) -> None:
        while actions := self.session.actions():
            for action in actions:
                if isinstance(action, Connect):
                    (self.repairs if action.role == "repair" else self.dialled).append((self.now, action.conn))
                    self.wire[action.conn] = []
                    self.audio[action.conn] = bytearray()
                elif isinstance(action, Send):
                    self._sent(action)
                elif isinstance(action, Ping):
                    self.pings.append((self.now, action.conn))
                    if self.auto_pong:
                        self.session.pong_received(action.conn, self.now)
                elif isinstance(action, Close):
                    self.closed.append(action.conn)
        while (event := self.session.next_event()) is not None:
            self.events.append(event)

    def _sent(self, action: Send) -> None:
        message = json.loads(action.data)
        if message["type"] == "input_audio_buffer.append":
            audio = base64.b64decode(message["audio"])
            self.audio[action.conn] += audio
            message["audio"] = len(audio)
        self.wire[action.conn].append(message)
        if self.take:
            self.session.sent(action.conn, 1, self.now)

    def at(self, now: float) -> Driver:
        """Let time pass until *now*, firing the timer whenever it is due."""
        while (due := self.session.get_timer()) is not None and due <= now:
            self.now = max(self.now, due)
            self.session.handle_timer(self.now)
            self.pump()
            after = self.session.get_timer()
            assert after is None or after > self.now, "the timer does not move on"
        self.now = now
        return self

    # The network

    @property
    def conn(self) -> int:
        """The connection that carries the stream."""
        return self.session.connection

    @property
    def spare(self) -> int:
        """The newest connection that was dialled for the stream."""
        return self.dialled[-1][1]

    def start(self) -> Driver:
        self.session.start(self.now)
        self.pump()
        return self

    def open(self, conn: int | None = None, headers: dict[str, str] | None = None, **session: Any) -> Driver:
        number = self.conn if conn is None else conn
        self.session.connection_opened(number, headers or {}, self.now)
        return self.say({"type": "session.created", "session": {"type": "transcription", **session}}, conn=number)

    def configure(self, conn: int | None = None, **session: Any) -> Driver:
        """Accept the newest session.update as it is."""
        number = self.conn if conn is None else conn
        update = [m for m in self.wire[number] if m["type"] == "session.update"][-1]
        return self.say({"type": "session.updated", "session": {**update["session"], **session}}, conn=number)

    def repair(self, *answers: dict[str, Any]) -> Driver:
        """Let the newest repair reach its commit, and answer it with item `again` and *answers* about that."""
        conn = self.repairs[-1][1]
        self.open(conn).configure(conn)
        while not self.commits(conn):
            due = self.session.get_timer()
            assert due is not None and due < self.now + 30, "the repair does not come to its commit"
            self.at(due)
        committed = {"type": "input_audio_buffer.committed", "item_id": "again", "previous_item_id": None}
        return self.say(committed, *({"item_id": "again", **answer} for answer in answers), conn=conn)

    def connect(self) -> Driver:
        return self.start().open().configure()

    def drop(self, code: int = 1006, reason: str = "") -> Driver:
        self.session.connection_lost(self.conn, code, reason, self.now)
        self.pump()
        return self

    def say(self, *messages: dict[str, Any] | bytes | str, conn: int | None = None) -> Driver:
        for message in messages:
            data = json.dumps(message) if isinstance(message, dict) else message
            self.session.receive_message(self.conn if conn is None else conn, data, self.now)
            self.pump()
        return self

    def committed(self, item: str, previous: str | None = None) -> Driver:
        return self.say({"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": previous})

    def delta(self, item: str, text: str) -> Driver:
        return self.say({"type": TRANSCRIPTION + "delta", "item_id": item, "delta": text})

    def completed(self, item: str, text: str, **fields: Any) -> Driver:
        return self.say({"type": TRANSCRIPTION + "completed", "item_id": item, "transcript": text, **fields})

    def error(self, code: str | None, *, event_id: str | None = None, **fields: Any) -> Driver:
        return self.say({"type": "error", "error": {"code": code, "event_id": event_id, **fields}})

    # The caller

    def push(self, pcm: bytes, *, frame_ms: int = 20, realtime: bool = False, rate: int = RATE) -> Driver:
        size = 2 * (rate * frame_ms // 1000)
        for i in range(0, len(pcm), size):
            self.session.push_audio(pcm[i : i + size], self.now)
            self.pump()
            if realtime:
                self.at(self.now + frame_ms / 1000)
        due = self.session.get_timer()
        if not realtime and due is not None and due <= self.now + GATHER_S:
            self.session.handle_timer(due)  # so much at once is gathered for a moment: that is over now
            self.pump()
        return self

    def finalize(self, finalize_id: str = "f1") -> Driver:
        self.session.finalize(finalize_id, self.now)
        self.pump()
        return self

    def reconfigure(self, opts: SessionOptions, request: str = "r1", *, place: DialectChoice | None = None) -> Driver:
        self.session.reconfigure(request, opts, self.now, place=place)
        self.pump()
        return self

    def turn(self, start_ms: float, end_ms: float | None = None) -> Driver:
        self.session.turn_started(round(start_ms * RATE / 1000), self.now)
        self.pump()
        if end_ms is not None:
            self.end_turn(end_ms)
        return self

    def end_turn(self, end_ms: float) -> Driver:
        self.session.turn_ended(round(end_ms * RATE / 1000), self.now)
        self.pump()
        return self

    # What came out

    def of(self, kind: type[ev.Event]) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]

    @property
    def partials(self) -> list[ev.Transcript]:
        return [e for e in self.of(ev.Transcript) if not e.final]

    @property
    def finals(self) -> list[ev.Transcript]:
        return [e for e in self.of(ev.Transcript) if e.final]

    @property
    def texts(self) -> list[str]:
        return [e.text for e in self.finals]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Answers to changes of the configuration: the request and what became of it."""
        return [(e.request, e.outcome) for e in self.of(ev.Reconfigured)]

    def configurations(self, conn: int) -> list[dict[str, Any]]:
        """What a connection was told, flat: the wire's `audio.input`."""
        return [m["session"]["audio"]["input"] for m in self.wire[conn] if m["type"] == "session.update"]

    def types(self, conn: int | None = None) -> list[str]:
        """Types of what was sent, neighbouring appends as one."""
        kinds = [m["type"].removeprefix("input_audio_buffer.") for m in self.wire[self.conn if conn is None else conn]]
        return [kind for kind, _ in itertools.groupby(kinds)]

    def commits(self, conn: int | None = None) -> list[dict[str, Any]]:
        number = self.conn if conn is None else conn
        return [m for m in self.wire[number] if m["type"] == "input_audio_buffer.commit"]

    @property
    def totals(self) -> dict[str, int]:
        """Milliseconds by state."""
        return {state.value: n * 1000 // RATE for state, n in self.session.stream.ledger.totals.items()}


def started(item: str, ms: float) -> dict[str, object]:
    return {"type": "input_audio_buffer.speech_started", "item_id": item, "audio_start_ms": ms}


def stopped(item: str, ms: float) -> dict[str, object]:
    return {"type": "input_audio_buffer.speech_stopped", "item_id": item, "audio_end_ms": ms}


def server(**changes: object) -> Driver:
    return Driver(options("server_vad", **changes)).connect()
