"""The flat session object of the retired beta, which other servers have kept."""

from __future__ import annotations

from ....realtime.messages import Json
from ....realtime.models import WIRE_FORMAT_OBJECTS

FORMATS: dict[str, Json] = {name: dict(given) for name, given in WIRE_FORMAT_OBJECTS.items()}

FIELDS = {
    "input_audio_format": "format",
    "input_audio_transcription": "transcription",
    "input_audio_noise_reduction": "noise_reduction",
    "turn_detection": "turn_detection",
}
"Flat name, name in `audio.input`."


def input_of(session: object) -> Json | None:
    """`audio.input` of a GA session object; None if it is none (a fault made it up)."""
    audio = session.get("audio") if isinstance(session, dict) else None
    given = audio.get("input") if isinstance(audio, dict) else None
    return given if isinstance(given, dict) else None


def flat_format(audio_format: object) -> str:
    """The flat name of a GA `format`."""
    return next((name for name, value in FORMATS.items() if value == audio_format), "pcm16")


def flat_names(text: str) -> str:
    """*text* with the flat names of the parameters it speaks of."""
    for flat, nested in FIELDS.items():
        text = text.replace(f"session.audio.input.{nested}", f"session.{flat}")
    return text


def created_item(event: Json) -> Json:
    """`conversation.item.created` for a GA `conversation.item.added`."""
    item = event["item"]
    if isinstance(item, dict):
        item = {"id": item.get("id"), "object": "realtime.item", **item}
    return {**event, "type": "conversation.item.created", "item": item}
