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


class TerminalScreen:
    """What stands on a screen that knows carriage return, new line, erasing a line, colours, and characters two columns
    wide; nothing else.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines = [""]
        "All lines so far; it is never cleared."
        self.erased: list[str] = []
        "What stood where a line was erased."
        self._column = 0
        self._begun = ""

    def show(self, text: str) -> None:
        """Take what a program writes; a sequence may come in two pieces."""
        text, self._begun = self._begun + text, ""
        at = 0
        while at < len(text):
            sequence = _SEQUENCE.match(text, at)
            if sequence is None and text[at] == "\x1b":
                self._begun = text[at:]
                return
            if sequence is None:
                self._put(text[at])
                at += 1
                continue
            assert sequence[2] == "m" or sequence[0] == "\x1b[2K", f"unknown sequence {sequence[0]!r}"
            if sequence[2] == "K":
                self.erased.append(self.lines[-1])
                self.lines[-1] = ""
            at = sequence.end()

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self.lines.append("")
            self._column = 0
        else:
            assert character.isprintable(), f"unknown character {character!r}"
            width = get_character_cell_size(character)
            if self._column + width > self.columns:
                self.lines.append("")
                self._column = 0
            line = self.lines[-1].ljust(self._column)
            self.lines[-1] = line[: self._column] + character + line[self._column + 1 :]
            self._column += width


class Terminal:
    """A pseudo-terminal with its screen and a program on it."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.history: list[list[str]] = []
        "The screen after each piece of output."
        self._screen = TerminalScreen(columns)
        self._rest = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    @property
    def screen(self) -> list[str]:
        """The lines so far."""
        return self._screen.lines

    @property
    def erased(self) -> list[str]:
        """See `TerminalScreen`."""
        return self._screen.erased

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
        # A runner of tests may set the size of its own.
        outside = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            env={**outside, "TERM": "xterm"},
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
        self._screen.show(text)
        self.history.append(list(self.screen))
        return True
