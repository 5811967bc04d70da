"""One recording's way through a graph: what the nodes at both ends and the waiting command share."""

from __future__ import annotations

import queue
import uuid
from dataclasses import dataclass, field
from typing import Any

from .audio_input import AudioInput
from .pacing import Pacer


@dataclass(frozen=True)
class FinalizeSent:
    """The source has sent all audio and, behind it, the finalize."""


@dataclass(frozen=True)
class SourceFailed:
    """The source could read no further; what it has read is on its way."""

    message: str


@dataclass(frozen=True)
class Received:
    """A data message reached the sink."""

    name: str
    payload: dict[str, Any]


Happening = FinalizeSent | SourceFailed | Received


@dataclass
class Job:
    """Made by the command, given to the nodes at both ends of the graph."""

    audio: AudioInput
    pacer: Pacer
    block_ms: int = 20
    job_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    happenings: queue.SimpleQueue[Happening] = field(default_factory=queue.SimpleQueue)

    @property
    def session_id(self) -> str:
        """The session id in the metadata of every frame."""
        return f"transcribe_{self.job_id}"

    @property
    def finalize_id(self) -> str:
        """The id of the one finalize."""
        return f"finalize_{self.job_id}"
