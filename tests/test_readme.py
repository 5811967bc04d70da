"""The README says nothing that is not so: its table, its map, its links and its programs are run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from ten_packages.extension.openai_asr_python.config import OpenAIASRConfig
from ten_packages.extension.openai_asr_python.config_reference import markdown_table
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_table_of_properties_is_the_models() -> None:
    assert markdown_table().strip() in README


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_map_of_folders_is_true() -> None:
    listed = set(re.findall(r"^\| `([\w./*]+)` \|", README.split("## The tree")[1], re.MULTILINE))
    for folder in listed:
        assert (ROOT / folder).is_dir(), folder
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if tracked:  # a source archive has no git
        top = {line.split("/")[0] + "/" for line in tracked.splitlines() if "/" in line}
        missing = {t for t in top if not t.startswith(".") and not any(name.startswith(t) for name in listed)}
        assert not missing


def test_the_node_of_the_readme_is_a_configuration_that_works() -> None:
    nodes = [json.loads(block) for block in blocks("json")]
    properties = [node["property"] for node in nodes if "property" in node]
    assert properties
    for given in properties:
        loaded = OpenAIASRConfig.load(given, {"OPENAI_API_KEY": "sk-test-0000"})
        assert loaded.warnings == () and loaded.config.result_language(None) == "en-US"


def test_the_archive_of_the_readme_is_the_one_that_is_built(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, str(ROOT / "devkit" / "package.py"), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert Path(built.stdout.strip()).name in README


@pytest.mark.socket
def test_the_client_without_ten_prints_the_words(tmp_path: Path) -> None:
    program = blocks("python")[0]
    assert len([line for line in program.splitlines() if line.strip()]) <= 18
    # The first sentence and the pause behind it: a live session takes its audio at the pace of a call.
    words = json.loads((ROOT / "devkit" / "samples" / "weather.json").read_text(encoding="utf-8"))[0]["text"].lower()
    samples, rate = soundfile.read(ROOT / "devkit" / "samples" / "weather.flac", dtype="int16", stop=4_300 * 16)
    assert rate == 16_000
    package = tmp_path / "openai_asr_python"
    package.symlink_to(ROOT, target_is_directory=True)
    with run_in_thread(port=0) as server:
        script = tmp_path / "client.py"
        script.write_text(program.replace("ws://127.0.0.1:8765/v1", server.url), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script)],
            input=samples.tobytes(),
            capture_output=True,
            timeout=120,
            check=False,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
    assert done.returncode == 0, done.stderr.decode()
    heard = set(re.findall(r"[a-z]+", done.stdout.decode().lower()))
    said = set(re.findall(r"[a-z]+", words))
    assert len(said & heard) >= 0.9 * len(said), done.stdout.decode()
