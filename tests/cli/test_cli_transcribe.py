"""`openai-asr transcribe` as a user types it: graph, extension, socket, recogniser, words."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile
from fast_calls import fast_calls
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer
from tone_script import ToneScript
from wire_servers import FakeServer, Peer

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "devkit" / "samples"
SCHEMA = json.loads((ROOT / "docs" / "transcript.schema.json").read_text(encoding="utf-8"))
# As fast as the local server allows: a model that transcribes after each turn.
FAST = ("--model", "gpt-transcribe", "--no-partials")


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def word_errors(expected: list[str], heard: list[str]) -> int:
    """Insertions, deletions and substitutions between two lists of words."""
    row = list(range(len(heard) + 1))
    for i, wanted in enumerate(expected, 1):
        diagonal, row[0] = row[0], i
        for j, word in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != word))
    return row[-1]


def truth(name: str) -> list[dict[str, Any]]:
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def test_the_samples_are_understood_where_it_was_said(cli: Callable[..., Any], server_url: str) -> None:
    names = ("weather", "family")
    files = [SAMPLES / f"{name}.flac" for name in names]
    ran = cli("-q", "transcribe", *files, "--url", server_url, "--format", "json", *FAST)
    assert (ran.code, ran.err) == (0, "")
    results = [json.loads(line) for line in ran.out.splitlines()]
    assert [result["file"] for result in results] == [str(file) for file in files]
    for name, file, result in zip(names, files, results, strict=True):
        jsonschema.Draft202012Validator(SCHEMA).validate(result)
        expected = words((SAMPLES / f"{name}.txt").read_text(encoding="utf-8"))
        errors = word_errors(expected, words(result["text"]))
        assert errors <= len(expected) / 20, f"{errors} of {len(expected)} words wrong: {result['text']}"
        assert result["duration_ms"] == round(soundfile.info(file).duration * 1000)
        assert result["language"] == "en-US"
        assert len(result["segments"]) == len(truth(name))
        for segment, label in zip(result["segments"], truth(name), strict=True):
            assert abs(segment["start_ms"] - label["start_ms"]) <= 100
            assert abs(segment["start_ms"] + segment["duration_ms"] - label["end_ms"]) <= 100
    assert not set(words(results[0]["text"])) & {"mother", "children"}, "the second sample gives other words"


def test_words_go_to_stdout_and_everything_else_to_stderr(
    cli: Callable[..., Any], server_url: str, tmp_path: Path
) -> None:
    # The first sentence and the pause behind it.
    samples, rate = soundfile.read(SAMPLES / "weather.flac", stop=4_300 * 16)
    soundfile.write(tmp_path / "short.wav", samples, rate)
    arguments = ("--url", server_url, "--partials", "--model", "gpt-live-transcribe", "--speed", "2")
    ran = cli("transcribe", tmp_path / "short.wav", *arguments)
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 1 and "morning" in ran.out
    assert server_url in ran.err and "gpt-live-transcribe" in ran.err
    partials = [line for line in ran.err.splitlines() if line.endswith("…")]
    assert len(partials) > 3, "the words are shown while they are spoken"
    assert words(partials[0]) != words(ran.out)


@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_nothing_said_is_no_failure(cli: Callable[..., Any], server_url: str, tmp_path: Path, kind: str) -> None:
    level = 0.0 if kind == "silence" else 0.05
    path = tmp_path / f"{kind}.wav"
    soundfile.write(path, np.random.default_rng(3).normal(0, level, 16_000 * 5), 16_000)
    ran = cli("-q", "transcribe", path, "--url", server_url, "--format", "json", *FAST)
    assert (ran.code, ran.err) == (0, "")
    result = json.loads(ran.out)
    assert (result["text"], result["segments"], result["duration_ms"]) == ("", [], 5000)


def test_other_rates_and_channels_are_understood_too(cli: Callable[..., Any], server_url: str, tmp_path: Path) -> None:
    soxr = pytest.importorskip("soxr")
    mono, rate = soundfile.read(SAMPLES / "weather.flac")
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([soxr.resample(mono, rate, 48_000)] * 2, axis=1), 48_000)
    ran = cli("-q", "transcribe", path, "--url", server_url, *FAST)
    expected = words((SAMPLES / "weather.txt").read_text(encoding="utf-8"))
    assert ran.code == 0
    assert word_errors(expected, words(ran.out)) <= len(expected) / 10


def test_a_wrong_key_is_told_in_a_sentence(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-key")
    with run_in_thread(api_key="right", recognizer="scripted") as server:
        ran = cli("transcribe", SAMPLES / "weather.flac", "--url", server.url)
    assert (ran.code, ran.out) == (1, "")
    assert "key" in ran.err.splitlines()[-1]
    assert "canary" not in ran.err


def test_a_language_that_the_server_does_not_know_is_told_at_once(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class English(ScriptedRecognizer):
        def knows_language(self, language: str) -> bool:
            return language == "en"

    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with run_in_thread(recognizer=English()) as server:
        ran = cli("transcribe", SAMPLES / "weather.flac", "--url", server.url, "--language", "tlh-AQ")
    assert (ran.code, ran.out) == (1, "")
    assert "the server refuses the session: Invalid value: 'tlh'." in ran.err.splitlines()[-1]


def test_a_recording_waits_for_the_turn_a_call_would_give_up(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A recogniser that takes longer for one turn than for the next: in a call its place is given away after 4 s."""

    async def slow_with_the_first(peer: Peer) -> None:
        await peer.configure()
        await peer.heard_audio(48 * 2_500)
        for item, start_ms in (("item_1", 0), ("item_2", 1_200)):
            await peer.say({"type": "input_audio_buffer.speech_started", "item_id": item, "audio_start_ms": start_ms})
            end_ms = start_ms + 1_000
            await peer.say({"type": "input_audio_buffer.speech_stopped", "item_id": item, "audio_end_ms": end_ms})
            await peer.committed(item, "item_1" if start_ms else None)
        await peer.completed("item_2", "second")
        await asyncio.sleep(5)
        await peer.completed("item_1", "first")

    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    script = ToneScript().say(1, ms=1_000).pause(200).say(2, ms=1_000).pause(400)
    soundfile.write(tmp_path / "x.wav", np.frombuffer(script.pcm, dtype="<i2"), 16_000)
    node = {"type": "extension", "name": "stt", "addon": "openai_asr_python"}
    with fast_calls(), FakeServer(slow_with_the_first) as server:
        params = {"base_url": server.url, "turn_detection": {"type": "server_vad"}}
        model = {"input_audio_transcription": {"model": "gpt-4o-transcribe"}}
        graph = {"nodes": [{**node, "property": {"params": {**params, **model}}}]}
        (tmp_path / "graph.json").write_text(json.dumps(graph))
        ran = cli("-q", "transcribe", tmp_path / "x.wav", "--graph", tmp_path / "graph.json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.split() == ["first", "second"]


def test_wrong_use_has_its_exit_code(cli: Callable[..., Any], tmp_path: Path) -> None:
    sample = SAMPLES / "weather.flac"
    for arguments in (
        ("transcribe", tmp_path / "missing.wav"),
        ("transcribe", ROOT / "README.md"),
        ("transcribe", sample, "--speed", "0"),
        ("transcribe", sample, "--timeout", "-1"),
        ("transcribe", sample, "--format", "docx"),
        ("transcribe", sample, sample, "--format", "srt"),
        ("transcribe", sample, "--local", "--url", "ws://127.0.0.1:1"),
        ("transcribe", sample, "--url", "nonsense"),
        ("transcribe", sample, "--graph", tmp_path / "missing.json"),
        ("transcribe",),
        ("juggle",),
        ("serve", "--recognizer", "ears"),
        ("run", tmp_path / "missing.json"),
    ):
        ran = cli(*arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert ran.err.strip(), arguments


def test_version(cli: Callable[..., Any]) -> None:
    ran = cli("--version")
    version = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))["version"]
    assert (ran.code, ran.out) == (0, f"openai-asr {version}\n")


def bare_clone(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "devkit"), *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **{**streams, **options})


def test_without_anything_set_a_local_server_does_it(tmp_path: Path) -> None:
    # Another process, another working directory, audio from standard input: the way a stranger tries it.
    with (SAMPLES / "weather.flac").open("rb") as audio:
        process = bare_clone("transcribe", "-", stdin=audio, cwd=tmp_path)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    assert "snow" in out.decode()
    notice = err.decode()
    assert "pocketsphinx" in notice and "OPENAI_API_KEY" in notice and "no product" in notice


def test_ctrl_c_keeps_what_was_heard_so_far(server_url: str) -> None:
    arguments = ("--url", server_url, "--model", "gpt-live-transcribe", "--speed", "1", "--partials")
    process = bare_clone("transcribe", str(SAMPLES / "weather.flac"), *arguments)
    assert process.stderr is not None
    for line in process.stderr:
        if "weather is" in line.decode():
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err.decode()
    assert "weather is" in out.decode()
    assert "Traceback" not in err.decode()


def test_a_reader_that_has_enough_is_no_crash(server_url: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros(8_000), 16_000)
    read, write = os.pipe()
    os.close(read)
    arguments = ("--url", server_url, "--format", "vtt", *FAST)
    process = bare_clone("-q", "transcribe", str(tmp_path / "x.wav"), *arguments, stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == b""
