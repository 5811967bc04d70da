"""The server a graph's audio goes to: the one that is configured, or a local one for as long as it is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..server.app import run_in_thread
from ..server.recognizers import RecognizerUnavailable
from .destination import Destination, destination_of, keep_off_proxies
from .failure import CommandError, wrong_use
from .graphs import TranscriptionGraph

_USUAL_RECOGNIZER = "pocketsphinx"
_WHAT_LOCAL_IS = {
    "pocketsphinx": "pocketsphinx, an offline recogniser to try the whole path with, no product: it gets clear "
    "English mostly right and everything else wrong",
    "scripted": "scripted, which makes words up for tests",
}


@dataclass(frozen=True)
class Service:
    """What the command line says about the server. Raises CommandError for what contradicts itself."""

    url: str | None = None
    "Said to be used; the graph's own `base_url` is set by `TranscriptionGraph.ask`."
    local: bool = False
    recognizer: str | None = None
    "Of the local server; to name one is to ask for that server, and so is a `model_path`."
    local_model: str | None = None
    "Asked of the local server; None asks what the graph asks."
    model_path: str | None = None
    "Folder or name of the model of the local server's recogniser, where it needs one."

    def __post_init__(self) -> None:
        if self.url is not None and self.asks_for_local is not None:
            raise wrong_use(f"{self.asks_for_local} starts a server and --url names one: leave one of them out.")

    @property
    def asks_for_local(self) -> str | None:
        """The option that asks for a local server whatever else is configured; None if there is none."""
        given = {
            "--local": self.local,
            "--recognizer": self.recognizer is not None,
            "--model-path": self.model_path is not None,
        }
        return next((option for option, is_given in given.items() if is_given), None)


@contextlib.contextmanager
def reach(service: Service, graph: TranscriptionGraph, notice: Callable[[str], None]) -> Iterator[Destination]:
    """Where the audio of *graph* will go, said by *notice* before any goes.

    With neither key nor URL, or as asked, that is a local server, which runs until the end of the context. *graph* must
    be ours; its URL and key are set to the local server's then. Raises CommandError.
    """
    asked = service.asks_for_local is not None
    destination = None if asked else destination_of(graph, url_given=service.url is not None)
    if destination is not None:
        if destination.on_this_machine:
            notice(f"Using the server at {destination.url} on this machine (model {destination.model}).")
        else:
            notice(f"Sending the audio to {destination.url} (model {destination.model}).")
        yield destination
        return
    recognizer = _USUAL_RECOGNIZER if service.recognizer is None else service.recognizer
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(run_in_thread(recognizer=recognizer, model_path=service.model_path))
        except ValueError as error:
            raise wrong_use(f"{error}.") from None
        except (RecognizerUnavailable, OSError) as error:
            raise CommandError(f"the local server cannot start: {error}.") from None
        keep_off_proxies(server.host)
        why = "As asked" if asked else "As there is no OPENAI_API_KEY and no --url"
        what = _WHAT_LOCAL_IS.get(recognizer, recognizer)
        notice(f"{why}, a local server listens: {what}. Nothing leaves this machine.")
        graph.set_param("base_url", server.url)
        graph.set_param("api_key", "local")
        if service.local_model is not None:
            graph.set_param("input_audio_transcription.model", service.local_model)
        here = destination_of(graph, url_given=True)
        assert here is not None
        yield here
