"""The beta protocol's flat session object, from GA's nested one and back.

Source: the provider's beta reference and its migration guide.
"""

from __future__ import annotations

from typing import Any

from ..messages import Json
from ..models import WIRE_FORMAT_OBJECTS

_FORMATS = {str(given["type"]): name for name, given in WIRE_FORMAT_OBJECTS.items()}
_FIELDS = {
    "transcription": "input_audio_transcription",
    "turn_detection": "turn_detection",
    "noise_reduction": "input_audio_noise_reduction",
}


def to_flat(session: Json) -> Json:
    """A GA session object as the beta protocol spells it."""
    given = session["audio"]["input"]
    flat: Json = {"input_audio_format": _FORMATS[given["format"]["type"]]}
    flat.update({name: given[field] for field, name in _FIELDS.items() if field in given})
    if "include" in session:
        flat["include"] = session["include"]
    return flat


def to_nested(flat: Any) -> Json:
    """What a server said in the flat form, as GA would have said it; what is no object is an empty one."""
    if not isinstance(flat, dict):
        return {}
    given: Json = {field: flat[name] for field, name in _FIELDS.items() if name in flat}
    for name, wire_format in WIRE_FORMAT_OBJECTS.items():
        if name == flat.get("input_audio_format"):
            given["format"] = dict(wire_format)
    session: Json = {"audio": {"input": given}}
    session.update({name: flat[name] for name in ("include", "expires_at", "id") if name in flat})
    return session
