"""What lies in examples/: every graph is loaded and run as it stands, with stand-ins for the addons of others.

Servers are ours, in the dialect that the graph asks for; speech is a sample, whose words they know it by. What is not
shown: the others' addons, TEN's own runtime, vLLM, speaches and the service themselves.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr
from example_nodes import (
    SENTENCE,
    Call,
    Caller,
    Controller,
    Json,
    Knows,
    Llm,
    PhoneController,
    StandIn,
    StreamIdAdapter,
    Tts,
)
from ten_packages.extension.openai_asr_python.audio.g711 import encode_ulaw
from ten_packages.extension.openai_asr_python.config import OpenAIASRConfig
from ten_packages.extension.openai_asr_python.devkit.host.app import GraphRun, Host
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_packages.extension.openai_asr_python.devkit.transcription.nodes import SINK_ADDON, SOURCE_ADDON

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
SPEECH_S = 3.6
OURS = "openai_asr_python"
KINDS = ("cmd", "data", "audio_frame", "video_frame")

GRAPHS = [
    pytest.param(path, entry, id=entry["name"])
    for path in sorted(EXAMPLES.glob("*/property.json"))
    for entry in json.loads(path.read_text(encoding="utf-8"))["ten"]["predefined_graphs"]
]


# What the graphs say -------------------------------------------------------------------------------------------


def ends(graph: Json) -> Iterator[tuple[str, str, str, str]]:
    """Every (kind, name, sender, receiver) of a graph's connections, whichever end they are written at."""
    for connection in graph["connections"]:
        owner = connection["extension"]
        for kind in KINDS:
            for entry in connection.get(kind, []):
                for name in entry.get("names") or [entry["name"]]:
                    yield from ((kind, name, owner, there["extension"]) for there in entry.get("dest", []))
                    yield from ((kind, name, there["extension"], owner) for there in entry.get("source", []))


def ours_takes(way: str) -> set[tuple[str, str]]:
    """(kind, name) of the messages that our manifest and the interface it imports declare, `in` or `out`."""
    manifest = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))
    interface = importlib.import_module("ten_ai_base.interface_files").INTERFACES["asr-interface.json"]
    return {
        (kind, message["name"])
        for api in (manifest["api"], interface)
        for kind in KINDS
        for message in api.get(f"{kind}_{way}", [])
    }


@pytest.mark.parametrize(("path", "entry"), GRAPHS)
def test_every_connection_has_two_ends_and_a_name_that_ours_knows(path: Path, entry: Json) -> None:
    graph = entry["graph"]
    addons = {node["name"]: node["addon"] for node in graph["nodes"]}
    names = list(ends(graph))
    for kind, name, sender, receiver in names:
        assert {sender, receiver} <= addons.keys(), (kind, name)
        # Older bases have no status to tell.
        if addons[sender] == OURS and name != "connection_status_changed":
            assert (kind, name) in ours_takes("out")
        if addons[receiver] == OURS:
            assert (kind, name) in ours_takes("in")
    (stt,) = [name for name, addon in addons.items() if addon == OURS]
    assert ("audio_frame", "pcm_frame") in {(kind, name) for kind, name, _, to in names if to == stt}
    assert {"asr_result", "asr_finalize_end", "error"} <= {name for _, name, sender, _ in names if sender == stt}
    assert ("data", "asr_finalize") in {(kind, name) for kind, name, _, to in names if to == stt}
    assert {node for _, _, sender, to in names for node in (sender, to)} >= addons.keys() - {"llm"}, "one is idle"


@pytest.mark.parametrize(("path", "entry"), GRAPHS)
def test_our_node_is_configured_without_a_warning(path: Path, entry: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (node,) = [node for node in entry["graph"]["nodes"] if node["addon"] == OURS]
    loaded = OpenAIASRConfig.load(resolved(node["property"]))
    assert not loaded.warnings
    assert "${" not in loaded.config.model_dump_json()


def resolved(value: Any) -> Any:
    """*value* with its placeholders replaced by their defaults, or by a word."""
    if isinstance(value, dict):
        return {name: resolved(one) for name, one in value.items()}
    if isinstance(value, list):
        return [resolved(one) for one in value]
    found = re.fullmatch(r"\$\{env:(\w+)(?:\|(.*))?\}", value) if isinstance(value, str) else None
    return value if found is None else found[2] if found[2] is not None else "k"


def test_every_placeholder_is_told_in_the_readme_beside_it() -> None:
    for path in EXAMPLES.glob("*/property.json"):
        readme = (path.parent / "README.md").read_text(encoding="utf-8")
        names = set(re.findall(r"\$\{env:(\w+)", path.read_text(encoding="utf-8")))
        assert names and [name for name in names if f"`{name}`" not in readme] == [], path


def test_every_example_is_listed() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir()]
    assert len(folders) == 4
    for folder in folders:
        assert f"({folder.name}/README.md)" in index and (folder / "README.md").is_file()


# The graphs, run -----------------------------------------------------------------------------------------------


class Runs:
    """All graphs, run at the same time, because they take as long as their speech."""

    def __init__(self, wav: Path) -> None:
        self._pool = ThreadPoolExecutor()
        pcm, rate = soundfile.read(wav, dtype="int16")
        narrow = soxr.resample(pcm, rate, 8000).astype("<i2")
        self.assistant = Call(cut(pcm.astype("<i2").tobytes(), 640), 16000, 2, bytes(640))
        self.telephone = Call(cut(encode_ulaw(narrow.tobytes()), 160), 8000, 1, b"\xff" * 160)
        self._hosts: dict[str, Future[GraphRun]] = {
            "voice_assistant": self._host(
                "voice_assistant",
                self.assistant,
                {
                    "agora_rtc": Caller,
                    "streamid_adapter": StreamIdAdapter,
                    "main_python": Controller,
                    "openai_llm2_python": Llm,
                    "elevenlabs_tts2_python": Tts,
                    "message_collector2": StandIn,
                },
            ),
            "telephone": self._host(
                "telephone", self.telephone, {"phone_gateway": Caller, "main_python": PhoneController}
            ),
        }
        self._commands = {name: self._command(name, wav) for name in ("vllm", "speaches")}

    def _host(self, folder: str, call: Call, addons: dict[str, type[StandIn]]) -> Future[GraphRun]:
        content = json.loads((EXAMPLES / folder / "property.json").read_text(encoding="utf-8"))
        host = Host(content, addons={name: stand_in.of_call(call) for name, stand_in in addons.items()})
        return self._pool.submit(host.run, timeout_s=60)

    def _command(self, name: str, wav: Path) -> subprocess.Popen[str]:
        program = [sys.executable, str(ROOT / "devkit"), "transcribe"]
        command = [*program, str(wav), "--graph", str(EXAMPLES / "self_hosted"), "--name", name]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run_of(self, name: str) -> GraphRun:
        return self._hosts[name].result(60)

    def printed_by(self, name: str) -> tuple[int, str, str]:
        out, err = self._commands[name].communicate(timeout=60)
        return self._commands[name].returncode, out, err

    def close(self) -> None:
        for call in (self.assistant, self.telephone):
            call.over.set()
        for process in self._commands.values():
            process.kill()
            process.communicate()
        self._pool.shutdown()


def cut(content: bytes, size: int) -> list[bytes]:
    whole = len(content) // size * size
    return [content[at : at + size] for at in range(0, whole, size)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    wav = tmp_path_factory.mktemp("examples") / "first.wav"
    samples, rate = soundfile.read(ROOT / "devkit" / "samples" / "weather.flac", dtype="int16")
    soundfile.write(wav, samples[: int(SPEECH_S * rate)], rate)
    with contextlib.ExitStack() as stack:
        knows = Knows(samples[: int(SPEECH_S * rate)])
        urls = {
            name: stack.enter_context(run_in_thread(dialect=name, recognizer=knows)).url
            for name in ("openai", "vllm", "speaches")
        }
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in {
            "OPENAI_API_KEY": "k",
            "OPENAI_BASE_URL": urls["openai"],
            "VLLM_BASE_URL": urls["vllm"],
            "SPEACHES_BASE_URL": urls["speaches"],
            "AGORA_APP_ID": "a",
            "ELEVENLABS_TTS_KEY": "e",
        }.items():
            environment.setenv(name, value)
        made = Runs(wav)
        stack.callback(made.close)
        yield made


@pytest.mark.socket
def test_the_voice_assistant_hears_finalizes_and_answers(runs: Runs) -> None:
    run, call = runs.run_of("voice_assistant"), runs.assistant
    run.raise_for_error()
    assert not run.timed_out and {drop.cause for drop in run.dropped} <= {"not connected", "receiver closed"}
    assert call.finals == SENTENCE
    assert not call.of("main_control", "error")
    (answer,) = call.of("main_control", "asr_finalize_end")
    assert answer["finalize_id"] == "f1"
    assert all(result["metadata"]["session_id"] == "123" for result in call.of("main_control", "asr_result"))
    assert [told["text"] for told in call.of("tts", "tts_text_input")] == [f"You said: {call.finals}"]
    assert call.of("agora_rtc", "pcm_frame") == [{"bytes": 320}]


@pytest.mark.socket
def test_a_telephone_call_is_heard_and_its_silence_is_not_sent(runs: Runs) -> None:
    run, call = runs.run_of("telephone"), runs.telephone
    run.raise_for_error()
    assert not run.timed_out and {drop.cause for drop in run.dropped} <= {"not connected", "receiver closed"}
    assert call.finals == SENTENCE
    assert not call.of("main_control", "error")
    # It ended when the controller had seen that silence was gated, see there.


@pytest.mark.socket
@pytest.mark.parametrize("name", ["vllm", "speaches"])
def test_a_server_of_ones_own_transcribes_a_recording(runs: Runs, name: str) -> None:
    code, out, err = runs.printed_by(name)
    assert code == 0, err
    assert out.strip() == SENTENCE
    assert "on this machine" in err


def test_the_ends_of_the_self_hosted_graphs_are_the_command_lines() -> None:
    content = json.loads((EXAMPLES / "self_hosted" / "property.json").read_text(encoding="utf-8"))
    for entry in content["ten"]["predefined_graphs"]:
        assert {node["addon"] for node in entry["graph"]["nodes"]} == {OURS, SOURCE_ADDON, SINK_ADDON}
