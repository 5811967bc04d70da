"""Captions on standard output: finals that stay, and on a terminal below them one line that changes."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Iterator

from rich.cells import cell_len, get_character_cell_size
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

_CLEAR_LINE = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))
_UNPRINTABLE: dict[int, str | None] = dict.fromkeys([*range(32), *range(127, 160)], " ")
"What a terminal would take for a command is shown as a space."
# These turn the rest of the line around, ours too. What joins or parts letters stays: some words are written with it.
_UNPRINTABLE |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


class Screen:
    """Safe to use from several threads: log lines come from any. *console* is standard output unless given."""

    def __init__(self, console: Console | None = None) -> None:
        # What the terminal's encoding cannot hold must not end the captions.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._lock = threading.RLock()
        self._line = ""

    def show(self, line: str) -> None:
        """Put *line* in place of what the changing line says; its end, if it is too long. Nothing but on a terminal."""
        if not self._live:
            return
        with self._lock:
            # The last column stays free: a full line makes some terminals begin the next.
            line = tail(one_line(line), self._console.width - 1)
            if line != self._line:
                self._line = line
                self._draw()

    def final(self, start_ms: int, text: str) -> None:
        """Add a final; on a terminal with its time, above the changing line, elsewhere the words alone."""
        with self._lock:
            if not self._live:
                print(one_line(text), flush=True)
                return
            # The changing line still shows what this is the final of: whoever calls shows the new one.
            with self._console:
                self._console.control(_CLEAR_LINE)
                self._console.print(Text(f"{start_ms / 1000:7.1f} s  {one_line(text)}"))
            self._line = ""

    @contextlib.contextmanager
    def above(self) -> Iterator[None]:
        """Whatever is written to the terminal in this context stands above the changing line."""
        with self._lock:
            line, self._line = self._line, ""
            if line:
                self._draw()
            try:
                yield
            finally:
                self._line = line
                if line:
                    self._draw()

    def close(self) -> None:
        """Take the changing line away."""
        self.show("")

    def _draw(self) -> None:
        with self._console:  # one write: nothing flickers
            self._console.control(_CLEAR_LINE)
            self._console.print(Text(self._line, style="dim"), end="")


class AboveTheLine(io.TextIOBase):
    """Stands in for *stream* where log lines are written."""

    def __init__(self, screen: Screen, stream: io.TextIOBase) -> None:
        self._screen = screen
        self._stream = stream

    def write(self, text: str) -> int:
        """Write *text* where it does not break the changing line."""
        with self._screen.above():
            count = self._stream.write(text)
            self._stream.flush()
            return count


def one_line(text: str) -> str:
    """*text* without line breaks and control characters."""
    return " ".join(text.translate(_UNPRINTABLE).split())


def tail(text: str, width: int) -> str:
    """*text*, or as much of its end as fits into *width* columns of a terminal behind an ellipsis."""
    if cell_len(text) <= width:
        return text
    room = width - 1
    begin = len(text)
    while begin and (room := room - get_character_cell_size(text[begin - 1])) >= 0:
        begin -= 1
    return "…" + text[begin:].lstrip()
