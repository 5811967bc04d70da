"""What the command line shows on stderr while audio goes through: notices, a progress bar, partials, errors."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..transcription.transcript import Transcript

_TAIL = 60
"Characters of a partial that fit beside the bar."


class Display:
    """Writes to stderr only. *quiet* leaves errors; *partials* None shows them on a terminal only."""

    def __init__(self, *, quiet: bool = False, partials: bool | None = None) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._quiet = quiet
        self._live = self.console.is_terminal and not quiet
        self._lines = bool(partials) and not quiet
        self._tail = self._live and partials is not False
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._shown: dict[str, str] = {}

    def notice(self, message: str) -> None:
        """Say something worth knowing."""
        if not self._quiet:
            self._print(message)

    def setback(self, message: str) -> None:
        """Say what went wrong on the way, while it goes on."""
        self.notice(f"openai-asr: {message}")

    def error(self, message: str) -> None:
        """Say what went wrong; also when quiet."""
        self._print(f"openai-asr: {message}")

    def _print(self, message: str) -> None:
        self.console.print(message, markup=False, highlight=False)

    def recording(self, name: str, duration_ms: int) -> Display:
        """Begin to show the progress of one recording; use as a context manager."""
        self._shown.clear()
        if self._live:
            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[tail]}", markup=False, style="dim"),
                console=self.console,
                transient=True,
            )
            self._task = self._progress.add_task(name, total=duration_ms, tail="")
            self._progress.start()
        return self

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._task = None

    def update(self, transcript: Transcript) -> None:
        """Show how far it is and what was heard last."""
        if self._progress is not None and self._task is not None:
            partial = transcript.partial
            tail = partial.text[-_TAIL:] if partial is not None and self._tail and not self._lines else ""
            self._progress.update(self._task, completed=transcript.settled_ms, tail=tail)
        if self._lines:
            for heard in transcript.partials.values():
                if heard.text and heard.text != self._shown.get(heard.id):
                    self._print(f"{heard.start_ms / 1000:7.2f} s  {heard.text} …")
                    self._shown[heard.id] = heard.text
