"""A node's configuration while it runs: as it is, as an update would make it, and the last one known to work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from .config import LoadedConfig, OpenAIASRConfig
from .config_spelling import Spelling, normalise
from .config_update import updated


class Candidate(NamedTuple):
    """A configuration that can work, and how it was written."""

    spelling: Spelling
    loaded: LoadedConfig

    @property
    def config(self) -> OpenAIASRConfig:
        """The configuration itself."""
        return self.loaded.config


class LiveConfig:
    """Starts with a node's property; `config` is None until one that can work was accepted."""

    def __init__(self, properties: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> None:
        """*environ* is `os.environ` unless given."""
        self._environ = os.environ if environ is None else environ
        self._base = normalise(properties, self._environ)
        self._now: Candidate | None = None
        self._working: Candidate | None = None
        self.lock = asyncio.Lock()
        "Held by an update until it is answered: the next one is laid over what became of it."

    @property
    def config(self) -> OpenAIASRConfig | None:
        """What is in force."""
        return self._now.config if self._now else None

    def first(self) -> Candidate:
        """The node's own property. Raises ConfigurationError."""
        return Candidate(self._base, OpenAIASRConfig.of(self._base))

    def updated(self, properties: Mapping[str, Any]) -> Candidate:
        """What is in force with the sparse *properties* over it. Raises ConfigurationError; nothing is changed."""
        spelling = updated(self._now.spelling if self._now else self._base, properties, self._environ)
        return Candidate(spelling, OpenAIASRConfig.of(spelling))

    def accept(self, candidate: Candidate, *, works: bool) -> OpenAIASRConfig:
        """*candidate* is in force; *works*: a server has taken it."""
        self._now = candidate
        if works or self._working is None:
            self._working = candidate
        return candidate.config

    def worked(self) -> None:
        """A server has taken what is in force."""
        self._working = self._now

    def revert(self) -> OpenAIASRConfig | None:
        """What is in force was refused: the last one that worked is in force again. Returns it."""
        self._now = self._working
        return self.config
