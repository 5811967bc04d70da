"""The checks in their order, and what each builds on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..version import version
from .case import Case
from .configured import check_configuration, check_end, check_model
from .installed import check_packages, check_python, check_siblings
from .network import check_dns, check_proxy, check_tcp, check_tls
from .report import Finding, Line, Report, skipped, without_secrets
from .session_checks import check_account, check_clock, check_echo, check_handshake, check_key, check_round_trip
from .speech import check_speech
from .troubles import trouble

log = logging.getLogger(__name__)


class Check(NamedTuple):
    """One line of the report."""

    id: str
    title: str
    run: Callable[[Case], Finding]
    looks_at: str
    after: tuple[str, ...] = ()
    "Checks it builds on: where one of them found nothing to build on, this one is skipped."


CHECKS: tuple[Check, ...] = (
    Check("python", "Python", check_python, "The interpreter, beside those this version is tested with."),
    Check("packages", "Packages", check_packages, "The versions of the extension's own requirements."),
    Check("siblings", "Siblings", check_siblings, "What other installed packages want of those we share and, with "
          "`--graph`, the `requirements.txt` of the app's other extensions: TEN installs all into one environment."),
    Check("configuration", "Configuration", check_configuration, "The properties of the node and the environment, read "
          "as the extension reads them; unknown ones are errors here."),
    Check("model", "Model and turns", check_model, "Who ends turns with this model, and what it does not take.",
          ("configuration",)),
    Check("end", "Model's end", check_end, "The provider's announced last day of the model.", ("configuration",)),
    Check("dns", "DNS", check_dns, "The name of the server, or of the proxy. Not needed for an address, or for this "
          "machine.", ("configuration",)),
    Check("tcp", "TCP", check_tcp, "A connection to the server, or to the proxy.", ("dns",)),
    Check("proxy", "Proxy", check_proxy, "The way through `params.proxy`, or the environment's (`HTTPS_PROXY` …).",
          ("tcp",)),
    Check("tls", "TLS", check_tls, "The certificate, by the system's authorities or `params.ca_file`, and how long it "
          "is valid. Not needed for `ws://` on this machine.", ("proxy",)),
    Check("handshake", "Handshake", check_handshake, "The upgrade to a WebSocket, and that a session begins behind it.",
          ("tls", "model")),
    Check("key", "Key", check_key, "Whether the server takes the key, whatever it comes from.", ("tls", "model")),
    Check("account", "Account", check_account, "Organization, project and credit.", ("handshake", "key")),
    Check("echo", "Settings", check_echo, "What the session is configured with (`session.updated`), beside what "
          "was asked.", ("account",)),
    Check("round_trip", "Round trip", check_round_trip, "Pings on the open session.", ("echo",)),
    Check("clock", "Clock", check_clock, "This machine's clock beside the server's (`Date` of the handshake's answer, "
          "else the session's `expires_at`).", ("tls", "model")),
    Check("speech", "Spoken sample", check_speech, "A recorded sentence, at the speed of speech, through a graph with "
          "the extension to the server: its words, and how long they take.", ("echo",)),
)  # fmt: skip


def examine(case: Case) -> Iterator[Line]:
    """Make the checks, one after the other. Whatever goes wrong in one of them is its finding, never an exception."""
    causes: dict[str, str] = {}
    for check in CHECKS:
        finding = _finding(check, case, causes)
        yield Line(check.id, check.title, without_secrets(finding, case.redact))


def _finding(check: Check, case: Case, causes: dict[str, str]) -> Finding:
    """*causes*: of each check that others cannot build on, the one where it began."""
    cause = next((causes[before] for before in check.after if before in causes), None)
    if cause is None and check.id == "key" and case.key_trouble is None:
        cause = causes.get("handshake")
    if cause is not None:
        causes[check.id] = cause
        return skipped(f"{cause} failed")
    try:
        finding = check.run(case)
    except Exception as error:  # its text may hold anything
        log.info("the check %s failed", check.id, exc_info=True)
        finding = trouble("check_failed", f"{type(error).__name__} in the check itself")
    if finding.stops and check.id != "speech":
        # What the handshake lacks without a key is that key.
        lacks_key = check.id == "handshake" and case.key_trouble is not None
        causes[check.id] = "Key" if lacks_key else check.title
    return finding


def report_of(case: Case, lines: list[Line]) -> Report:
    """*lines*, with where they are about."""
    config = case.config
    url, model = ("", "") if config is None else (config.connection.display_url, config.connection.model)
    return Report(version(), case.redact(url), case.redact(model), tuple(lines))
