"""What people have written for the earlier extension still works, in every spelling, and the server takes it.

The data is in support/wild_configs.py. Nothing opens a socket: the property goes the way TEN sends it, and what our
client would then say goes straight into the local server's session.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sessions import Driver
from ten_packages.extension.openai_asr_python.config import LoadedConfig, OpenAIASRConfig
from ten_packages.extension.openai_asr_python.devkit.server.identifiers import Identifiers
from ten_packages.extension.openai_asr_python.devkit.server.server_session import ServerSession
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.errors import ConfigurationError
from ten_packages.extension.openai_asr_python.realtime.models import resolve_turn_detection, session_object
from ten_packages.extension.openai_asr_python.realtime.options import SessionOptions
from ten_runtime._properties import resolve_placeholders
from ten_runtime._schema import find_object_problem
from ten_runtime._values import deep_merge
from wild_configs import WILD, Json, Wild

ROOT = Path(__file__).resolve().parent.parent
SHIPPED: Json = json.loads((ROOT / "property.json").read_text(encoding="utf-8"))
SCHEMA: Json = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))["api"]["property"]

WORKING = [wild for wild in WILD if not wild.refused]
REFUSED = [wild for wild in WILD if wild.refused]
named = pytest.mark.parametrize("wild", WORKING, ids=lambda wild: wild.name)


def load(node: Json, wild: Wild, monkeypatch: pytest.MonkeyPatch) -> LoadedConfig:
    """The configuration as TEN makes it: the node over our property.json, then placeholders, then us."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "RATE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in wild.environment.items():
        monkeypatch.setenv(name, value)
    return OpenAIASRConfig.load(resolve_placeholders(deep_merge(SHIPPED, node)))


def options_of(config: OpenAIASRConfig) -> SessionOptions:
    options = config.session_options()
    turns = resolve_turn_detection(options.turn_detection, options.transcription.model, local_vad_available=True)
    return options.replace(turn_detection=turns)


def session_of(config: OpenAIASRConfig) -> Json:
    """The session our client asks for, once it and the local server have agreed on it."""
    server = ServerSession(Identifiers(0), now=0.0, epoch=1.8e9)
    client = Driver(options_of(config)).start().open()
    (update,) = client.wire[1]
    server.receive_message(json.dumps(update), 0.1)
    *_, answer = server.messages()
    assert json.loads(answer)["type"] == "session.updated", answer
    client.say(answer)
    assert client.of(ev.Connected) and not client.of(ev.ServerError), client.events
    session: Json = update["session"]
    return session


# Meaning ----------------------------------------------------------------------------------------------------


@named
def test_it_means_what_it_meant(wild: Wild, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(wild.property, wild, monkeypatch).config
    options = options_of(config)
    assert options.turn_detection.type == wild.turns
    assert session_of(config) == {
        "type": "transcription",
        "audio": {
            "input": {
                "format": wild.wire_format,
                "transcription": wild.transcription,
                "turn_detection": wild.wire_turns,
                "noise_reduction": wild.noise and {"type": wild.noise, "strength": 1.0},
            }
        },
        **({"include": wild.include} if wild.include else {}),
    }
    connection = config.connection
    assert connection.display_url == wild.url
    assert (connection.api_key, connection.organization) == (wild.key, wild.organization)
    assert (config.sample_rate, config.dump) == (wild.sample_rate, wild.dump)
    assert config.result_language(None) == wild.result_language


@named
def test_it_warns_of_nothing_but_what_is_wrong(wild: Wild, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(wild.property, wild, monkeypatch)
    _, left_out = session_object(options_of(loaded.config))
    warnings = [text for text in (*loaded.warnings, *left_out) if "shuts down" not in text]
    assert len(warnings) == len(wild.warned), warnings
    for warning, word in zip(warnings, wild.warned, strict=True):
        assert word in warning


@pytest.mark.parametrize("wild", REFUSED, ids=lambda wild: wild.name)
def test_what_cannot_work_is_one_error_with_its_remedy(wild: Wild, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(wild.property, wild, monkeypatch)
    assert len(caught.value.problems) == 1
    for word in wild.refused:
        assert word in str(caught.value)


def test_server_vad_of_a_model_without_it_is_the_only_thing_that_no_longer_works() -> None:
    assert {wild.seen for wild in REFUSED} == {"docs/upgrade.md", "W6"}


def test_the_remedy_of_that_error_works(monkeypatch: pytest.MonkeyPatch) -> None:
    (wild,) = (wild for wild in REFUSED if wild.seen == "docs/upgrade.md")
    for remedy in ({"turn_detection": {"type": "local_vad"}}, {"input_audio_transcription": {"model": "whisper-1"}}):
        session_of(load(deep_merge(wild.property, {"params": remedy}), wild, monkeypatch).config)


# Spelling ---------------------------------------------------------------------------------------------------

_VENDOR = {
    "input_audio_format": "format",
    "input_audio_transcription": "transcription",
    "turn_detection": "turn_detection",
    "input_audio_noise_reduction": "noise_reduction",
}
_FORMATS = {"pcm16": {"type": "audio/pcm"}, "g711_ulaw": {"type": "audio/pcmu"}, "g711_alaw": {"type": "audio/pcma"}}


def as_vendor(node: Json) -> Json:
    """The same, nested as the vendor's own session is."""
    params = dict(node.get("params", {}))
    inner: Json = {}
    for flat, nested in _VENDOR.items():
        if flat in params:
            value: Any = params.pop(flat)
            inner[nested] = _FORMATS[value] if nested == "format" else value
    return {**node, "params": {**params, "audio": {"input": inner}}}


def as_older(node: Json) -> Json:
    """The same, with everything at the top that the older documentation put there."""
    params = dict(node.get("params", {}))
    top = {name: params.pop(name) for name in ("api_key", "organization", "log_level") if name in params}
    if "base_url" in params:
        top["websocket_base_url"] = params.pop("base_url")
    transcription = dict(params.get("input_audio_transcription", {}))
    top |= {name: transcription.pop(name) for name in ("model", "language") if name in transcription}
    return {**node, **top, "params": {**params, "input_audio_transcription": transcription}}


def effective(config: OpenAIASRConfig) -> Json:
    described = config.describe()
    return {**described, "key": config.connection.api_key, "session": session_of(config)}


@named
@pytest.mark.parametrize("spelling", [as_vendor, as_older])
def test_other_spellings_of_it_are_the_same(spelling: Any, wild: Wild, monkeypatch: pytest.MonkeyPatch) -> None:
    here = load(wild.property, wild, monkeypatch)
    there = load(spelling(wild.property), wild, monkeypatch)
    assert effective(there.config) == effective(here.config)
    assert len(there.warnings) == len(here.warnings)


# TEN --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wild", WILD, ids=lambda wild: wild.name)
def test_ten_has_nothing_to_say_against_its_types(wild: Wild, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in wild.environment.items():
        monkeypatch.setenv(name, value)
    problem = find_object_problem(SCHEMA, resolve_placeholders(deep_merge(SHIPPED, wild.property)))
    # Placeholders are strings: docs/configuration.md says to use them for strings only.
    assert (problem is None) == (wild.name != "a number in a placeholder, which is a string when we see it"), problem


@pytest.mark.parametrize("wild", [w for w in WORKING if w.key == "sk-environment"], ids=lambda wild: wild.name)
def test_without_the_key_in_the_environment_it_is_missed_by_name(wild: Wild, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable, which is all that TEN lets through of `${env:NAME}` without a default."""
    emptied = Wild(wild.name, wild.seen, {}, environment={**wild.environment, "OPENAI_API_KEY": ""})
    if "api.openai.com" in wild.url:
        with pytest.raises(ConfigurationError, match=r"api_key is unset: .*OPENAI_API_KEY"):
            load(wild.property, emptied, monkeypatch)
    else:
        assert load(wild.property, emptied, monkeypatch).config.connection.api_key is None


def test_names_are_unique_and_every_place_is_told() -> None:
    assert len({wild.name for wild in WILD}) == len(WILD)
    assert all(wild.seen for wild in WILD)
