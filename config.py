"""The extension's configuration: one model whichever way a node's property is spelled, secrets masked
throughout.

`OpenAIASRConfig.load` is the way in: spelling (`config_spelling.py`), environment, types and limits, then
what only shows in combination (`config_checks.py`). Everything wrong is reported at once, in one
ConfigurationError that names each place as its author wrote it, what was found there (never a secret) and
what would be right.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError

from .config_checks import check, doubts, problems_of
from .config_sections import (
    NoiseReductionConfig,
    Section,
    TranscriptionConfig,
    TurnDetectionConfig,
    reveal,
)
from .config_spelling import Spelling, normalise
from .realtime import endpoint, language
from .realtime.dialects.choice import DialectChoice
from .realtime.errors import ConfigurationError, Problem
from .realtime.models import ModelRules, OpenNoiseReductionOptions, shutdown_notice
from .realtime.options import (
    NoiseReductionOptions,
    SessionOptions,
    TranscriptionOptions,
    TurnDetectionOptions,
    WireFormat,
)

LogLevel = Literal["debug", "info", "warn", "error"]
DialectName = Literal["auto", "openai", "azure", "azure_ephemeral", "beta", "speaches", "vllm"]

_MASK = "***"


@dataclass(frozen=True)
class ConnectionSettings:
    """Where to connect and as whom, in the clear; whatever may be secret is left out of its `repr`."""

    base_url: str = field(repr=False)
    api_key: str | None = field(repr=False)
    api_key_command: str | None = field(repr=False)
    "Run per connect; its output is the key."
    organization: str | None = field(repr=False)
    project: str | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    "More handshake headers; they replace ours of the same name."
    proxy: str | None = field(repr=False)
    "URL of a proxy; None is what the system says."
    ca_file: str | None
    dialect: DialectName
    model: str

    @property
    def display_url(self) -> str:
        """The session's URL as a log may show it."""
        return endpoint.display_url(DialectChoice(self.dialect, self.base_url).url(self.model))


class OpenAIASRConfig(Section):
    """Every property of the extension. Build it with `load`. Numbers are milliseconds unless the name says more."""

    auto_connect: bool = Field(default=True, description="Connect at start; false waits for `trigger_connect`.")
    dump: bool = Field(default=False, description="Record the raw input audio.")
    dump_path: str = Field(
        default="./dump", min_length=1, description="Directory, or a `.pcm` or `.wav` file, for the recording."
    )
    dump_max_mb: int = Field(default=1024, ge=1, description="Size in MB at which a recording ends.")
    log_level: LogLevel = Field(default="info", description="Our own level; transcripts are logged at `debug` only.")
    strict_config: bool = Field(default=False, description="Unknown properties are errors, not warnings.")
    api_key: SecretStr | None = Field(default=None, description="Key or ephemeral secret.")
    organization: SecretStr | None = Field(default=None, description="Sent as `OpenAI-Organization`.")
    project: SecretStr | None = Field(default=None, description="Sent as `OpenAI-Project`.")
    api_key_command: SecretStr | None = Field(
        default=None, description="Command run at every connect; what it prints is the key."
    )
    base_url: SecretStr = Field(
        default=SecretStr(endpoint.DEFAULT_BASE_URL),
        description="ws, wss, http or https URL, with or without trailing slash; `/realtime` is added.",
    )
    dialect: DialectName = Field(
        default="auto", description="Kind of server; `auto` finds it out from the URL and the server's first event."
    )
    headers: dict[str, SecretStr] = Field(default={}, description="More headers for the handshake.")
    proxy: SecretStr | None = Field(
        default=None, description="http or socks URL of a proxy; unset is what the system says."
    )
    ca_file: str | None = Field(
        default=None, description="PEM file of the certificates to trust; unset trusts the system's."
    )
    sample_rate: int = Field(default=16_000, ge=8_000, le=48_000, description="Hz of the frames.")
    channels: int = Field(default=1, ge=1, le=8, description="Channels of the frames; they are mixed to one.")
    input_encoding: WireFormat = Field(default="pcm16", description="Encoding of the frames.")
    input_audio_format: WireFormat = Field(
        default="pcm16", description="Encoding on the wire; PCM is the better choice for G.711 frames too."
    )
    input_audio_transcription: TranscriptionConfig = Field(default_factory=TranscriptionConfig)
    turn_detection: TurnDetectionConfig = Field(default_factory=TurnDetectionConfig)
    input_audio_noise_reduction: NoiseReductionConfig = Field(default_factory=NoiseReductionConfig)
    include: tuple[str, ...] = Field(
        default=(), description="More output, such as `item.input_audio_transcription.logprobs`."
    )
    connect_timeout_ms: int = Field(default=10_000, ge=100, description="From dialling to a configured session.")
    finalize_timeout_ms: int = Field(default=2_000, ge=1, description="A finalize is answered by then.")
    stop_drain_ms: int = Field(default=500, ge=0, description="What a stop waits for the last words.")
    replay_window_ms: int = Field(
        default=60_000,
        ge=0,
        description="Audio kept to be sent again after a drop; 0 switches that off (10 s are kept for a first send).",
    )
    replay_speed: float = Field(
        default=4.0, ge=1, description="Speed at which audio that is behind goes out, times real time."
    )
    replay_speed_streaming: float = Field(
        default=1.25,
        ge=1,
        description="The same for models that stream: a decoder cannot be fed much faster than speech.",
    )
    max_turn_ms: int = Field(
        default=30_000,
        ge=1_000,
        description="Longest turn, whoever owns it; at most half of `replay_window_ms`, unless that is 0.",
    )
    order_hold_ms: int = Field(
        default=4_000, ge=0, description="How long a final waits for an earlier one before that is repaired."
    )
    commit_timeout_ms: int = Field(
        default=3_000, ge=1, description="A commit is answered by then, or the connection is renewed."
    )
    item_timeout_ms: int = Field(
        default=6_000,
        ge=1,
        le=20_000,
        description="An item has its text by then plus half its length, or it is overdue; a server that was slow gets "
        "more time. At most 20 s.",
    )
    ping_interval_ms: int = Field(default=5_000, ge=1, description="Time between pings.")
    ping_timeout_ms: int = Field(default=6_000, ge=1, description="A ping is answered by then.")
    send_stall_ms: int = Field(default=8_000, ge=1, description="A send blocked that long is a lost connection.")
    send_interval_ms: int = Field(default=0, ge=0, le=1_000, description="Audio goes out that often; 0 is at once.")

    @classmethod
    def load(
        cls, properties: Mapping[str, Any], environ: Mapping[str, str] | None = None, *, today: date | None = None
    ) -> LoadedConfig:
        """The configuration of a node's *properties* (placeholders resolved), in any spelling.

        *environ* is `os.environ` unless given, *today* the system's date. Raises ConfigurationError listing everything
        that cannot work. Fields the model does not take are no problem here: `session_object` translates them or warns.
        """
        return cls.of(normalise(properties, os.environ if environ is None else environ), today=today)

    @classmethod
    def of(cls, spelling: Spelling, *, today: date | None = None) -> LoadedConfig:
        """The configuration of a property in canonical form. Raises as `load` does."""
        config = cls.read(spelling)
        problems = [*spelling.problems, *check(config, spelling)]
        if config.strict_config:
            problems += [Problem(key.place, "unknown", key.remedy) for key in spelling.unknown]
        if problems:
            raise ConfigurationError.of(problems)
        warnings = [f"property {key.place} is unknown and ignored: {key.remedy}" for key in spelling.unknown]
        warnings += doubts(config, spelling)
        notice = shutdown_notice(config.input_audio_transcription.model, today or date.today())
        if notice is not None:
            warnings.append(notice)
        return LoadedConfig(config, tuple(warnings))

    @classmethod
    def read(cls, spelling: Spelling) -> OpenAIASRConfig:
        """The same before what only shows in combination is checked. Raises for values of the wrong kind."""
        try:
            return cls.model_validate(spelling.values)._settled(spelling)
        except ValidationError as exc:
            raise ConfigurationError.of([*spelling.problems, *problems_of(exc, cls, spelling)]) from None

    def _settled(self, spelling: Spelling) -> OpenAIASRConfig:
        """With the defaults that depend on what else was written."""
        changes: dict[str, Any] = {}
        half = self.replay_window_ms // 2
        if "max_turn_ms" not in self.model_fields_set and 1_000 <= half < self.max_turn_ms:
            changes["max_turn_ms"] = half
        if self.api_key_command is not None and ("api_key",) in spelling.shipped:
            changes["api_key"] = None
        return self.model_copy(update=changes)

    @property
    def language(self) -> str | None:
        """The configured language as its author wrote it, also when it is the only one of `languages`."""
        transcription = self.input_audio_transcription
        if transcription.language is None and len(transcription.languages) == 1:
            return transcription.languages[0]
        return transcription.language

    def result_language(self, detected: str | None) -> str:
        """The tag a result carries when the server heard *detected* (None: it did not say)."""
        configured = self.language
        if detected is not None:
            code = language.primary_subtag(detected)
            tags = [tag for tag in (configured, *self.input_audio_transcription.languages) if tag is not None]
            configured = next((tag for tag in tags if language.primary_subtag(tag) == code), configured)
        return language.result_language(configured, detected)

    @property
    def model_rules(self) -> ModelRules:
        """What can be asked of the model, on this kind of server as far as the configuration tells it."""
        kind = DialectChoice(self.dialect, self.base_url.get_secret_value()).kind
        return kind.rules(self.input_audio_transcription.model)

    @property
    def connection(self) -> ConnectionSettings:
        """Where to connect and as whom."""
        return ConnectionSettings(
            base_url=self.base_url.get_secret_value(),
            api_key=reveal(self.api_key),
            api_key_command=reveal(self.api_key_command),
            organization=reveal(self.organization),
            project=reveal(self.project),
            headers={name: value.get_secret_value() for name, value in self.headers.items()},
            proxy=reveal(self.proxy),
            ca_file=self.ca_file,
            dialect=self.dialect,
            model=self.input_audio_transcription.model,
        )

    def session_options(self, sample_rate: int | None = None) -> SessionOptions:
        """What a session needs to know. *sample_rate* (Hz) is the stream's, where frames say another than
        ours.

        The kind of turn detection is as configured, `auto` included: `resolve_turn_detection` decides.
        """
        transcription, turns = self.input_audio_transcription, self.turn_detection
        return SessionOptions(
            sample_rate=self.sample_rate if sample_rate is None else sample_rate,
            input_audio_format=self.input_audio_format,
            transcription=TranscriptionOptions(**transcription.model_dump()),
            turn_detection=TurnDetectionOptions(
                **{**turns.model_dump(exclude={"enabled"}), "type": turns.effective_type}
            ),
            noise_reduction=self._noise_reduction_options(),
            include=self.include,
            **{name: getattr(self, name) for name in _SESSION_NUMBERS},
        )

    def _noise_reduction_options(self) -> NoiseReductionOptions:
        noise = self.input_audio_noise_reduction
        if noise.extra:
            return OpenNoiseReductionOptions(noise.effective_type, noise.strength, noise.extra)
        return NoiseReductionOptions(noise.effective_type, noise.strength)

    def describe(self) -> dict[str, Any]:
        """The whole effective configuration for the `config:` log line.

        No secret can be recovered from it: a secret is `***` or null, whatever its length. Prompt and
        keywords, which may be somebody's words, and fields we do not know are counted or named, not shown.
        """
        shown = {name: _describe(getattr(self, name)) for name in type(self).model_fields}
        shown["base_url"] = endpoint.display_url(self.base_url.get_secret_value())
        if self.proxy is not None:
            shown["proxy"] = endpoint.display_url(self.proxy.get_secret_value())
        transcription = self.input_audio_transcription
        shown["input_audio_transcription"]["keywords"] = len(transcription.keywords)
        if transcription.prompt is not None:
            shown["input_audio_transcription"]["prompt"] = f"{len(transcription.prompt)} characters"
        for name in ("turn_detection", "input_audio_noise_reduction"):
            shown[name]["type"] = getattr(self, name).effective_type
            del shown[name]["enabled"]
        return shown

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    __str__ = __repr__


_SESSION_NUMBERS = (
    "connect_timeout_ms", "finalize_timeout_ms", "stop_drain_ms", "replay_window_ms", "replay_speed",
    "replay_speed_streaming", "max_turn_ms", "order_hold_ms", "commit_timeout_ms", "item_timeout_ms",
    "ping_interval_ms", "ping_timeout_ms", "send_stall_ms", "send_interval_ms",
)  # fmt: skip
"Fields a session takes under the same name."


def _describe(value: Any) -> Any:
    """*value* as JSON that hides what must stay hidden."""
    if isinstance(value, SecretStr):
        return _MASK
    if isinstance(value, Section):
        return {
            name: sorted(getattr(value, name)) if name == "extra" else _describe(getattr(value, name))
            for name in type(value).model_fields
        }
    if isinstance(value, dict):
        return {name: _describe(inner) for name, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration that works, and what its author should know about it, one sentence each."""

    config: OpenAIASRConfig
    warnings: tuple[str, ...] = ()
