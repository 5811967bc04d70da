"""Random histories of audio, server events, drops, finalizes and time: the ledger's promises hold at every step.

The stream runs at the wire's own rate here, so what is on the wire can be compared with what was pushed, byte for
byte. Truth is kept by the test: the audio it pushed and the order in which it asked.
"""

from __future__ import annotations

import random
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sessions import COMMITTING, STREAMING, TRANSCRIPTION, Driver, options
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.connection import Connection
from ten_packages.extension.openai_asr_python.realtime.ledger import State
from ten_packages.extension.openai_asr_python.realtime.session import SessionState

RATE = 24_000
EPOCH = 1_790_000_000
NOISE = np.random.default_rng(7).integers(-9_000, 9_000, RATE * 4, dtype=np.int16)


class Peer:
    """The server's end of one connection."""

    def __init__(self, conn: int, repair: bool) -> None:
        self.conn = conn
        self.repair = repair
        self.up = False
        self.read = 0
        self.buffered = 0
        self.due: list[dict[str, Any]] = []
        self.previous: str | None = None
        self.speech_item: str | None = None
        self.ends_at: float | None = None


class Simulation:
    """A session, servers that behave like some, and a network that does not."""

    def __init__(self, detection: str, model: str, seed: int, window_ms: int, *, healthy: bool = False) -> None:
        self.healthy = healthy
        self.rng = random.Random(seed)
        hold = 10**9 if healthy else 4_000  # a healthy server may be slow
        self.d = Driver(
            options(
                detection,
                model,
                sample_rate=RATE,
                replay_window_ms=window_ms,
                max_turn_ms=2_000,
                order_hold_ms=hold,
            )
        )
        self.detection = detection
        self.window_ms = window_ms
        self.pushed = bytearray()
        self.asked: list[tuple[str, float]] = []
        self.checked: dict[int, int] = {}
        self.finals: list[tuple[int, int]] = []
        self.peers: dict[int, Peer] = {}
        self.items = 0
        self.speaking = False
        self.served_at = 0.0
        self.d.start()

    # What can happen

    def push_speech(self) -> None:
        count = self.rng.choice([1, 7, 240, 480, 2_400])
        start = self.rng.randrange(RATE)
        self._push(NOISE[start : start + count].tobytes())
        if self.detection == "local_vad" and not self.speaking:
            self.speaking = True
            self.d.session.turn_started(len(self.pushed) // 2 - count, self.d.now)
            self.d.pump()

    def push_silence(self) -> None:
        self._push(bytes(2 * self.rng.choice([240, 480, 4_800, 24_000])))
        if self.speaking and self.rng.random() < 0.5:
            self.speaking = False
            self.d.session.turn_ended(self._last_speech(), self.d.now)
            self.d.pump()

    def _last_speech(self) -> int:
        samples = np.frombuffer(bytes(self.pushed), np.int16)
        loud = np.flatnonzero(samples)
        return int(loud[-1]) + 1 if len(loud) else 0

    def _push(self, pcm: bytes) -> None:
        self.pushed += pcm
        self.d.session.push_audio(pcm, self.d.now)
        self.d.pump()

    def let_time_pass(self) -> None:
        until = self.d.now + self.rng.choice([0.001, 0.1, 0.5] if self.healthy else [0.001, 0.1, 0.5, 3.0])
        if self.healthy and until - self.served_at > 2.5:
            self.serve()  # it may be slow; it does not keep silent for as long as a sick one
        while ending := [p for p in self._peers() if p.ends_at is not None and p.ends_at <= until]:
            peer = min(ending, key=lambda p: p.ends_at or 0.0)
            self.d.at(max(self.d.now, peer.ends_at or 0.0))
            peer.ends_at = None
            if peer.conn not in self.d.closed:
                self.d.say({"type": "error", "error": {"code": "session_expired"}}, conn=peer.conn)
                self._drop(peer, 1001)
        self.d.at(until)

    def _peers(self) -> list[Peer]:
        """Of every connection that was dialled and not closed."""
        for dialled, repair in ((self.d.dialled, False), (self.d.repairs, True)):
            for _, conn in dialled:
                self.peers.setdefault(conn, Peer(conn, repair))
        for conn in self.d.closed:
            self.peers.pop(conn, None)
        gone = set(self.d.closed)
        self.peers = {conn: peer for conn, peer in self.peers.items() if conn not in gone}
        return list(self.peers.values())

    def _live(self) -> list[Peer]:
        return [peer for peer in self._peers() if peer.up]

    def network_comes_up(self) -> None:
        for peer in self._peers():
            if not peer.up:
                self._accept(peer, accepted=self.rng.random() < 0.9)

    def _accept(self, peer: Peer, *, accepted: bool = True) -> None:
        life = self.rng.choice([4.0, 8.0, 3600.0])
        date = {"Date": formatdate(EPOCH + self.d.now, usegmt=True)}
        self.d.open(peer.conn, date)
        if accepted and peer.conn not in self.d.closed:
            peer.up, peer.ends_at = True, self.d.now + life
            self.d.configure(peer.conn, expires_at=int(EPOCH + self.d.now) + int(life))

    def network_drops(self) -> None:
        peers = self._peers()
        if peers:
            self._drop(self.rng.choice(peers), self.rng.choice([1000, 1001, 1006, 1011]))

    def _drop(self, peer: Peer, code: int) -> None:
        self.peers.pop(peer.conn, None)
        self.d.session.connection_lost(peer.conn, code, "", self.d.now)
        self.d.pump()

    def transport_blocks(self) -> None:
        self.d.take = False

    def transport_takes(self) -> None:
        self.d.take = True
        for peer in self._peers():
            self.d.session.sent(peer.conn, 1, self.d.now)
            self.d.pump()

    def finalize(self) -> None:
        finalize_id = f"f{len(self.asked)}"
        self.asked.append((finalize_id, self.d.now))
        if self.speaking:
            self.speaking = False
            self.d.session.turn_ended(self._last_speech(), self.d.now)
        self.d.finalize(finalize_id)

    def server_reads(self) -> None:
        """Take what is on the wire and owe the answers."""
        for peer in self._live():
            for message in self.d.wire[peer.conn][peer.read :]:
                if message["type"] == "input_audio_buffer.append":
                    peer.buffered += message["audio"]
                elif message["type"] == "input_audio_buffer.commit":
                    self._commit(peer, message["event_id"])
            peer.read = len(self.d.wire[peer.conn])

    def _commit(self, peer: Peer, event_id: str) -> None:
        if peer.buffered < 4_800:
            peer.due.append(
                {"type": "error", "error": {"code": "input_audio_buffer_commit_empty", "event_id": event_id}}
            )
            return
        peer.buffered = 0
        self._own_item(peer, peer.speech_item or self._new_item())
        peer.speech_item = None

    def _new_item(self) -> str:
        self.items += 1
        return f"item_{self.items}"

    def _own_item(self, peer: Peer, item: str) -> None:
        peer.due.append({"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": peer.previous})
        peer.previous = item
        kind = self.rng.choice(["text", "empty"] if self.healthy else ["text", "text", "empty", "failed", "never"])
        if kind != "never":
            fields: dict[str, Any] = {"transcript": "" if kind == "empty" else f"text of {item}"}
            if kind == "failed":
                fields = {"error": {"code": None, "type": "server_error"}}
            name = "failed" if kind == "failed" else "completed"
            peer.due.append({"type": TRANSCRIPTION + name, "item_id": item, **fields})

    def server_hears_speech(self) -> None:
        peers = [p for p in self._live() if not p.repair and not p.speech_item]
        if self.detection != "server_vad" or not peers:
            return
        peer = self.rng.choice(peers)
        self._say_what_was_committed(peer)
        written = len(self.d.audio[peer.conn]) // 48
        peer.speech_item = self._new_item()
        self.d.say(
            {
                "type": "input_audio_buffer.speech_started",
                "item_id": peer.speech_item,
                "audio_start_ms": max(0, written - self.rng.randrange(400)),
            },
            conn=peer.conn,
        )

    def _say_what_was_committed(self, peer: Peer) -> None:
        """Texts come in any order; what a server says of its buffer does not."""
        for message in [m for m in peer.due if m["type"].startswith("input_audio")]:
            peer.due.remove(message)
            self.d.say(message, conn=peer.conn)

    def server_hears_the_end(self) -> None:
        for peer in self._live():
            if peer.speech_item:
                self._say_what_was_committed(peer)
                written = len(self.d.audio[peer.conn]) // 48
                self.d.say(
                    {
                        "type": "input_audio_buffer.speech_stopped",
                        "item_id": peer.speech_item,
                        "audio_end_ms": written,
                    },
                    conn=peer.conn,
                )
                self._own_item(peer, peer.speech_item)
                peer.speech_item = None

    def server_says(self) -> None:
        """Pay a debt: commits in order, the rest in any."""
        peers = [p for p in self._live() if p.due]
        if not peers:
            return
        peer = self.rng.choice(peers)
        choices = [i for i, m in enumerate(peer.due) if not m["type"].startswith("input_audio")]
        first = next((i for i, m in enumerate(peer.due) if m["type"].startswith("input_audio")), None)
        owed = [first] if first is not None else []
        index = self.rng.choice(owed + choices)
        message = peer.due[index]
        if message["type"] == TRANSCRIPTION + "completed" and self.rng.random() < 0.3:
            delta = {"type": TRANSCRIPTION + "delta", "item_id": message["item_id"], "delta": "te"}
            self.d.say(delta, conn=peer.conn)
        del peer.due[index]
        self.d.say(*[message] * self.rng.choice([1, 1, 1, 2]), conn=peer.conn)

    def server_says_junk(self) -> None:
        if peers := self._peers():
            junk = self.rng.choice([b"{", b"[]", b'{"type":"x"}', b'{"type":"error"}'])
            self.d.say(junk, conn=self.rng.choice(peers).conn)

    # What must be true

    def check(self) -> None:
        ledger = self.d.session.stream.ledger
        accepted = len(self.pushed) // 2
        assert ledger.accepted == accepted and sum(ledger.totals.values()) == accepted
        position = ledger.settled_until
        for start, end, _ in ledger.fates():
            assert start == position and end > start
            position = end
        assert position == accepted
        window = (self.window_ms or 10_000) * RATE // 1000
        assert ledger.kept_bytes <= 2 * (window + RATE)
        assert ledger.kept_from <= ledger.accepted
        self._check_wire()
        self._check_results()
        self._check_answers()

    def _check_wire(self) -> None:
        """What is on the wire is the caller's audio at the place the map says, or silence; nothing final again."""
        for conn in self.d.session._connections():
            self._check_connection(conn)
        self.finals = [
            (f.start_ms * RATE // 1000, (f.start_ms + f.duration_ms) * RATE // 1000)
            for f in self.d.finals
            if not f.retracted and not f.promoted  # the audio of a promoted text may be sent again, for its rest
        ]

    def _check_connection(self, conn: Connection) -> None:
        wire = self.d.audio[conn.id]
        assert len(wire) == 2 * conn.map.written
        for stretch in conn.map.stretches[-3:]:
            part = wire[2 * stretch.offset : 2 * (stretch.offset + stretch.length)]
            if stretch.position is None:
                assert not any(part)
            else:
                assert part == self.pushed[2 * stretch.position : 2 * (stretch.position + stretch.length)]
        seen = self.checked.get(conn.id, 0)
        self.checked[conn.id] = conn.map.written
        for stretch in conn.map.stretches:
            if stretch.position is None or stretch.offset + stretch.length <= seen:
                continue
            first = stretch.position + max(0, seen - stretch.offset)
            for start, end in self.finals:
                assert min(end, stretch.position + stretch.length) - max(start, first) <= RATE // 500

    def _check_results(self) -> None:
        end = 0
        ended: set[str] = set()
        for result in self.d.of(ev.Transcript):
            assert result.result_id not in ended, "an id is not used after its final"
            if result.final:
                ended.add(result.result_id)
                assert result.duration_ms >= 1
                assert result.text.strip() or result.retracted
                if not result.late and not result.retracted:
                    assert result.start_ms >= end, "finals in order"
                    end = result.start_ms + result.duration_ms
        spans = sorted((f.start_ms, f.start_ms + f.duration_ms) for f in self.d.finals if not f.retracted)
        for (start, end), (following, _) in pairwise(spans):  # a turn of one sample is said to last a millisecond
            assert end <= following or end - start == 1, "finals never overlap"

    def _check_answers(self) -> None:
        answers = self.d.of(ev.FinalizeDone)
        assert [a.finalize_id for a in answers] == [f for f, _ in self.asked[: len(answers)]]
        for finalize_id, asked_at in self.asked[len(answers) :]:
            assert self.d.now <= asked_at + 2.0 + 1e-6, f"{finalize_id} is overdue"

    def serve(self) -> None:
        """Accept every connection, hear everything, answer everything."""
        self.served_at = self.d.now
        self.transport_takes()
        for peer in self._peers():
            if not peer.up:
                self._accept(peer)
        self.server_reads()
        while any(peer.due for peer in self._live()):
            self.server_says()

    def settle(self) -> None:
        """Let a healthy server answer everything."""
        for _ in range(80):
            self.server_hears_the_end()
            self.serve()
            for peer in self._peers():
                peer.ends_at = None
            self.d.at(self.d.now + 0.25)

    def finish(self) -> None:
        self.d.take = True
        self.d.session.stop(self.d.now)
        self.d.pump()
        self.d.at(self.d.now + 1.0)
        self.check()
        totals = self.d.session.stream.ledger.totals
        assert self.d.session.state is SessionState.STOPPED
        assert totals[State.FINAL] + totals[State.GATED] + totals[State.LOST] == len(self.pushed) // 2
        assert len(self.d.of(ev.FinalizeDone)) == len(self.asked)
        losses = self.d.of(ev.AudioLost)
        assert sum(e.lost_ms for e in losses) == totals[State.LOST] * 1000 // RATE, "what is lost is told"
        assert all(e.duration_ms >= e.lost_ms - 1 for e in losses)


STEPS = [
    (Simulation.push_speech, 8),
    (Simulation.push_silence, 4),
    (Simulation.let_time_pass, 4),
    (Simulation.network_comes_up, 4),
    (Simulation.network_drops, 1),
    (Simulation.transport_blocks, 1),
    (Simulation.transport_takes, 2),
    (Simulation.finalize, 1),
    (Simulation.server_reads, 4),
    (Simulation.server_hears_speech, 3),
    (Simulation.server_hears_the_end, 2),
    (Simulation.server_says, 6),
    (Simulation.server_says_junk, 1),
]
UNHEALTHY = {Simulation.transport_blocks}
NAMES = [step for step, weight in STEPS for _ in range(weight)]


@pytest.mark.parametrize(
    ("detection", "model"),
    [("server_vad", COMMITTING), ("none", COMMITTING), ("local_vad", COMMITTING), ("local_vad", STREAMING)],
)
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(st.integers(0, len(NAMES) - 1), min_size=30, max_size=120),
    seed=st.integers(0, 2**32),
    window_ms=st.sampled_from([60_000, 4_000]),
)
def test_any_history(detection: str, model: str, steps: list[int], seed: int, window_ms: int) -> None:
    simulation = Simulation(detection, model, seed, window_ms)
    for step in steps:
        NAMES[step](simulation)
        simulation.check()
    simulation.finish()


HEALTHY = [step for step, weight in STEPS for _ in range(weight) if step not in UNHEALTHY]


@pytest.mark.parametrize(
    ("detection", "model"),
    [("server_vad", COMMITTING), ("none", COMMITTING), ("local_vad", COMMITTING), ("local_vad", STREAMING)],
)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.integers(0, len(HEALTHY) - 1), min_size=30, max_size=120), seed=st.integers(0, 2**32))
def test_nothing_is_lost_whatever_drops(detection: str, model: str, steps: list[int], seed: int) -> None:
    """Whatever the order of audio, time, answers and drops: every sample of speech ends in a transcript, once."""
    simulation = Simulation(detection, model, seed, 60_000, healthy=True)
    for step in steps:
        HEALTHY[step](simulation)
        simulation.check()
    simulation.finalize()
    simulation.settle()
    simulation.check()
    assert simulation.d.of(ev.AudioLost) == []
    if detection != "server_vad":  # there the server may take noise for noise
        ledger = simulation.d.session.stream.ledger
        on_the_way = {State.PENDING, State.SENT, State.COMMITTED}
        left = [(a, b) for a, b, fate in ledger.fates() if fate.state in on_the_way and ledger.has_speech(a, b)]
        assert left == []
