"""`openai-asr serve` and `openai-asr run`, and graphs of the user's own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ten_packages.extension.openai_asr_python.devkit.cli import serve
from ten_packages.extension.openai_asr_python.devkit.transcription import runner

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "devkit" / "samples" / "weather.flac"

ADDON = """
    from ten_runtime import Addon, AsyncExtension, CmdResult, Cmd, register_addon_as_extension
    from ten_runtime import Loc

    class {name}(AsyncExtension):
        async def on_start(self, ten_env):
            ten_env.log_info("{name} has started")
            {body}

    @register_addon_as_extension("{addon}")
    class {name}Addon(Addon):
        def on_create_instance(self, ten_env, name, context):
            ten_env.on_create_instance_done({name}(name), context)
"""
CLOSE_APP = """cmd = Cmd.create("ten:close_app"); cmd.set_dests([Loc("")]); await ten_env.send_cmd(cmd)"""


def app(folder: Path, addon: str, body: str = "pass") -> Path:
    """An app folder with one extension of its own, in a graph by itself."""
    package = folder / "ten_packages" / "extension" / addon
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(textwrap.dedent(ADDON).format(name=addon.title(), addon=addon, body=body))
    (package / "manifest.json").write_text(json.dumps({"type": "extension", "name": addon, "version": "1.0.0"}))
    graph = {"nodes": [{"type": "extension", "name": "stt", "addon": addon}], "connections": []}
    entry = {"name": "voice", "auto_start": True, "graph": graph}
    (folder / "property.json").write_text(json.dumps({"ten": {"predefined_graphs": [entry]}}))
    return folder


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "devkit"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.socket
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serve_says_where_it_listens_and_ends_when_told(number: signal.Signals, code: int) -> None:
    process = start("serve", "--port", "0", "--recognizer", "scripted")
    assert process.stdout is not None
    url = process.stdout.readline().split()[0]
    assert url.startswith("ws://127.0.0.1:") and url.endswith("/v1")
    health = url.replace("ws://", "http://").replace("/v1", "/healthz")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(health, timeout=30) as answer:
        assert answer.read() == b"ok\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert url in err


@pytest.mark.socket
@pytest.mark.parametrize(
    ("host", "url", "warned"),
    [
        ("127.0.0.1", "ws://127.0.0.1:", False),
        ("localhost", "ws://localhost:", False),
        ("::1", "ws://[::1]:", False),
        ("0.0.0.0", "ws://127.0.0.1:", True),
        ("::", "ws://[::1]:", True),
        ("", "ws://127.0.0.1:", True),
    ],
)
def test_serve_without_a_key_tells_when_others_can_reach_it(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, host: str, url: str, warned: bool
) -> None:
    def told_at_once(*signals: signal.Signals) -> asyncio.Future[signal.Signals]:
        told: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.1, told.set_result, signal.SIGTERM)
        return told

    monkeypatch.setattr(serve, "first_signal", told_at_once)
    ran = cli("serve", "--host", host, "--port", "0", "--recognizer", "scripted")
    if ":" in host and "cannot listen" in ran.err:
        pytest.skip("no IPv6 here")
    assert ran.code == 0 and ran.out.startswith(url), ran.err
    assert ("can be reached from other machines" in ran.err) is warned


@pytest.mark.socket
def test_serve_speaks_the_dialect_it_is_told() -> None:
    process = start("serve", "--port", "0", "--recognizer", "scripted", "--dialect", "azure")
    assert process.stdout is not None
    assert process.stdout.readline().split()[0].endswith("/openai/v1")
    process.terminate()
    process.communicate(timeout=30)


def test_a_dialect_that_does_not_exist_is_told_in_a_sentence(cli: Callable[..., Any]) -> None:
    ran = cli("serve", "--recognizer", "scripted", "--dialect", "klingon")
    assert ran.code == 2 and "dialect: 'klingon' given, must be one of: openai, azure" in ran.err


@pytest.mark.socket
def test_a_taken_port_is_told_in_a_sentence(cli: Callable[..., Any], server_url: str) -> None:
    port = server_url.rpartition(":")[2].removesuffix("/v1")
    ran = cli("serve", "--port", port, "--recognizer", "scripted")
    assert (ran.code, ran.out) == (1, "")
    assert f"port {port}" in ran.err and "--port" in ran.err


def test_run_runs_a_graph_with_the_apps_own_addons(cli: Callable[..., Any], tmp_path: Path) -> None:
    folder = app(tmp_path, "cli_test_closer", CLOSE_APP)
    ran = cli("run", folder)
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert "voice" in ran.err and "cli_test_closer" in ran.err


def test_run_of_a_graph_that_fails(cli: Callable[..., Any], tmp_path: Path) -> None:
    folder = app(tmp_path, "cli_test_failer", "raise ValueError('no strings attached')")
    ran = cli("run", folder / "property.json", "--name", "voice")
    assert ran.code == 1
    assert "no strings attached" in ran.err and "Traceback" not in ran.err


def test_run_of_a_graph_that_is_not_there(cli: Callable[..., Any], tmp_path: Path) -> None:
    folder = app(tmp_path, "cli_test_other")
    assert cli("run", folder, "--name", "other").code == 2


def test_ctrl_c_ends_a_graph(tmp_path: Path) -> None:
    params = {"base_url": "ws://127.0.0.1:1/v1"}
    node = {"type": "extension", "name": "stt", "addon": "openai_asr_python", "property": {"params": params}}
    (tmp_path / "graph.json").write_text(json.dumps({"nodes": [node]}))
    process = start("-v", "run", str(tmp_path / "graph.json"))
    assert process.stderr is not None
    for line in process.stderr:
        if "on_start" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err


def test_ctrl_c_while_the_program_is_still_loading(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(ROOT / "devkit"), "transcribe", str(SAMPLE)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **streams) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 130


def test_a_graph_whose_extension_swallows_frames_prints_nothing_and_fails(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "ANSWER_GRACE_S", 0.1)
    folder = app(tmp_path, "cli_test_swallower")
    ran = cli("transcribe", SAMPLE, "--graph", folder, "--timeout", "0.5")
    assert (ran.code, ran.out) == (1, "")
    assert "cli_test_swallower" in ran.err


@pytest.mark.socket
def test_a_recording_through_a_graph_of_ones_own(cli: Callable[..., Any], server_url: str, tmp_path: Path) -> None:
    params = {"base_url": server_url, "input_audio_transcription": {"model": "gpt-4o-transcribe"}}
    node = {"type": "extension", "name": "ears", "addon": "openai_asr_python", "property": {"params": params}}
    (tmp_path / "graph.json").write_text(json.dumps({"nodes": [node]}))
    ran = cli("transcribe", SAMPLE, "--graph", tmp_path / "graph.json", "--format", "json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert "snow" in result["text"]
    assert {segment["asr_info"]["model"] for segment in result["segments"]} == {"gpt-4o-transcribe"}
