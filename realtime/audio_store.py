"""The caller's newest audio, by position: what can be sent again."""

from __future__ import annotations

BYTES_PER_SAMPLE = 2
BLOCK = 8192
"Samples of a block. Blocks are let go of whole, so up to one more than is wanted is held."
_BLOCK_BYTES = BLOCK * BYTES_PER_SAMPLE


class AudioStore:
    """Mono s16le, appended at `end`, forgotten before `start`.

    One growing buffer would set an eighth of itself aside for more; blocks of one size hold what there is.
    """

    __slots__ = ("_blocks", "_first", "_open", "end", "start")

    def __init__(self) -> None:
        self.start = 0
        "First position whose audio is still kept."
        self.end = 0
        self._blocks: list[bytes] = []
        self._first = 0
        "Position of the first sample held; a multiple of `BLOCK`."
        self._open = bytearray()

    @property
    def held_bytes(self) -> int:
        """Bytes held right now."""
        return len(self._blocks) * _BLOCK_BYTES + len(self._open)

    def append(self, pcm: bytes) -> None:
        """Add *pcm* at the end."""
        self._open += pcm
        self.end += len(pcm) // BYTES_PER_SAMPLE
        while len(self._open) >= _BLOCK_BYTES:
            self._blocks.append(bytes(memoryview(self._open)[:_BLOCK_BYTES]))
            del self._open[:_BLOCK_BYTES]

    def read(self, start: int, end: int) -> bytes:
        """The audio of [start, end), clipped to what is kept."""
        start, end = max(start, self.start), min(end, self.end)
        pieces = []
        while start < end:
            number, offset = divmod(start - self._first, BLOCK)
            block = self._blocks[number] if number < len(self._blocks) else self._open
            count = min(end - start, BLOCK - offset)
            pieces.append(bytes(memoryview(block)[offset * BYTES_PER_SAMPLE : (offset + count) * BYTES_PER_SAMPLE]))
            start += count
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def forget(self, before: int) -> None:
        """Drop the audio before *before*."""
        if before <= self.start:
            return
        self.start = min(before, self.end)
        gone = min((self.start - self._first) // BLOCK, len(self._blocks))
        if gone:
            del self._blocks[:gone]
            self._first += gone * BLOCK
        if self.start == self.end:
            self._blocks.clear()
            self._open.clear()
            self._first = self.end
