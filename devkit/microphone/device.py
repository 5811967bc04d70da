"""Where live audio comes from: what a microphone and a file in its place have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

BLOCK_MS = 20

Deliver = Callable[[bytes], None]
"Takes a block of interleaved s16le, in a thread of the device's; returns at once."


class Device(Protocol):
    """Delivers blocks from `start` to `stop`, from a thread of its own."""

    @property
    def name(self) -> str:
        """What the user calls it."""

    @property
    def sample_rate(self) -> int:
        """Samples a second and channel."""

    @property
    def channels(self) -> int:
        """Of each block."""

    @property
    def overflows(self) -> int:
        """How many times it dropped sound because nobody took it in time."""

    @property
    def over(self) -> bool:
        """Whether it has delivered all there is; a microphone never has."""

    def start(self, deliver: Deliver) -> None:
        """Begin to deliver. Raises CommandError if it cannot."""

    def stop(self) -> None:
        """Stop; when it returns, nothing more will be delivered. Any number of times."""

    def trouble(self, now: float) -> str | None:
        """Why it delivers no more, as a sentence; None while it does. To be asked several times a second."""
