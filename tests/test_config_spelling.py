"""However a property is spelled, it means one thing; what cannot mean one thing is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ten_packages.extension.openai_asr_python.config import LoadedConfig, OpenAIASRConfig
from ten_packages.extension.openai_asr_python.config_spelling import SHIPPED_API_KEY, known_places
from ten_packages.extension.openai_asr_python.realtime.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent
KEY = "sk-canary-0123456789"


def load(params: dict[str, Any] | None = None, environ: dict[str, str] | None = None, **top: Any) -> LoadedConfig:
    return OpenAIASRConfig.load({"params": {"api_key": KEY, **(params or {})}, **top}, environ or {})


def refused(
    params: dict[str, Any] | None = None, environ: dict[str, str] | None = None, **top: Any
) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(params, environ, **top)
    return caught.value


FLAT = {
    "input_audio_format": "g711_ulaw",
    "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": "p"},
    "turn_detection": {"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 900},
    "input_audio_noise_reduction": {"type": "far_field", "strength": 0.5},
    "include": ["item.input_audio_transcription.logprobs"],
}


VENDOR = {
    "type": "transcription",
    "include": ["item.input_audio_transcription.logprobs"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": "p"},
            "turn_detection": {"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 900},
            "noise_reduction": {"type": "far_field", "strength": 0.5},
        }
    },
}


class TestThreeSpellings:
    def test_the_flat_form_and_the_vendors_are_the_same_session(self) -> None:
        flat, vendor = load(FLAT), load(VENDOR)
        assert flat.config.session_options() == vendor.config.session_options()
        assert flat.warnings == vendor.warnings
        assert flat.config.session_options().input_audio_format == "g711_ulaw"
        assert flat.config.session_options().transcription.prompt == "p"

    def test_both_at_once_are_fine_while_they_agree(self) -> None:
        assert load({**FLAT, **VENDOR}).config == load(FLAT).config

    def test_the_older_documented_example_works_as_it_stands(self) -> None:
        properties = {
            "api_key": "sk-older",
            "organization": "org-1",
            "project": "proj-1",
            "websocket_base_url": "https://example.test/v1",
            "dump": True,
            "dump_path": "recordings",
            "log_level": "INFO",
            "params": {
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "gpt-4o-mini-transcribe", "language": "en"},
                "turn_detection": {"enabled": True},
                "input_audio_noise_reduction": {"enabled": True},
            },
        }
        config = OpenAIASRConfig.load(properties, {}).config
        assert config.connection.api_key == "sk-older"
        assert (config.connection.organization, config.connection.project) == ("org-1", "proj-1")
        assert config.connection.base_url == "https://example.test/v1"
        assert (config.dump, config.dump_path, config.log_level) == (True, "recordings", "info")
        options = config.session_options()
        assert options.turn_detection.type == "auto"
        assert options.noise_reduction.type == "near_field"
        assert options.transcription.model == "gpt-4o-mini-transcribe"

    def test_model_and_language_at_the_top_level(self) -> None:
        config = load(model="whisper-1", language="de").config
        assert config.session_options().transcription.model == "whisper-1"
        assert config.language == "de"

    @pytest.mark.parametrize("place", ["url", "websocket_base_url"])
    def test_other_names_of_the_base_url(self, place: str) -> None:
        assert load(**{place: "ws://127.0.0.1:1/v1"}).config.connection.base_url == "ws://127.0.0.1:1/v1"

    @pytest.mark.parametrize("key", ["auto_connect", "dump", "strict_config"])
    def test_top_level_keys_are_taken_in_params_too(self, key: str) -> None:
        opposite = not getattr(load().config, key)
        assert getattr(load({key: opposite}).config, key) is opposite
        assert getattr(load(**{key: opposite}).config, key) is opposite

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("none", "none"),
            ("LOCAL_VAD", "local_vad"),
            (None, "none"),
            (False, "none"),
            (True, "auto"),
            ("false", "none"),
            ({"enabled": "false"}, "none"),
            ({"enabled": False, "type": "local_vad"}, "none"),
            ({"enabled": True, "type": "local_vad"}, "local_vad"),
            ({}, "auto"),
            ("", "auto"),
        ],
    )
    def test_turn_detection_in_a_word_null_or_switch(self, written: Any, meant: str) -> None:
        assert load({"turn_detection": written}).config.session_options().turn_detection.type == meant
        nested = load({"audio": {"input": {"turn_detection": written}}}).config
        assert nested.session_options().turn_detection.type == meant

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("near_field", "near_field"),
            (None, "off"),
            (True, "near_field"),
            ({"enabled": False, "type": "far_field"}, "off"),
            ({"enabled": True, "type": "far_field"}, "far_field"),
            ({"type": "off"}, "off"),
        ],
    )
    def test_noise_reduction_in_a_word_null_or_switch(self, written: Any, meant: str) -> None:
        options = load({"input_audio_noise_reduction": written}).config.session_options()
        assert options.noise_reduction.type == meant

    @pytest.mark.parametrize("written", ["audio/pcma", "G711_ALAW", {"type": "audio/pcma", "rate": "8000"}])
    def test_the_vendors_words_for_the_wire_format(self, written: Any) -> None:
        assert load({"audio": {"input": {"format": written}}}).config.input_audio_format == "g711_alaw"

    def test_the_wire_has_one_rate_and_the_error_says_where_the_other_belongs(self) -> None:
        error = refused({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}})
        assert error.field == "params.audio.input.format.rate"
        assert error.given == "16000"
        assert "params.sample_rate" in error.remedy

    def test_a_conversation_session_is_no_transcription(self) -> None:
        assert refused({"type": "realtime"}).field == "params.type"


class TestUnset:
    @pytest.mark.parametrize("blank", ["", "  ", None, [], {}])
    def test_blank_values_leave_the_default(self, blank: Any) -> None:
        blanks = {
            "organization": blank,
            "base_url": blank,
            "sample_rate": blank,
            "include": blank,
            "headers": blank,
            "input_audio_transcription": {"prompt": blank, "languages": blank, "model": blank},
        }
        assert load(blanks).config == load().config

    def test_a_blank_prompt_is_not_sent(self) -> None:
        options = load({"input_audio_transcription": {"prompt": ""}}).config.session_options()
        assert options.transcription.prompt is None


ENV = {"OPENAI_API_KEY": "sk-from-env", "OPENAI_BASE_URL": "https://env.test/v1"}


class TestPrecedence:
    def test_the_shipped_property_json_is_the_environments_key(self) -> None:
        shipped = json.loads((ROOT / "property.json").read_text(encoding="utf-8"))
        assert shipped == {"params": {"api_key": SHIPPED_API_KEY}}
        assert OpenAIASRConfig.load(shipped, ENV).config.connection.api_key == "sk-from-env"

    def test_the_environment_fills_in_what_is_written_nowhere(self) -> None:
        environ = {**ENV, "OPENAI_ORG_ID": "org-env", "OPENAI_PROJECT_ID": "proj-env"}
        connection = OpenAIASRConfig.load({}, environ).config.connection
        assert connection.api_key == "sk-from-env"
        assert connection.base_url == "https://env.test/v1"
        assert (connection.organization, connection.project) == ("org-env", "proj-env")

    def test_a_key_written_elsewhere_beats_the_shipped_placeholder(self) -> None:
        resolved = {"api_key": "sk-mine", "params": {"api_key": "sk-from-env"}}
        assert OpenAIASRConfig.load(resolved, ENV).config.connection.api_key == "sk-mine"

    def test_a_written_base_url_beats_the_environment(self) -> None:
        config = load({"base_url": "ws://127.0.0.1:1"}, ENV).config
        assert config.connection.base_url == "ws://127.0.0.1:1"

    def test_a_key_command_beats_the_shipped_key_but_not_a_written_one(self) -> None:
        shipped = {"params": {"api_key": "sk-from-env", "api_key_command": "print-key"}}
        connection = OpenAIASRConfig.load(shipped, ENV).config.connection
        assert (connection.api_key, connection.api_key_command) == (None, "print-key")
        assert refused({"api_key_command": "print-key"}).field == "params.api_key_command"


class TestConflicts:
    def test_two_values_for_one_thing_name_both_places(self) -> None:
        error = refused(
            {
                "turn_detection": {"type": "local_vad"},
                "audio": {"input": {"turn_detection": {"type": "none"}}},
            }
        )
        assert error.field == "params.turn_detection.type"
        assert error.given == '"local_vad"'
        assert "params.audio.input.turn_detection.type" in error.remedy and '"none"' in error.remedy

    def test_two_keys_are_never_quoted(self) -> None:
        error = refused(api_key="sk-canary-other")
        assert "api_key" in error.field and "params.api_key" in str(error)
        assert "canary" not in str(error)

    @pytest.mark.parametrize(("one", "other"), [(48000, "48000"), ("48000", 48000.0)])
    def test_the_same_number_as_text_is_no_conflict(self, one: Any, other: Any) -> None:
        config = load({"dump_max_mb": one}, dump_max_mb=other).config
        assert config.dump_max_mb == 48000

    def test_a_number_is_not_a_boolean(self) -> None:
        assert refused({"dump": True}, dump=False).field in ("dump", "params.dump")

    @pytest.mark.parametrize(("key", "off"), [("turn_detection", "none"), ("input_audio_noise_reduction", "off")])
    def test_on_and_off_at_once(self, key: str, off: str) -> None:
        error = refused({key: {"enabled": True, "type": off}})
        assert error.field == f"params.{key}.enabled"
        assert f"params.{key}.type" in error.remedy


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("params", "place", "nearest"),
        [
            ({"sampel_rate": 1}, "params.sampel_rate", "params.sample_rate"),
            ({"Sample_Rate": 1}, "params.Sample_Rate", "params.sample_rate"),
            ({"vad": {}, "apikey": "x"}, "params.apikey", "params.api_key"),
            ({"threshold": 0.5}, "params.threshold", "params.turn_detection.threshold"),
            ({"prompt": "x"}, "params.prompt", "params.input_audio_transcription.prompt"),
            ({"noise_reduction": {}}, "params.noise_reduction", "params.audio.input.noise_reduction"),
            (
                {"audio": {"input": {"turn_detektion": {}}}},
                "params.audio.input.turn_detektion",
                "params.audio.input.turn_detection",
            ),
        ],
    )
    def test_one_warning_with_the_nearest_known_key(self, params: dict[str, Any], place: str, nearest: str) -> None:
        warnings = [text for text in load(params).warnings if f" {place} " in text]
        assert len(warnings) == 1
        assert f"did you mean {nearest}?" in warnings[0]

    def test_a_known_key_at_the_wrong_level(self) -> None:
        (warning,) = load(sample_rate=8000).warnings
        assert "sample_rate is unknown" in warning and "params.sample_rate" in warning

    def test_nothing_like_it_is_known(self) -> None:
        (warning,) = load({"zzzzzz": "canary"}).warnings
        assert "params.zzzzzz" in warning and "did you mean" not in warning and "canary" not in warning

    def test_strict_makes_each_an_error(self) -> None:
        error = refused({"sampel_rate": 1, "foo": 2}, strict_config="true")
        assert [problem.field for problem in error.problems] == ["params.sampel_rate", "params.foo"]
        assert "params.sample_rate" in error.remedy

    def test_the_runtimes_own_key_is_known(self) -> None:
        assert load(ten={"path_timeout": 1}, strict_config=True).warnings == ()

    def test_inside_the_vendors_objects_they_pass_through(self) -> None:
        params = {
            "strict_config": True,
            "turn_detection": {"type": "none", "idle_timeout_ms": 5},
            "audio": {
                "input": {
                    "transcription": {"model": "own", "future": {"a": 1}},
                    "noise_reduction": {"type": "near_field", "mode": "x"},
                }
            },
        }
        loaded = load(params)
        options = loaded.config.session_options()
        assert loaded.warnings == ()
        assert options.transcription.extra == {"future": {"a": 1}}
        assert options.turn_detection.extra == {"idle_timeout_ms": 5}
        assert getattr(options.noise_reduction, "extra", None) == {"mode": "x"}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"input_audio_transcription": "whisper-1"}, "params.input_audio_transcription"),
        ({"turn_detection": [1]}, "params.turn_detection"),
        ({"turn_detection": 3}, "params.turn_detection"),
        ({"audio": "pcm"}, "params.audio"),
        ({"audio": {"input": 1}}, "params.audio.input"),
        ({"audio": {"input": {"format": 24000}}}, "params.audio.input.format"),
    ],
)
def test_what_should_be_an_object(params: dict[str, Any], field: str) -> None:
    assert refused(params).field == field


def test_params_must_be_an_object() -> None:
    with pytest.raises(ConfigurationError) as caught:
        OpenAIASRConfig.load({"params": "x"}, {"OPENAI_API_KEY": "k"})
    assert caught.value.field == "params"


def test_no_two_places_are_the_same() -> None:
    places = known_places()
    assert len(set(places)) == len(places)
