"""How long whoever ends a recording waits for the text of what was said last. No clocks: times are arguments."""

from __future__ import annotations

from typing import Any

from .job import Received
from .nodes import METRICS, vendor_metrics
from .transcript import TIMED_OUT, vendor_code

QUIET_S = 12.0
"For words that do not come. It is longer than the extension rests between two dials."
FINALIZE_MS = 60_000
"A call cannot wait for its last words; here what is half heard would be final, and the rest of it lost, for no reason."
REST_MS = 500
"Of silence at the end, nobody says what it is until the stop: speech might have followed."


class LastWords:
    """Whether all text of a finalize has come, and how long it is worth waiting for. In seconds.

    `take` gets every message of the graph, from its start. A finalize is answered by its own deadline. After an outage,
    or with audio that came faster than speech, text still comes after that: nobody who ends a recording wants to miss
    it, be it minutes. So it is waited for as long as it comes, and given up when nothing more of it does.
    """

    def __init__(self) -> None:
        self.unsettled_ms = 0
        "Audio whose text is still to come, as far as it is known."
        self._partials: dict[str, str] = {}
        "By the id of the turn."
        self._asked: str | None = None
        self._answered = False
        self._late = False
        self._quiet_s = QUIET_S
        self._quiet_from = 0.0
        "Until then words came, or none could."

    def ask(self, finalize_id: str, now: float, *, quiet_s: float = QUIET_S, deaf_s: float = 0.0) -> None:
        """It is about this finalize, which is not answered yet. For *deaf_s* from now no words can come."""
        self._asked, self._answered, self._late = finalize_id, False, False
        self._quiet_s = quiet_s
        self._not_quiet_until(now + deaf_s)

    def take(self, message: Received, now: float) -> None:
        """Look at *message*."""
        payload = message.payload
        if message.name == "asr_result":
            self._take_result(payload, now)
        elif message.name == "asr_finalize_end":
            self._answered = self._answered or payload.get("finalize_id") == self._asked
        elif message.name == "error":
            self._late = self._late or vendor_code(payload) == TIMED_OUT
        elif message.name == METRICS:
            unsettled_ms = int(vendor_metrics(payload).get("unsettled_ms", self.unsettled_ms))
            if unsettled_ms != self.unsettled_ms:
                self.unsettled_ms = unsettled_ms
                self._not_quiet_until(now)
        elif message.name == "connection_status_changed" and payload.get("current") == "connected":
            # All of it is heard again, at the speed of speech or faster, and what was shown before is not shown anew.
            self._not_quiet_until(now + self.unsettled_ms / 1000)

    def _take_result(self, payload: dict[str, Any], now: float) -> None:
        turn, text, final = payload.get("id", ""), payload.get("text", ""), payload.get("final")
        if final or text != self._partials.get(turn):
            self._not_quiet_until(now)
        self._partials[turn] = text
        if final:
            del self._partials[turn]

    def _not_quiet_until(self, moment: float) -> None:
        self._quiet_from = max(self._quiet_from, moment)

    @property
    def all_here(self) -> bool:
        """Nothing of it is to come any more."""
        return self._answered and not (self._late and self.unsettled_ms > REST_MS)

    def awaited(self, now: float) -> bool:
        """Whether there is more to wait for, and it can be expected to come."""
        return not self.all_here and now < self._quiet_from + self._quiet_s
