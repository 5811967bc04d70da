"""What was played against what was received: nothing else goes into a row of the table."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

Json = dict[str, Any]

_WORD = re.compile(r"b(\d+)")


@dataclass(frozen=True)
class Played:
    """A block that the source played: its label, and its sound in milliseconds of the stream."""

    label: int
    start_ms: float
    end_ms: float
    lead_ms: float = 0.0
    "Voice before it that belongs to its utterance and to no block."


@dataclass
class Received:
    """All that the tester got from the extension, with the tester's own clock (seconds)."""

    results: list[tuple[float, Json]] = field(default_factory=list)
    errors: list[tuple[float, Json]] = field(default_factory=list)
    asked: dict[str, float] = field(default_factory=dict)
    "When each finalize was sent, by its id."
    answers: list[tuple[float, str]] = field(default_factory=list)
    dropped: int = 0
    "Messages that the host refused for their types."
    failure: str = ""
    "Why the run ended early, if it did."

    @property
    def finals(self) -> list[Json]:
        """Results that are final, in the order in which they came."""
        return [result for _, result in self.results if result.get("final")]

    def labels(self) -> Counter[int]:
        """How often each label stands in a final."""
        return Counter(label for final in self.finals for label in labels_of(final))


@dataclass
class Score:
    """One row. Sums over the streams of a scenario, except where *worst* stands in the name."""

    streams: int = 0
    expected: int = 0
    "Blocks that were played."
    received: int = 0
    "Different ones of them that came in finals."
    lost: int = 0
    doubled: int = 0
    "How often a block came again."
    invented: int = 0
    "Words in finals that nobody had played."
    out_of_order: int = 0
    "Blocks that came after a later one, in text that is not marked late."
    late: int = 0
    "Blocks in text marked late; they may come after the answer to their finalize."
    promoted: int = 0
    "Finals that were said before the server had finished them, because a finalize could not wait."
    worst_start_ms: float = 0.0
    "Largest distance of a final's `start_ms` from where it should be; see `start_error`. Late text does not count."
    errors: int = 0
    fatal: int = 0
    fatal_after_s: list[float] = field(default_factory=list)
    "From the first error of a stream to its fatal one."
    error_codes: dict[str, int] = field(default_factory=dict)
    finalizes: int = 0
    answers: int = 0
    unanswered: int = 0
    answered_twice: int = 0
    worst_answer_ms: float = 0.0
    mixed: int = 0
    "Results that came under an id after its final."
    dropped: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Take another stream's figures in."""
        for entry in fields(Score):
            mine, theirs = getattr(self, entry.name), getattr(other, entry.name)
            if entry.name.startswith("worst"):
                setattr(self, entry.name, max(mine, theirs))
            elif isinstance(mine, dict):
                setattr(self, entry.name, dict(Counter(mine) + Counter(theirs)))
            else:
                setattr(self, entry.name, mine + theirs)


def labels_of(result: Json) -> list[int]:
    """Labels in a result's text, in order."""
    return [int(label) for label in _WORD.findall(result.get("text") or "")]


def score(played: list[Played], received: Received, prefix_ms: int) -> Score:
    """Judge one stream. *prefix_ms*: what the server puts before the speech of a turn (0 for turns of our own)."""
    truth = {block.label: block for block in played}
    counts = received.labels()
    row = Score(streams=1, expected=len(truth))
    row.received = sum(label in truth for label in counts)
    row.lost = row.expected - row.received
    row.doubled = sum(count - 1 for label, count in counts.items() if label in truth)
    row.invented = sum(count for label, count in counts.items() if label not in truth)
    row.invented += sum(len(_WORD.sub("", final.get("text") or "").split()) for final in received.finals)
    _judge_order(row, received)
    row.worst_start_ms = max((abs(error) for _, error in start_errors(truth, received, prefix_ms)), default=0.0)
    row.errors = len(received.errors)
    row.fatal = sum(error.get("code") == -1000 for _, error in received.errors)
    row.fatal_after_s = _fatal_after_s(received)
    row.promoted = sum(bool(final["metadata"]["asr_info"].get("promoted")) for final in received.finals)
    row.error_codes = dict(Counter(str(error.get("vendor_info", {}).get("code")) for _, error in received.errors))
    _judge_answers(row, received)
    row.mixed = _mixed(received)
    row.dropped = received.dropped
    row.failures = [received.failure] if received.failure else []
    return row


def start_errors(truth: dict[int, Played], received: Received, prefix_ms: int) -> list[tuple[int, float]]:
    """Milliseconds by which each final starts too late (negative: too early), with the first label in it.

    A turn of our own starts where its first block sounds, or at the voice before it where there is one. A turn of the
    server starts *prefix_ms* before that, or less when that is not there: at the end of the final before, or where a
    new connection's audio begins. So anything from the prefix to the sound is right for it.
    """
    errors = []
    for final in received.finals:
        known = [truth[label] for label in labels_of(final) if label in truth]
        if not known or final["metadata"]["asr_info"].get("late"):
            continue
        latest = known[0].start_ms
        earliest = latest - max(prefix_ms, known[0].lead_ms)
        start = final["start_ms"]
        errors.append((known[0].label, start - min(max(start, earliest), latest)))
    return errors


def _judge_order(row: Score, received: Received) -> None:
    seen: set[int] = set()
    furthest = -1
    for final in received.finals:
        late = bool(final["metadata"]["asr_info"].get("late"))
        for label in labels_of(final):
            row.late += late
            if label < furthest and label not in seen and not late:
                row.out_of_order += 1
            seen.add(label)
            furthest = max(furthest, label)


def _judge_answers(row: Score, received: Received) -> None:
    counts = Counter(name for _, name in received.answers)
    row.finalizes = len(received.asked)
    row.answers = len(received.answers)
    row.unanswered = sum(name not in counts for name in received.asked)
    row.answered_twice = sum(count - 1 for count in counts.values())
    waits = [at - received.asked[name] for at, name in received.answers if name in received.asked]
    row.worst_answer_ms = max(waits, default=0.0) * 1000


def _fatal_after_s(received: Received) -> list[float]:
    fatal = [at for at, error in received.errors if error.get("code") == -1000]
    return [min(fatal) - received.errors[0][0]] if fatal else []


def _mixed(received: Received) -> int:
    closed: set[str] = set()
    mixed = 0
    for _, result in received.results:
        mixed += result["id"] in closed
        if result.get("final"):
            closed.add(result["id"])
    return mixed
