"""The vendor's own objects as pydantic models, and what all parts of the configuration share.

Each field's description, limits and default are the documentation's source (`config_reference.py`).
"""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from .realtime.options import Eagerness, NoiseReductionType, TurnDetectionType

Delay = Literal["minimal", "low", "medium", "high", "xhigh"]

_PLAIN = {bool: "bool", int: "int", float: "float", str: "string", SecretStr: "string"}
# Levels of other logging systems that users write.
_WORDS = {"warning": "warn", "critical": "error", "fatal": "error"}


def kind_of(annotation: Any) -> str:
    """What a property of this type is to its author: bool, int, float, string, array (of strings) or object."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return kind_of(next(arg for arg in get_args(annotation) if arg is not type(None)))
    if origin is Literal:
        return "string"
    if origin is tuple:
        return "array"
    return _PLAIN.get(annotation, "object")


def words_of(annotation: Any) -> tuple[str, ...]:
    """The words a property accepts, or nothing if it is not a choice between words."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return next((words for arg in get_args(annotation) if (words := words_of(arg))), ())
    return get_args(annotation) if origin is Literal else ()


def limits_of(info: FieldInfo) -> tuple[float | None, float | None]:
    """Smallest and largest value allowed; None where there is no limit."""
    low = next((item.ge for item in info.metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in info.metadata if hasattr(item, "le")), None)
    return low, high


def expected(info: FieldInfo) -> str:
    """What would be right for a field, as the end of "use …"."""
    words = words_of(info.annotation)
    if words:
        return "one of " + ", ".join(words)
    kind = kind_of(info.annotation)
    if kind in ("int", "float"):
        number = "a whole number" if kind == "int" else "a number"
        low, high = (f"{limit:g}" if limit is not None else None for limit in limits_of(info))
        if low is not None and high is not None:
            return f"{number} from {low} to {high}"
        return f"{number} of at least {low}" if low is not None else number
    return {
        "bool": "true or false",
        "string": "a string",
        "array": "an array of strings",
        "object": "an object of strings",
    }[kind]


def reveal(secret: SecretStr | None) -> str | None:
    """The text of an optional secret."""
    return secret.get_secret_value() if secret is not None else None


class Section(BaseModel):
    """What all parts share: nothing unknown, nothing infinite, and scalars taken leniently.

    TEN placeholders resolve to strings only, so "16000", "true" and "en,de" are taken for what they mean.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _lenient(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, str):
            value = value.strip()
            if words_of(annotation):
                word = value.lower()
                return _WORDS.get(word, word) if info.field_name == "log_level" else word
            if kind_of(annotation) == "array":
                return [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, bool) and kind_of(annotation) in ("int", "float"):
            raise ValueError("a boolean is no number")
        return value

    def __repr__(self) -> str:
        """Names only: a repr ends up in logs and tracebacks, and values may be secrets or somebody's words."""
        return f"{type(self).__name__}({', '.join(sorted(self.model_fields_set))})"

    __str__ = __repr__


class TranscriptionConfig(Section):
    """`input_audio_transcription`: what the recogniser is told."""

    model: str = Field(
        default="gpt-live-transcribe", min_length=1, description="Transcription model; any name is taken."
    )
    language: str | None = Field(
        default=None, description='Language of the speech, `en` or `en-US`; `"auto"` is the same as unset.'
    )
    languages: tuple[str, ...] = Field(default=(), description="Possible languages, for models that take several.")
    keywords: tuple[str, ...] = Field(default=(), description="Words to expect: names, products, jargon.")
    prompt: str | None = Field(default=None, description="Context or style hint, for models that take one.")
    delay: Delay | None = Field(
        default=None, description="How long streaming models wait for context before they emit text."
    )
    extra: dict[str, Any] = Field(default={}, description="Fields of the vendor's object we do not know.")

    @field_validator("language")
    @classmethod
    def _auto_is_unset(cls, value: str | None) -> str | None:
        return None if value is not None and value.lower() == "auto" else value


class TurnDetectionConfig(Section):
    """`turn_detection`: who decides where a turn ends."""

    type: TurnDetectionType = Field(
        default="auto",
        description="Who ends turns: the server, the local detector, or (`none`) finalize alone; `auto` is the "
        "server where the model is known to answer it, else the local detector.",
    )
    enabled: bool | None = Field(
        default=None, description="Older form: true means `type` (or `auto`), false means `none`."
    )
    threshold: float = Field(
        default=0.5, ge=0, le=1, description="Probability that counts as speech (server_vad, local_vad)."
    )
    prefix_padding_ms: int = Field(
        default=300, ge=0, le=5_000, description="Audio kept before the onset (server_vad, local_vad)."
    )
    silence_duration_ms: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Silence that ends a turn; unset is 500 for server_vad and 800 for local_vad.",
    )
    eagerness: Eagerness = Field(default="auto", description="How soon semantic_vad ends a turn.")
    min_speech_ms: int = Field(
        default=96,
        ge=0,
        le=5_000,
        description="Speech needed before local_vad believes it; 96 is three windows.",
    )
    extra: dict[str, Any] = Field(default={}, description="Fields of the vendor's object we do not know.")

    @property
    def effective_type(self) -> TurnDetectionType:
        """`type`, unless the older `enabled` switched it off."""
        return "none" if self.enabled is False else self.type


class NoiseReductionConfig(Section):
    """`input_audio_noise_reduction`: what the service does to the audio before it listens."""

    type: NoiseReductionType = Field(
        default="off", description="`near_field` for headsets, `far_field` for rooms and laptops."
    )
    strength: float = Field(default=1.0, ge=0, description="More suppresses more.")
    enabled: bool | None = Field(
        default=None, description="Older form: true means `type` (or `near_field`), false means `off`."
    )
    extra: dict[str, Any] = Field(default={}, description="Fields of the vendor's object we do not know.")

    @property
    def effective_type(self) -> NoiseReductionType:
        """`type`, with the older `enabled` taken into account."""
        if self.enabled is False:
            return "off"
        return "near_field" if self.enabled and self.type == "off" else self.type
