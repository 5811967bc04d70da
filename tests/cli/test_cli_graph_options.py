"""What every command that sends audio through a graph makes of --url, --model, --local, --recognizer and the like."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "devkit" / "samples" / "weather.flac"
COMMANDS: dict[str, tuple[object, ...]] = {
    "transcribe": ("transcribe", SAMPLE),
    "mic": ("mic", "--file-as-mic", SAMPLE),
    "playground": ("playground", "--port", "0"),
    "doctor": ("doctor",),
}
WITH_RECOGNIZER = [name for name in COMMANDS if name != "doctor"]
SERVER = "ws://127.0.0.1:9"


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.wav"
    soundfile.write(path, np.zeros(1_600), 16_000)
    return path


def refusal(cli: Callable[..., Any], command: str, *arguments: object) -> str:
    """The one sentence of wrong use."""
    ran = cli(*COMMANDS[command], *arguments)
    assert (ran.code, ran.out) == (2, ""), ran.err
    (sentence,) = ran.err.splitlines()
    return str(sentence)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--url", "--model", "--dialect", "--language"])
def test_an_empty_option_is_wrong_use(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, command: str, option: str
) -> None:
    """As of a script whose variable is not set: the default might be somebody else's server."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    for empty in ("", " "):
        said = refusal(cli, command, option, empty)
        assert said == f"openai-asr: {option} is empty: say what to ask for, or leave the option out."


@pytest.mark.parametrize("command", COMMANDS)
def test_a_local_server_and_another_are_wrong_use(cli: Callable[..., Any], command: str) -> None:
    options: list[tuple[str, ...]] = [("--local",)]
    if command in WITH_RECOGNIZER:
        options += [("--recognizer", "scripted"), ("--model-path", "small")]
    for option in options:
        said = refusal(cli, command, "--url", SERVER, *option)
        assert f"{option[0]} starts a server and --url names one: leave one of them out." in said


@pytest.mark.parametrize("command", ["transcribe", "mic"])
def test_a_recogniser_is_asked_of_a_local_server_even_if_there_is_a_key(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, short: Path, command: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    sound = ("--file-as-mic", short) if command == "mic" else (short,)
    ran = cli(command, *sound, "--recognizer", "scripted")
    assert ran.code == 0, ran.err
    assert ran.err.splitlines()[0].startswith("As asked, a local server listens: scripted")
    assert "Sending" not in ran.err


@pytest.mark.parametrize("command", WITH_RECOGNIZER)
def test_a_recogniser_that_cannot_be_meant_is_wrong_use(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    for arguments, says in (
        (("--local", "--recognizer", "ears"), "recognizer: 'ears' given, must be one of: faster-whisper, pocketsphinx"),
        (("--recognizer", "faster-whisper"), "model_path: none given, and faster-whisper needs one"),
        (("--model-path", "small"), "model_path: 'small' given, but pocketsphinx brings its own"),
        (("--recognizer", ""), "recognizer: '' given, must be one of"),
    ):
        assert says in refusal(cli, command, *arguments)


def test_a_local_server_is_nothing_to_a_recogniser_that_is_not_ours(cli: Callable[..., Any], tmp_path: Path) -> None:
    graph = {"nodes": [{"type": "extension", "name": "stt", "addon": "somebody_elses"}]}
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    for option in (("--local",), ("--recognizer", "scripted")):
        said = refusal(cli, "transcribe", "--graph", tmp_path / "graph.json", *option)
        assert f"{option[0]} starts a server that somebody_elses is no client of: leave the option out." in said
