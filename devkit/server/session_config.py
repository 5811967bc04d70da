"""The effective configuration of a session, and what an update may do to it: all of it, or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...realtime.messages import Json
from .errors import RequestRefused, quoted_list
from .models import UNKNOWN_MODEL, ModelTraits, traits_of

LOGPROBS = "item.input_audio_transcription.logprobs"
MAX_PROMPT_CHARACTERS = 1024
PCM_RATE = 24000

# The numbers of the live service's default object; its documentation says 500 ms of silence.
_SERVER_VAD: Json = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
}
_SEMANTIC_VAD: Json = {"type": "semantic_vad", "eagerness": "auto"}

Check = Callable[[Any, str], Any]


@dataclass(frozen=True)
class SessionConfig:
    """`session` of the wire, without its identity. The objects inside are never changed in place."""

    format: Json = field(default_factory=lambda: {"type": "audio/pcm", "rate": PCM_RATE})
    transcription: Json | None = None
    noise_reduction: Json | None = None
    turn_detection: Json | None = field(default_factory=lambda: dict(_SERVER_VAD))
    include: list[str] | None = None
    models: Callable[[str], ModelTraits] = field(default=traits_of, compare=False)
    "What the server knows of a model by its name."
    knows_language: Callable[[str], bool] = field(default=lambda language: True, compare=False)
    "Whether the recogniser does."

    @property
    def traits(self) -> ModelTraits:
        """Traits of the configured model; of an unknown one while transcription is off."""
        return self.models(self.transcription["model"]) if self.transcription else UNKNOWN_MODEL

    def to_wire(self, session_id: str, expires_at: int) -> Json:
        """The object in `session.created` and `session.updated`. *expires_at* is in epoch seconds."""
        transcription = self.transcription
        if transcription is not None:
            transcription = {**transcription}
            for name in self.traits.always_echoed:
                transcription.setdefault(name, None)
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": session_id,
            "expires_at": expires_at,
            "audio": {
                "input": {
                    "format": self.format,
                    "transcription": transcription,
                    "noise_reduction": self.noise_reduction,
                    "turn_detection": self.turn_detection,
                }
            },
            "include": self.include,
        }


def apply_update(config: SessionConfig, update: Json) -> SessionConfig:
    """*config* with the sparse *update* merged in: an absent field stays, null switches off.

    Raises RequestRefused for the first thing wrong; then nothing of the update counts.
    """
    if "type" not in update:
        raise _missing("session.type")
    kind = _string(update["type"], "session.type")
    if kind == "realtime":
        raise RequestRefused(
            "invalid_parameter",
            "Passing a realtime session update event to a transcription session is not allowed.",
        )
    _one_of("transcription")(kind, "session.type")
    _object(update, "session", {"type": _string, "audio": _object_or_null, "include": _include})
    audio = update.get("audio") or {}
    _object(audio, "session.audio", {"input": _object_or_null})
    given = audio.get("input") or {}
    where = "session.audio.input"
    parts = dict.fromkeys(("format", "transcription", "noise_reduction", "turn_detection"), _object_or_null)
    _object(given, where, parts)
    changed = config
    if "include" in update:
        changed = replace(changed, include=update["include"])
    if given.get("format") is not None:
        changed = replace(changed, format=_format(given["format"], f"{where}.format"))
    if "noise_reduction" in given:
        merged = _noise_reduction(given["noise_reduction"], config.noise_reduction, f"{where}.noise_reduction")
        changed = replace(changed, noise_reduction=merged)
    if "transcription" in given:
        merged = _transcription(given["transcription"], config, f"{where}.transcription")
        changed = replace(changed, transcription=merged)
    if "turn_detection" in given:
        merged = _turn_detection(given["turn_detection"], config.turn_detection, f"{where}.turn_detection")
        changed = replace(changed, turn_detection=merged)
    return _settle_turn_detection(changed, given, f"{where}.turn_detection")


def _settle_turn_detection(config: SessionConfig, given: Json, param: str) -> SessionConfig:
    if not config.traits.streams_before_commit or config.turn_detection is None:
        return config
    if given.get("turn_detection") is not None:
        raise RequestRefused("invalid_value", "Turn detection is not supported for this transcription model.", param)
    # Left out with such a model: documented to mean off.
    return replace(config, turn_detection=None)


# The objects of `session.audio.input` -------------------------------------------------------------------------


def _format(given: Json, param: str) -> Json:
    kind = _required_type(given, param, "audio/pcm", "audio/pcmu", "audio/pcma")
    if kind != "audio/pcm":
        _object(given, param, {"type": _string})
        return {"type": kind}
    _object(given, param, {"type": _string, "rate": _integer(PCM_RATE, PCM_RATE)})
    return {"type": kind, "rate": PCM_RATE}


def _noise_reduction(given: Json | None, current: Json | None, param: str) -> Json | None:
    if given is None:
        return None
    fields = {"type": _one_of("near_field", "far_field"), "strength": _number(0.0, None)}
    _object(given, param, fields)
    if "type" not in given and current is None:
        raise _missing(f"{param}.type")
    return {"strength": 1, **(current or {}), **given}


def _transcription(given: Json | None, config: SessionConfig, param: str) -> Json | None:
    if given is None:
        return None
    checks: dict[str, Check] = {
        "model": _string,
        "language": _nullable(_known(config)),
        "languages": _languages(_known(config)),
        "keywords": _keywords,
        "prompt": _prompt,
        "delay": _nullable(_one_of("minimal", "low", "medium", "high", "xhigh")),
    }
    _object(given, param, checks)
    current = config.transcription or {}
    model = given.get("model", current.get("model"))
    if not model:
        raise _missing(f"{param}.model")
    accepted = config.models(model).fields
    told = {name: value for name, value in given.items() if name != "model" and value is not None}
    if "language" in told and "languages" in told:
        raise RequestRefused(
            "invalid_value", "Only one of 'language' and 'languages' can be given.", f"{param}.languages"
        )
    for name in told:
        if name not in accepted:
            raise RequestRefused(
                "unknown_parameter",
                f"Unsupported parameter: '{param}.{name}' is not supported with the '{model}' model.",
                f"{param}.{name}",
            )
    kept = {name: value for name, value in current.items() if name in accepted and name not in given}
    if given.get("language", "") is None and "language" in current and "language" in accepted:
        # A language can be changed but not taken back within a session.
        kept["language"] = current["language"]
    return {"model": model, **kept, **told}


def _turn_detection(given: Json | None, current: Json | None, param: str) -> Json | None:
    if given is None:
        return None
    if "type" not in given and current is not None:
        given = {"type": current["type"], **given}
    kind = _required_type(given, param, "server_vad", "semantic_vad")
    # Conversation fields: accepted, without effect where nothing responds.
    checks: dict[str, Check] = {
        "type": _string,
        "create_response": _nullable(_boolean),
        "interrupt_response": _nullable(_boolean),
    }
    if kind == "semantic_vad":
        checks["eagerness"] = _one_of("low", "medium", "high", "auto")
        base = _SEMANTIC_VAD
    else:
        checks |= {
            "threshold": _number(0.0, 1.0),
            "prefix_padding_ms": _integer(0, None),
            "silence_duration_ms": _integer(0, None),
            "idle_timeout_ms": _nullable(_integer(5000, 30000)),
        }
        base = _SERVER_VAD
    _object(given, param, checks)
    same = current if current is not None and current["type"] == kind else {}
    told = {name: value for name, value in given.items() if value is not None}
    return {**base, **same, **told}


# Checks: each takes (value, parameter name) and raises RequestRefused ----------------------------------------


def _missing(param: str) -> RequestRefused:
    return RequestRefused("missing_required_parameter", f"Missing required parameter: '{param}'.", param)


def _wrong_type(value: Any, param: str, expected: str) -> RequestRefused:
    return RequestRefused(
        "invalid_type",
        f"Invalid type for '{param}': expected {expected}, but got {_kind(value)} instead.",
        param,
    )


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a decimal", str: "a string", list: "an array"}
    return names.get(type(value), "an object")


def _object(value: Any, param: str, checks: Mapping[str, Check]) -> None:
    for name, inner in value.items():
        if name not in checks:
            raise RequestRefused("unknown_parameter", f"Unknown parameter: '{param}.{name}'.", f"{param}.{name}")
        checks[name](inner, f"{param}.{name}")


def _object_or_null(value: Any, param: str) -> None:
    if value is not None and not isinstance(value, dict):
        raise _wrong_type(value, param, "an object or null")


def _required_type(given: Json, param: str, *values: str) -> str:
    if "type" not in given:
        raise _missing(f"{param}.type")
    kind: str = _one_of(*values)(given["type"], f"{param}.type")
    return kind


def _nullable(check: Check) -> Check:
    return lambda value, param: None if value is None else check(value, param)


def _string(value: Any, param: str) -> str:
    if not isinstance(value, str):
        raise _wrong_type(value, param, "a string")
    return value


def _boolean(value: Any, param: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong_type(value, param, "a boolean")
    return value


def _one_of(*values: str) -> Check:
    def check(value: Any, param: str) -> str:
        if _string(value, param) not in values:
            raise RequestRefused(
                "invalid_value",
                f"Invalid value: '{value}'. Supported values are: {quoted_list(values)}.",
                param,
            )
        return str(value)

    return check


def _bounds(value: float, param: str, kind: str, low: float | None, high: float | None) -> None:
    if low is not None and value < low:
        side, sign, bound, code = "below minimum", ">=", low, f"{kind}_below_min_value"
    elif high is not None and value > high:
        side, sign, bound, code = "above maximum", "<=", high, f"{kind}_above_max_value"
    else:
        return
    raise RequestRefused(
        code,
        f"Invalid '{param}': {kind} {side} value. Expected a value {sign} {bound}, but got {value} instead.",
        param,
    )


def _integer(low: int | None, high: int | None) -> Check:
    def check(value: Any, param: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong_type(value, param, "an integer")
        _bounds(value, param, "integer", low, high)
        return value

    return check


def _number(low: float | None, high: float | None) -> Check:
    def check(value: Any, param: str) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise _wrong_type(value, param, "a decimal")
        _bounds(value, param, "decimal", low, high)
        return value

    return check


def _strings(value: Any, param: str) -> list[str]:
    if not isinstance(value, list):
        raise _wrong_type(value, param, "an array of strings")
    for index, entry in enumerate(value):
        _string(entry, f"{param}[{index}]")
    return value


def _include(value: Any, param: str) -> None:
    if value is not None:
        for index, entry in enumerate(_strings(value, param)):
            _one_of(LOGPROBS)(entry, f"{param}[{index}]")


def _known(config: SessionConfig) -> Check:
    def check(value: Any, param: str) -> None:
        if _string(value, param) and not config.knows_language(value):
            message = f"Invalid value: '{value}'. This model does not know the language."
            raise RequestRefused("invalid_value", message, param)

    return check


def _languages(known: Check) -> Check:
    def check(value: Any, param: str) -> None:
        if not _strings(value, param):
            raise RequestRefused(
                "empty_array",
                f"Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array "
                "instead.",
                param,
            )
        for index, entry in enumerate(value):
            known(entry, f"{param}[{index}]")

    return check


def _keywords(value: Any, param: str) -> None:
    if value is None:
        return
    for index, entry in enumerate(_strings(value, param)):
        if re.search(r"[<>\r\n]", entry):
            raise RequestRefused(
                "invalid_value",
                f"Invalid '{param}[{index}]': keywords must not contain '<', '>' or line breaks.",
                f"{param}[{index}]",
            )


def _prompt(value: Any, param: str) -> None:
    if value is not None and len(_string(value, param)) > MAX_PROMPT_CHARACTERS:
        raise RequestRefused(
            "string_above_max_length",
            f"Invalid '{param}': string too long. Expected a string with maximum length "
            f"{MAX_PROMPT_CHARACTERS}, but got a string with length {len(value)} instead.",
            param,
        )
