"""How long an item may wait for its text (S8): longer on a server that has shown to be slow.

A server that needs ten seconds for a turn is slow, not dead. Hung up on after six and given the same six on the next
connection, it would never get through, and all that is said would be lost. So whoever was not waited for gets twice
the time on the next attempt, and its ordinary time again once it answers as fast as that asks for.
"""

from __future__ import annotations

MOST_S = 20.0
"Longest wait for the text of an item, however long the item and however slow the server."


class AnswerTime:
    """What a stream has learned of the time its server takes."""

    def __init__(self) -> None:
        self.factor = 1.0
        "By which all waits are longer."

    def wait_s(self, timeout_s: float, length_s: float) -> float:
        """The longest wait for the text of *length_s* of audio, where a server of ordinary speed has *timeout_s*."""
        return min((timeout_s + length_s / 2) * self.factor, MOST_S)

    def missed(self) -> None:
        """An answer did not come by then."""
        self.factor = min(2 * self.factor, MOST_S)

    def answered(self, took_s: float, timeout_s: float, length_s: float) -> None:
        """The text of *length_s* of audio came after *took_s*."""
        # Half of it, or a server whose times scatter around the limit would be hung up on again and again.
        if self.factor > 1 and took_s <= (timeout_s + length_s / 2) / 2:
            self.factor /= 2
