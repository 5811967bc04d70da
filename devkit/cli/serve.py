"""`openai-asr serve`: the local Realtime server until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..server.app import LocalServer
from ..server.faults import parse_fault, read_fault_script
from ..server.recognizers import RecognizerUnavailable
from ..transcription.destination import is_loopback
from ..transcription.failure import DONE, CommandError, wrong_use
from .display import Display
from .signals import first_signal


@dataclass(frozen=True)
class ServeRequest:
    """The command line of `serve`."""

    host: str = "127.0.0.1"
    port: int = 8765
    api_key: str | None = None
    recognizer: str = "pocketsphinx"
    session_seconds: float | None = None
    "None: as long as the dialect's live."
    seed: int = 0
    faults: tuple[str, ...] = ()
    "As `parse_fault` takes them."
    fault_script: str | None = None
    "A file of more."
    dialect: str = "openai"
    model_path: str | None = None
    "Folder or name of the recogniser's model."


def serve(request: ServeRequest, display: Display) -> int:
    """Serve until SIGTERM (exit code 0) or Ctrl-C (KeyboardInterrupt). Raises CommandError when it cannot start."""
    try:
        faults = [parse_fault(text) for text in request.faults]
        if request.fault_script is not None:
            faults += read_fault_script(Path(request.fault_script))
        server = LocalServer(
            request.host,
            request.port,
            api_key=request.api_key or None,
            recognizer=request.recognizer,
            model_path=request.model_path,
            session_seconds=request.session_seconds,
            seed=request.seed,
            faults=faults,
            dialect=request.dialect,
        )
    except OSError as error:
        raise wrong_use(f"cannot read {request.fault_script} ({error.strerror or error}).") from None
    except ValueError as error:
        raise wrong_use(f"{error}.") from None
    for fault in faults:
        display.notice(f"Fault: {fault}")
    if asyncio.run(_serve(server, request, display)) == signal.SIGINT:
        raise KeyboardInterrupt
    return DONE


async def _serve(server: LocalServer, request: ServeRequest, display: Display) -> signal.Signals:
    """Serve until told to end; returns the signal that told."""
    told = first_signal(signal.SIGINT, signal.SIGTERM)
    if request.model_path is not None:
        fetching = "" if Path(request.model_path).is_dir() else "; if it is not on this disk, it is fetched first"
        display.notice(f"Loading the model {request.model_path}{fetching}.")
    starting = asyncio.ensure_future(server.start())
    either: list[asyncio.Future[Any]] = [starting, told]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():  # a model that is fetched takes minutes
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, RecognizerUnavailable, OSError):
            await starting
        return await told
    try:
        await starting
    except RecognizerUnavailable as error:
        raise CommandError(f"{error}.") from None
    except OSError as error:
        raise CommandError(
            f"cannot listen on {request.host} port {request.port} ({error.strerror or error}): "
            "choose another with --port, 0 for any free one."
        ) from None
    try:
        print(f"{server.url} ({request.recognizer})", flush=True)
        display.notice(f"Point a client at it with base_url {server.url}; Ctrl-C ends it.")
        if not request.api_key and not is_loopback(request.host):
            display.notice("It takes any key and can be reached from other machines: --api-key asks for one.")
        return await told
    finally:
        await server.stop()
