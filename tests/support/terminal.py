"""A terminal of a test's own: a program runs on it, keys are typed, and what stands on the screen is known.

with Terminal(columns=50) as terminal:
    terminal.run([sys.executable, "program.py"])
    terminal.wait_for(lambda screen: "ready" in screen[-1])
    terminal.type("\\x03")
    assert terminal.wait() == 0
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence

from rich.cells import get_character_cell_size
from typing_extensions import Self

# Makes the terminal that is its standard input its own: then Ctrl-C reaches it and what it starts.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Terminal:
    """Knows carriage return, new line, erasing a line, colours, and characters two columns wide; nothing else."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.screen = [""]
        "The lines so far, the last one without the spaces behind it."
        self.history: list[list[str]] = []
        "The screen after each piece of output."
        self._column = 0
        self._rest = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for descriptor in (self._ours, self._theirs):
            if descriptor >= 0:
                os.close(descriptor)

    def run(self, command: Sequence[str]) -> None:
        """Start *command* on this terminal."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(self._theirs)
        self._theirs = -1

    def type(self, keys: str) -> None:
        """Press keys; `\\x03` is Ctrl-C."""
        os.write(self._ours, keys.encode())

    def wait_for(self, condition: Callable[[list[str]], bool], timeout_s: float = 30) -> None:
        """Read until *condition* holds for the screen."""
        deadline = time.monotonic() + timeout_s
        while not condition(self.screen):
            assert time.monotonic() < deadline, f"it never came; the screen is {self.screen}"
            assert self._read(0.1), f"the program has ended; the screen is {self.screen}"

    def wait(self, timeout_s: float = 30) -> int:
        """Read until the program has ended; its exit code."""
        assert self._process is not None
        deadline = time.monotonic() + timeout_s
        while self._read(0.1):
            assert time.monotonic() < deadline, f"it does not end; the screen is {self.screen}"
        return self._process.wait(timeout_s)

    def _read(self, wait_s: float) -> bool:
        """Take what has come; False once nothing more will."""
        if not select.select([self._ours], [], [], wait_s)[0]:
            return True
        try:
            data = os.read(self._ours, 65_536)
        except OSError as error:  # how Linux says that nobody holds the other side any more
            assert error.errno == errno.EIO
            return False
        self._rest += data
        try:
            text, self._rest = self._rest.decode(), b""
        except UnicodeDecodeError:  # a character is not there in full
            return True
        self._show(text)
        return True

    def _show(self, text: str) -> None:
        at = 0
        while at < len(text):
            sequence = _SEQUENCE.match(text, at)
            if sequence is not None:
                assert sequence[2] in "mK", f"unknown sequence {sequence[0]!r}"
                if sequence[2] == "K":
                    assert sequence[1] == "2"
                    self.screen[-1] = ""
                at = sequence.end()
                continue
            self._put(text[at])
            at += 1
        self.history.append(list(self.screen))

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self.screen.append("")
        else:
            assert character.isprintable(), f"unknown character {character!r}"
            width = get_character_cell_size(character)
            if self._column + width > self.columns:
                self.screen.append("")
                self._column = 0
            line = self.screen[-1]
            before = line[: self._column] if len(line) >= self._column else line.ljust(self._column)
            self.screen[-1] = before + character + line[self._column + 1 :]
            self._column += width
