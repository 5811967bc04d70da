"""`openai-asr run`: a graph of an app on the embedded host."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from ..host.app import Host
from ..transcription.failure import DONE, CommandError
from ..transcription.graphs import choose_graph, graph_of, read_app
from .display import Display


def run(path: str, name: str | None, display: Display) -> int:
    """Run one graph of *path* until it ends, SIGTERM (exit code 0), or Ctrl-C (KeyboardInterrupt).

    Raises CommandError for a file without that graph, and for a graph that fails.
    """
    app = read_app(path)
    entry = choose_graph(app, name)
    graph = graph_of(entry)
    addons = ", ".join(f"{node['name']} ({node['addon']})" for node in graph["nodes"])
    display.notice(f"Running graph '{entry.get('name')}': {addons}. Ctrl-C ends it.")
    host = Host(app, freeze=True)
    if threading.current_thread() is threading.main_thread():

        def terminate(_number: int, _frame: FrameType | None) -> None:
            host.stop()

        signal.signal(signal.SIGTERM, terminate)
    result = host.run(entry.get("name"))
    unread = {f"{drop.name} of {drop.sender}" for drop in result.dropped if not drop.invalid_schema}
    if unread:
        display.notice(f"Not connected in this graph, or sent too late: {', '.join(sorted(unread))}.")
    for drop in result.dropped:
        if drop.invalid_schema:
            display.error(f"{drop.kind} {drop.name} was dropped, {drop.cause}: {drop.reason}")
    if result.error is not None:
        raise CommandError(f"{result.error}.")
    return DONE
