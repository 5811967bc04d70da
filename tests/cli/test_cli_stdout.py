"""Standard output that cannot hold what there is to say: other characters than it knows, or nothing more at all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from doctor_cases import QUICK, Lab
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer

SAMPLE = Path(__file__).resolve().parents[2] / "devkit" / "samples" / "weather.flac"
FULL = Path("/dev/full")
WORDS = "日本の天気 é 🌞"


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, str], None]]:
    """Put a file, or device, in the place of standard output."""
    opened = []

    def put(path: Path, encoding: str) -> None:
        opened.append(path.open("w", encoding=encoding))
        monkeypatch.setattr(sys, "stdout", opened[-1])

    yield put
    for stream in opened:
        stream.close()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_an_encoding_cannot_hold_is_escaped(
    encoding: str, form: str, cli: Callable[..., Any], lab: Lab, stdout: Callable[[Path, str], None]
) -> None:
    stdout(lab.folder / "out", encoding)
    arguments = ["--json"] if form == "json" else []
    ran = cli("-q", "doctor", *arguments, "--no-speech", "--url", "ws://日本.test/v1", "--model", QUICK[0])
    sys.stdout.flush()
    out = (lab.folder / "out").read_text(encoding)
    assert (ran.code, ran.err) == (1, "")
    if form == "json":
        assert "日本.test" in json.loads((lab.folder / "out").read_text("utf-8"))["url"]
    else:
        assert r"\u65e5\u672c.test" in out and out.rstrip().endswith("DNS failed.")


@pytest.mark.parametrize("form", ["text", "json"])
def test_words_an_encoding_cannot_hold_are_escaped(
    form: str, cli: Callable[..., Any], lab: Lab, stdout: Callable[[Path, str], None]
) -> None:
    url = lab.server(recognizer=ScriptedRecognizer([WORDS] * 9))
    stdout(lab.folder / "out", "ascii")
    ran = cli("-q", "transcribe", SAMPLE, "--url", url, "--model", QUICK[0], "--format", form)
    sys.stdout.flush()
    out = (lab.folder / "out").read_text("ascii")
    assert (ran.code, ran.err) == (0, "")
    assert WORDS in (json.loads(out)["text"] if form == "json" else json.loads(f'"{out.splitlines()[0]}"'))


@pytest.mark.skipif(not FULL.exists(), reason="NOT TESTED: a full disk, because this system has no /dev/full")
@pytest.mark.parametrize("command", ["doctor", "doctor --json", "models"])
def test_output_that_cannot_be_written_is_told_in_a_sentence(
    command: str, cli: Callable[..., Any], lab: Lab, stdout: Callable[[Path, str], None]
) -> None:
    more = ["--no-speech", "--url", "ws://nowhere.test/v1"] if command != "models" else []
    stdout(FULL, "utf-8")
    ran = cli("-q", *command.split(), *more)
    assert ran.code == 1
    assert ran.err == "openai-asr: what there is to say cannot be written: No space left on device.\n"
