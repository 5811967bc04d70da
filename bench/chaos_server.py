"""The server of a scenario: the local one, with a recogniser that takes its time, and faults aimed at moments."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import chaos_load  # noqa: F401
import numpy as np
from ten_packages.extension.openai_asr_python.devkit.server import app
from ten_packages.extension.openai_asr_python.devkit.server.middleware import Middleware
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import (
    Recognition,
    RecognitionRequest,
)
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import (
    ScriptedRecognizer,
    ToldSession,
    ToneSession,
)
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

Json = dict[str, Any]

PHASES = ("before_commit", "after_commit", "inside_message", "any")
"Where a kill is aimed; where it fell is counted in `Watch.fell`."
_LOUD = 300
_TEXT_EVENTS = ("conversation.item.input_audio_transcription.delta", "conversation.item.input_audio_transcription.completed")
_COMPLETED, _FAILED = _TEXT_EVENTS[1], "conversation.item.input_audio_transcription.failed"


@dataclass(frozen=True)
class Kill:
    """A kill of one stream's connection: due so many seconds after its first one opened, then at that phase."""

    due_s: float
    phase: str
    within_s: float = 0.0
    "How much later than the beginning of the phase."
    close_code: int = 0
    "0: the TCP connection is cut; else a CLOSE frame with this code."


EventFault = Callable[[Json, random.Random], "Iterable[Json]"]


@dataclass(frozen=True)
class Trouble:
    """What goes wrong on a scenario's server. Everything is drawn from the seed, per stream."""

    kills: int = 0
    "Kills of each stream."
    over_s: float = 0.0
    "The wall time over which they are spread."
    phases: tuple[str, ...] = PHASES
    close_codes: tuple[int, ...] = (0, 0, 0, 1001, 1011)
    outage_s: float = 0.0
    "HTTP 503 for so long after each kill."
    ready_late_s: float = 0.0
    "`session.updated` comes so much later."
    session_seconds: float = 3600.0
    thinks_s: tuple[float, float] = (0.05, 0.35)
    "How long the recogniser thinks about an item, from and to."
    events: str = ""
    "Name of what is done to events; see `chaos_events`."


@dataclass
class Watch:
    """What the server saw of one stream, over all of its connections."""

    connections: int = 0
    kills: int = 0
    fell: Counter[str] = field(default_factory=Counter)
    "Kills by what they hit: speech before its commit, after it, inside a message, quiet."
    open: int = 0
    planned: list[Kill] = field(default_factory=list)
    began: float = 0.0
    refuse_until: float = 0.0
    refused: int = 0
    memory: Json = field(default_factory=dict)


class SlowRecognizer:
    """Reads tones; thinks for a while about each utterance, as a model does."""

    def __init__(self, thinks_s: tuple[float, float], rng: random.Random) -> None:
        self._inner = ScriptedRecognizer()
        self._thinks_s, self._rng = thinks_s, rng
        self.vad = self._inner.vad

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        """Nothing to give back."""

    def session(self, request: RecognitionRequest) -> _SlowSession:
        """Begin an utterance."""
        return _SlowSession(self._inner.session(request), request.partials, self._rng.uniform(*self._thinks_s))


class _SlowSession:
    def __init__(self, inner: ToldSession | ToneSession, partials: bool, thinks_s: float) -> None:
        self._inner, self._partials, self._thinks_s = inner, partials, thinks_s
        self._kept = bytearray()

    async def accept(self, pcm: bytes) -> str | None:
        # Whoever wants no partials need not be read to in bits: it saves most of the server's time.
        self._kept += pcm
        if not self._partials or len(self._kept) < 6400:
            return None
        kept, self._kept = bytes(self._kept), bytearray()
        return await self._inner.accept(kept)

    async def finish(self) -> Recognition:
        last = await self._inner.accept(bytes(self._kept))
        del last
        result = await self._inner.finish()
        await asyncio.sleep(self._thinks_s)
        return result

    async def abandon(self) -> None:
        await self._inner.abandon()


class Tap:
    """Stands at one connection: knows what speech on it is not final yet, and strikes when its stream's plan says."""

    def __init__(self, watch: Watch, trouble: Trouble, socket: ServerConnection, rng: random.Random) -> None:
        self._watch, self._trouble, self._socket, self._rng = watch, trouble, socket, rng
        self._speech = False
        self._pending: set[str] = set()
        self._dead = False
        self._striking = False
        self._held: list[tuple[float, Json]] = []
        watch.connections += 1
        watch.began = watch.began or time.monotonic()

    # The seam

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        message = json.loads(frame)
        if message.get("type") == "input_audio_buffer.append":
            samples = np.frombuffer(base64.b64decode(message["audio"]), dtype="<i2")
            if len(samples) and int(np.abs(samples.astype(np.int32)).max()) > _LOUD:
                self._speech = True
                self._moment("before_commit")
        self._moment("any")
        return [] if self._dead else [frame]

    def outgoing(self, event: Json, now: float) -> Iterable[Json]:
        kind = event["type"]
        if kind == "input_audio_buffer.committed":
            self._speech = False
            self._pending.add(event["item_id"])
            self._moment("after_commit")
        elif kind in _TEXT_EVENTS:
            self._moment("inside_message", event)
        if kind in (_COMPLETED, _FAILED):
            self._pending.discard(event["item_id"])
        if self._dead:
            return []
        if kind == "session.updated" and self._trouble.ready_late_s:
            self._held.append((now + self._trouble.ready_late_s, event))
            return []
        return [event]

    def get_timer(self) -> float | None:
        return min((when for when, _ in self._held), default=None)

    def handle_timer(self, now: float) -> Iterable[Json]:
        due = [event for when, event in self._held if when <= now]
        self._held = [(when, event) for when, event in self._held if when > now]
        return due

    # Kills

    def _moment(self, phase: str, event: Json | None = None) -> None:
        """Now is such a moment: strike if the stream's next kill waits for one."""
        planned = self._watch.planned
        if self._dead or self._striking or not planned:
            return
        kill = planned[0]
        if kill.phase != phase or time.monotonic() < self._watch.began + kill.due_s:
            return
        planned.pop(0)
        if kill.phase == "inside_message" and event is not None:
            self._tear(event)
        elif kill.within_s:
            self._striking = True
            asyncio.get_running_loop().call_later(kill.within_s, self._strike, kill)
        else:
            self._strike(kill)

    def _strike(self, kill: Kill) -> None:
        if self._dead or self._socket.transport.is_closing():
            self._watch.planned.insert(0, kill)  # it died of something else meanwhile
            return
        where = "after_commit" if self._pending else "before_commit" if self._speech else "quiet"
        self._note(where)
        if kill.close_code:
            self._closing = asyncio.get_running_loop().create_task(self._socket.close(kill.close_code, "chaos"))
        else:
            self._socket.transport.abort()

    def _tear(self, event: Json) -> None:
        """Half of a message, then nothing more."""
        payload = json.dumps(event).encode()
        header = b"\x81\x7e" + len(payload).to_bytes(2, "big") if len(payload) > 125 else bytes((0x81, len(payload)))
        self._socket.transport.write(header + payload[: len(payload) // 2])
        self._socket.transport.abort()
        self._note("inside_message")

    def _note(self, where: str) -> None:
        self._dead = True
        self._watch.kills += 1
        self._watch.fell[where] += 1
        self._watch.refuse_until = time.monotonic() + self._trouble.outage_s


class ChaosServer(app.LocalServer):
    """The local server, with hooks where the socket is known. The API key of a client names its stream."""

    def __init__(self, *args: Any, trouble: Trouble, watches: dict[str, Watch], seed: int, **options: Any) -> None:
        super().__init__(
            *args,
            recognizer=SlowRecognizer(trouble.thinks_s, random.Random(f"{seed}/thinks")),
            session_seconds=trouble.session_seconds,
            middleware=self._layers,
            **options,
        )
        self._trouble, self._watches, self._chaos_seed = trouble, watches, seed
        self._socket: ServerConnection | None = None

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        watch = self._watches[_stream(request)]
        if time.monotonic() < watch.refuse_until:
            watch.refused += 1
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "busy\n")
        return super()._process_request(connection, request)

    async def _serve_connection(self, socket: ServerConnection) -> None:
        # `_layers` is called before this awaits anything, so no other connection can come in between.
        self._socket = socket
        await super()._serve_connection(socket)

    def _layers(self) -> Sequence[Middleware]:
        socket = self._socket
        assert socket is not None and socket.request is not None
        name = _stream(socket.request)
        watch = self._watches[name]
        rng = random.Random(f"{self._chaos_seed}/{name}/{watch.connections}")
        return [Tap(watch, self._trouble, socket, rng)]


def _stream(request: Request) -> str:
    return request.headers["Authorization"].removeprefix("Bearer sk-")


def plan_kills(trouble: Trouble, rng: random.Random) -> list[Kill]:
    """Spread a stream's kills over the time, one in each equal part of it, phases in turn from a random one on."""
    first = rng.randrange(len(trouble.phases))
    part = trouble.over_s / max(1, trouble.kills)
    return [
        Kill(
            due_s=part * (index + rng.uniform(0.1, 0.8)),
            phase=trouble.phases[(first + index) % len(trouble.phases)],
            within_s=rng.choice((0.0, rng.uniform(0.0, 0.25))),
            close_code=rng.choice(trouble.close_codes),
        )
        for index in range(trouble.kills)
    ]


@contextlib.contextmanager
def serve(trouble: Trouble, streams: Iterable[str], seed: int) -> Iterator[tuple[str, dict[str, Watch]]]:
    """A server with that trouble in a thread of its own: its URL, and what it sees of each stream."""
    watches = {name: Watch(planned=plan_kills(trouble, random.Random(f"{seed}/{name}/kills"))) for name in streams}
    with mock.patch.object(app, "LocalServer", ChaosServer):
        running = app.run_in_thread(trouble=trouble, watches=watches, seed=seed)
        server = running.__enter__()
    try:
        yield server.url, watches
    finally:
        running.__exit__(None, None, None)
