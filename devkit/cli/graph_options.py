"""What every command that sends audio through a graph is told: where to, and what to ask for."""

from __future__ import annotations

from dataclasses import dataclass

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
    recognizer: str = "pocketsphinx"
    "Of the local server; so is `model_path`."
    model_path: str | None = None
    debug: bool = False
    "Let the extension log what it hears."

    def ask(self, graph: TranscriptionGraph) -> None:
        """Ask *graph* for it."""
        graph.ask(url=self.url, model=self.model, dialect=self.dialect, language=self.language)
        if self.debug and graph.is_ours:
            graph.set_param("log_level", "debug")

    def service(self, local_model: str | None = None) -> Service:
        """The server; *local_model* is asked of a local one. Raises CommandError for what contradicts itself."""
        return Service(self.url, self.local, self.recognizer, local_model, self.model_path)
