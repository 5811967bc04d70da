"""What came out of a graph for one recording, put together from the messages the sink received."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from .job import Received
from .nodes import vendor_metrics

FATAL = -1000
TIMED_OUT = "finalize_timeout"
"Vendor code of the error that says a finalize was answered before all its text had come."
CONSEQUENCES = frozenset({TIMED_OUT, "vendor_failed", "item_failed", "no_transcript", "stopped"})
"Vendor codes of errors that say what became of the audio, and not why."
SHORTFALL_MS = 100
"Audio the recogniser may fall short of what was sent: less than the last frames of a conversion."
_UNSPACED = ("zh", "ja", "th", "lo", "km", "my", "yue")
"Languages written without spaces between sentences."


def vendor_code(error: dict[str, Any]) -> str:
    """The code in an error's `vendor_info`, empty when it has none."""
    info = error.get("vendor_info")
    return str(info.get("code", "")) if isinstance(info, dict) else ""


@dataclass(frozen=True)
class Segment:
    """One final result. Times are milliseconds of the recording."""

    id: str
    start_ms: int
    duration_ms: int
    text: str
    language: str
    words: tuple[dict[str, Any], ...] = ()
    asr_info: dict[str, Any] = field(default_factory=dict)

    @property
    def end_ms(self) -> int:
        """Where it ends."""
        return self.start_ms + self.duration_ms


@dataclass
class Transcript:
    """Everything known about one recording so far; `take` adds to it."""

    file: str
    duration_ms: int
    finals: list[Segment] = field(default_factory=list)
    partials: dict[str, Segment] = field(default_factory=dict)
    "By result id: the newest partial of each turn without a final, the turn heard last at the end."
    errors: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    vendor_metrics: dict[str, Any] = field(default_factory=dict)
    finalized: bool = False
    "The recogniser has answered: all text is there that will come."
    lost_ms: int = 0
    "Audio without a transcript when it answered."
    problem: str | None = None
    "Why it is not all there, as a sentence; None if it is."

    def take(self, message: Received) -> None:
        """Add what *message* says."""
        payload = message.payload
        if message.name == "asr_result":
            self._take_result(payload)
        elif message.name == "metrics":
            self.vendor_metrics.update(vendor_metrics(payload))
            metrics = payload.get("metrics", {})
            self.metrics.update({key: value for key, value in metrics.items() if key != "vendor_metrics"})
        elif message.name == "error":
            self.errors.append(payload)
        elif message.name == "asr_finalize_end":
            self.finalized = True
            self.lost_ms = int(self.vendor_metrics.get("lost_ms", 0))

    def _take_result(self, payload: dict[str, Any]) -> None:
        text = payload.get("text", "").strip()
        segment = Segment(
            id=payload.get("id", ""),
            start_ms=payload["start_ms"],
            duration_ms=payload["duration_ms"],
            text=text,
            language=payload.get("language", "und"),
            words=tuple(payload.get("words", ())),
            asr_info=payload.get("metadata", {}).get("asr_info", {}),
        )
        self.partials.pop(segment.id, None)
        if not payload.get("final"):
            self.partials[segment.id] = segment
        elif text:
            self.finals.append(segment)

    @property
    def partial(self) -> Segment | None:
        """What was heard last and is not final."""
        return next(reversed(self.partials.values()), None)

    def keep(self, partials: Iterable[Segment]) -> None:
        """Count what was heard of sentences that nobody will finish, marked `partial`."""
        finished = {segment.id for segment in self.finals}
        for segment in partials:
            if segment.text and segment.id not in finished:
                self.finals.append(replace(segment, asr_info={**segment.asr_info, "partial": True}))

    @property
    def connected(self) -> bool:
        """Whether the recogniser was reached at least once."""
        return "connect_delay" in self.metrics or bool(self.finals or self.partials)

    @property
    def settled_ms(self) -> int:
        """Audio that is done with, for a progress bar."""
        if {"accepted_ms", "unsettled_ms"} <= self.vendor_metrics.keys():
            return int(self.vendor_metrics["accepted_ms"] - self.vendor_metrics["unsettled_ms"])
        return max((segment.end_ms for segment in self.finals), default=0)

    @property
    def segments(self) -> list[Segment]:
        """The finals in the order of the recording, also those that came late."""
        return sorted(self.finals, key=lambda segment: segment.start_ms)

    @property
    def language(self) -> str:
        """The language most of the speech is in; `und` if that is unknown."""
        spoken: Counter[str] = Counter()
        for segment in self.finals:
            spoken[segment.language] += segment.duration_ms
        return spoken.most_common(1)[0][0] if spoken else "und"

    @property
    def text(self) -> str:
        """All segments as running text."""
        space = "" if self.language.partition("-")[0] in _UNSPACED else " "
        return space.join(segment.text for segment in self.segments)

    @property
    def fatal_error(self) -> dict[str, Any] | None:
        """The error after which the extension does nothing any more."""
        return next((error for error in self.errors if error.get("code") == FATAL), None)

    @property
    def causes(self) -> list[dict[str, Any]]:
        """The errors that say why."""
        return [error for error in self.errors if vendor_code(error) not in CONSEQUENCES]

    def shortfall(self) -> str | None:
        """After a run that was answered: why the transcript is not complete, or None when it is.

        An extension that swallows frames may still answer its finalize, so silence needs evidence: audio that was
        sent, or the extension's own word that it took the audio and found nothing in it to send.
        """
        accepted_ms = self.vendor_metrics.get("accepted_ms")
        if self.lost_ms:
            return f"{self.lost_ms / 1000:.1f} s of the audio could not be transcribed"
        if any(vendor_code(error) == TIMED_OUT for error in self.errors):
            late = "the recogniser did not finish in time"
            return f"{late}, after an error" if self.causes else f"{late}: give it more with --timeout"
        if accepted_ms is not None and accepted_ms + SHORTFALL_MS < self.duration_ms:
            return f"only {accepted_ms / 1000:.1f} s of the audio reached the recogniser"
        if not self.finals and not self.metrics.get("actual_send") and accepted_ms is None:
            return "no audio reached the recogniser: an extension of the graph swallows the frames"
        return None
