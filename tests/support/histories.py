"""Random histories: a session, servers that behave like some, and a network that does not.

The truth is kept here and not by the session: the audio that was pushed, the order in which answers were asked for,
and which samples each of the server's items was made of.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import numpy as np
from sessions import STREAMING, TRANSCRIPTION, options
from ten_packages.extension.openai_asr_python.realtime.turn import Phase
from watched import WatchedDriver

RATE = 24_000
EPOCH = 1_790_000_000
NOISE = np.random.default_rng(7).integers(-9_000, 9_000, RATE * 4, dtype=np.int16)
SERVER_TURNS = ("server_vad", "semantic_vad")
MS = RATE // 1000
LEAST_COMMIT = RATE // 10


@dataclass
class Item:
    """What the server made of some of the audio."""

    id: str
    conn: int
    audio: list[tuple[int, int]] = field(default_factory=list)
    "Positions it was made of."
    deltas: str = ""
    "What was shown of its text."

    @property
    def text(self) -> str:
        return f"text of {self.id}"


class Peer:
    """The server's end of one connection."""

    def __init__(self, conn: int, repair: bool) -> None:
        self.conn = conn
        self.repair = repair
        self.up = False
        self.read = 0
        self.consumed = 0
        "Offset behind the newest item."
        self.due: list[dict[str, Any]] = []
        self.previous: str | None = None
        self.open: Item | None = None
        self.opened_at = 0
        "Offset at which the open item's speech began."
        self.ends_at: float | None = None
        self.accepted_at = 0.0
        self.gave_text = False
        self.session: dict[str, Any] = {}
        "What it was told last, and took."
        self.announces = False
        "It has announced an item: text that comes before its item is announced can be told from others' by then."


class Simulation:
    """One history. Every method is something that can happen next."""

    def __init__(self, detection: str, model: str, seed: int, window_ms: int, *, healthy: bool = False) -> None:
        self.healthy = healthy
        self.rng = random.Random(seed)
        hold = 10**9 if healthy else 4_000  # a healthy server may be slow
        opts = options(
            detection, model, sample_rate=RATE, replay_window_ms=window_ms, max_turn_ms=2_000, order_hold_ms=hold
        )
        self.d = WatchedDriver(opts)
        self.detection, self.window_ms = detection, window_ms
        self.asked: list[tuple[str, float]] = []
        self.peers: dict[int, Peer] = {}
        self.items: dict[str, Item] = {}
        self.gone: dict[int, Peer] = {}
        self.speaking = self.stopping = False
        self.onsets: list[int] = []
        "Where the local detector heard speech begin."
        self.served_at = 0.0
        self.d.start()

    @property
    def ours(self) -> bool:
        """Whether all turns of this history are the client's own."""
        return self.d.session.stream.client_owned

    @staticmethod
    def hears(peer: Peer) -> bool:
        """Whether *peer* finds the turns."""
        return bool(peer.session["audio"]["input"]["turn_detection"])

    @staticmethod
    def streams(peer: Peer) -> bool:
        """Whether the model of *peer* shows words before the commit."""
        return bool(peer.session["audio"]["input"]["transcription"]["model"] == STREAMING)

    # The caller

    def push_speech(self) -> None:
        count = self.rng.choice([1, 7, 240, 480, 2_400])
        start = self.rng.randrange(RATE)
        self.d.push_pcm(NOISE[start : start + count].tobytes())
        if self.d.session.stream.detection == "local_vad" and not self.speaking:
            self.speaking = True
            self.onsets.append(len(self.d.pushed) // 2 - count)
            self.d.session.turn_started(self.onsets[-1], self.d.now)
            self.d.pump()

    def push_silence(self) -> None:
        self.d.push_pcm(bytes(2 * self.rng.choice([240, 480, 4_800, 24_000])))
        if self.speaking and self.rng.random() < 0.5:
            self._end_speech()
            self.d.pump()

    def _end_speech(self) -> None:
        self.speaking = False
        loud = np.flatnonzero(np.frombuffer(bytes(self.d.pushed), np.int16))
        self.d.session.turn_ended(int(loud[-1]) + 1, self.d.now)

    def finalize(self) -> None:
        finalize_id = f"f{len(self.asked)}"
        self.asked.append((finalize_id, self.d.now))
        if self.speaking:
            self._end_speech()
        self.d.finalize(finalize_id)

    # Time

    def let_time_pass(self) -> None:
        until = self.d.now + self.rng.choice([0.001, 0.1, 0.5, 1.0] if self.healthy else [0.001, 0.1, 0.5, 3.0])
        if self.healthy and until - self.served_at > 2.5:
            self.serve()  # it may be slow; it does not keep silent for as long as a sick one
        while ending := [p for p in self.known_peers() if p.ends_at is not None and p.ends_at <= until]:
            peer = min(ending, key=lambda p: p.ends_at or 0.0)
            self.d.at(max(self.d.now, peer.ends_at or 0.0))
            peer.ends_at = None
            if peer.conn not in self.d.closed:
                self.d.say({"type": "error", "error": {"code": "session_expired"}}, conn=peer.conn)
                self._drop(peer, 1001)
        self.d.at(until)

    def sleep(self) -> None:
        """The laptop is closed and opened again; what was connected is gone, or nobody knows it yet."""
        gone = self.rng.random() < 0.5
        self.d.sleep(self.rng.choice([1.0, 30.0, 600.0]))
        for peer in self.known_peers() if gone else []:
            self._drop(peer, 1006)

    # The network

    def known_peers(self) -> list[Peer]:
        """Of every connection that was dialled and not closed."""
        for dialled, repair in ((self.d.dialled, False), (self.d.repairs, True)):
            for _, conn in dialled:
                if conn not in self.gone:
                    self.peers.setdefault(conn, Peer(conn, repair))
        for conn in self.d.closed:
            if conn in self.peers:
                self.gone[conn] = self.peers.pop(conn)
        return list(self.peers.values())

    def was_useful(self, conn: int, until: float) -> bool:
        """Whether a connection brought something, by the most generous reading."""
        self.known_peers()
        peer = self.gone.get(conn) or self.peers[conn]
        return peer.up and (peer.gave_text or until - peer.accepted_at >= 2.0)

    def live_peers(self) -> list[Peer]:
        return [peer for peer in self.known_peers() if peer.up]

    def network_comes_up(self) -> None:
        for peer in self.known_peers():
            if not peer.up:
                self._accept(peer, accepted=self.rng.random() < 0.9)

    def _accept(self, peer: Peer, *, accepted: bool = True) -> None:
        life = self.rng.choice([2.5, 4.0, 8.0, 3600.0])
        date = {"Date": formatdate(EPOCH + self.d.now, usegmt=True)}
        self.d.open(peer.conn, date)
        if accepted and peer.conn not in self.d.closed:
            peer.up, peer.accepted_at, peer.ends_at = True, self.d.now, self.d.now + life
            peer.session = self.d.wire[peer.conn][-1]["session"]
            peer.read = len(self.d.wire[peer.conn])
            self.d.configure(peer.conn, expires_at=int(EPOCH + self.d.now) + int(life))

    def network_refuses(self) -> None:
        for peer in self.known_peers():
            if not peer.up:
                self.d.session.connection_refused(peer.conn, self.rng.choice([0, 503, 429, 401]), {}, self.d.now)
                self.d.pump()

    def network_drops(self) -> None:
        if peers := self.known_peers():
            self._drop(self.rng.choice(peers), self.rng.choice([1000, 1001, 1006, 1011]))

    def network_drops_in_the_wrong_moment(self) -> None:
        """With a text in hand that waits for the one before it."""
        carrying = [p for p in self.live_peers() if p.conn == self.d.conn]
        if carrying and any(turn.phase is Phase.READY for turn in self.d.session.stream.book.turns):
            self._drop(carrying[0], 1006)

    def _drop(self, peer: Peer, code: int) -> None:
        self.gone[peer.conn] = self.peers.pop(peer.conn)
        self.d.session.connection_lost(peer.conn, code, "", self.d.now)
        self.d.pump()

    def transport_blocks(self) -> None:
        self.d.take = False

    def transport_takes(self) -> None:
        self.d.take = True
        for peer in self.known_peers():
            self.d.session.sent(peer.conn, 1, self.d.now)
            self.d.pump()

    # The server

    def server_reads(self) -> None:
        """Take what is on the wire and owe the answers."""
        for peer in self.live_peers():
            for message in self.d.wire[peer.conn][peer.read :]:
                if message["type"] == "session.update":
                    self._update(peer, message)
                if message["type"] == "input_audio_buffer.commit":
                    self._commit(peer, message["event_id"])
            peer.read = len(self.d.wire[peer.conn])

    def _update(self, peer: Peer, message: dict[str, Any]) -> None:
        """Another configuration for a session that lives."""
        answer = self.rng.choice(["yes", "yes", "yes", "no", "never"])
        if answer == "no":
            error = {"code": "invalid_value", "message": "not that", "event_id": message["event_id"]}
            peer.due.append({"type": "error", "error": error})
            return
        peer.session = message["session"]
        if answer == "yes":
            peer.due.append({"type": "session.updated", "session": message["session"]})

    def _commit(self, peer: Peer, event_id: str) -> None:
        until = self.d.commit_offsets[event_id]
        if until - peer.consumed < LEAST_COMMIT:
            error = {"code": "input_audio_buffer_commit_empty", "event_id": event_id}
            peer.due.append({"type": "error", "error": error})
            return
        if peer.open is None:
            self._open(peer, peer.consumed)
        self._end_item(peer, until)

    def _open(self, peer: Peer, offset: int) -> Item:
        item = Item(f"item_{len(self.items) + 1}", peer.conn)
        self.items[item.id] = peer.open = item
        peer.opened_at = offset
        return item

    def _end_item(self, peer: Peer, until: int) -> None:
        """The open item becomes one; what the server will say of it is decided now."""
        item, peer.open, peer.consumed = peer.open, None, until
        assert item is not None
        item.audio = self.d.positions(peer.conn, peer.opened_at, until)
        committed = {"type": "input_audio_buffer.committed", "item_id": item.id, "previous_item_id": peer.previous}
        peer.due.append(committed)
        peer.previous = item.id
        kind = self.rng.choice(["text", "empty"] if self.healthy else ["text", "text", "empty", "failed", "never"])
        if kind != "never":
            fields: dict[str, Any] = {"transcript": "" if kind == "empty" and not item.deltas else item.text}
            if kind == "failed":
                fields = {"error": {"code": None, "type": "server_error"}}
            name = "failed" if kind == "failed" else "completed"
            peer.due.append({"type": TRANSCRIPTION + name, "item_id": item.id, **fields})

    def server_hears_speech(self) -> None:
        self.server_reads()
        peers = [p for p in self.live_peers() if self.hears(p) and not (p.open or self._owes_commit(p))]
        peers = [p for p in peers if self.d.written.get(p.conn, 0) > p.consumed]  # it hears what there is
        if not peers:
            return
        peer = self.rng.choice(peers)
        written = self.d.written.get(peer.conn, 0)
        offset = max(peer.consumed, written - MS * self.rng.randrange(400))
        offset += -offset % MS  # a server names milliseconds
        item = self._open(peer, offset)
        started = {"type": "input_audio_buffer.speech_started", "item_id": item.id}
        self.d.say({**started, "audio_start_ms": peer.opened_at // MS}, conn=peer.conn)

    @staticmethod
    def _owes_commit(peer: Peer) -> bool:
        """A server says what became of earlier audio before it says that speech began in later audio."""
        return any(not message["type"].startswith(TRANSCRIPTION) for message in peer.due)

    def server_hears_the_end(self) -> None:
        self.server_reads()
        for peer in self.live_peers():
            if peer.open and self.hears(peer):
                written = max(peer.consumed, self.d.written.get(peer.conn, 0) // MS * MS)
                stopped = {"type": "input_audio_buffer.speech_stopped", "item_id": peer.open.id}
                self.d.say({**stopped, "audio_end_ms": written // MS}, conn=peer.conn)
                self._end_item(peer, written)

    def server_shows_words(self) -> None:
        """Words before the commit, of a model that streams, or of an item whose text is due."""
        for peer in self.live_peers():
            if self.streams(peer) and self.d.written.get(peer.conn, 0) > peer.consumed and peer.open is None:
                if not peer.due and not self._commits_unread(peer):
                    self._open(peer, peer.consumed)
            if peer.open and (self.streams(peer) or self.rng.random() < 0.3):
                self._show(peer, peer.open)

    def _commits_unread(self, peer: Peer) -> bool:
        return any(m["type"].endswith("commit") for m in self.d.wire[peer.conn][peer.read :])

    def _show(self, peer: Peer, item: Item) -> bool:
        """The next word of *item*, if there is one."""
        rest = item.text.removeprefix(item.deltas)
        if not rest:
            return False
        delta = rest[: rest.find(" ", 1)] if " " in rest[1:] else rest
        item.deltas += delta
        self.d.say({"type": TRANSCRIPTION + "delta", "item_id": item.id, "delta": delta}, conn=peer.conn)
        return True

    def server_says(self) -> None:
        """Pay a debt: the answers to commits in order, texts in any."""
        peers = [p for p in self.live_peers() if p.due]
        if not peers:
            return
        peer = self.rng.choice(peers)
        choices = [i for i, m in enumerate(peer.due) if m["type"].startswith(TRANSCRIPTION)]
        first = next((i for i, m in enumerate(peer.due) if not m["type"].startswith(TRANSCRIPTION)), None)
        owed = [first] if first is not None else []
        index = self.rng.choice([*owed, *choices, *choices[-1:]]) if peer.announces or first is None else first
        message = peer.due[index]
        peer.announces = peer.announces or message["type"].endswith(".committed")
        if message["type"] == TRANSCRIPTION + "completed":
            peer.gave_text = True
            if message["transcript"] and self.rng.random() < 0.3 and self._show(peer, self.items[message["item_id"]]):
                return  # the rest comes later, or never
        del peer.due[index]
        self.d.say(*[message] * self.rng.choice([1, 1, 1, 2]), conn=peer.conn)

    def server_says_junk(self) -> None:
        if peers := self.known_peers():
            junk = self.rng.choice([b"{", b"[]", b'{"type":"x"}', b'{"type":"error"}'])
            self.d.say(junk, conn=self.rng.choice(peers).conn)

    def serve(self) -> None:
        """Accept every connection, hear everything, answer everything."""
        self.served_at = self.d.now
        self.transport_takes()
        for peer in self.known_peers():
            if not peer.up:
                self._accept(peer)
        self.server_reads()
        while any(peer.due for peer in self.live_peers()):
            self.server_says()

    # The end

    def settle(self) -> None:
        """Let a healthy server answer everything."""
        for _ in range(80):
            self.server_hears_the_end()
            self.serve()
            for peer in self.known_peers():
                peer.ends_at = None
            self.d.at(self.d.now + 0.25)

    def stop(self) -> None:
        self.d.take = self.stopping = True
        self.d.session.stop(self.d.now)
        self.d.pump()
        self.d.at(self.d.now + 1.0)


STEPS = [
    (Simulation.push_speech, 8),
    (Simulation.push_silence, 4),
    (Simulation.let_time_pass, 4),
    (Simulation.network_comes_up, 4),
    (Simulation.network_drops, 1),
    (Simulation.network_drops_in_the_wrong_moment, 2),
    (Simulation.transport_takes, 2),
    (Simulation.finalize, 1),
    (Simulation.server_reads, 4),
    (Simulation.server_hears_speech, 3),
    (Simulation.server_hears_the_end, 2),
    (Simulation.server_shows_words, 2),
    (Simulation.server_says, 6),
    (Simulation.server_says_junk, 1),
]
HEALTHY = [step for step, weight in STEPS for _ in range(weight)]
UNHEALTHY = [*HEALTHY, Simulation.transport_blocks, Simulation.network_refuses, Simulation.sleep]
