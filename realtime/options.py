"""What a session needs to know: plain frozen values, already validated by whoever built them.

``config.py`` makes these from TEN properties; a program without TEN makes them by hand. Times are milliseconds
unless the name says otherwise. ``None`` means "send nothing, let the server decide".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

TurnDetectionType = Literal["auto", "server_vad", "semantic_vad", "local_vad", "none"]
WireFormat = Literal["pcm16", "g711_ulaw", "g711_alaw"]
NoiseReductionType = Literal["off", "near_field", "far_field"]
Eagerness = Literal["auto", "low", "medium", "high"]

TURN_DETECTION_TYPES: tuple[str, ...] = ("auto", "server_vad", "semantic_vad", "local_vad", "none")
WIRE_FORMATS: tuple[str, ...] = ("pcm16", "g711_ulaw", "g711_alaw")
NOISE_REDUCTION_TYPES: tuple[str, ...] = ("off", "near_field", "far_field")
DELAYS: tuple[str, ...] = ("minimal", "low", "medium", "high", "xhigh")


class TurnDetectionOptions(msgspec.Struct, frozen=True):
    """Who decides where a turn ends, and with which numbers."""

    type: TurnDetectionType = "auto"
    threshold: float = 0.5
    "Speech probability from which a frame counts as speech, 0 to 1 (server_vad, local_vad)."
    prefix_padding_ms: int = 300
    "Audio kept in front of the detected onset (server_vad, local_vad)."
    silence_duration_ms: int | None = None
    "Silence that ends a turn; unset means 500 for server_vad and 800 for local_vad."
    eagerness: Eagerness = "auto"
    "How soon semantic_vad ends a turn."
    min_speech_ms: int = 96
    "Speech needed before local_vad believes it (three detector windows)."
    extra: Mapping[str, Any] = {}
    "Fields of the vendor's object we do not know; passed through unchanged."

    @property
    def effective_silence_ms(self) -> int:
        """`silence_duration_ms`, or the default of this type of detection."""
        if self.silence_duration_ms is not None:
            return self.silence_duration_ms
        return 800 if self.type == "local_vad" else 500


class TranscriptionOptions(msgspec.Struct, frozen=True):
    """What the recogniser is told: `audio.input.transcription` of the wire."""

    model: str = "gpt-live-transcribe"
    language: str | None = None
    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    prompt: str | None = None
    delay: str | None = None
    extra: Mapping[str, Any] = {}
    "Fields of the vendor's object we do not know; passed through unchanged."


class NoiseReductionOptions(msgspec.Struct, frozen=True):
    """`audio.input.noise_reduction` of the wire; `off` is sent as null."""

    type: NoiseReductionType = "off"
    strength: float = 1.0


class SessionOptions(msgspec.Struct, frozen=True):
    """Everything that decides what a session does. Immutable; change it with `replace`."""

    sample_rate: int = 16000
    "Rate of the stream's own samples, Hz: positions count these."
    input_audio_format: WireFormat = "pcm16"
    "Encoding on the wire."
    transcription: TranscriptionOptions = TranscriptionOptions()
    turn_detection: TurnDetectionOptions = TurnDetectionOptions()
    noise_reduction: NoiseReductionOptions = NoiseReductionOptions()
    include: tuple[str, ...] = ()
    connect_timeout_ms: int = 10_000
    finalize_timeout_ms: int = 2_000
    stop_drain_ms: int = 500
    replay_window_ms: int = 60_000
    replay_speed: float = 4.0
    replay_speed_streaming: float = 1.25
    max_turn_ms: int = 30_000
    order_hold_ms: int = 4_000
    commit_timeout_ms: int = 3_000
    item_timeout_ms: int = 6_000
    ping_interval_ms: int = 5_000
    ping_timeout_ms: int = 6_000
    send_stall_ms: int = 8_000
    send_interval_ms: int = 0

    def replace(self, **changes: Any) -> SessionOptions:
        """A copy with *changes*."""
        return msgspec.structs.replace(self, **changes)
