"""Which metadata the frames carried when, for results that come seconds later."""

from __future__ import annotations

from collections import deque

METADATA_KEPT = 8_192
"Changes remembered: a minute of frames of 10 ms that each carry their own, and more."
METADATA_CHARACTERS = 4 * 1024 * 1024
"Characters of JSON remembered, whatever a single frame carries."


class MetadataHistory:
    """Changes of the metadata, oldest first. When there are too many, or they are too long, the oldest go."""

    def __init__(self) -> None:
        self._changes: deque[tuple[int, str]] = deque()
        self._characters = 0

    def __len__(self) -> int:
        return len(self._changes)

    @property
    def characters(self) -> int:
        """Characters of JSON held right now."""
        return self._characters

    def add(self, position: int, text: str) -> None:
        """Frames from *position* (samples) on carry the JSON *text*."""
        self._changes.append((position, text))
        self._characters += len(text)
        while len(self._changes) > METADATA_KEPT or (self._characters > METADATA_CHARACTERS and len(self._changes) > 1):
            self._characters -= len(self._changes.popleft()[1])

    def at(self, start_ms: int, rate: int) -> str | None:
        """The JSON in force at *start_ms* of the stream, the oldest known before that; None if there never was any."""
        for position, text in reversed(self._changes):
            if position * 1000 // rate <= start_ms:
                return text
        return self._changes[0][1] if self._changes else None
