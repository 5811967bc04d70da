"""Where the audio of a graph goes: read from the recogniser's own configuration, the way the extension reads it."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...config import OpenAIASRConfig
from ...config_spelling import normalise
from ...realtime.errors import ConfigurationError
from .failure import wrong_use
from .graphs import TranscriptionGraph
from .nodes import SOURCE_ADDON

MAX_SPEED = 4.0
"Times real time at which audio goes to a server that is not on this machine, unless --speed says otherwise."
MAX_STREAMING_SPEED = 1.25
"The same for models that send text while the speaker speaks: how fast they can listen is not documented."

_PLACEHOLDER = re.compile(r"\$\{env:([^|}]+)(?:\|(.*))?\}", re.DOTALL)


@dataclass(frozen=True)
class Destination:
    """A Realtime server and what is asked of it."""

    url: str
    "As it may be shown: no secrets."
    model: str
    on_this_machine: bool
    streams: bool
    "The model sends text while the speaker speaks."
    settings: frozenset[str]
    "Names of the parameters that the node itself sets."

    @property
    def speed(self) -> float | None:
        """Default speed; None is as fast as audio settles."""
        if self.on_this_machine:
            return None
        return MAX_STREAMING_SPEED if self.streams else MAX_SPEED


def destination_of(graph: TranscriptionGraph, *, url_given: bool) -> Destination | None:
    """Where the audio of *graph* will go; None when it has neither a key nor a server, and a local one can help.

    Raises CommandError (wrong use) for a configuration that cannot work.
    """
    try:
        config = configuration(graph)
    except ConfigurationError as error:
        only_a_key = [problem.field.rpartition(".")[2] for problem in error.problems] == ["api_key"]
        if only_a_key and error.given == "unset" and not url_given:
            return None
        raise wrong_use(f"the configuration cannot work: {error}.") from None
    settings = config.connection
    return Destination(
        url=settings.display_url,
        model=config.input_audio_transcription.model,
        on_this_machine=is_on_this_machine(settings.base_url),
        streams=config.model_rules.streams_before_commit,
        settings=frozenset(config.model_fields_set),
    )


def is_on_this_machine(url: str) -> bool:
    """Whether the host of *url* is this machine's loopback."""
    return is_loopback(urlsplit(url).hostname or "")


def is_loopback(host: str) -> bool:
    """Whether *host*, a name or address without a port, is this machine and nothing else."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def keep_off_proxies(host: str) -> None:
    """Let connections to *host* in this process go around the proxy that the environment may name."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), host)))


def configuration(graph: TranscriptionGraph) -> OpenAIASRConfig:
    """The recogniser's configuration, as it will read it. Raises ConfigurationError for one that cannot work."""
    return OpenAIASRConfig.load(properties_of(graph)).config


def encoding_of_frames(graph: TranscriptionGraph) -> str:
    """How our source must send its audio: as the recogniser reads it, unless another extension takes it first."""
    if not graph.is_ours or any(name != graph.recogniser for name in graph.fed_by(SOURCE_ADDON)):
        return "pcm16"
    return str(normalise(properties_of(graph), os.environ).values.get("input_encoding") or "pcm16")


def properties_of(graph: TranscriptionGraph) -> dict[str, Any]:
    """The property the extension would be given in *graph*: its own shipped one below, placeholders resolved."""
    shipped: dict[str, Any] = {"params": {"api_key": "${env:OPENAI_API_KEY|}"}}
    resolved: dict[str, Any] = _resolve(_merge(shipped, graph.node.get("property", {})))
    return resolved


def unset_variables(value: Any) -> list[str]:
    """Environment variables that placeholders in *value* name, without a default, and that are not set."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [name for inner in value for name in unset_variables(inner)]
    found = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
    return [found[1]] if found and found[2] is None and found[1] not in os.environ else []


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            value = _merge(below, value)
        merged[key] = value
    return merged


def _resolve(value: Any) -> Any:
    """Replace the placeholders that TEN would replace; one without value and default is the runtime's to report."""
    if isinstance(value, dict):
        return {key: _resolve(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolve(inner) for inner in value]
    found = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
    return os.environ.get(found[1], found[2] or "") if found else value
