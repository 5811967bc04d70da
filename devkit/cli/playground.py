"""`openai-asr playground`: live captions in a browser, until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from ..playground.access import TOKEN_CHARACTERS, Access
from ..playground.app import Playground
from ..playground.server import serve
from ..transcription.destination import is_loopback
from ..transcription.failure import DONE, CommandError, wrong_use
from ..transcription.graphs import own_graph
from ..transcription.service import reach
from .display import Display
from .graph_options import GraphOptions
from .signals import first_signal


@dataclass(frozen=True, kw_only=True)
class PlaygroundRequest(GraphOptions):
    """The command line of `playground`."""

    version: str
    host: str = "127.0.0.1"
    port: int = 8770
    token: str | None = field(default=None, repr=False)
    tls_cert: str | None = None
    tls_key: str | None = None


def playground(request: PlaygroundRequest, display: Display) -> int:
    """Serve pages until SIGTERM (exit code 0) or Ctrl-C (KeyboardInterrupt). Raises CommandError if that cannot be."""
    token = _token(request)
    _check_certificate(request)
    graph = own_graph()
    request.ask(graph)
    service = request.service()
    notes: list[str] = []
    with _listening(request.host, request.port) as listener, contextlib.ExitStack() as stack:
        destination = stack.enter_context(reach(service, graph, notes.append))
        for note in notes:
            display.notice(note)
        pages = Playground(
            graph,
            destination,
            version=request.version,
            note=notes[0],
            access=Access(token),
            local=destination.on_this_machine,
            tls=request.tls_cert is not None,
        )
        _announce(request, listener, token, display)
        if asyncio.run(_serve(pages, request, listener)) == signal.SIGINT:
            raise KeyboardInterrupt
    return DONE


def _token(request: PlaygroundRequest) -> str | None:
    """None where nobody else can come; made where none is given."""
    if request.token is not None and len(request.token) < TOKEN_CHARACTERS:
        raise wrong_use(f"--token has {len(request.token)} characters: give at least {TOKEN_CHARACTERS}, or none.")
    if request.token is not None and not (request.token.isascii() and request.token.isprintable()):
        raise wrong_use("--token has characters that a cookie cannot hold: give ASCII letters, digits and signs.")
    if request.token is None and not is_loopback(request.host):
        return secrets.token_urlsafe()
    return request.token


def _check_certificate(request: PlaygroundRequest) -> None:
    if (request.tls_cert is None) != (request.tls_key is None):
        raise wrong_use("--tls-cert and --tls-key belong together: give both, or neither.")
    if request.tls_cert is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(request.tls_cert, request.tls_key, lambda: "")
    except OSError as error:  # SSLError is one
        why = (
            "no certificate and key in PEM that belong together" if isinstance(error, ssl.SSLError) else error.strerror
        )
        raise wrong_use(f"--tls-cert {request.tls_cert}, --tls-key {request.tls_key}: {why}.") from None


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise CommandError(
            f"cannot listen on {host} port {port} ({why}): choose another with --port, 0 for any free one."
        ) from None
    with listener:
        yield listener


def _announce(request: PlaygroundRequest, listener: socket.socket, token: str | None, display: Display) -> None:
    """The address on stdout, with the token: whoever sees this terminal may come in."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(request.host, request.host)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    scheme = "https" if request.tls_cert is not None else "http"
    query = f"?token={quote(token, safe='')}" if token is not None else ""
    print(f"{scheme}://{host}:{listener.getsockname()[1]}/{query}", flush=True)
    display.notice("Open it in a browser; Ctrl-C ends it.")
    if not is_loopback(request.host):
        display.notice("Other machines can reach it, with the token: put this machine's name or address in the URL.")
        if request.tls_cert is None:
            display.notice(
                "A browser gives a page a microphone only over TLS or on the same machine: --tls-cert and --tls-key."
            )


async def _serve(pages: Playground, request: PlaygroundRequest, listener: socket.socket) -> signal.Signals:
    """Serve until told to end; returns the signal that told."""
    told = first_signal(signal.SIGINT, signal.SIGTERM)
    await serve(pages, listener, told, tls_cert=request.tls_cert, tls_key=request.tls_key)
    return told.result() if told.done() else signal.SIGTERM
