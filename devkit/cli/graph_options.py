"""What every command that sends audio through a graph is told: where to, and what to ask for."""

from __future__ import annotations

from dataclasses import dataclass

from ..transcription.failure import wrong_use
from ..transcription.graphs import TranscriptionGraph
from ..transcription.service import Service


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """The options these commands share."""

    url: str | None = None
    model: str | None = None
    dialect: str | None = None
    language: str | None = None
    local: bool = False
    recognizer: str | None = None
    "Of the local server, which it asks for; so does `model_path`."
    model_path: str | None = None
    debug: bool = False
    "Let the extension log what it hears."

    def ask(self, graph: TranscriptionGraph) -> None:
        """Ask *graph* for it. Raises CommandError for an option that is empty, as of a script's unset variable."""
        for name in ("url", "model", "dialect", "language"):
            given: str | None = getattr(self, name)
            if given is not None and not given.strip():
                raise wrong_use(f"--{name} is empty: say what to ask for, or leave the option out.")
        graph.ask(url=self.url, model=self.model, dialect=self.dialect, language=self.language)
        if self.debug and graph.is_ours:
            graph.set_param("log_level", "debug")

    def service(self, local_model: str | None = None) -> Service:
        """The server; *local_model* is asked of a local one. Raises CommandError for what contradicts itself."""
        return Service(self.url, self.local, self.recognizer, local_model, self.model_path)
