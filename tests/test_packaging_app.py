"""The TEN package does its work in an app that has nothing else of this project: sound in, a final out of the graph.

The app is laid out as TEN's tools do it: the package's files alone in `ten_packages/extension`, the runtime (here the
embedded host's, copied) in `ten_packages/system`, a property.json with a graph, and one extension of the app's own.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread

ROOT = Path(__file__).resolve().parent.parent
NAME = "openai_asr_python"
SAMPLE = ROOT / "devkit" / "samples" / "weather.flac"
SECONDS = 3.6
"Its first sentence, and the pause behind it that ends the turn."

PROBE = '''
"""Plays speech.raw into the graph, asks for the rest, keeps what comes back and then ends the app."""

import json
import os
import sys

from ten_runtime import Addon, AsyncExtension, AudioFrame, Cmd, Data, Loc, register_addon_as_extension


class Probe(AsyncExtension):
    async def on_start(self, ten_env):
        self.heard = []
        with open("speech.raw", "rb") as file:
            while block := file.read(640):
                frame = AudioFrame.create("pcm_frame")
                frame.set_property_from_json("metadata", json.dumps({"session_id": "s1"}))
                frame.alloc_buf(len(block))
                view = frame.lock_buf()
                view[:] = block
                frame.unlock_buf(view)
                await ten_env.send_audio_frame(frame)
        finalize = Data.create("asr_finalize")
        finalize.set_property_from_json(None, json.dumps({"finalize_id": "f1", "metadata": {"session_id": "s1"}}))
        await ten_env.send_data(finalize)

    async def on_data(self, ten_env, data):
        text, _ = data.get_property_to_json(None)
        self.heard.append([data.get_name(), json.loads(text)])
        if data.get_name() == "asr_finalize_end":
            close = Cmd.create("ten:close_app")
            close.set_dests([Loc("")])
            await ten_env.send_cmd(close)

    async def on_deinit(self, ten_env):
        ours = sys.modules["ten_packages.extension.openai_asr_python.extension"].__file__
        files = sorted({str(m.__file__) for m in list(sys.modules.values()) if getattr(m, "__file__", None)})
        with open("heard.json", "w") as file:
            json.dump({"heard": self.heard, "extension": ours, "files": files}, file)


@register_addon_as_extension("probe")
class ProbeAddon(Addon):
    def on_create_instance(self, ten_env, name, context):
        ten_env.on_create_instance_done(Probe(name), context)
'''
MANIFEST: dict[str, Any] = {
    "type": "app",
    "name": "an_app",
    "version": "0.1.0",
    "dependencies": [{"path": f"ten_packages/extension/{NAME}"}],
}
MESSAGES = ["asr_result", "asr_finalize_end", "error", "metrics"]
SPEAKS = [{"extension": "stt"}]
PROPERTY: dict[str, Any] = {
    "ten": {
        "predefined_graphs": [
            {
                "name": "calls",
                "auto_start": True,
                "graph": {
                    "nodes": [
                        {
                            "type": "extension",
                            "name": "stt",
                            "addon": NAME,
                            "extension_group": "stt",
                            "property": {
                                "params": {
                                    "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                                    "turn_detection": {"type": "local_vad"},
                                    "finalize_timeout_ms": 60000,
                                }
                            },
                        },
                        {"type": "extension", "name": "probe", "addon": "probe", "extension_group": "main"},
                    ],
                    "connections": [
                        {
                            "extension": "probe",
                            "audio_frame": [{"name": "pcm_frame", "dest": SPEAKS}],
                            "data": [
                                {"name": "asr_finalize", "dest": SPEAKS},
                                {"names": MESSAGES, "source": SPEAKS},
                            ],
                        }
                    ],
                },
            }
        ]
    }
}


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with run_in_thread(recognizer="pocketsphinx", api_key="sk-of-the-app") as running:
        yield running


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app's folder with the package in it."""
    folder = tmp_path / "an app"
    runpy.run_path(str(ROOT / "devkit" / "package.py"))["copy_package"](folder / "ten_packages" / "extension" / NAME)
    for system, package in (("ten_runtime_python", "ten_runtime"), ("ten_ai_base", "ten_ai_base")):
        interface = folder / "ten_packages" / "system" / system / "interface" / package
        shutil.copytree(ROOT / "devkit" / "host" / "interface" / package, interface)
    probe = folder / "ten_packages" / "extension" / "probe"
    probe.mkdir()
    (probe / "__init__.py").write_text(PROBE, encoding="utf-8")
    (probe / "manifest.json").write_text(json.dumps({"type": "extension", "name": "probe", "version": "0.1.0"}))
    (folder / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    (folder / "property.json").write_text(json.dumps(PROPERTY), encoding="utf-8")
    samples, rate = soundfile.read(SAMPLE, dtype="int16", frames=int(SECONDS * 16_000))
    assert rate == 16_000
    (folder / "speech.raw").write_bytes(samples.tobytes())
    return folder


def run_app(folder: Path, url: str) -> dict[str, Any]:
    """Run the app in a process that finds nothing but the app; returns what its probe kept."""
    system = folder / "ten_packages" / "system"
    path = [folder, system / "ten_runtime_python" / "interface", system / "ten_ai_base" / "interface"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OPENAI_"))}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"OPENAI_API_KEY": "sk-of-the-app", "OPENAI_BASE_URL": url.replace("ws:", "http:")}
    command = [sys.executable, "-W", "error", "-c", "from ten_runtime import App; App().run(False)"]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    kept: dict[str, Any] = json.loads((folder / "heard.json").read_text(encoding="utf-8"))
    return kept


def test_the_package_alone_transcribes_in_an_app(app: Path, server: LocalServer) -> None:
    kept = run_app(app, server.url)
    package = app / "ten_packages" / "extension" / NAME
    assert Path(kept["extension"]) == package / "extension.py"
    foreign = [file for file in kept["files"] if Path(file).is_relative_to(ROOT) and "site-packages" not in file]
    assert foreign == [], "the app took part of the checkout for its own"
    heard: list[tuple[str, dict[str, Any]]] = [(name, payload) for name, payload in kept["heard"]]
    assert [payload for name, payload in heard if name == "error"] == []
    finals = [payload for name, payload in heard if name == "asr_result" and payload["final"]]
    words = " ".join(final["text"] for final in finals).lower()
    assert "weather" in words and "morning" in words, heard
    assert finals[0]["metadata"]["session_id"] == "s1" and finals[0]["language"] == "en-US"
    assert [payload["finalize_id"] for name, payload in heard if name == "asr_finalize_end"] == ["f1"]


def test_a_package_that_lacks_a_module_does_not_load(app: Path, server: LocalServer) -> None:
    """Nothing of the checkout stands in for a file the include list forgot."""
    (app / "ten_packages" / "extension" / NAME / "realtime" / "ledger.py").unlink()
    with pytest.raises(AssertionError, match="ledger"):
        run_app(app, server.url)
