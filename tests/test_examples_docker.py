"""examples/docker: the Dockerfile is read, and its entry point, arguments and health check are run.

Docker itself is not: that the image can be built is said nowhere.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ten_packages.extension.openai_asr_python.devkit.cli import serve as serve_command
from ten_packages.extension.openai_asr_python.devkit.cli.app import main
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.faster_whisper_recognizer import FasterWhisperRecognizer
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import make_recognizer

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "examples" / "docker"
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


def test_the_image_gets_nothing_private() -> None:
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert "dump" in ignored, "recordings of callers"


def test_the_readme_publishes_to_this_machine_alone() -> None:
    readme = (DOCKER / "README.md").read_text(encoding="utf-8")
    published = re.findall(r"-p (\S+)", readme)
    assert published and all(port.startswith("127.0.0.1:") for port in published)


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
