"""What a session wants done; its user does it in the order given and reports back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .dialects.choice import DialectChoice


@dataclass(frozen=True)
class Connect:
    """Dial; report `connection_opened`, `connection_refused` or `connection_lost`."""

    conn: int
    role: str = "main"
    place: DialectChoice = field(default_factory=DialectChoice, compare=False)
    "Which server to dial, of those the session was told of."
    model: str = ""
    "What is to transcribe: some servers want it in the URL."


class Send(NamedTuple):
    """Write one TEXT frame; report `sent` when the transport took it."""

    conn: int
    data: bytes


@dataclass(frozen=True)
class Ping:
    """Write a ping behind everything sent so far; report `pong_received`."""

    conn: int


@dataclass(frozen=True)
class Close:
    """Close the connection; nothing more need be reported of it."""

    conn: int
    code: int = 1000
    reason: str = ""


Action = Connect | Send | Ping | Close
