"""A client without a socket for the local server's session, test audio, and how to count wrong words."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from ten_packages.extension.openai_asr_python.devkit.server.identifiers import Identifiers
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import Recognition
from ten_packages.extension.openai_asr_python.devkit.server.server_session import ServerSession
from ten_packages.extension.openai_asr_python.devkit.server.work import UtteranceAudio, Work

GOLDEN = Path(__file__).parent.parent / "golden"
EPOCH = 1_790_000_000.0
VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
COMMITTED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
CLEAR = {"type": "input_audio_buffer.clear"}
TRANSCRIPTION = "conversation.item.input_audio_transcription."


def types(events: list[dict[str, Any]]) -> list[str]:
    """What happened, in short."""
    return [event["type"].removeprefix(TRANSCRIPTION) for event in events]


def error(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The one error that came, and nothing else."""
    (event,) = events
    assert event["type"] == "error"
    details: dict[str, Any] = event["error"]
    return details


def speech(ms: int, rate: int = 24000) -> bytes:
    """A tone that any detector of energy takes for speech, s16le."""
    time = np.arange(rate * ms // 1000) / rate
    return np.rint(8000 * np.sin(2 * np.pi * 440 * time)).astype("<i2").tobytes()


def silence(ms: int, rate: int = 24000) -> bytes:
    """Nothing at all, s16le."""
    return bytes(rate * ms // 1000 * 2)


def append(audio: bytes) -> dict[str, Any]:
    """The client's message for raw audio."""
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


class Peer:
    """A client without a socket: says JSON to a session and keeps what comes back."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.session = ServerSession(Identifiers(0), now=0.0, epoch=EPOCH, **options)
        self.work: list[Work] = []

    def say(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Send messages; returns the events that came back since the last look."""
        for message in messages:
            self.session.receive_message(json.dumps(message), self.now)
        return self.events()

    def hear(self, *audio: bytes) -> list[dict[str, Any]]:
        """Append audio, each piece in one message."""
        return self.say(*map(append, audio))

    def events(self) -> list[dict[str, Any]]:
        self.work += self.session.work()
        return [json.loads(frame) for frame in self.session.messages()]

    def update(self, **input_fields: Any) -> list[dict[str, Any]]:
        """`session.update` with these fields of `audio.input`; forgets `session.created`."""
        self.events()
        return self.say(
            {
                "type": "session.update",
                "event_id": "cfg",
                "session": {"type": "transcription", "audio": {"input": input_fields}},
            }
        )

    def update_with(self, session: dict[str, Any]) -> list[dict[str, Any]]:
        """`session.update` with this whole session; forgets `session.created`."""
        self.events()
        return self.say({"type": "session.update", "session": session})

    def commit(self) -> list[dict[str, Any]]:
        return self.say({"type": "input_audio_buffer.commit", "event_id": "commit"})

    def complete(self, item_id: str, text: str, **details: Any) -> list[dict[str, Any]]:
        self.session.completed(item_id, Recognition(text, **details), self.now)
        return self.events()

    def heard(self, item_id: str) -> bytes:
        """All audio a recogniser was given for the item."""
        mine = (work for work in self.work if work.item_id == item_id)
        return b"".join(work.pcm for work in mine if isinstance(work, UtteranceAudio))


def word_errors(reference: str, heard: str) -> int:
    """Words substituted, left out or put in: Levenshtein distance over words."""
    expected, got = reference.lower().split(), heard.lower().split()
    row = list(range(len(got) + 1))
    for i, word in enumerate(expected, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]
