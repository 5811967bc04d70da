"""How faults are written: on a command line, in a script, in Python; and that docs/faults.md lists what there is.

Run this file to write the table anew.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "faults.md"
START, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"


def server() -> Any:
    from ten_packages.extension.openai_asr_python.devkit.server import faults

    return faults


def registry() -> Any:
    from ten_packages.extension.openai_asr_python.devkit.server import faults_registry

    return faults_registry


# Written --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mute", "mute"),
        ("http:status=429,for=10,retry_after=2.5", "http:status=429,retry-after=2.5,for=10"),
        ("close: code = 1012 , reason=service restart", "close:code=1012,reason=service restart"),
        ("drop:phase=after_commit,connections=2-,times=3", "drop:phase=after-commit,connections=2-,times=3"),
        ("drop:connections=3", "drop:connections=3"),
        ("session_limit:seconds=5,event=no", "session-limit:seconds=5,event=false"),
        ("late-created:ms=5000", "late-created"),
    ],
)
def test_a_fault_is_read_and_written_again(text: str, expected: str) -> None:
    read = server().parse_fault(text)
    assert str(read) == expected
    assert server().parse_fault(expected) == read


def test_python_writes_the_same() -> None:
    made = server().fault("http", status=429, retry_after=2, connections="1-4")
    assert made == server().parse_fault("http:status=429,retry-after=2,connections=1-4")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("explode", "fault: 'explode' given, must be one of drop, kill, half-open"),
        ("", "fault: '' given, must be one of"),
        ("mute:ms=3", "fault mute: no argument 'ms'; it takes after, at, connections, for, times"),
        ("drop:interval=soon", "fault drop: interval: 'soon' given, must be a number of seconds, 0 or more"),
        ("drop:after=-1", "fault drop: after: '-1' given, must be a number of seconds"),
        ("drop:after=nan", "fault drop: after: 'nan' given"),
        ("drop:after=1,after=2", "fault drop: 'after' given twice"),
        ("drop:phase=lunch", "fault drop: phase: 'lunch' given, must be one of speaking, before-commit"),
        ("drop:connections=4-2", "fault drop: connections: '4-2' given, must be a number from 1 on, or a range"),
        ("fail-item:every=0", "fault fail-item: every: '0' given, must be a whole number, 1 or more"),
        ("fail-item:every=1.5", "fault fail-item: every: '1.5' given"),
        ("http:status=200", "fault http: status: '200' given, must be an HTTP status from 300 to 599"),
        ("http:status=999", "fault http: status: '999' given"),
        ("close:code=1006", "fault close: code: '1006' given, must be 1000 to 1003"),
        ("session-limit:told=maybe", "fault session-limit: told: 'maybe' given, must be true or false"),
        ("poison:label=1000", "fault poison: label: '1000' given, must be the number of a block of tones, 0 to 999"),
        ("slow-read:speed=0", "fault slow-read: speed: '0' given, must be a number above 0"),
        ("late-final:ms=x", "fault late-final: ms: 'x' given, must be a number of milliseconds"),
    ],
)
def test_a_fault_that_cannot_be_says_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(server().FaultError, match=re.escape(said)):
        server().parse_fault(text)


# Scripts --------------------------------------------------------------------------------------------------------

ENTRIES: list[Any] = [
    {"fault": "drop", "at": 10, "after": 2, "times": 1},
    {"fault": "http:status=429", "at": 20, "for": 5.5, "retry-after": None},
    {"fault": "close", "reason": "a, b=c", "connections": 3},
    {"fault": "session-limit", "event": False},
    "mute:after=5",
]
TEXTS = [
    "drop:at=10,after=2,times=1",
    "http:status=429,at=20,for=5.5",
    "close:reason=a, b=c,connections=3",
    "session-limit:event=false",
    "mute:after=5",
]


@pytest.mark.parametrize("write", [json.dumps, lambda entries: "\n\n".join(map(json.dumps, entries))])
def test_a_script_is_a_list_or_lines(write: Callable[[list[Any]], str], tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(write(ENTRIES))
    assert [str(read) for read in server().read_fault_script(script)] == TEXTS


def test_a_script_of_one_line_is_one_fault(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"fault": "quota"}\n')
    assert [str(read) for read in server().read_fault_script(script)] == ["quota"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"fault": "mute"}\n{oops\n', "line 2 is not JSON"),
        ('{"fault": "mute"}\n{"at": 3}\n', "line 2: {'at': 3} given, must be an object with \"fault\""),
        ('["mute", 7]', 'entry 2: 7 given, must be an object with "fault"'),
        ('["mute", "nope"]', "entry 2: fault: 'nope' given, must be one of"),
        ('[{"fault": "drop", "at": "x"}]', "entry 1: fault drop: at: 'x' given"),
        ('[{"fault": "drop", "at": true}]', "entry 1: fault drop: at: True given"),
    ],
)
def test_a_bad_script_names_the_entry(content: str, said: str, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(content)
    with pytest.raises(server().FaultError) as error:
        server().read_fault_script(script)
    assert str(script) in str(error.value) and said in str(error.value)


# The command line -----------------------------------------------------------------------------------------------


def serve(*arguments: str) -> Any:
    """`openai-asr serve` with these arguments, which cannot work: it ends by itself."""
    command = [sys.executable, str(ROOT / "devkit"), "serve", "--port", "0", "--recognizer", "scripted", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fault", "mute", "--fault", "drop:when=1"), "fault drop: no argument 'when'; it takes after, at,"),
        (("--fault-script", "no/such.json"), "cannot read no/such.json"),
    ],
)
def test_a_command_line_that_cannot_be_starts_no_server(arguments: tuple[str, ...], said: str) -> None:
    ran = serve(*arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.socket
def test_serve_makes_the_faults_it_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"fault": "http", "status": 429, "times": 1}\n')
    command = [sys.executable, str(ROOT / "devkit"), "serve", "--port", "0", "--recognizer", "scripted"]
    command += ["--fault", "close:code=1012", "--fault-script", str(script)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0] + "/realtime?intent=transcription"
        with pytest.raises(InvalidStatus) as refused:
            connect(url)
        assert refused.value.response.status_code == 429
        with connect(url) as socket, pytest.raises(ConnectionClosed) as closed:
            while True:
                socket.recv(10)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    finally:
        process.terminate()
        _, told = process.communicate(timeout=30)
    assert "Fault: close:code=1012\n" in told and "Fault: http:status=429,times=1\n" in told


# Documented and shown -------------------------------------------------------------------------------------------


def test_the_table_in_the_docs_is_made_from_the_registry() -> None:
    assert START + registry().markdown_table() + END in DOC.read_text(encoding="utf-8")


def test_the_examples_in_the_docs_are_faults() -> None:
    text = DOC.read_text(encoding="utf-8")
    written = re.findall(r"--fault (?:'([^']+)'|([^\s`]+))", text)
    assert len(written) >= 5
    for quoted, plain in written:
        server().parse_fault(quoted or plain)
    (script,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert script.count("\n") >= 3


def test_the_script_in_the_docs_is_read(tmp_path: Path) -> None:
    (content,) = re.findall(r"```json\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    script = tmp_path / "script.jsonl"
    script.write_text(content)
    assert len(server().read_fault_script(script)) == content.count("\n")


def test_the_faults_to_take_are_there_and_none_is_left_out() -> None:
    _, rest = DOC.read_text(encoding="utf-8").split("## Which one to take\n")
    rows = re.findall(r"^\| [a-z][^|]*\|(.*)\|$", rest.split("\n## ")[0], re.MULTILINE)
    proposed = [server().parse_fault(text).name for row in rows for text in re.findall(r"`([^`]+)`", row)]
    assert set(registry().FAULTS) - set(proposed) == {"wrong-echo", "empty-final"}, "the protocol's finer points aside"


def test_every_fault_is_shown_by_a_test() -> None:
    shown = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_server_faults_[!s]*"))
    shown += Path(__file__).with_name("test_server_faults_socket.py").read_text(encoding="utf-8")
    missing = [name for name in registry().FAULTS if not re.search(rf'"{name}[":]', shown)]
    assert not missing


if __name__ == "__main__":
    import runpy

    load = runpy.run_path(str(ROOT / "devkit" / "host" / "loader.py"))["load_extension"]
    load(ROOT)
    before, rest = DOC.read_text(encoding="utf-8").split(START)
    DOC.write_text(before + START + registry().markdown_table() + END + rest.split(END)[1], encoding="utf-8")
