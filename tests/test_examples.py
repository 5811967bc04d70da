"""What lies in examples/: every graph is loaded and run as it stands, with stand-ins for the addons of others.

Servers are ours, in the dialect that the graph asks for; speech is a sample, whose words they know it by. What is not
shown: the others' addons, TEN's own runtime, vLLM, speaches and the service themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr
from ten_packages.extension.openai_asr_python.audio.g711 import encode_ulaw
from ten_packages.extension.openai_asr_python.config import OpenAIASRConfig
from ten_packages.extension.openai_asr_python.devkit.cli import serve as serve_command
from ten_packages.extension.openai_asr_python.devkit.cli.app import main
from ten_packages.extension.openai_asr_python.devkit.host.app import GraphRun, Host
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.faster_whisper_recognizer import FasterWhisperRecognizer
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import (
    Recognition,
    RecognitionRequest,
    make_recognizer,
)
from ten_packages.extension.openai_asr_python.devkit.transcription.nodes import SINK_ADDON, SOURCE_ADDON
from ten_runtime import AsyncExtension, AudioFrame, Cmd, CmdResult, Data, Loc, StatusCode

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
SENTENCE = "the weather is beautiful this morning and the sun is shining"
SPEECH_S = 3.6
OURS = "openai_asr_python"
KINDS = ("cmd", "data", "audio_frame", "video_frame")
Json = dict[str, Any]

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
        assert names and {name for name in names if name not in readme} == set(), path


def test_every_example_is_listed() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir()]
    assert len(folders) == 4
    for folder in folders:
        assert f"({folder.name}/README.md)" in index and (folder / "README.md").is_file()


# The graphs, run -----------------------------------------------------------------------------------------------


class Knows:
    """A recogniser that knows one sample when it hears it, at once: a busy machine changes nothing."""

    vad = "energy"

    def __init__(self, sample: npt.NDArray[np.int16]) -> None:
        self.sample = sample.astype(np.float64)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def session(self, request: RecognitionRequest) -> Hears:
        return Hears(self.sample)


class Hears:
    def __init__(self, sample: npt.NDArray[np.float64]) -> None:
        self.sample = sample
        self.audio = bytearray()

    async def accept(self, pcm: bytes) -> None:
        self.audio += pcm

    async def finish(self) -> Recognition:
        heard = np.frombuffer(self.audio, "<i2").astype(np.float64)
        size = len(heard) + len(self.sample)
        both = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(self.sample, size)), size)
        likeness = both.max() / (np.linalg.norm(heard) * np.linalg.norm(self.sample) + 1)
        return Recognition(SENTENCE if likeness > 0.9 else f"noise {likeness:.2f}", language="en")

    async def abandon(self) -> None: ...


@dataclass
class Call:
    """What the stand-ins of one run send and saw."""

    frames: list[bytes]
    rate: int
    width: int
    "Bytes of a sample."
    silence: bytes
    "A frame of it, sent for as long as the call lasts."
    got: list[tuple[str, str, Json]] = field(default_factory=list)
    "(node, name of the message, its properties)."
    over: threading.Event = field(default_factory=threading.Event)

    def of(self, node: str, name: str) -> list[Json]:
        return [payload for at, message, payload in self.got if (at, message) == (node, name)]

    @property
    def finals(self) -> str:
        return " ".join(result["text"] for result in self.of("main_control", "asr_result") if result["final"])


class StandIn(AsyncExtension):
    """Keeps what comes."""

    call: Call

    @classmethod
    def of_call(cls, call: Call) -> Any:
        def make(name: str) -> StandIn:
            made = cls(name)
            made.call = call
            return made

        return make

    async def on_data(self, ten_env: Any, data: Data) -> None:
        payload = json.loads(data.get_property_to_json(None)[0] or "{}")
        self.call.got.append((self.name, data.get_name(), payload))
        await self.heard(ten_env, data.get_name(), payload)

    async def on_audio_frame(self, ten_env: Any, audio_frame: AudioFrame) -> None:
        self.call.got.append((self.name, audio_frame.get_name(), {"bytes": len(audio_frame.get_buf())}))
        await self.heard(ten_env, audio_frame.get_name(), {})

    async def on_cmd(self, ten_env: Any, cmd: Cmd) -> None:
        self.call.got.append((self.name, cmd.get_name(), {}))
        await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))
        await self.heard(ten_env, cmd.get_name(), {})

    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        """Something came."""


class Caller(StandIn):
    """Agora's part, or the gateway's: plays the sample at the speed of speech, then silence; ends with an answer."""

    async def on_start(self, ten_env: Any) -> None:
        self.task = asyncio.get_running_loop().create_task(self.play(ten_env))

    async def on_stop(self, ten_env: Any) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def play(self, ten_env: Any) -> None:
        loop = asyncio.get_running_loop()
        begun, call = loop.time(), self.call
        number = 0
        while not call.over.is_set():
            await asyncio.sleep(max(0.0, begun + 0.02 * number - loop.time()))
            await ten_env.send_audio_frame(frame_of(call, number))
            number += 1
            if number == len(call.frames):
                await ten_env.send_cmd(Cmd.create("on_user_left"))  # he lets go of the button
        close = Cmd.create("ten:close_app")
        close.set_dests([Loc("")])
        await ten_env.send_cmd(close)

    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        self.call.over.set()  # the voice of the assistant


def frame_of(call: Call, number: int) -> AudioFrame:
    content = call.frames[number] if number < len(call.frames) else call.silence
    frame = AudioFrame.create("pcm_frame")
    frame.set_sample_rate(call.rate)
    frame.set_number_of_channels(1)
    frame.set_bytes_per_sample(call.width)
    frame.set_samples_per_channel(len(content) // call.width)
    frame.set_property_int("stream_id", 123)
    fill(frame, content)
    return frame


def fill(frame: AudioFrame, content: bytes) -> None:
    frame.alloc_buf(len(content))
    view = frame.lock_buf()
    view[:] = content
    frame.unlock_buf(view)


class StreamIdAdapter(StandIn):
    """A stream's number becomes the session's name."""

    async def on_audio_frame(self, ten_env: Any, audio_frame: AudioFrame) -> None:
        stream, _ = audio_frame.get_property_int("stream_id")
        frame = AudioFrame.create("pcm_frame")
        frame.set_property_from_json("metadata", json.dumps({"session_id": str(stream)}))
        fill(frame, bytes(audio_frame.get_buf()))
        await ten_env.send_audio_frame(frame)


class Controller(StandIn):
    """Finalizes when told that the speaker has finished; hands the first final on, as a controller does."""

    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        if name == "on_user_left":
            finalize = Data.create("asr_finalize")
            finalize.set_property_from_json(None, json.dumps({"finalize_id": "f1", "metadata": {"session_id": "123"}}))
            await ten_env.send_data(finalize)
        if name == "asr_finalize_end":
            question = Data.create("text_data")
            question.set_property_string("text", self.call.finals)
            question.set_dests([Loc("", "", "llm")])
            await ten_env.send_data(question)


class PhoneController(StandIn):
    """Hears a call through to the silence behind it."""

    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        vendor = payload.get("metrics", {}).get("vendor_metrics", {})
        if self.call.finals and vendor.get("gated_ms", 0) >= 500:
            self.call.over.set()


class Llm(StandIn):
    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        answer = Data.create("tts_text_input")
        answer.set_property_string("text", f"You said: {payload['text']}")
        answer.set_dests([Loc("", "", "tts")])
        await ten_env.send_data(answer)


class Tts(StandIn):
    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        frame = AudioFrame.create("pcm_frame")
        fill(frame, bytes(320))
        await ten_env.send_audio_frame(frame)


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
        command = [
            sys.executable,
            str(ROOT / "devkit"),
            "transcribe",
            str(wav),
            "--graph",
            str(EXAMPLES / "self_hosted"),
        ]
        return subprocess.Popen([*command, "--name", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

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


# The Dockerfile ------------------------------------------------------------------------------------------------

DOCKER = EXAMPLES / "docker"
KEY = "OPENAI_ASR_SERVE_API_KEY"


def instructions() -> list[tuple[str, str]]:
    """(instruction, the rest) of the Dockerfile, continued lines joined."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word]


def only(instruction: str) -> str:
    (rest,) = [rest for word, rest in instructions() if word == instruction]
    return rest


def test_the_image_is_slim_and_does_not_run_as_root() -> None:
    assert {rest.split()[0] for word, rest in instructions() if word == "FROM"} == {"python:3.12-slim"}
    assert only("USER").isdigit() and int(only("USER")) > 0
    order = [word for word, _ in instructions()]
    assert order.index("USER") > max(index for index, word in enumerate(order) if word in ("RUN", "COPY"))
    assert only("EXPOSE") in json.loads(only("CMD"))


def test_what_the_image_installs_is_there() -> None:
    (install,) = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    extra = re.search(r"'\.\[(\w+)\]'", install)
    assert extra is not None and f"\n{extra[1]} = [" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    needed = [
        "constraints.txt",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "manifest.json",
        "devkit",
        "realtime",
        "audio",
    ]
    assert not {*needed} & {*ignored} and all((ROOT / name).exists() for name in needed)


def test_the_command_line_takes_the_images_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(serve_command, "serve", lambda request, display: asked.append(request) or 0)
    monkeypatch.setenv(KEY, "canary")
    assert main(json.loads(only("CMD"))) == 0
    (request,) = asked
    assert (request.host, request.port, request.api_key) == ("0.0.0.0", int(only("EXPOSE")), "canary")
    assert isinstance(make_recognizer(request.recognizer, request.model_path), FasterWhisperRecognizer)


def test_the_key_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(KEY, "canary")
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["serve", "--help"]) == 0
    shown = capsys.readouterr().out
    assert KEY in shown and "canary" not in shown


@pytest.mark.parametrize("key", [None, "", "k"])
def test_the_entry_point_wants_a_key_and_hands_its_arguments_on(tmp_path: Path, key: str | None) -> None:
    program = tmp_path / "openai-asr"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    command = json.loads(only("ENTRYPOINT")) + json.loads(only("CMD"))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"} | ({} if key is None else {KEY: key})
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    if key:
        assert (ran.returncode, ran.stdout.split()) == (0, json.loads(only("CMD")))
    else:
        assert ran.returncode != 0 and not ran.stdout
        assert f"{KEY}: is not set: give the key that clients must send, with docker run -e" in ran.stderr


@pytest.mark.socket
def test_the_health_check_knows_a_server_that_answers() -> None:
    told = re.search(r"CMD (\[.*\])", only("HEALTHCHECK"))
    assert told is not None
    with run_in_thread(recognizer="scripted") as server:
        port = server.port
        assert health(json.loads(told[1]), port) == 0
    assert health(json.loads(told[1]), port) != 0


def health(command: list[str], port: int) -> int:
    inside = [part.replace(f":{only('EXPOSE')}/", f":{port}/") for part in command]
    assert inside[0] == "python" and inside != command
    return subprocess.run([sys.executable, *inside[1:]], capture_output=True, timeout=30).returncode
