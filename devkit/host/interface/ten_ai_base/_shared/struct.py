"""Results of speech recognition."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class ASRWord(BaseModel, defer_build=True):
    """One word with its place in the caller's audio, in milliseconds."""

    word: str
    start_ms: int
    duration_ms: int
    stable: bool


class ASRResult(BaseModel, defer_build=True):
    """A partial or final transcript. The base fills in *id*; *words* None does not pass the output schema."""

    id: str | None = None
    text: str
    final: bool
    start_ms: int
    duration_ms: int
    language: str
    words: list[ASRWord] | None = None
    metadata: dict[str, Any] = {}
