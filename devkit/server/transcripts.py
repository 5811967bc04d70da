"""How text leaves the server: in pieces, with its usage and, on request, log-probabilities."""

from __future__ import annotations

import math
import re

from ...realtime.messages import Json
from .models import ModelTraits

_PIECE = re.compile(r"\s*(?:\w+(?:['’-]\w+)*|[^\w\s])|\s+")

AUDIO_TOKENS_PER_SECOND = 10


def pieces(text: str) -> list[str]:
    """*text* cut into words and marks, each with the space before it; joined they are *text* again."""
    return _PIECE.findall(text)


def usage(traits: ModelTraits, seconds: float, transcript: str) -> Json:
    """The `usage` object of `completed` for an item of *seconds* of audio."""
    if traits.usage == "duration":
        billed = math.ceil(seconds) if traits.whole_seconds else round(seconds, 1)
        return {"type": "duration", "seconds": billed}
    audio, text = round(seconds * AUDIO_TOKENS_PER_SECOND), len(pieces(transcript))
    return {
        "type": "tokens",
        "total_tokens": audio + text,
        "input_tokens": audio,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
        "output_tokens": text,
    }


def logprobs(text: str, confidence: float | None) -> list[Json]:
    """One entry for each piece of *text*; our recognisers know one confidence for all of it (unknown: 1)."""
    value = math.log(min(1.0, max(confidence if confidence is not None else 1.0, 1e-6)))
    return [{"token": piece, "logprob": value, "bytes": list(piece.encode())} for piece in pieces(text)]
