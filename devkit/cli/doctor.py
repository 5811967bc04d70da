"""`openai-asr doctor`: what would go wrong, and what to do about it; one line a check."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ...telemetry import Redactor
from ..doctor.case import Case, World, graph_to_examine
from ..doctor.examination import CHECKS, examine, report_of
from ..doctor.report import Line, Report, Status
from ..doctor.verdicts import quoted
from ..transcription.destination import destination_of
from ..transcription.failure import DONE, FAILED, CommandError, wrong_use
from ..transcription.service import reach
from .amounts import check_amount
from .display import Display
from .graph_options import GraphOptions
from .transcribe import LOCAL_MODEL

_STYLES: dict[Status, str] = {
    "ok": "green",
    "warning": "yellow",
    "failed": "bold red",
    "not needed": "dim",
    "skipped": "dim",
}
_MARK_WIDTH = max(map(len, _STYLES))
_TITLE_WIDTH = max(len(check.title) for check in CHECKS)


@dataclass(frozen=True, kw_only=True)
class DoctorRequest(GraphOptions):
    """The command line of `doctor`."""

    graph: str | None = None
    graph_name: str | None = None
    as_json: bool = False
    timeout_s: float | None = None
    speech: bool = True


def doctor(request: DoctorRequest, display: Display, world: World | None = None) -> int:
    """Examine, and say what was found; returns the exit code: whether it would work. Raises CommandError."""
    check_amount("--timeout", request.timeout_s)
    if request.graph_name is not None and request.graph is None:
        raise wrong_use("--name chooses a graph of --graph: give that as well.")
    graph = graph_to_examine(request.graph, request.graph_name)
    request.ask(graph)
    case = Case(graph, _app_folder(request.graph), request.timeout_s, request.speech, world or World())
    case.learn_secrets()
    with _server(request, case, display), _redacted_logs(case.redact):
        report = _examine(case, as_json=request.as_json)
    return DONE if report.ok else FAILED


def _examine(case: Case, *, as_json: bool) -> Report:
    console = Console(highlight=False, soft_wrap=True)
    lines: list[Line] = []
    for line in examine(case):
        lines.append(line)
        if not as_json:
            _print(console, line)
    report = report_of(case, lines)
    if as_json:
        print(json.dumps(report.to_json(), indent=1))  # ASCII: JSON in any encoding of the terminal
    else:
        console.print()
        console.print(Text(report.verdict, style="bold" if report.ok else "bold red"))
    return report


def _print(console: Console, line: Line) -> None:
    found = line.finding
    text = Text()
    text.append(found.status.ljust(_MARK_WIDTH + 2), style=_STYLES[found.status])
    text.append(line.title.ljust(_TITLE_WIDTH + 2))
    text.append(found.detail, style="dim" if found.status in ("not needed", "skipped") else "")
    console.print(text)
    if found.remedy:
        console.print(Text(" " * (_MARK_WIDTH + 2) + found.remedy, style="cyan"))


def _app_folder(path: str | None) -> Path | None:
    if path is None:
        return None
    return Path(path) if Path(path).is_dir() else Path(path).resolve().parent


@contextlib.contextmanager
def _server(request: DoctorRequest, case: Case, display: Display) -> Iterator[None]:
    """A local server to examine, if that is asked for: without a key, the missing key is what there is to tell."""
    service = request.service(LOCAL_MODEL if request.model is None else None)
    if not request.local:
        _say_where(case, display)
        yield
        return
    with reach(service, case.graph, display.notice):
        yield


def _say_where(case: Case, display: Display) -> None:
    """Before anything goes there; a configuration that cannot work goes nowhere."""
    with contextlib.suppress(CommandError):
        destination = destination_of(case.graph, url_given=True)
        if destination is not None:
            sample = " Four seconds of a recording of ours are sent there." if case.speech else ""
            display.notice(case.redact(f"Looking at {destination.url} (model {destination.model}).{sample}"))


@contextlib.contextmanager
def _redacted_logs(redact: Redactor) -> Iterator[None]:
    """No library's log line shows a secret while we look, tracebacks included."""
    handlers = [(handler, handler.formatter) for handler in logging.getLogger().handlers]
    for handler, formatter in handlers:
        handler.setFormatter(_Redacting(formatter or logging.Formatter(), redact))
    try:
        yield
    finally:
        for handler, formatter in handlers:
            handler.setFormatter(formatter)


class _Redacting(logging.Formatter):
    def __init__(self, inner: logging.Formatter, redact: Redactor) -> None:
        super().__init__()
        self._inner = inner
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return quoted(self._redact(self._inner.format(record)))
