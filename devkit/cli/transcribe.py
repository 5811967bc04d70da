"""`openai-asr transcribe`: recordings through a graph, transcripts to standard output."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from ..transcription.audio_input import AudioInput, open_audio
from ..transcription.destination import Destination
from ..transcription.failure import DONE, FAILED, INTERRUPTED, wrong_use
from ..transcription.formats import FORMATS, ONE_FILE_ONLY
from ..transcription.graphs import TranscriptionGraph, choose_graph, graph_of, own_graph, read_app, with_ends
from ..transcription.job import Job
from ..transcription.pacing import Pacer, block_ms
from ..transcription.runner import run_job
from ..transcription.service import Service, reach
from .amounts import check_amount
from .display import Display
from .graph_options import GraphOptions

LOCAL_MODEL = "gpt-transcribe"
"Model asked of the local server: one that transcribes after each turn, so audio need not go at the speed of speech."

TIMEOUT_BASE_S = 60.0
TIMEOUT_PER_SECOND = 2.0
"Default of --timeout: TIMEOUT_BASE_S and this for each second of the recording."

_NO_LIMIT = 2**31 - 1
_WAITS = {
    "finalize_timeout_ms": _NO_LIMIT,
    "order_hold_ms": _NO_LIMIT,
    "commit_timeout_ms": _NO_LIMIT,
    "item_timeout_ms": 20_000,
}
"""What a call cannot wait for, a recording can: these last as long as --timeout, or as long as they may be at most,
unless the graph's node says itself how long. Else a busy machine would cost text."""

_FLAT_OUT_SPEED = 100.0
"A source that is faster than speech is always behind; what it waits for is the server, not the speed of a replay."


@dataclass(frozen=True, kw_only=True)
class Request(GraphOptions):
    """The command line of `transcribe`, checked for sense by `transcribe`."""

    files: tuple[str, ...]
    format: str = "text"
    graph: str | None = None
    graph_name: str | None = None
    timeout_s: float | None = None
    speed: float | None = None


def transcribe(request: Request, display: Display) -> int:
    """Do it; returns the exit code. Raises CommandError where nothing came out."""
    _check(request)
    inputs = [open_audio(name) for name in request.files]
    graph = _graph(request)
    with _destination(request, graph, display) as destination:
        code = DONE
        for audio in inputs:
            one = _transcribe_one(request, graph, audio, destination, display)
            if one == INTERRUPTED:
                return INTERRUPTED
            code = max(code, one)
        return code


def _check(request: Request) -> None:
    check_amount("--speed", request.speed, "a number (2 is twice the speed of speech)")
    check_amount("--timeout", request.timeout_s)
    if request.format in ONE_FILE_ONLY and len(request.files) > 1:
        raise wrong_use(f"--format {request.format} holds one recording: give one FILE at a time, or use json.")
    if request.files.count("-") > 1:
        raise wrong_use("'-' can be given once: there is one standard input.")
    _service(request)


def _graph(request: Request) -> TranscriptionGraph:
    if request.graph is None:
        graph = own_graph()
    else:
        graph = with_ends(graph_of(choose_graph(read_app(request.graph), request.graph_name)))
    request.ask(graph)
    return graph


@contextlib.contextmanager
def _destination(request: Request, graph: TranscriptionGraph, display: Display) -> Iterator[Destination | None]:
    """Where the audio will go, said before any goes; None for another recogniser than ours."""
    service = _service(request)
    if not graph.is_ours:
        if service.asks_for_local is not None:
            raise wrong_use(
                f"{service.asks_for_local} starts a server that {graph.node['addon']} is no client of: leave the "
                "option out."
            )
        display.notice(f"Sending the audio to the addon {graph.node['addon']} of {request.graph}.")
        yield None
        return
    with reach(service, graph, display.notice) as destination:
        yield destination


def _service(request: Request) -> Service:
    local_model = LOCAL_MODEL if request.model is None and request.graph is None else None
    return request.service(local_model)


def _transcribe_one(
    request: Request,
    graph: TranscriptionGraph,
    audio: AudioInput,
    destination: Destination | None,
    display: Display,
) -> int:
    timeout_s = request.timeout_s
    if timeout_s is None:
        timeout_s = TIMEOUT_BASE_S + TIMEOUT_PER_SECOND * audio.duration_ms / 1000
    if destination is not None:
        for name in _WAITS.keys() - destination.settings:
            graph.set_param(name, min(round(timeout_s * 1000), _WAITS[name]))
    speed = request.speed
    if speed is None and destination is not None:
        speed = destination.speed
        if speed is None and "replay_speed" not in destination.settings:
            graph.set_param("replay_speed", _FLAT_OUT_SPEED)
    job = Job(audio, Pacer(speed), block_ms(speed))
    with display.recording(audio.name, audio.duration_ms):
        transcript, interrupted = run_job(graph, job, timeout_s=timeout_s, watcher=display)
    if transcript.finals or not (transcript.problem or interrupted):
        sys.stdout.write(FORMATS[request.format](transcript))
        sys.stdout.flush()
    if interrupted:
        return INTERRUPTED
    if transcript.problem is not None:
        display.error(f"{audio.name}: {transcript.problem.rstrip('.')}.")
        return FAILED
    return DONE
