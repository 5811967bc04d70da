"""A session that is watched from outside: what it wrote, sample by sample, and a second book of every sample's fate.

The second book knows nothing of the ledger's own: it sees the calls, has a table of edges of its own, and an array
where the ledger has runs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from sessions import Driver
from ten_packages.extension.openai_asr_python.realtime.actions import Send
from ten_packages.extension.openai_asr_python.realtime.connection import Connection, Role, Stage
from ten_packages.extension.openai_asr_python.realtime.ledger import PENDING, Fate, Ledger, State
from ten_packages.extension.openai_asr_python.realtime.options import SessionOptions
from ten_packages.extension.openai_asr_python.realtime.turn import Phase

CODES = {state: code for code, state in enumerate(State)}
SETTLED = {State.FINAL, State.GATED, State.LOST}
EDGES = {
    State.PENDING: {State.SENT, State.GATED, State.LOST},
    State.SENT: {State.COMMITTED, State.PENDING, State.GATED, State.LOST},
    State.COMMITTED: {State.FINAL, State.PENDING, State.GATED, State.LOST},
}
MAY_BE_SENT = [CODES[state] for state in (State.SENT, State.GATED, State.LOST)]
"What an append may hold: audio that is booked as sent (and given up in the same moment), and pauses gated meanwhile."


class ShadowBook:
    """The fate of every sample, kept beside the ledger by watching what is asked of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.states = np.zeros(1 << 17, np.uint8)
        self.speech = np.ones(1 << 17, bool)
        self.count = 0
        self.totals = dict.fromkeys(State, 0)
        self._checked = 0
        self._append, self._move, self._mark = ledger.append, ledger.move, ledger._mark
        self._marked = 0
        self._ledger = ledger
        ledger.set_marker(self.mark)
        ledger.append = self.append  # type: ignore[method-assign]
        ledger.move = self.move  # type: ignore[method-assign]

    def append(self, pcm: bytes, fate: Fate = PENDING) -> int:
        start, self.count = self.count, self.count + len(pcm) // 2
        while self.count > len(self.states):
            self.states = np.concatenate([self.states, np.zeros_like(self.states)])
            self.speech = np.concatenate([self.speech, np.ones_like(self.speech)])
        assert fate.state is State.PENDING or fate.state in EDGES[State.PENDING]
        self.states[start : self.count] = CODES[fate.state]
        self.totals[fate.state] += len(pcm) // 2
        return self._append(pcm, fate)

    def mark(self, pcm: bytes) -> list[tuple[int, bool]]:
        """Audio is judged in its order, each sample once. Until then it may be speech."""
        marks = self._mark(pcm)
        for length, speech in marks:
            self.speech[self._marked : self._marked + length] = speech
            self._marked += length
        assert self._marked <= self.count
        return marks

    def move(self, start: int, end: int, sources: Collection[State], fate: Fate) -> int:
        start, end = max(start, 0), min(end, self.count)
        if start < end:
            states = self.states[start:end]
            moves = np.zeros(len(states), bool)
            for source in sources:
                hit = states == CODES[source]
                if count := int(np.count_nonzero(hit)):
                    assert fate.state in EDGES[source], f"{source} to {fate.state}"
                    self.totals[source] -= count
                    self.totals[fate.state] += count
                    moves |= hit
            if fate.state is State.GATED and fate.cause == "silence":
                assert not self.speech[start:end][moves].any(), "maybe speech is never gated as silence"
            states[moves] = CODES[fate.state]
            moved = self._move(start, end, sources, fate)
            assert moved == int(np.count_nonzero(moves))
            return moved
        return self._move(start, end, sources, fate)

    def compare(self, ledger: Ledger) -> None:
        """The two books say the same."""
        assert ledger.accepted == self.count and ledger.totals == self.totals
        settled = ledger.settled_until
        assert settled >= self._checked
        assert (self.states[self._checked : settled] >= CODES[State.FINAL]).all()
        position = self._checked = settled
        for start, end, fate in ledger.fates():
            assert start == position and end > start
            assert (self.states[start:end] == CODES[fate.state]).all()
            position = end
        assert position == self.count

    def unsettled_speech(self, end: int) -> bool:
        return bool((self.judged()[:end] & (self.states[:end] < CODES[State.FINAL])).any())

    def judged(self) -> np.ndarray:
        """Which samples may be speech; all that were pushed are judged."""
        self._ledger.judge()
        return self.speech


class Written(NamedTuple):
    """An append: `count` samples from `offset` of its connection on, the caller's from `position`, or nobody's."""

    offset: int
    count: int
    position: int | None


class WatchedDriver(Driver):
    """A driver at the wire's own rate: what is written is compared with what was pushed, sample by sample."""

    def __init__(self, opts: SessionOptions) -> None:
        super().__init__(opts)
        self.pushed = bytearray()
        self.times: list[float] = []
        "When each event came."
        self.log: dict[int, list[Written]] = {}
        self.written: dict[int, int] = {}
        "Samples written on each connection."
        self.commit_offsets: dict[str, int] = {}
        self.book = ShadowBook(self.session.stream.ledger)
        self.fences: list[int] = []
        self._connections: dict[int, Connection] = {}
        self._open_from: dict[int, int | None] = {}
        "Position of the first sample behind the last commit of a connection."

    def push_pcm(self, pcm: bytes) -> None:
        self.pushed += pcm
        self.session.push_audio(pcm, self.now)
        self.pump()

    def sleep(self, seconds: float) -> None:
        """The machine slept: no timer fired meanwhile."""
        self.now += seconds
        self.session.handle_timer(self.now)
        self.pump()
        self.at(self.now)

    def finalize(self, finalize_id: str = "f1") -> Driver:
        self.fences.append(len(self.pushed) // 2)
        return super().finalize(finalize_id)

    def pump(self) -> None:
        self._connections.update((c.id, c) for c in self.session._connections())
        super().pump()
        self.times += [self.now] * (len(self.events) - len(self.times))

    def positions(self, conn: int, start: int, end: int) -> list[tuple[int, int]]:
        """The caller's samples among those at the offsets [start, end) of *conn*."""
        ranges = []
        for offset, count, position in self.log.get(conn, ()):
            first, last = max(start, offset), min(end, offset + count)
            if position is not None and first < last:
                ranges.append((position + first - offset, position + last - offset))
        return ranges

    def _sent(self, action: Send) -> None:
        conn, message = action.conn, json.loads(action.data)
        kind = message["type"].removeprefix("input_audio_buffer.")
        assert kind in ("session.update", "append", "commit"), f"{kind} has no place on the wire"
        assert conn not in self.closed, "nothing is sent on a connection that was closed"
        if kind == "append":
            self._check_append(conn, base64.b64decode(message["audio"]))
        elif kind == "commit":
            self.commit_offsets[message["event_id"]] = self.written.get(conn, 0)
            self._open_from[conn] = None
        super()._sent(action)

    def _check_append(self, conn: int, audio: bytes) -> None:
        """The audio is the caller's at the place the map says, or silence; none that is settled; in its order."""
        count, before = len(audio) // 2, self.written.setdefault(conn, 0)
        wire_map = self._connections[conn].map
        assert count > 0 and wire_map.written == before + count
        newest = wire_map.stretches[-1]
        assert newest.offset + newest.length == wire_map.written and newest.length >= count
        position = None if newest.position is None else newest.position + newest.length - count
        log = self.log.setdefault(conn, [])
        if position is None:
            assert not any(audio), "padding is silence"
        else:
            assert audio == self.pushed[2 * position : 2 * (position + count)], "the map says where it is from"
            states = self.book.states[position : position + count]
            cut_short = self._connections[conn].stage is Stage.CLOSED  # it ended just behind this message
            assert cut_short or np.isin(states, MAY_BE_SENT).all(), "what is final, in hand or elsewhere is not sent"
            spoken = [w for w in log if w.position is not None]
            assert not spoken or position >= spoken[-1].position + spoken[-1].count, "in the order of the audio"
            self._check_in_hand(position, position + count)
            self._check_fences(conn, position, position + count)
        if log and log[-1].position is None and position is not None and self._connections[conn].role is Role.MAIN:
            self._check_silence(log, position)
        log.append(Written(before, count, position))
        self.written[conn] = before + count

    def _check_in_hand(self, start: int, end: int) -> None:
        """No speech whose text is in hand is sent again, whatever the ledger thinks of it."""
        for turn in self.session.stream.book.turns:
            if turn.phase is Phase.READY and turn.end is not None:
                first, last = max(start, turn.start), min(end, turn.end)
                assert first >= last or not self.book.speech[first:last].any(), "its text is in hand"

    def _check_fences(self, conn: int, start: int, end: int) -> None:
        """No commit of a turn of ours is to cover speech from both sides of a finalize."""
        turns = self.session.stream.book.turns
        servers = any(not t.client_owned and t.start < end and (t.end is None or t.end > start) for t in turns)
        if self.session.stream.client_owned and not servers:
            first = self._open_from.get(conn)
            first = start if first is None else first
            for fence in self.fences:
                if first < fence < end:
                    assert not self.book.judged()[first:fence].any(), "a commit is due at the fence"
            self._open_from[conn] = first

    def _check_silence(self, log: list[Written], position: int) -> None:
        """Within audio that goes on, silence of ours stands only where a finalize asked."""
        before = next((w for w in reversed(log) if w.position is not None), None)
        if before is not None and not self.session.stream.client_owned and before.position + before.count == position:
            gated = (position + np.flatnonzero(self.book.states[position:] != CODES[State.GATED]))[:1]
            behind = [f for f in self.fences if position <= f <= (int(gated[0]) if len(gated) else f)]
            assert behind, "silence in the middle of what is said"
