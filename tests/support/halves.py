"""Both halves of a session in one process: our client's session and the local server's, joined by bytes and a clock of
their own. No socket, no event loop; an hour takes seconds.

The recogniser reads labelled tones (devkit/server/tones.py) after a delay that the test chooses.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Any

import numpy as np
from ten_packages.extension.openai_asr_python.audio.encoder import WireEncoder
from ten_packages.extension.openai_asr_python.audio.level import LevelDetector
from ten_packages.extension.openai_asr_python.audio.turns import TurnDetector, TurnStarted
from ten_packages.extension.openai_asr_python.devkit.server.identifiers import Identifiers
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import Recognition
from ten_packages.extension.openai_asr_python.devkit.server.server_session import ServerSession
from ten_packages.extension.openai_asr_python.devkit.server.tones import decode
from ten_packages.extension.openai_asr_python.devkit.server.vad import RATE as SERVER_RATE
from ten_packages.extension.openai_asr_python.devkit.server.work import (
    UtteranceAudio,
    UtteranceDropped,
    UtteranceEnded,
    UtteranceStarted,
)
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.options import SessionOptions
from ten_packages.extension.openai_asr_python.realtime.session import Close, Connect, Ping, Send, Session

LATENCY_S = 0.03
"From one half to the other."
EPOCH = 1_790_000_000.0


class ToneDetector:
    """Takes for speech what is loud: the local detector's model for tones, which Silero does not take for speech."""

    window = 512

    def probability(self, window: np.ndarray) -> float:
        return 1.0 if np.abs(window).max() > 500 else 0.0

    def reset(self) -> None:
        pass


class ServerEnd:
    """One connection's server, and the recogniser behind it."""

    def __init__(self, session: ServerSession) -> None:
        self.session = session
        self.audio: dict[str, bytearray] = {}
        self.partials: dict[str, int] = {}
        self.asked: list[str] = []
        "Utterances whose text is due, in their order."
        self.gone = False


class Halves:
    """A call. Times are seconds of its own clock, from 0."""

    session_class = Session

    def __init__(
        self,
        options: SessionOptions,
        *,
        session_seconds: float = 3600.0,
        recognise_s: Callable[[], float] = lambda: 0.2,
        dated: bool = True,
    ) -> None:
        """*recognise_s*: how long the recogniser takes for the next utterance after its commit. *dated*: upgrades
        have a `Date`, by which the client knows when a session ends."""
        numbers = itertools.count(1)
        self.now = 0.0
        self.events: list[ev.Event] = []
        self.frames: list[bytes] = []
        "What the client sent, aside from appends after the first."
        self.dials = 0
        self.expired_at: list[float] = []
        "When the server ended a session."
        self.overtaken = 0
        "Answers of the recogniser that came before that to an earlier utterance."
        self._appends = 0
        self._session_seconds = session_seconds
        self._recognise_s = recognise_s
        self._dated = dated
        self._servers: dict[int, ServerEnd] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._rate = options.sample_rate
        self.client = self.session_class(
            options,
            encoder=lambda rate: WireEncoder(options.sample_rate, options.input_audio_format, pcm_rate=rate),
            level=LevelDetector(options.sample_rate),
            random=lambda: 0.5,
            new_id=lambda purpose: f"{purpose}_{next(numbers)}",
        )
        turns = options.turn_detection
        self._turns = (
            TurnDetector(
                options.sample_rate,
                ToneDetector(),
                silence_duration_ms=turns.effective_silence_ms,
                min_speech_ms=turns.min_speech_ms,
                prefix_padding_ms=turns.prefix_padding_ms,
            )
            if turns.type == "local_vad"
            else None
        )

    # The caller

    def start(self) -> Halves:
        self.client.start(self.now)
        self._pump()
        return self

    def push(self, pcm: bytes, *, frame_ms: int = 480) -> Halves:
        """Say *pcm* in real time."""
        size = 2 * (self._rate * frame_ms // 1000)
        for at in range(0, len(pcm), size):
            frame = pcm[at : at + size]
            self.run_until(self.now + len(frame) / 2 / self._rate)
            self.client.push_audio(frame, self.now)
            if self._turns is not None:
                self._tell(self._turns.process(frame))
            self._pump()
        return self

    def finalize(self, finalize_id: str) -> Halves:
        if self._turns is not None:
            self._tell(self._turns.close(self._turns.position))
        self.client.finalize(finalize_id, self.now)
        self._pump()
        return self

    def stop(self) -> Halves:
        self.client.stop(self.now)
        self._pump()
        return self.run_until(self.now + 1.0)

    def run_until(self, now: float) -> Halves:
        """Let time pass."""
        while True:
            timer = self.client.get_timer()
            servers = [s.session.get_timer() for s in self._servers.values() if not s.gone]
            times = [t for t in (timer, *servers) if t is not None] + [self._due[0][0] for _ in self._due[:1]]
            if not times or min(times) > now:
                break
            self.now = max(self.now, min(times))
            while self._due and self._due[0][0] <= self.now:
                heapq.heappop(self._due)[2]()
            for conn, server in list(self._servers.items()):
                expires = server.session.get_timer()
                if not server.gone and expires is not None and expires <= self.now:
                    server.session.handle_timer(self.now)
                    self.expired_at.append(self.now)
                    self._flush(conn, server)
            if (timer := self.client.get_timer()) is not None and timer <= self.now:
                self.client.handle_timer(self.now)
            self._pump()
        self.now = max(self.now, now)
        return self

    # What came out

    def of(self, kind: type[ev.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def finals(self) -> list[ev.Transcript]:
        """Final texts; not the empty ones that take a partial back."""
        return [event for event in self.of(ev.Transcript) if event.final and not event.retracted]

    # Between the halves

    def _tell(self, events: list[Any]) -> None:
        for event in events:
            tell = self.client.turn_started if isinstance(event, TurnStarted) else self.client.turn_ended
            tell(event.position, self.now)

    def _after(self, delay: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + delay, next(self._order), do))

    def _pump(self) -> None:
        while actions := self.client.actions():
            for action in actions:
                self._act(action)
        while (event := self.client.next_event()) is not None:
            self.events.append(event)

    def _act(self, action: Connect | Send | Ping | Close) -> None:
        conn = action.conn
        if isinstance(action, Connect):
            self.dials += 1
            self._after(LATENCY_S, lambda: self._accept(conn))
        elif isinstance(action, Send):
            self._note(action.data)
            self._after(LATENCY_S, lambda: self._serve(conn, action.data))
            self.client.sent(conn, 1, self.now)
        elif isinstance(action, Ping):
            self._after(2 * LATENCY_S, lambda: self.client.pong_received(conn, self.now))
        elif conn in self._servers:
            self._servers[conn].gone = True

    def _note(self, data: bytes) -> None:
        append = data.startswith(b'{"type":"input_audio_buffer.append"')
        self._appends += append
        if not append or self._appends == 1:
            self.frames.append(data)

    def _accept(self, conn: int) -> None:
        session = ServerSession(
            Identifiers(conn), now=self.now, epoch=EPOCH + self.now, session_seconds=self._session_seconds
        )
        server = self._servers[conn] = ServerEnd(session)
        date = {"Date": formatdate(EPOCH + self.now, usegmt=True)} if self._dated else {}
        self.client.connection_opened(conn, date, self.now)
        self._flush(conn, server)

    def _serve(self, conn: int, data: bytes) -> None:
        server = self._servers.get(conn)
        if server is not None and not server.gone:
            server.session.receive_message(data, self.now)
            self._flush(conn, server)

    def _flush(self, conn: int, server: ServerEnd) -> None:
        """Everything the server has to say goes on its way, its end included."""
        for work in server.session.work():
            if isinstance(work, UtteranceStarted):
                server.audio[work.item_id] = bytearray()
                if work.request.partials:
                    server.partials[work.item_id] = 0
            elif isinstance(work, UtteranceAudio):
                self._hear(server, work)
            elif isinstance(work, UtteranceEnded):
                self._recognise(conn, server, work.item_id)
            elif isinstance(work, UtteranceDropped):
                del server.audio[work.item_id]
        for frame in server.session.messages():
            self._after(LATENCY_S, partial(self._deliver, conn, frame))
        if server.session.close is not None and not server.gone:
            server.gone = True
            code, reason = server.session.close
            self._after(LATENCY_S, lambda: self.client.connection_lost(conn, code, reason, self.now))

    def _deliver(self, conn: int, frame: Any) -> None:
        self.client.receive_message(conn, frame, self.now)

    def _hear(self, server: ServerEnd, work: UtteranceAudio) -> None:
        """Streaming models say what they have so far, at most once a second."""
        audio = server.audio[work.item_id]
        audio += work.pcm
        if work.item_id in server.partials and len(audio) - server.partials[work.item_id] >= 2 * SERVER_RATE:
            server.partials[work.item_id] = len(audio)
            end_ms = len(audio) * 500 / SERVER_RATE - 10
            heard = [b for b in decode(bytes(audio), SERVER_RATE) if b.start_ms + b.duration_ms < end_ms]
            server.session.partial(work.item_id, _text(heard), self.now)

    def _recognise(self, conn: int, server: ServerEnd, item_id: str) -> None:
        text = _text(decode(bytes(server.audio.pop(item_id)), SERVER_RATE))
        server.asked.append(item_id)

        def done() -> None:
            self.overtaken += server.asked[0] != item_id
            server.asked.remove(item_id)
            if not server.gone:
                self._answer(server, item_id, text)
                self._flush(conn, server)

        self._after(self._recognise_s(), done)

    def _answer(self, server: ServerEnd, item_id: str, text: str) -> None:
        server.session.completed(item_id, Recognition(text, language="en"), self.now)


def _text(blocks: list[Any]) -> str:
    return " ".join(f"b{block.label}" for block in blocks)
