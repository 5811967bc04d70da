"""How a transcript is printed: the formats people know from Whisper, with times from our own results."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .transcript import Segment, Transcript


def as_text(transcript: Transcript) -> str:
    """One segment a line."""
    return "".join(f"{segment.text}\n" for segment in transcript.segments)


def as_json(transcript: Transcript) -> str:
    """One object on one line; docs/transcript.schema.json describes it."""
    return json.dumps(_object(transcript, _segment), ensure_ascii=False) + "\n"


def as_verbose_json(transcript: Transcript) -> str:
    """The same object with words, metrics and errors in it, on one line."""
    extra = {
        "metrics": {**transcript.metrics, **transcript.vendor_metrics},
        "errors": transcript.errors,
        "problem": transcript.problem,
    }
    return json.dumps({**_object(transcript, _verbose_segment), **extra}, ensure_ascii=False) + "\n"


def as_srt(transcript: Transcript) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    return "\n".join(
        f"{number}\n{_clock(segment.start_ms, ',')} --> {_clock(segment.end_ms, ',')}\n{_one_line(segment.text)}\n"
        for number, segment in enumerate(transcript.segments, 1)
    )


def as_vtt(transcript: Transcript) -> str:
    """WebVTT; a recording without speech still gives a file with its header."""
    cues = [
        f"\n{_clock(segment.start_ms, '.')} --> {_clock(segment.end_ms, '.')}\n{_escaped(_one_line(segment.text))}\n"
        for segment in transcript.segments
    ]
    return "".join(["WEBVTT\n", *cues])


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{rest:03d}"


def _one_line(text: str) -> str:
    """A blank line would end the cue."""
    return " ".join(text.split())


def _escaped(text: str) -> str:
    """WebVTT's cue text has tags and character references (https://www.w3.org/TR/webvtt1/#cue-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _object(transcript: Transcript, segment: Callable[[Segment], dict[str, Any]]) -> dict[str, Any]:
    return {
        "file": transcript.file,
        "text": transcript.text,
        "duration_ms": transcript.duration_ms,
        "language": transcript.language,
        "segments": [segment(each) for each in transcript.segments],
    }


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "id": segment.id,
        "start_ms": segment.start_ms,
        "duration_ms": segment.duration_ms,
        "text": segment.text,
        "language": segment.language,
        "asr_info": segment.asr_info,
    }


def _verbose_segment(segment: Segment) -> dict[str, Any]:
    return {**_segment(segment), "words": list(segment.words)}


FORMATS: dict[str, Callable[[Transcript], str]] = {
    "text": as_text,
    "json": as_json,
    "verbose_json": as_verbose_json,
    "srt": as_srt,
    "vtt": as_vtt,
}

ONE_FILE_ONLY = frozenset({"srt", "vtt"})
"Formats that cannot hold more than one recording."
