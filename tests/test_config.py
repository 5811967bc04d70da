"""The effective configuration: defaults, limits, errors an operator can act on, and nothing secret in sight."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ten_packages.extension.openai_asr_python.audio.pcm import ENCODINGS, MAX_CHANNELS
from ten_packages.extension.openai_asr_python.audio.resample import MAX_RATE, MIN_RATE
from ten_packages.extension.openai_asr_python.config import LoadedConfig, OpenAIASRConfig
from ten_packages.extension.openai_asr_python.config_sections import limits_of, words_of
from ten_packages.extension.openai_asr_python.config_spelling import (
    OBJECT_KEYS,
    PARAMS_KEYS,
    known_places,
)
from ten_packages.extension.openai_asr_python.realtime.errors import ConfigurationError, show_value
from ten_packages.extension.openai_asr_python.realtime.options import DELAYS, SessionOptions

KEY = "sk-canary-0123456789"


def load(params: dict[str, Any] | None = None, **top: Any) -> LoadedConfig:
    return OpenAIASRConfig.load({"params": {"api_key": KEY, **(params or {})}, **top}, {})


def refused(params: dict[str, Any] | None = None, **top: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(params, **top)
    return caught.value


class TestDefaults:
    def test_nothing_written_gives_the_sessions_own_defaults(self) -> None:
        loaded = load()
        assert loaded.warnings == ()
        assert loaded.config.session_options() == SessionOptions()

    def test_the_defaults_a_user_relies_on(self) -> None:
        config = load().config
        assert config.input_audio_transcription.model == "gpt-live-transcribe"
        assert config.connection.base_url == "wss://api.openai.com/v1"
        assert (config.auto_connect, config.dump, config.dump_path) == (True, False, "./dump")
        assert (config.sample_rate, config.channels, config.log_level) == (16_000, 1, "info")

    def test_the_limits_are_those_of_the_audio_code(self) -> None:
        fields = OpenAIASRConfig.model_fields
        assert limits_of(fields["sample_rate"]) == (MIN_RATE, MAX_RATE)
        assert limits_of(fields["channels"]) == (1, MAX_CHANNELS)
        assert words_of(fields["input_encoding"].annotation) == ENCODINGS

    def test_every_canonical_key_is_a_field_and_every_field_can_be_written(self) -> None:
        fields = OpenAIASRConfig.model_fields
        assert set(PARAMS_KEYS) | set(OBJECT_KEYS) == set(fields)
        for key, names in OBJECT_KEYS.items():
            section = fields[key].annotation
            assert section is not None
            assert {*names, "extra"} == set(section.model_fields)

    def test_all_delays_of_the_vendor_are_taken(self) -> None:
        for delay in DELAYS:
            options = load({"input_audio_transcription": {"delay": delay}}).config.session_options()
            assert options.transcription.delay == delay

    def test_the_streams_rate_may_be_another(self) -> None:
        assert load({"sample_rate": 48000}).config.session_options(8000).sample_rate == 8000


class TestLenientScalars:
    """Placeholders resolve to strings only."""

    def test_numbers_booleans_and_lists_as_text(self) -> None:
        config = load(
            {
                "sample_rate": " 48000 ",
                "replay_speed": "2.5",
                "dump": "TRUE",
                "auto_connect": "false",
                "turn_detection": {"threshold": "0.25", "silence_duration_ms": "700"},
                "input_audio_transcription": {"languages": "en, de,", "keywords": "Polyphem"},
            }
        ).config
        options = config.session_options()
        assert (config.sample_rate, config.dump, config.auto_connect) == (48000, True, False)
        assert options.replay_speed == 2.5
        assert (options.turn_detection.threshold, options.turn_detection.silence_duration_ms) == (0.25, 700)
        assert options.transcription.languages == ("en", "de")
        assert options.transcription.keywords == ("Polyphem",)

    @pytest.mark.parametrize(("written", "level"), [("DEBUG", "debug"), ("Warning", "warn"), ("critical", "error")])
    def test_levels_of_other_logging_systems(self, written: str, level: str) -> None:
        assert load(log_level=written).config.log_level == level

    def test_a_language_of_auto_is_no_language(self) -> None:
        assert load({"input_audio_transcription": {"language": "Auto"}}).config.language is None


class TestErrors:
    @pytest.mark.parametrize(
        ("params", "field", "given", "remedy"),
        [
            ({"sample_rate": 4000}, "params.sample_rate", "4000", "a whole number from 8000 to 48000"),
            ({"sample_rate": "16k"}, "params.sample_rate", '"16k"', "a whole number from 8000 to 48000"),
            ({"sample_rate": True}, "params.sample_rate", "true", "a whole number from 8000 to 48000"),
            ({"channels": 0}, "params.channels", "0", "a whole number from 1 to 8"),
            ({"dump": "maybe"}, "params.dump", '"maybe"', "true or false"),
            ({"replay_speed": "nan"}, "params.replay_speed", '"nan"', "a number of at least 1"),
            ({"replay_speed": float("inf")}, "params.replay_speed", "inf", "a number of at least 1"),
            (
                {"dialect": "bing"},
                "params.dialect",
                '"bing"',
                "one of auto, openai, azure, azure_ephemeral, beta, speaches, vllm",
            ),
            ({"log_level": "loud"}, "params.log_level", '"loud"', "one of debug, info, warn, error"),
            ({"include": [1]}, "params.include[0]", "1", "a string"),
            ({"include": 1}, "params.include", "1", "an array of strings"),
            ({"headers": {"X-A": 1}}, "params.headers.X-A", "no string", "a string"),
            (
                {"turn_detection": {"threshold": 1.5}},
                "params.turn_detection.threshold",
                "1.5",
                "a number from 0 to 1",
            ),
            (
                {"turn_detection": "vad"},
                "params.turn_detection",
                '"vad"',
                "one of auto, server_vad, semantic_vad, local_vad, none",
            ),
            (
                {"audio": {"input": {"noise_reduction": {"type": "strong"}}}},
                "params.audio.input.noise_reduction.type",
                '"strong"',
                "one of off, near_field, far_field",
            ),
        ],
    )
    def test_the_error_names_field_value_and_remedy(
        self, params: dict[str, Any], field: str, given: str, remedy: str
    ) -> None:
        error = refused(params)
        assert (error.field, error.given, error.remedy) == (field, given, f"use {remedy}")
        assert str(error) == f"{field} is {given}: use {remedy}"

    def test_everything_wrong_is_listed_at_once(self) -> None:
        error = refused({"sample_rate": 1, "channels": 99, "dialect": "x"}, log_level="loud")
        fields = {problem.field for problem in error.problems}
        assert fields == {"params.sample_rate", "params.channels", "params.dialect", "log_level"}
        assert all(field in str(error) for field in fields)

    def test_combinations_are_listed_together_too(self) -> None:
        error = refused({"base_url": "nonsense", "ca_file": "/no/such/file", "proxy": "ftp://p"})
        assert [p.field for p in error.problems] == ["params.base_url", "params.proxy", "params.ca_file"]

    def test_the_key_is_missed_where_the_provider_wants_one(self) -> None:
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
            OpenAIASRConfig.load({}, {})
        assert caught.value.field == "params.api_key"

    @pytest.mark.parametrize(
        "properties",
        [
            {"params": {"base_url": "ws://127.0.0.1:8765/v1"}},
            {"params": {"api_key_command": "print-key"}},
            {"headers": {"api-key": "azure"}},
        ],
    )
    def test_the_key_is_not_missed_elsewhere(self, properties: dict[str, Any]) -> None:
        assert OpenAIASRConfig.load(properties, {}).config.connection.api_key is None

    def test_server_vad_with_a_model_that_refuses_it(self) -> None:
        error = refused({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
        assert error.field == "params.audio.input.turn_detection.type"
        assert "gpt-live-transcribe" in error.remedy and '"local_vad"' in error.remedy

    def test_a_prompt_too_long_for_the_model(self) -> None:
        transcription = {"model": "whisper-1", "prompt": "canary " * 200}
        error = refused({"input_audio_transcription": transcription})
        assert error.field == "params.input_audio_transcription.prompt"
        assert "canary" not in str(error)

    @pytest.mark.parametrize("keyword", ["<b>", "a\nb"])
    def test_keywords_the_service_refuses(self, keyword: str) -> None:
        error = refused({"input_audio_transcription": {"keywords": ["fine", keyword]}})
        assert error.field == "params.input_audio_transcription.keywords[1]"

    def test_a_language_that_is_no_code(self) -> None:
        error = refused({"input_audio_transcription": {"language": "English", "languages": ["en", "Deutsch"]}})
        assert [p.given for p in error.problems] == ['"English"', '"Deutsch"']
        assert "en-US" in error.remedy


class TestTurnsAndWindow:
    def test_a_smaller_window_shortens_turns_nobody_asked_for(self) -> None:
        assert load({"replay_window_ms": 20_000}).config.max_turn_ms == 10_000

    def test_turns_somebody_asked_for_must_fit(self) -> None:
        error = refused({"replay_window_ms": 20_000, "max_turn_ms": 15_000})
        assert error.field == "params.max_turn_ms"
        assert "10000" in error.remedy

    def test_without_replay_turns_are_free(self) -> None:
        assert load({"replay_window_ms": 0, "max_turn_ms": 90_000}).config.max_turn_ms == 90_000

    def test_a_window_too_small_to_hold_a_turn(self) -> None:
        assert refused({"replay_window_ms": 500}).field == "params.replay_window_ms"


class TestWarnings:
    @pytest.mark.parametrize(("today", "told"), [("2026-08-29", 0), ("2026-08-30", 1), ("2027-02-27", 1)])
    def test_a_model_with_an_announced_end_is_one_warning_when_it_is_near_or_past(self, today: str, told: int) -> None:
        property = {"params": {"api_key": KEY, "input_audio_transcription": {"model": "whisper-1"}}}
        warnings = OpenAIASRConfig.load(property, {}, today=date.fromisoformat(today)).warnings
        assert len(warnings) == told
        for warning in warnings:
            assert "2027-02-26" in warning and "gpt-live-transcribe" in warning


class TestLanguage:
    @pytest.mark.parametrize(
        ("transcription", "detected", "tag"),
        [
            ({}, None, "und"),
            ({}, "de", "de-DE"),
            ({"language": "en"}, None, "en-US"),
            ({"language": "en-GB"}, "en", "en-GB"),
            ({"languages": ["de-AT"]}, None, "de-AT"),
            ({"languages": ["en-GB", "de-AT"]}, None, "und"),
            ({"languages": ["en-GB", "de-AT"]}, "de", "de-AT"),
            ({"language": "en", "languages": ["de-CH"]}, "de", "de-CH"),
            ({"language": "en"}, "fr", "fr-FR"),
        ],
    )
    def test_of_a_result(self, transcription: dict[str, Any], detected: str | None, tag: str) -> None:
        config = load({"input_audio_transcription": transcription}).config
        assert config.result_language(detected) == tag


PROPERTIES = {
    "headers": {"X-Token": "canary-header"},
    "params": {
        "api_key": "sk-canary-key",
        "organization": "org-canary",
        "project": "proj-canary",
        "base_url": "wss://user:canary@host.test/v1?api_key=canary",
        "proxy": "http://user:canary@proxy.test:3128",
        "input_audio_transcription": {
            "prompt": "canary said",
            "keywords": ["canary"],
            "future_token": "canary",
        },
        "unknown_token": "canary",
    },
}


class TestSecrets:
    CANARY = "canary"

    def test_no_dump_of_the_configuration_shows_any(self, caplog: pytest.LogCaptureFixture) -> None:
        loaded = OpenAIASRConfig.load(PROPERTIES, {})
        config = loaded.config
        logging.getLogger("test").warning("%s %r %s", config, loaded, config.input_audio_transcription)
        text = json.dumps(config.describe())
        for shown in (text, caplog.text, repr(config.connection), " ".join(loaded.warnings)):
            assert self.CANARY not in shown

    def test_the_description_is_whole_and_readable(self) -> None:
        described = OpenAIASRConfig.load(PROPERTIES, {}).config.describe()
        assert set(described) == set(OpenAIASRConfig.model_fields)
        assert described["api_key"] == "***"
        assert described["headers"] == {"X-Token": "***"}
        assert described["base_url"] == "wss://host.test/v1?api_key=***"
        assert described["proxy"] == "http://proxy.test:3128"
        assert described["api_key_command"] is None
        transcription = described["input_audio_transcription"]
        assert transcription["prompt"] == "11 characters"
        assert transcription["keywords"] == 1
        assert transcription["extra"] == ["future_token"]

    @pytest.mark.parametrize("key", ["x", "sk-" + "a" * 200])
    def test_the_mask_tells_nothing_of_the_key(self, key: str) -> None:
        assert load({"api_key": key}).config.describe()["api_key"] == "***"
        assert "aaa" not in str(load({"api_key": key}).config)

    def test_the_switch_of_the_older_form_is_shown_as_what_it_does(self) -> None:
        described = load({"turn_detection": {"enabled": False}}).config.describe()
        assert described["turn_detection"]["type"] == "none"
        assert "enabled" not in described["turn_detection"]

    def test_the_connection_has_them_in_the_clear(self) -> None:
        connection = OpenAIASRConfig.load(PROPERTIES, {}).config.connection
        assert connection.api_key == "sk-canary-key"
        assert connection.headers == {"X-Token": "canary-header"}
        assert connection.display_url == "wss://host.test/v1/realtime?api_key=***&intent=transcription"

    @pytest.mark.parametrize(
        "params",
        [
            {"api_key": ["canary"]},
            {"api_key": "canary\nkey"},
            {"headers": {"X": ["canary"]}},
            {"headers": "canary"},
            {"base_url": "sk-canary-in-the-wrong-place"},
            {"sample_rate": "sk-canary-in-the-wrong-place"},
            {"sample_rate": "Bearer canary"},
            {"dialect": "https://user:canary@host"},
            {"turn_detection": {"type": {"secret": "canary"}}},
            {"input_audio_transcription": {"prompt": ["canary"]}},
            {"input_audio_transcription": {"keywords": ["canary<"]}},
        ],
    )
    def test_no_error_shows_any(self, params: dict[str, Any]) -> None:
        error = refused(params)
        shown = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        # The traceback quotes lines of this file; what counts is what the error itself says.
        assert self.CANARY not in str(error)
        assert "Input should be" not in shown and "input_value" not in shown


def test_a_configuration_survives_a_copy() -> None:
    config = load({"turn_detection": {"type": "none", "x": 1}}).config
    assert pickle.loads(pickle.dumps(config)).describe() == config.describe()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("two\n lines", '"two lines"'),
        ("x" * 100, f'"{"x" * 80}…" (100 characters)'),
        ({"a": 1}, "an object"),
        ([1, 2], "a list of 2"),
        (b"x", "a value of type bytes"),
        ("mailto:sk-abcdefgh", '"mailto:***"'),
        ("Bearer canary", '"***"'),
        ("user:can/ary@host:1/v1", '"***host:1/v1"'),
        ("see https://user:can/a?r#y@host/v1", '"see https://***host/v1"'),
        ('{"a":"https://host/v1","b":"x@y"}', '"{"a":"https://host/v1","b":"x@y"}"'),
        ("Missing bearer or basic authentication in header.", '"Missing bearer or basic authentication in header."'),
    ],
)
def test_values_are_shown_short_and_safe(value: Any, shown: str) -> None:
    assert show_value(value) == shown


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-10, 100_000)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["none", "auto", "true", "en", "wss://h/v1", "pcm16"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)
PLACES = sorted({place[:depth] for place in known_places() for depth in range(1, len(place) + 1)})


def written_at(values: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """A property with *values* at their places; a value in the way of a deeper one is replaced."""
    tree: dict[str, Any] = {}
    for place, value in values.items():
        node = tree
        for name in place[:-1]:
            inner = node.get(name)
            if not isinstance(inner, dict):
                inner = node[name] = {}
            node = inner
        node[place[-1]] = value
    return tree


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(PLACES), JSON, max_size=4))
def test_any_property_is_a_configuration_or_one_clear_error(values: dict[tuple[str, ...], Any]) -> None:
    """A bad node must never bring down the host: no other exception, and always something to do."""
    try:
        loaded = OpenAIASRConfig.load(written_at(values), {"OPENAI_API_KEY": KEY})
    except ConfigurationError as error:
        assert error.problems
        assert all(problem.field and problem.remedy for problem in error.problems)
        assert KEY not in str(error)
    else:
        json.dumps(loaded.config.describe())
        loaded.config.session_options()


def test_a_trusted_certificate_file_is_taken(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_text("certificate", encoding="utf-8")
    assert load({"ca_file": str(pem)}).config.connection.ca_file == str(pem)
