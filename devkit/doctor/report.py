"""What a check found, and all of them together, without a secret in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

Status = Literal["ok", "warning", "failed", "not needed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    status: Status
    detail: str
    "What was found."
    remedy: str = ""
    "What to do; empty unless something is wrong."
    trouble: str = ""
    "Name of what is wrong, of `troubles.TROUBLES`; empty unless something is."
    stops: bool = False
    "What builds on this check has nothing to build on."
    ms: float | None = None
    "What was measured, where the check measures a time."


def ok(detail: str, *, ms: float | None = None) -> Finding:
    """Nothing is wrong."""
    return Finding("ok", detail, ms=ms)


def not_needed(why: str) -> Finding:
    """There is nothing to look at here."""
    return Finding("not needed", why)


def skipped(why: str) -> Finding:
    """It could not be looked at, or was not to be."""
    return Finding("skipped", why, stops=True)


@dataclass(frozen=True)
class Line:
    """One line of the report."""

    id: str
    title: str
    finding: Finding

    def to_json(self) -> dict[str, Any]:
        """As in the `checks` of `--json`."""
        found = self.finding
        line: dict[str, Any] = {"id": self.id, "title": self.title, "status": found.status, "detail": found.detail}
        if found.trouble:
            line.update(trouble=found.trouble, remedy=found.remedy)
        if found.ms is not None:
            line["ms"] = round(found.ms, 1)
        return line


def without_secrets(finding: Finding, redact: Callable[[str], str]) -> Finding:
    """*finding* as it may be shown. Servers quote keys, proxies quote credentials."""
    return replace(finding, detail=_one_line(redact(finding.detail)), remedy=_one_line(redact(finding.remedy)))


def _one_line(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True)
class Report:
    """Everything that was looked at, in order."""

    version: str
    "Of the extension."
    url: str
    "Of the session, as it may be shown; empty if the configuration names none."
    model: str
    lines: tuple[Line, ...]

    @property
    def ok(self) -> bool:
        """Whether it would work."""
        return not self.with_status("failed")

    def with_status(self, status: Status) -> list[Line]:
        """The lines with that outcome."""
        return [line for line in self.lines if line.finding.status == status]

    @property
    def verdict(self) -> str:
        """All of it in a sentence."""
        warnings = len(self.with_status("warning"))
        if not self.ok:
            failed = ", ".join(line.title for line in self.with_status("failed"))
            return f"It would not work: {failed} failed."
        if warnings:
            return f"It would work, with {warnings} warning{'s' if warnings > 1 else ''}."
        return "It would work."

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        checks = [line.to_json() for line in self.lines]
        about = {"version": self.version, "url": self.url, "model": self.model}
        return {"ok": self.ok, "verdict": self.verdict, **about, "checks": checks}
