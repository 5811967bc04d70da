"""Parts of `openai-asr mic` by themselves: files that are rewritten, lines that are cut, what a terminal is spared."""

from __future__ import annotations

import errno
import io
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from ten_packages.extension.openai_asr_python.devkit.microphone import output as output_module
from ten_packages.extension.openai_asr_python.devkit.microphone.output import LARGE, LARGE_EVERY_S, OutputFile
from ten_packages.extension.openai_asr_python.devkit.microphone.screen import AboveTheLine, Screen, one_line, tail
from ten_packages.extension.openai_asr_python.devkit.transcription.failure import CommandError
from ten_packages.extension.openai_asr_python.devkit.transcription.transcript import Segment, Transcript
from terminal import TerminalScreen


def said(*texts: str) -> Transcript:
    segments = [Segment(f"r{at}", 1_000 * at, 900, text, "en-US") for at, text in enumerate(texts)]
    return Transcript("mic", 1_000 * len(texts) + 1, finals=segments)


def test_small_files_are_rewritten_at_each_final(tmp_path: Path) -> None:
    output = OutputFile(str(tmp_path / "x.TXT"))
    assert not list(tmp_path.iterdir())  # looking whether it can be written leaves nothing
    output.update(said(), 0.0)
    assert output.path.read_text() == ""
    output.update(said("one"), 0.1)
    output.update(said("one", "two"), 0.1)
    assert output.path.read_text() == "one\ntwo\n"
    assert [path.name for path in tmp_path.iterdir()] == ["x.TXT"]


def test_a_large_file_is_rewritten_once_a_second_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = 0
    replace = os.replace

    def counting(*arguments: Any) -> None:
        nonlocal writes
        writes += 1
        replace(*arguments)

    monkeypatch.setattr(output_module.os, "replace", counting)
    output = OutputFile(str(tmp_path / "x.txt"))
    texts = ["a" * LARGE]
    output.update(said(*texts), 0.0)
    for step in range(1, 200):  # ten seconds
        texts.append(f"word{step}")
        output.update(said(*texts), step / 20)
    assert writes <= 1 + 10 / LARGE_EVERY_S
    output.tick(said(*texts), 200 / 20 + LARGE_EVERY_S)  # nothing new is said, and it is still written
    assert output.path.read_text().endswith("word199\n")
    output.update(said(*texts, "last"), 12.0)
    output.update(said(*texts, "last", "words"), 12.1, last=True)
    assert output.path.read_text().endswith("last\nwords\n")


def test_a_disk_that_fails_is_told_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = OutputFile(str(tmp_path / "x.vtt"))
    output.update(said("one"), 0.0)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert output.update(said("one", "two"), 1.0) == f"{output.name} cannot be written: No space left on device."
        assert output.update(said("one", "two", "three"), 3.0) is None
        assert output.problem is not None
    assert "one" in output.path.read_text() and "two" not in output.path.read_text()
    assert output.tick(said("one", "two", "three"), 5.0) is None
    assert "three" in output.path.read_text() and output.problem is None


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "x.txt"
    link.symlink_to(tmp_path / "there" / "real.txt")
    output = OutputFile(str(link))
    output.update(said("one"), 0.0)
    assert link.is_symlink() and (tmp_path / "there" / "real.txt").read_text() == "one\n"


def test_what_exists_is_replaced_only_when_asked_and_only_files(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_text("old\n")
    with pytest.raises(CommandError, match="the file exists"):
        OutputFile(str(file))
    OutputFile(str(file), overwrite=True).update(said(), 0.0)
    assert file.read_text() == ""
    OutputFile(str(file))  # empty: there is nothing to lose
    (tmp_path / "folder.txt").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")
    for name in ("folder.txt", "pipe.txt"):
        with pytest.raises(CommandError, match="no file that can be replaced"):
            OutputFile(str(tmp_path / name), overwrite=True)


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("short", 5, "short"),
        ("one two three", 10, "…two three"),
        ("one two three", 9, "…wo three"),
        ("one two three", 7, "…three"),  # no space behind the ellipsis
        ("日本語を話す", 12, "日本語を話す"),
        ("日本語を話す", 11, "…本語を話す"),
        ("日本語を話す", 10, "…語を話す"),  # half a character is none
        ("cafe\u0301 noir", 5, "…noir"),
        ("", 5, ""),
        ("abc", 1, "…"),
    ],
)
def test_a_line_keeps_its_end(text: str, width: int, expected: str) -> None:
    assert tail(text, width) == expected


def test_notices_stand_above_the_changing_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=30, soft_wrap=True, highlight=False)
    screen, seen = Screen(console), TerminalScreen(30)
    log = logging.StreamHandler(AboveTheLine(screen, written))

    def lines() -> list[str]:
        seen.show(written.getvalue())
        written.seek(0)
        written.truncate()
        return seen.lines

    screen.show("what is heard")
    assert lines() == ["what is heard"]
    with screen.above():
        console.print("a notice")
    assert lines() == ["a notice", "what is heard"]
    log.emit(logging.makeLogRecord({"msg": "a line of the log"}))
    assert lines() == ["a notice", "a line of the log", "what is heard"]
    screen.final(1_500, "what was said")
    screen.show("next")
    assert lines() == ["a notice", "a line of the log", "    1.5 s  what was said", "next"]
    screen.show("a line that is longer than the terminal")
    assert lines()[-1] == "…is longer than the terminal"
    screen.close()
    assert lines() == ["a notice", "a line of the log", "    1.5 s  what was said", ""]


def test_a_server_cannot_command_the_terminal() -> None:
    assert one_line("a\x1b[2Jb\r\nc\u0085d\x9b1m\te") == "a [2Jb c d 1m e"
    assert one_line("नमस्ते \u200dदुनिया") == "नमस्ते \u200dदुनिया"


def test_what_the_encoding_cannot_hold_ends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.show("partial")  # no terminal: nothing
    screen.final(0, "before\nand \ud83d after")
    screen.close()
    assert capfd.readouterr().out == "before and ? after\n"
