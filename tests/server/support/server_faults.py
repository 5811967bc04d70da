"""A client without a socket of a session with faults, on a clock of its own."""

from __future__ import annotations

import json
from typing import Any

from server_peers import EPOCH, Peer, speech
from ten_packages.extension.openai_asr_python.devkit.server.faults import Fault, Faults
from ten_packages.extension.openai_asr_python.devkit.server.identifiers import Identifiers
from ten_packages.extension.openai_asr_python.devkit.server.server_session import ServerSession
from ten_packages.extension.openai_asr_python.devkit.server.vad import EnergyDetector
from ten_packages.extension.openai_asr_python.devkit.server.work import UtteranceStarted, Work

COMMITTING = {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": None}


class FaultyPeer(Peer):
    """`events` also returns what the wire is told: RawFrame, Abort, Freeze …"""

    def __init__(self, faults: Faults, opened: float = 0.0) -> None:
        self.stack = faults.open(opened, EPOCH)
        self.now = opened
        self.work: list[Work] = []
        self.session = ServerSession(
            Identifiers(0),
            now=opened,
            epoch=EPOCH,
            session_seconds=100_000,
            detector=self.stack.detector(EnergyDetector()),
            middleware=[self.stack],
        )

    def events(self) -> list[Any]:
        self.work += self.session.work()
        return [json.loads(entry) if isinstance(entry, bytes) else entry for entry in self.session.messages()]

    def until(self, when: float) -> list[Any]:
        """Time passes. Returns what came meanwhile, first what was already there."""
        entries = self.events()
        while (timer := self.session.get_timer()) is not None and timer <= when:
            self.now = max(self.now, timer)
            self.session.handle_timer(self.now)
            entries += self.events()
        self.now = when
        return entries

    def items(self, count: int) -> list[str]:
        """So many turns, committed and not yet transcribed; their ids. What was sent meanwhile is kept for `events`."""
        before = len(self.work)
        out: list[Any] = []
        for _ in range(count):
            out += self.hear(speech(200))
            out += self.commit()
        self.said = out
        return [work.item_id for work in self.work[before:] if isinstance(work, UtteranceStarted)]


def faulty(*faults: Fault | str, seed: int = 0, configured: bool = True) -> FaultyPeer:
    """The first connection of a server with these faults; its session commits when told, unless not *configured*."""
    peer = FaultyPeer(Faults(faults, seed=seed))
    if configured:
        peer.update(**COMMITTING)
    return peer


def names(entries: list[Any]) -> list[str]:
    """What came, in short: the last part of an event's type, or the name of what the wire was told."""
    return [entry["type"].rpartition(".")[2] if isinstance(entry, dict) else type(entry).__name__ for entry in entries]
