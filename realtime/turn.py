"""One turn of speech, from its onset to its settled text."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

import msgspec

_LEAST_LOGPROB = -1000.0
_LARGEST_COUNT = 10**15
_LONGEST_USAGE_TEXT = 200


class Phase(Enum):
    """How far a turn has come. It moves down this list, and back to the top when its connection ends."""

    WAITING = "waiting"
    "Its connection ended before its text came: its audio goes out again."
    REPAIR = "repair"
    "Its item failed or was not answered: its audio goes out once more, on a connection of its own."
    OPEN = "open"
    "Speech goes on."
    CLOSED = "closed"
    "Its end is known; not yet committed."
    COMMITTED = "committed"
    "The server made an item of it; its text is due."
    READY = "ready"
    "Its text is in hand, waiting for its place in the order."
    SETTLED = "settled"
    "Nothing more will come of it."


class Turn(msgspec.Struct, eq=False):
    """Positions are samples of the stream. `start`/`end` bound the speech, `span_start`/`span_end` the audio sent."""

    serial: int
    result_id: str
    start: int
    span_start: int
    connection: int = 0
    item_id: str = ""
    previous_item_id: str | None = None
    client_owned: bool = False
    phase: Phase = Phase.OPEN
    end: int | None = None
    span_end: int | None = None
    speech: bool | None = None
    "Whether any of its audio may be speech; known once it is closed."
    # client-owned turns
    commit_event_id: str = ""
    commit_sent_at: float | None = None
    committed_from: int = 0
    committed_until: int = 0
    "What its commit covered, in samples of its connection."
    synthetic: int = 0
    "Padding samples still to be written behind the audio."
    not_after: float = math.inf
    "Latest moment of the commit, whatever the server's decoder still wants: its session, or the stream, ends."
    hurry_after: float = math.inf
    "From here on the commit waits for the speech to be heard, and no more for the silence behind it: a finalize waits."
    # text
    deltas: list[str] = []
    text: str = ""
    shown: bool = False
    "A partial went out under `result_id`."
    shown_before: str = ""
    "What was shown before its connection ended: a replay's partials are held back until they say more."
    promoted: str = ""
    "Text that went out as final at the deadline of a finalize; only what it has beyond that is still to be said."
    promoted_end_ms: int = 0
    replayed: bool = False
    repairs: int = 0
    "Whether it had its second chance: 0 or 1."
    waits_since: float = 0.0
    "Since when nothing but its own text is due: its commit was answered, and so was every item before it."
    held_since: float | None = None
    "When it began to hold the order anew, having gone out again."
    language: str | None = None
    confidence: float | None = None
    usage: dict[str, Any] = {}
    segments: list[dict[str, Any]] = []
    speaker: str | None = None
    ready_at: float | None = None
    late: bool = False

    @property
    def partial(self) -> str:
        """Joined deltas."""
        return "".join(self.deltas)

    @property
    def best_partial(self) -> str:
        """The longer of the text so far and what was shown before it had to be sent again."""
        return max(self.partial, self.shown_before, key=len)

    def restart(self, phase: Phase) -> None:
        """Its connection ended: what that connection said of it is forgotten, what the user saw is not."""
        self.shown_before = self.best_partial if self.shown else ""
        self.phase = phase
        self.connection, self.item_id, self.previous_item_id = 0, "", None
        self.commit_event_id, self.commit_sent_at, self.not_after = "", None, math.inf
        self.deltas, self.text = [], ""
        self.segments, self.speaker = [], None
        self.replayed = True

    @property
    def takes_audio(self) -> bool:
        """It is the client's own and still open: what comes next is part of it."""
        return self.client_owned and self.span_end is None

    @property
    def settled(self) -> bool:
        """Nothing more will come of it."""
        return self.phase is Phase.SETTLED


def confidence_of(logprobs: object) -> float | None:
    """exp of the mean log-probability of the tokens, 0 to 1; None when the server sent none."""
    if not isinstance(logprobs, list):
        return None
    values = [
        max(_LEAST_LOGPROB, min(0.0, entry["logprob"]))
        for entry in logprobs
        if isinstance(entry, dict) and isinstance(entry.get("logprob"), (int, float))
    ]
    if not values:
        return None
    return math.exp(sum(values) / len(values))


def usage_of(usage: object, depth: int = 3) -> dict[str, Any]:
    """The server's usage object as far as a TEN property can hold it: numbers of 64 bits, short texts, objects."""
    if not isinstance(usage, dict) or depth == 0:
        return {}
    kept: dict[str, Any] = {}
    for key, value in usage.items():
        if isinstance(value, dict):
            kept[key] = usage_of(value, depth - 1)
        elif value is None or (isinstance(value, str) and len(value) <= _LONGEST_USAGE_TEXT):
            kept[key] = value
        elif isinstance(value, (int, float)) and abs(value) < _LARGEST_COUNT:
            kept[key] = value
    return kept


def language_of(languages: object) -> str | None:
    """The first detected language code, if the server named one."""
    if isinstance(languages, list) and languages and isinstance(languages[0], dict):
        code = languages[0].get("code")
        return code if isinstance(code, str) and code else None
    return None
