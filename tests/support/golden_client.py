"""Plays a golden trace (see tests/server/golden) to a client session: the server's part from the trace, by the trace's
clock; the caller speaks where the trace has appends and asks for a finalize where it has a commit.

What the client says is its own affair. `Play` collects it for each socket beside what the trace has there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sessions import Driver, silence, tone
from ten_packages.extension.openai_asr_python.realtime.endpoint import headers, realtime_url
from ten_packages.extension.openai_asr_python.realtime.options import (
    SessionOptions,
    TranscriptionOptions,
    TurnDetectionOptions,
)

Step = dict[str, Any]

GOLDEN = Path(__file__).resolve().parent.parent / "server" / "golden"
OTHER_DIALECTS = {"g11_beta_dialect", "g12_vllm_dialect"}
KEY = "sk-right-key"
RATE = 24_000
"The stream has the wire's rate, so what is pushed is what is sent, byte for byte."
APPEND, COMMIT = "input_audio_buffer.append", "input_audio_buffer.commit"
SOUNDS = {"$SPEECH_100MS": tone(100, rate=RATE), "$SILENCE_100MS": silence(100, RATE)}


def trace(name: str) -> list[Step]:
    """The steps of one trace."""
    steps: list[Step] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))["steps"]
    return steps


def current_traces() -> list[str]:
    """Names of the traces of the provider's current protocol."""
    return sorted({path.stem for path in GOLDEN.glob("*.json")} - OTHER_DIALECTS)


def options_of(session: dict[str, Any] | None, **changes: Any) -> SessionOptions:
    """What a user configures to get this `session` of an update."""
    given = (session or {}).get("audio", {}).get("input", {})
    told = dict(given.get("transcription") or {"model": "gpt-4o-transcribe"})
    for name in ("languages", "keywords"):
        if name in told:
            told[name] = tuple(told[name])
    turns = dict(given.get("turn_detection") or {"type": "server_vad" if session is None else "none"})
    return SessionOptions(
        sample_rate=RATE,
        transcription=TranscriptionOptions(**told),
        turn_detection=TurnDetectionOptions(**turns),
        **changes,
    )


@dataclass
class Socket:
    """One socket of a trace, and what the client did on it."""

    url: str
    headers: dict[str, str]
    driver: Driver
    conn: int
    expected: list[Step] = field(default_factory=list)
    "What the trace has the client say."
    spoken: bytes = b""
    "What the caller said meanwhile."

    @property
    def sent(self) -> list[Step]:
        """What the client said."""
        return self.driver.wire[self.conn]

    @property
    def audio(self) -> bytes:
        """Audio it appended."""
        return self.driver.audio[self.conn]

    def said(self, kind: str) -> list[Step]:
        """Its messages of one type."""
        return [message for message in self.sent if message["type"] == kind]


class Play:
    """One trace, played. `drivers` are the clients it took: a new one wherever the trace's client hung up itself."""

    def __init__(self, steps: list[Step], **changes: Any) -> None:
        self.sockets: list[Socket] = []
        self.drivers: list[Driver] = []
        self._changes = changes
        self._ids: dict[str, str] = {}
        self._late = 0.0
        self._fences = 0
        for index, now, message in _timeline(steps):
            self._play(steps, index, now, message)

    @property
    def driver(self) -> Driver:
        """The newest client."""
        return self.drivers[-1]

    def _play(self, steps: list[Step], index: int, now: float, message: Step) -> None:
        if message.get("ws") == "open":
            self._open(steps, index, now, message)
            return
        self.driver.at(max(now + self._late, self.driver.now))
        if steps[index]["d"] == "c>s":
            self._client(message)
        elif steps[index]["d"] == "s>c":
            self._server(message)
        elif message["ws"] == "close":
            if message["by"] == "client":
                self.driver.session.stop(self.driver.now)
                self.driver.pump()
                self.driver.at(self.driver.now + 0.5)
            else:
                self.driver.drop(message["code"], message["reason"])

    def _open(self, steps: list[Step], index: int, now: float, message: Step) -> None:
        redial = bool(self.drivers) and self.driver.session.state.value != "stopped"
        if redial:
            self.driver.at(now + self._late)
        else:
            update = next((s["m"] for s in _socket(steps, index) if s["m"].get("type") == "session.update"), None)
            self.drivers.append(Driver(options_of(update["session"] if update else None, **self._changes)))
            self.driver.now = now
            self.driver.start()
        base, _, _ = message["url"].partition("/realtime")
        url = realtime_url(f"ws://host{base}").removeprefix("ws://host")
        told = {name.lower(): value for name, value in headers(KEY).items()}
        self.sockets.append(Socket(url, told, self.driver, self.driver.conn))
        self.driver.session.connection_opened(self.driver.conn, {}, self.driver.now)
        self.driver.pump()

    def _client(self, message: Step) -> None:
        socket = self.sockets[-1]
        socket.expected.append(message)
        if message.get("audio") in SOUNDS:
            socket.spoken += SOUNDS[message["audio"]]
            self.driver.push(SOUNDS[message["audio"]], rate=RATE)
        elif message["type"] == COMMIT:
            self._fences += 1
            before = len(socket.said(COMMIT))
            asked = self.driver.now
            self.driver.finalize(f"f{self._fences}")
            # A client may give the server's decoder time; then the rest of the trace is that much later.
            while len(socket.said(COMMIT)) == before and self.driver.now < asked + 1.1:
                self.driver.at(self.driver.now + 0.01)
            self._late += self.driver.now - asked
        if message.get("event_id") and socket.said(message["type"]):
            self._ids[message["event_id"]] = socket.said(message["type"])[-1]["event_id"]

    def _server(self, message: Step) -> None:
        message = json.loads(json.dumps(message).replace('"$EXPIRES_AT"', "1790003600"))
        if message["type"] == "error" and message["error"].get("event_id") in self._ids:
            message["error"]["event_id"] = self._ids[message["error"]["event_id"]]
        self.driver.say(message)


def _socket(steps: list[Step], index: int) -> list[Step]:
    """The steps from one `open` up to the next."""
    rest = steps[index + 1 :]
    ends = [i for i, step in enumerate(rest) if step["m"].get("ws") == "open"]
    return rest[: ends[0]] if ends else rest


def _timeline(steps: list[Step]) -> list[tuple[int, float, Step]]:
    """(index, seconds, message) of everything in order of time; a run of appends ends before the client goes on."""
    moments: list[tuple[float, int, Step]] = []
    for index, step in enumerate(steps):
        count = step.get("n", 1)
        follows = [s["t"] for s in steps[index + 1 :] if s["d"] == "c>s" or s["m"].get("ws") == "open"]
        spacing = min([100.0, *((t - step["t"]) / count for t in follows)])
        moments += [((step["t"] + i * spacing) / 1000, index, step["m"]) for i in range(count)]
    return [(index, now, message) for now, index, message in sorted(moments, key=lambda moment: moment[:2])]
