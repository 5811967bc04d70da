"""How long to wait for an answer (S8): longer on a server that has shown to be slow.

A server that needs ten seconds for a turn is slow, not dead. Hung up on after six and given the same six on the next
connection, it would never get through, and all that is said would be lost. So whoever was not waited for has twice the
time on the next attempt, and the usual time again when answers come in half of it.
"""

from __future__ import annotations

MOST_S = 20.0
"Longest wait for a slow server, and for the text of an item, however long the item."


class AnswerTime:
    """What a stream has learned of the time its server takes for one kind of answer."""

    def __init__(self) -> None:
        self._factor = 1.0

    def wait_s(self, usual_s: float) -> float:
        """How long to wait for what a server of usual speed says within *usual_s*."""
        return max(usual_s, min(usual_s * self._factor, MOST_S))

    def missed(self) -> None:
        """An answer was not there by then."""
        # Twenty times even a second is all the time there is: more would only take longer to forget.
        self._factor = min(2 * self._factor, MOST_S)

    def answered(self, took_s: float, usual_s: float) -> None:
        """An answer came after *took_s*."""
        # Not by any answer in time: a server whose times scatter around the limit would be hung up on again and again.
        if took_s <= usual_s / 2:
            self._factor = max(self._factor / 2, 1.0)
