"""`openai-asr mic` as a user sees it: words on a terminal and in a pipe, files, Ctrl-C; a recording speaks."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pysubs2
import pytest
import soundfile
from ten_packages.extension.openai_asr_python.devkit.cli import mic as mic_command
from ten_packages.extension.openai_asr_python.devkit.microphone import captions
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.transcription import patience
from ten_packages.extension.openai_asr_python.devkit.transcription.graphs import own_graph
from terminal import Terminal
from tone_script import ToneScript

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "devkit" / "samples" / "weather.flac"
SCHEMA = json.loads((ROOT / "docs" / "transcript.schema.json").read_text(encoding="utf-8"))
MIC = [sys.executable, str(ROOT / "devkit"), "mic"]
TURNS = ("--model", "gpt-4o-transcribe")
"The server finds the turns: for tones, which are no speech."
SUFFIXES = ("txt", "srt", "vtt", "json")


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def play(path: Path, script: ToneScript) -> Path:
    soundfile.write(path, np.frombuffer(script.pcm, dtype="<i2"), script.rate)
    return path


@contextlib.contextmanager
def scripted(*lines: str | Line, **options: Any) -> Iterator[LocalServer]:
    with run_in_thread(recognizer=ScriptedRecognizer(lines), **options) as server:
        yield server


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [*MIC, *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    # Set, it would hide that somebody forgot to flush.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(command, **streams, env=env, text=True)


def texts(path: Path) -> list[str]:
    """The captions in *path*, by somebody else's reader. Raises for what is not valid."""
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        transcript = json.loads(content)
        jsonschema.Draft202012Validator(SCHEMA).validate(transcript)
        ends = [segment["start_ms"] + segment["duration_ms"] for segment in transcript["segments"]]
        assert transcript["duration_ms"] >= max(ends, default=1)
        return [segment["text"] for segment in transcript["segments"]]
    if path.suffix == ".txt":
        assert not content or content.endswith("\n")
        return content.splitlines()
    assert content.startswith("WEBVTT") or path.suffix == ".srt"
    captions = pysubs2.SSAFile.from_string(content, format_=path.suffix[1:])
    assert all(0 <= line.start < line.end for line in captions)
    if content.strip() not in ("", "WEBVTT"):
        assert len(captions) == content.count("-->")
    return [line.text for line in captions]


class Reader:
    """Reads files over and over while they are written, and keeps what differed."""

    def __init__(self, *paths: Path) -> None:
        self.seen: dict[Path, list[list[str]]] = {path: [] for path in paths}
        self.reads = 0
        self.problems: list[Exception] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._stop.wait(0.002):
            for path, seen in self.seen.items():
                try:
                    if path.exists() or seen:  # once it is there it stays
                        now = texts(path)
                        self.reads += 1
                        if not seen or seen[-1] != now:
                            seen.append(now)
                except Exception as error:
                    self.problems.append(error)


def test_captions_on_a_terminal_and_in_files_while_somebody_speaks(server_url: str, tmp_path: Path) -> None:
    """Two sentences of real speech, in real time, on a terminal too narrow for them."""
    samples, rate = soundfile.read(SAMPLE, stop=7_600 * 16)
    soundfile.write(tmp_path / "two.flac", samples, rate)
    files = [tmp_path / f"captions.{suffix}" for suffix in SUFFIXES]
    outputs = [argument for file in files for argument in ("--output", str(file))]
    with Terminal(columns=30) as terminal, Reader(*files) as reader:
        terminal.run([*MIC, "--url", server_url, "--file-as-mic", str(tmp_path / "two.flac"), *outputs])
        assert terminal.wait() == 0, terminal.screen
    truth = words(" ".join(SAMPLE.with_suffix(".txt").read_text(encoding="utf-8").split("\n")[:2]))
    text = files[SUFFIXES.index("txt")].read_text(encoding="utf-8")
    heard = words(text)
    assert len(heard) == len(truth)
    assert sum(one != other for one, other in zip(heard, truth, strict=True)) <= 2, heard

    # Every moment there was a valid file, and it grew by whole sentences.
    assert not reader.problems, reader.problems[0]
    sentences = text.splitlines()
    assert reader.reads > 50
    for seen in reader.seen.values():
        assert (seen[0], seen[-1]) == ([], sentences)
        assert all(content == sentences[: len(content)] for content in seen)

    assert json.loads(files[SUFFIXES.index("json")].read_text(encoding="utf-8"))["duration_ms"] == 7_600

    # The last line was written over and over with what is heard; finals stand above it and stay.
    partials = {line for line in terminal.erased if line and not line.startswith(("[", "listening"))}
    assert len(partials) > 2, "the words are shown while they are spoken"
    assert all(len(line) < terminal.columns for line in partials), partials
    whole = "\n".join(terminal.screen)
    first, second = (whole.index(line) for line in ("    0.4 s  the", "    4.5 s  there"))
    assert whole.index("Listening to") < first < second < whole.index("7.6 s of audio, 2 finals")
    assert all("".join(terminal.screen).count(said) == 1 for said in ("the weather", "there was")), "a partial was left"
    above = [screen[:-1] for screen in terminal.history if screen[-1] in [*partials, "listening"]]
    assert any(line.startswith("    0.4 s  the") for screen in above for line in screen)
    assert re.search(r"median \d+ ms, p95 \d+ ms", "".join(terminal.screen))


def test_ctrl_c_waits_for_the_last_words(tmp_path: Path) -> None:
    """The key on the terminal reaches the whole program, with the recogniser's process."""
    output = tmp_path / "x.srt"
    with Terminal(columns=200) as terminal:
        terminal.run([*MIC, "-v", "--local", "--file-as-mic", str(SAMPLE), "--output", str(output)])
        terminal.wait_for(lambda screen: screen[-1].startswith("the weather is"))
        terminal.type("\x03")
        assert terminal.wait() == 0, terminal.screen
    (final,) = texts(output)
    assert "the weather is" in final
    (line,) = (number for number, line in enumerate(terminal.screen) if line.endswith(f"s  {final}"))
    rest = "\n".join(terminal.screen[line:])
    assert re.search(r"\d\.\d s of audio, 1 final, \d+ words\n", rest)
    assert "reconnects, lost 0 ms, gated" in rest and "0 overflows" in rest
    assert not any("Traceback" in line for line in terminal.screen)
    logged = [line for line in terminal.screen if re.search(r" [IWE] ten: ", line)]
    assert logged and all(re.match(r"20\d\d-\d\d-\d\d ", line) for line in logged), "the log breaks the line"


def test_a_pipe_gets_words_only_and_at_once(tmp_path: Path) -> None:
    script = ToneScript().pause(100).say(7, 8).pause(800).say(9, ms=1_000).say(10, ms=1_000).pause(30_000)
    with scripted() as server:
        process = start("--url", server.url, *TURNS, "--file-as-mic", play(tmp_path / "x.wav", script))
        assert process.stdout is not None
        assert process.stdout.readline() == "b7 b8\n"  # while the sound goes on
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert out in ("", "b9\n", "b9 b10\n")
    assert "Listening to" in err and "of audio" in err and "b7" not in err


def test_words_that_are_behind_are_waited_for_while_they_come(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finalize is answered by its own deadline, here at once, and after the first line the second has its time."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setattr(captions, "QUIET_S", 2.4)
    sound = play(tmp_path / "x.wav", ToneScript().pause(100).say(4).pause(700).say(5, ms=800))
    output = tmp_path / "x.json"
    with scripted(Line("one", delay_s=2.4), Line("two", delay_s=3.1)) as server:
        ran = cli("mic", "--url", server.url, *TURNS, "--file-as-mic", sound, "--output", output)
    assert (ran.code, ran.out) == (0, "one\ntwo\n"), ran.err
    assert texts(output) == ["one", "two"]


def test_a_turn_whose_words_still_come_is_not_cut_short(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an outage: a streaming model hears the turn later than words are waited for that do not come."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setattr(captions, "QUIET_S", 2.0)
    said = "one two three four five six seven eight nine ten"
    sound = play(tmp_path / "x.wav", ToneScript().say(4, ms=1_000).say(5, ms=1_000).say(6, ms=1_000))
    streaming = ("--model", "gpt-live-transcribe", "--file-as-mic", sound)
    monkeypatch.setattr(mic_command, "own_graph", turns_by_finalize)
    with scripted(said, faults=["decode-speed:speed=0.5"]) as server:
        ran = cli("mic", "--url", server.url, *streaming)
    assert (ran.code, ran.out) == (0, f"{said}\n"), ran.err


def turns_by_finalize() -> Any:
    """Tones are no speech to a local detector."""
    graph = own_graph()
    graph.set_param("turn_detection.type", "none")
    return graph


def test_words_that_never_come_are_told(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setattr(captions, "QUIET_S", 0.6)
    sound = play(tmp_path / "x.wav", ToneScript().pause(100).say(4, ms=500).pause(800))
    with scripted(Line("never", delay_s=60)) as server:
        ran = cli("mic", "--url", server.url, *TURNS, "--file-as-mic", sound)
    assert (ran.code, ran.out) == (1, ""), ran.err
    assert ran.err.splitlines()[-1] == "openai-asr: the last words did not come within 0.6 s."


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    script = ToneScript().pause(100).say(7).pause(800).say(8).pause(30_000)
    output = tmp_path / "x.json"
    with scripted("one", Line("never", delay_s=60)) as server:
        sound = play(tmp_path / "x.wav", script)
        process = start("--url", server.url, *TURNS, "--file-as-mic", sound, "--output", output)
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "one\n"
        process.send_signal(signal.SIGINT)
        for line in process.stderr:
            if "last words" in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)  # the last words would be waited for for twelve
    assert process.returncode == 130
    assert texts(output) == ["one"]


def test_a_second_ctrl_c_keeps_the_words_that_were_shown(tmp_path: Path) -> None:
    output = tmp_path / "x.json"
    with (
        scripted("one two three", faults=["swallow-event:type=completed"]) as server,
        Terminal(columns=200) as terminal,
    ):
        model = ("--model", "gpt-live-transcribe")
        terminal.run([*MIC, "--url", server.url, *model, "--file-as-mic", str(SAMPLE), "--output", str(output)])
        terminal.wait_for(lambda screen: screen[-1].startswith("one two"))
        terminal.type("\x03")
        terminal.wait_for(lambda screen: any("last words" in line for line in screen))
        terminal.type("\x03")
        assert terminal.wait() == 130, terminal.screen
    (kept,) = texts(output)
    assert kept.startswith("one two")
    assert any(re.match(rf" *\d\.\d s  {kept}$", line) for line in terminal.screen), terminal.screen


def test_a_lost_connection_is_shown_and_costs_no_word(tmp_path: Path) -> None:
    script = ToneScript().pause(100)
    for label in range(1, 7):
        script.say(label).pause(200)
    sound = play(tmp_path / "x.wav", script.pause(600))
    with Terminal(columns=200) as terminal:
        with scripted() as server:
            terminal.run([*MIC, "--url", server.url, *TURNS, "--file-as-mic", str(sound)])
            terminal.wait_for(lambda screen: screen[-1] == "listening")
        terminal.wait_for(
            lambda screen: re.match(r"\[reconnecting, (0\.[1-9]|[1-9]\.\d) s kept\]", screen[-1]) is not None
        )
        with scripted(port=server.port):
            assert terminal.wait() == 0, terminal.screen
    (final,) = (line for line in terminal.screen if "b1" in line)
    assert final.split()[2:] == script.words.split()
    whole = "\n".join(terminal.screen)
    assert re.search(r"^openai-asr: .*connection", whole, re.MULTILINE)
    assert re.search(r"^Connected again after \d+\.\d s\.$", whole, re.MULTILINE)
    assert "1 reconnect, lost 0 ms" in whole
    assert "reconnecting" not in whole


def test_a_server_that_refuses_or_is_not_there_ends_it(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-key")
    sound = play(tmp_path / "x.wav", ToneScript().pause(20_000))
    with scripted(api_key="right") as server:
        ran = cli("mic", "--url", server.url, *TURNS, "--file-as-mic", sound)
    assert (ran.code, ran.out) == (1, "")
    assert "the server refuses the session: " in ran.err.splitlines()[-1] and "canary" not in ran.err
    monkeypatch.setattr(patience, "NEVER_REACHED_S", 0.3)
    ran = cli("mic", "--url", server.url, *TURNS, "--file-as-mic", sound)  # it has gone
    assert (ran.code, ran.out) == (1, "")
    assert "the server cannot be reached, is it running and the URL right?" in ran.err.splitlines()[-1]


def test_quiet_is_quiet(cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    sound = play(tmp_path / "x.wav", ToneScript().pause(100).say(4).pause(1_200))
    with scripted() as server:
        output = tmp_path / "x.json"
        ran = cli("-q", "mic", "--url", server.url, *TURNS, "--file-as-mic", sound, "--output", output)
    assert (ran.code, ran.out, ran.err) == (0, "b4\n", "")
    # The file says how long it was listened, though nothing was said in the end.
    assert json.loads(output.read_text(encoding="utf-8"))["duration_ms"] == 1_500


def test_seconds_end_it(cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    sound = play(tmp_path / "x.wav", ToneScript().pause(100).say(4).pause(200).say(5).pause(20_000))
    output = tmp_path / "x.json"
    with scripted() as server:
        ran = cli("mic", "--url", server.url, *TURNS, "--file-as-mic", sound, "--seconds", "0.415", "--output", output)
    assert (ran.code, ran.out) == (0, "b4\n"), ran.err
    assert re.search(r"^0\.4 s of audio, 1 final, 1 word$", ran.err, re.MULTILINE)
    words = json.loads(output.read_text(encoding="utf-8"))
    assert words["duration_ms"] == 415, "not a sample more, however much had come"


def test_wrong_use_is_told_before_anything_starts(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("yesterday\n")
    (tmp_path / "file").write_text("")
    sound = ("--local", "--file-as-mic", SAMPLE)
    for arguments, says in (
        ((*sound, "--output", tmp_path / "x.docx"), "its name must end in one of .txt, .srt, .vtt, .json"),
        ((*sound, "--output", tmp_path / "kept.txt"), "the file exists; give another name, or --overwrite"),
        ((*sound, "--output", tmp_path / "none" / "x.txt"), "x.txt cannot be written: No such file or directory"),
        ((*sound, "--output", tmp_path / "file" / "x.txt"), "x.txt cannot be written: Not a directory"),
        ((*sound, "--output", tmp_path / "x.txt", "--output", tmp_path / "x.txt"), "the same file is named twice"),
        ((*sound, "--seconds", "0"), "--seconds 0: it must be a number of seconds above 0"),
        ((*sound, "--url", "ws://127.0.0.1:1"), "leave one of them out"),
        ((*sound, "--device", "1"), "--file-as-mic takes the place of --device"),
        (("--local", "--file-as-mic", tmp_path / "none.wav"), "none.wav: there is no such file"),
        (("--url", "nonsense", "--file-as-mic", SAMPLE), "the configuration cannot work"),
    ):
        ran = cli("mic", *arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert says in ran.err and len(ran.err.splitlines()) == 1, ran.err
    assert (tmp_path / "kept.txt").read_text() == "yesterday\n"
    assert not (tmp_path / "x.txt").exists()


def test_a_damaged_recording_keeps_what_came_before(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    # Noise behind the words keeps the file from being packed too well to be cut.
    noise = np.random.default_rng(1).normal(0, 100, 16_000).astype("<i2").tobytes()
    path = tmp_path / "x.flac"
    script = ToneScript().pause(100).say(4)
    soundfile.write(path, np.frombuffer(script.pcm + noise, dtype="<i2"), 16_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with scripted() as server:
        ran = cli("mic", "--url", server.url, *TURNS, "--file-as-mic", path)
    assert (ran.code, ran.out) == (1, "b4\n"), ran.err
    assert re.search(r"x\.flac: the file is damaged \d\.\d s from its start", ran.err)
    assert re.search(r"the captions end at \d\.\d s, where .*x\.flac failed\.$", ran.err.splitlines()[-1])
