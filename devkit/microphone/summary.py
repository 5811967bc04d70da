"""What a recording came to, in a few lines."""

from __future__ import annotations

from ..transcription.transcript import Transcript
from .feed import Feed


def summary(transcript: Transcript, feed: Feed, overflows: int) -> str:
    """Audio, words, how long they took, and what happened to sound on its way."""
    numbers = transcript.vendor_metrics
    spoken = sum(len(segment.text.split()) for segment in transcript.finals)
    lines = [
        f"{feed.audio_ms / 1000:.1f} s of audio, {_count(len(transcript.finals), 'final')}, {_count(spoken, 'word')}"
    ]
    median_ms, p95_ms = feed.latency_ms(50), feed.latency_ms(95)
    if median_ms is not None and p95_ms is not None:
        lines.append(f"end of speech to final: median {median_ms:.0f} ms, p95 {p95_ms:.0f} ms")
    milliseconds = ", ".join(f"{name} {numbers.get(f'{name}_ms', 0):.0f} ms" for name in ("lost", "gated", "replayed"))
    reconnects = _count(int(numbers.get("reconnects", 0)), "reconnect")
    lines.append(f"{reconnects}, {milliseconds}, {_count(overflows, 'overflow')}")
    return "\n".join(lines)


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
