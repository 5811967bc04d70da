"""What each transcription model accepts and how it behaves on the wire, as data.

Kept apart from the client's own table on purpose: a wrong rule on one side must not hide behind the same wrong
rule on the other. Source: the provider's model pages and Realtime reference, and captures, as of November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelTraits:
    """How one family of models behaves. The defaults are those of a name nobody knows: it takes everything."""

    fields: frozenset[str] = frozenset({"language", "languages", "keywords", "prompt", "delay"})
    "What it accepts in `transcription` besides `model`."
    always_echoed: tuple[str, ...] = ()
    "Fields that `session.updated` names even when they are unset."
    streams_before_commit: bool = False
    "Sends text while the speaker speaks. Such models accept no turn detection."
    single_delta: bool = False
    "All text comes in at most one delta."
    logprobs: bool = False
    reports_languages: bool = False
    "`completed` names the languages that were heard."
    usage: Literal["tokens", "duration"] = "duration"
    whole_seconds: bool = False
    "Duration is billed by started seconds."


def _traits(*fields: str, **behaviour: object) -> ModelTraits:
    return ModelTraits(fields=frozenset(fields), **behaviour)  # type: ignore[arg-type]


_GPT_4O = _traits("language", "prompt", always_echoed=("language", "prompt"), logprobs=True, usage="tokens")

MODELS: dict[str, ModelTraits] = {
    "gpt-live-transcribe": _traits("languages", "keywords", "prompt", "delay", streams_before_commit=True),
    "gpt-realtime-whisper": _traits("language", "delay", streams_before_commit=True),
    "gpt-transcribe": _traits("languages", "keywords", "prompt", reports_languages=True, whole_seconds=True),
    "gpt-4o-transcribe": _GPT_4O,
    "gpt-4o-mini-transcribe": _GPT_4O,
    "gpt-4o-mini-transcribe-2025-12-15": _GPT_4O,
    "gpt-4o-transcribe-diarize": _traits("language", always_echoed=("language",), usage="tokens"),
    "whisper-1": _traits(
        "language",
        "prompt",
        always_echoed=("language", "prompt"),
        single_delta=True,
        whole_seconds=True,
    ),
}

UNKNOWN_MODEL = ModelTraits()


def traits_of(model: str) -> ModelTraits:
    """The traits of *model*; a name we do not know transcribes after the commit and refuses no field."""
    return MODELS.get(model, UNKNOWN_MODEL)
