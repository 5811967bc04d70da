"""Run a graph of an app's property.json on the embedded host, with addons of the program's own beside it.

host = Host(property, addons={"file_source": FileSource, "printer": Printer})
signal.signal(signal.SIGINT, lambda *_: host.stop())
run = host.run("transcribe", timeout_s=60)
if run.error is not None: ...
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ten_runtime

if not getattr(ten_runtime, "IS_EMBEDDED_HOST", False):
    raise ImportError(
        f"a real TEN runtime is installed ({ten_runtime.__file__}): run the graph with it, or leave it out of "
        "PYTHONPATH to use the embedded host"
    )

from ten_runtime import AsyncExtension, Extension, HostError
from ten_runtime._app_core import STOP_TIMEOUT_S, AppCore
from ten_runtime._drops import DroppedMessage
from ten_runtime._engine import Instance
from ten_runtime._finder import as_instance
from ten_runtime._graph import NodeSpec

__all__ = ["DroppedMessage", "GraphRun", "Host", "HostError", "read_app_property", "run_graph"]

ExtensionFactory = Callable[[str], "AsyncExtension | Extension"]
"""An extension class, or anything else that makes an extension from a node's name."""


@dataclass(frozen=True)
class GraphRun:
    """How a run ended.

    *error* is None for a run that ended because it was asked to, by an extension or :meth:`Host.stop`, or because
    it was over; *timed_out* tells that the time was up. *dropped* holds every message that reached no handler, with
    the reason (the first ten thousand; *dropped_count* counts on).
    """

    error: HostError | None
    timed_out: bool
    stopped: bool
    dropped: tuple[DroppedMessage, ...]
    dropped_count: int

    def raise_for_error(self) -> None:
        """Raise *error*, whose ``__cause__`` is what the extension raised, unless it is None."""
        if self.error is not None:
            raise self.error


class Host:
    """One app, for one run.

    *app_property* is what an app's property.json holds. *addons* are known to this host only and go before
    registered ones. *strict* makes sending along a name that the graph does not connect an error.
    *stop_timeout_s* is how long the extensions have for on_stop and on_deinit together. *freeze* is for a process that
    does nothing but this run: once its extensions are made, the garbage collector does not look any more at what is
    loaded, so that no call waits until it has (`gc.freeze`, which holds for the whole process).
    """

    def __init__(
        self,
        app_property: dict[str, Any],
        *,
        addons: Mapping[str, ExtensionFactory] | None = None,
        strict: bool = False,
        stop_timeout_s: float = STOP_TIMEOUT_S,
        freeze: bool = False,
    ) -> None:
        self._property = app_property
        builtins = {name: _creator(factory) for name, factory in (addons or {}).items()}
        self._core = AppCore(builtins=builtins, strict=strict, stop_timeout_s=stop_timeout_s)
        self._freeze = freeze
        self._stopped = False
        self._ran = False

    def run(self, graph_name: str | None = None, *, timeout_s: float | None = None) -> GraphRun:
        """Run one predefined graph, or without a name those marked ``auto_start`` (or the only one there is).

        Blocks until an extension asks the app to close, the last graph has ended, :meth:`stop`, the timeout, or an
        exception in a hook; every extension has had its on_stop and on_deinit then. What goes wrong is returned,
        not raised, except KeyboardInterrupt and the like, which pass after everything was stopped.
        """
        if self._ran:
            raise RuntimeError("a Host runs once: make another for the next run")
        self._ran = True
        error: HostError | None = None
        try:
            self._core.run(lambda: self._start(graph_name), timeout_s)
        except HostError as problem:
            error = problem
        drops = self._core.drops
        return GraphRun(
            error=error or self._core.failure,
            timed_out=self._core.timed_out,
            stopped=self._stopped,
            dropped=tuple(drops.all()),
            dropped_count=drops.count,
        )

    def stop(self) -> None:
        """End the run; from any thread or signal handler, before or during :meth:`run`, any number of times."""
        self._stopped = True
        self._core.close()

    def _start(self, graph_name: str | None) -> None:
        self._core.configure(self._property)
        if graph_name is not None:
            entries = [self._core.predefined_graph(graph_name)]
        else:
            entries = self._core.default_graphs()
        for entry in entries:
            self._core.start_predefined(entry)
        if self._freeze:
            gc.freeze()


def run_graph(
    app_property: dict[str, Any],
    graph_name: str | None = None,
    *,
    timeout_s: float | None = None,
    addons: Mapping[str, ExtensionFactory] | None = None,
    strict: bool = False,
) -> GraphRun:
    """Run a graph to its end; :class:`Host` says how."""
    return Host(app_property, addons=addons, strict=strict).run(graph_name, timeout_s=timeout_s)


def read_app_property(path: str | Path) -> dict[str, Any]:
    """Return the content of an app's property.json. Raises HostError that says what is wrong with the file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise HostError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("ten"), dict):
        raise HostError(f'{path} is no property.json of an app: it needs {{"ten": {{"predefined_graphs": [...]}}}}')
    return content


def _creator(factory: ExtensionFactory) -> Callable[[NodeSpec], Instance]:
    def create(spec: NodeSpec) -> Instance:
        return as_instance(spec.name, factory(spec.name), None)

    return create
