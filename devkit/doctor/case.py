"""What is examined, and what is known of it so far."""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config import OpenAIASRConfig
from ...config_spelling import Spelling, normalise
from ...realtime.endpoint import secrets_of
from ...realtime.errors import Problem
from ...realtime.options import SessionOptions
from ...telemetry import Redactor
from ..transcription.destination import properties_of
from ..transcription.failure import wrong_use
from ..transcription.graphs import TranscriptionGraph, choose_graph, graph_of, own_graph, read_app, with_ends
from .installed import Package, installed_packages
from .report import Finding

if TYPE_CHECKING:
    from .probe import Seen
    from .route import Route

LEAST_WAIT_S = 5.0
"What is slower than it may be is measured, where nobody says how long to wait."


@dataclass(frozen=True)
class World:
    """What the examination takes from outside of the configuration; tests put others in."""

    today: Callable[[], date] = date.today
    now: Callable[[], float] = time.time
    "Seconds since 1970."
    python: tuple[int, int, int] = sys.version_info[:3]
    packages: Callable[[], Mapping[str, Package]] = installed_packages
    speed: float = 1.0
    "Of the spoken sample, times real time."


@dataclass
class Case:
    """One configuration under examination: each check reads what those before it left here, and adds to it."""

    graph: TranscriptionGraph
    "Source, our extension as it is configured, sink."
    app: Path | None = None
    "The folder of the app the configuration comes from."
    timeout_s: float | None = None
    "For each answer that is waited for, if somebody says so."
    speech: bool = True
    "The spoken sample is wanted."
    world: World = field(default_factory=World)
    redact: Redactor = field(default_factory=Redactor)
    "Knows what `learn_secrets` found."
    spelling: Spelling | None = None
    config: OpenAIASRConfig | None = None
    "None: it cannot work."
    misfits: tuple[Problem, ...] = ()
    "What the model cannot do."
    options: SessionOptions | None = None
    "With the turn detection decided."
    route: Route | None = None
    addresses: Sequence[str] = ()
    "Of the server, or of the proxy; empty if no name service was asked."
    address: str = ""
    "The one that takes connections."
    key_ms: float = 0.0
    "What the command that prints the key took."
    key_trouble: Finding | None = None
    seen: Seen | None = None
    "What became of a connection."

    @property
    def settings(self) -> OpenAIASRConfig:
        """The configuration. Only for checks that come behind it."""
        assert self.config is not None, "the configuration was not checked"
        return self.config

    def learn_secrets(self) -> None:
        """Let nothing secret of the graph's property and the environment be shown from now on."""
        hide_secrets(self.redact, normalise(properties_of(self.graph), os.environ).values, os.environ)

    @property
    def wait_s(self) -> float:
        """For each answer that is waited for: as long as the extension would, or longer."""
        if self.timeout_s is not None:
            return self.timeout_s
        return max(LEAST_WAIT_S, self.settings.connect_timeout_ms / 1000)


def graph_to_examine(path: str | None, name: str | None) -> TranscriptionGraph:
    """Our extension between a source and a sink, configured as in the graph at *path*; the rest of that graph stays
    out of it. Raises CommandError.
    """
    graph = own_graph()
    if path is not None:
        theirs = with_ends(graph_of(choose_graph(read_app(path), name)))
        if not theirs.is_ours:
            raise wrong_use(
                f"the node {theirs.recogniser!r} of {path} is of the addon {theirs.node['addon']!r}: the doctor knows "
                "openai_asr_python alone."
            )
        graph.node["property"] = copy.deepcopy(theirs.node.get("property", {}))
    return graph


def hide_secrets(redact: Redactor, values: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Let *redact* know everything secret in *values* (a property in canonical form) and in the environment."""
    for name in ("api_key", "api_key_command", "organization", "project"):
        redact.add(*_texts(values.get(name)))
    headers = values.get("headers")
    if isinstance(headers, Mapping):
        for value in headers.values():
            for text in _texts(value):
                redact.add_header(text)
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        redact.add(environ.get(name))
    proxies = [value for name, value in environ.items() if name.lower().endswith("_proxy")]
    for url in (*_texts(values.get("base_url")), *_texts(values.get("proxy")), *proxies):
        redact.add(*secrets_of(url))


def _texts(value: Any) -> list[str]:
    return [value.strip()] if isinstance(value, str) else []
