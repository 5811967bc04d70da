"""Parts of `openai-asr mic` by themselves: files that are rewritten, lines that are cut, what a terminal is spared."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import resource
import stat
from collections.abc import Iterator
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


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is full, as far as a process without rights can have one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fails_is_told_once_and_tried_again(tmp_path: Path) -> None:
    output = OutputFile(str(tmp_path / "x.vtt"))
    output.update(said("one"), 0.0)

    with files_of_at_most(10):
        assert output.update(said("one", "two"), 1.0) == f"{output.name} cannot be written: File too large."
        assert output.update(said("one", "two", "three"), 3.0) is None
        assert output.problem is not None
    assert [path.name for path in tmp_path.iterdir()] == ["x.vtt"]  # half a file would be left for ever
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


def test_who_may_read_a_file_does_not_change(tmp_path: Path) -> None:
    """Transcripts are private: whoever made the file private once need not do it again."""
    private, new = tmp_path / "private.txt", tmp_path / "new.txt"
    private.touch(0o600)
    (tmp_path / "any").write_text("any tool's")
    for path in (private, new):
        OutputFile(str(path)).update(said("one"), 0.0)
        assert path.read_text() == "one\n"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert new.stat().st_mode == (tmp_path / "any").stat().st_mode


def test_files_and_links_of_others_are_neither_used_nor_lost(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".x.txt.new").write_text("of somebody else")
    (tmp_path / ".y.txt.new").symlink_to("precious")
    first, same, other = (OutputFile(str(tmp_path / name)) for name in ("x.txt", "x.txt", "y.txt"))
    for output in (first, same, other):
        output.update(said("one"), 0.0)
    assert (tmp_path / ".x.txt.new").read_text() == "of somebody else"
    assert (tmp_path / ".y.txt.new").is_symlink() and (tmp_path / "precious").read_text() == "precious"
    assert not other.path.is_symlink() and other.path.read_text() == "one\n"


def test_the_last_words_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = OutputFile(str(tmp_path / "x.txt"))
    synced: list[bytes] = []
    sync = os.fsync

    def looking(descriptor: int) -> None:
        sync(descriptor)
        (part,) = (path for path in tmp_path.iterdir() if path != output.path)  # it has not taken the old one's place
        assert os.path.samestat(part.stat(), os.fstat(descriptor))
        synced.append(part.read_bytes())

    monkeypatch.setattr(output_module.os, "fsync", looking)
    output.update(said("one"), 0.0)
    assert synced == []  # a sentence is not worth waiting for a disk
    output.update(said("one", "two"), 0.1, last=True)
    assert synced == [b"one\ntwo\n"]


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
    with contextlib.suppress(OSError), screen.above():
        raise OSError("the log's stream is closed")
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
    # Nor turn the rest of the line around.
    assert one_line("in\u202eside\u202c \u2066out\u2069 \u2067of\u2068") == "inside out of"
    assert one_line("\u202aa\u202bb\u202d") == "ab" and one_line("שלום\u200f!") == "שלום\u200f!"


def test_what_the_encoding_cannot_hold_ends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.show("partial")  # no terminal: nothing
    screen.final(0, "before\nand \ud83d after")
    screen.close()
    assert capfd.readouterr().out == "before and ? after\n"
