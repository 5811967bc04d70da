"""A sparse property over a node's own, each spelled as it likes: what is left out stays, what is empty is unset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ten_packages.extension.openai_asr_python.config import LoadedConfig, OpenAIASRConfig
from ten_packages.extension.openai_asr_python.config_spelling import normalise
from ten_packages.extension.openai_asr_python.config_update import updated
from ten_packages.extension.openai_asr_python.realtime.errors import ConfigurationError

Json = dict[str, Any]
KEY = "sk-canary-0123456789"


def after(node: Json, *updates: Json, environ: dict[str, str] | None = None) -> LoadedConfig:
    """The configuration of a node after these updates, one behind the other."""
    environ = environ or {}
    spelling = normalise({"params": {"api_key": KEY}, **node} if "params" not in node else node, environ)
    for update in updates:
        spelling = updated(spelling, update, environ)
    return OpenAIASRConfig.of(spelling)


SPELLINGS: dict[str, Callable[[str], Json]] = {
    "here": lambda code: {"params": {"input_audio_transcription": {"language": code}}},
    "older documentation": lambda code: {"language": code, "params": {}},
    "alias in params": lambda code: {"params": {"language": code}},
    "the vendor's nesting": lambda code: {"params": {"audio": {"input": {"transcription": {"language": code}}}}},
}


@pytest.mark.parametrize("update", SPELLINGS)
@pytest.mark.parametrize("before", SPELLINGS)
def test_a_value_is_replaced_whichever_way_both_are_spelled(before: str, update: str) -> None:
    node = SPELLINGS[before]("en")
    node["params"]["api_key"] = KEY
    assert after(node).config.language == "en"
    assert after(node, SPELLINGS[update]("de")).config.language == "de"


def test_what_is_left_out_stays_also_inside_an_object() -> None:
    node = {
        "params": {"api_key": KEY, "turn_detection": {"type": "server_vad", "threshold": 0.7}, "model": "whisper-1"}
    }
    config = after(node, {"params": {"turn_detection": {"silence_duration_ms": 300}}}).config
    assert (config.turn_detection.type, config.turn_detection.threshold) == ("server_vad", 0.7)
    assert config.turn_detection.silence_duration_ms == 300
    assert config.input_audio_transcription.model == "whisper-1"


def test_updates_add_up() -> None:
    config = after({}, {"params": {"language": "de"}}, {"params": {"prompt": "x"}}, {}, {"dump": True}).config
    assert config.language == "de" and config.dump
    assert config.session_options().transcription.extra == {}


@pytest.mark.parametrize("empty", ["", None, "  "])
def test_empty_is_unset_again(empty: Any) -> None:
    node = {"params": {"api_key": KEY, "language": "en", "finalize_timeout_ms": 500, "keywords": ["a"]}}
    transcription = {"language": empty, "keywords": []}
    config = after(node, {"params": {"input_audio_transcription": transcription, "finalize_timeout_ms": empty}}).config
    assert config.language is None and config.input_audio_transcription.keywords == ()
    assert config.finalize_timeout_ms == 2_000


def test_null_switches_the_vendors_objects_off() -> None:
    node = {"params": {"api_key": KEY, "input_audio_noise_reduction": "near_field"}}
    update = {"params": {"turn_detection": None, "input_audio_noise_reduction": None}}
    config = after(node, update).config
    assert config.turn_detection.effective_type == "none"
    assert config.input_audio_noise_reduction.effective_type == "off"


@pytest.mark.parametrize(
    ("before", "update", "kind"),
    [
        ({"enabled": False}, {"type": "server_vad"}, "server_vad"),
        ({"type": "none"}, {"enabled": True}, "auto"),
        ({"type": "semantic_vad"}, {"enabled": False}, "none"),
        ({"type": "semantic_vad", "enabled": False}, {"enabled": True}, "semantic_vad"),
    ],
)
def test_the_newer_of_type_and_enabled_counts(before: Json, update: Json, kind: str) -> None:
    node = {"params": {"api_key": KEY, "model": "whisper-1", "turn_detection": before}}
    assert after(node, {"params": {"turn_detection": update}}).config.turn_detection.effective_type == kind


def test_a_key_takes_the_place_of_a_command_and_the_other_way_round() -> None:
    node = {"params": {"api_key_command": "print-key"}}
    by_key = after(node, {"params": {"api_key": "sk-new"}})
    assert (by_key.config.connection.api_key, by_key.config.connection.api_key_command) == ("sk-new", None)
    by_command = after(node, {"params": {"api_key": "sk-new"}}, {"params": {"api_key_command": "other"}})
    assert (by_command.config.connection.api_key, by_command.config.connection.api_key_command) == (None, "other")


def test_an_unset_key_falls_back_to_the_environment() -> None:
    environ = {"OPENAI_API_KEY": "sk-environment"}
    config = after({"params": {"api_key": "sk-own"}}, {"params": {"api_key": ""}}, environ=environ).config
    assert config.connection.api_key == "sk-environment"
    config = after({"params": {}}, {"params": {"api_key": "sk-new"}}, environ=environ).config
    assert config.connection.api_key == "sk-new"


def test_a_bad_value_names_the_place_in_the_update() -> None:
    with pytest.raises(ConfigurationError) as caught:
        after({}, {"params": {"audio": {"input": {"turn_detection": {"threshold": 7}}}}})
    assert caught.value.field == "params.audio.input.turn_detection.threshold"


def test_the_whole_is_checked_not_only_what_is_new() -> None:
    node = {"params": {"api_key": KEY, "model": "whisper-1", "turn_detection": {"type": "server_vad"}}}
    with pytest.raises(ConfigurationError) as caught:
        after(node, {"params": {"model": "gpt-live-transcribe"}})
    assert caught.value.field == "params.turn_detection.type"


def test_an_update_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="keep one of the two"):
        after({}, {"language": "de", "params": {"language": "fr"}})


def test_an_update_can_repair_what_was_wrong() -> None:
    node = {"language": "en", "params": {"api_key": KEY, "language": "de", "finalize_timeout_ms": "soon"}}
    with pytest.raises(ConfigurationError):
        after(node)
    repaired = after(node, {"language": "en", "params": {"finalize_timeout_ms": 900}})
    assert repaired.config.language == "en" and repaired.config.finalize_timeout_ms == 900


def test_unknown_keys_are_named_once_and_are_errors_when_that_is_wanted() -> None:
    (warning,) = after({"params": {"api_key": KEY, "prmpt": 1}}, {"params": {"prmpt": 2}}).warnings
    assert "params.prmpt" in warning
    with pytest.raises(ConfigurationError, match="prmpt"):
        after({}, {"params": {"prmpt": 2}}, {"strict_config": True})


@pytest.mark.parametrize("update", [{}, {"params": {}}, {"params": {"language": "en"}}, {"language": "en"}])
def test_an_update_that_says_nothing_new_changes_nothing(update: Json) -> None:
    node = {"params": {"api_key": KEY, "language": "en"}}
    assert after(node, update).config == after(node).config
