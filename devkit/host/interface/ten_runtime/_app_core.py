"""The app around graphs: starts and stops them, takes commands to ``Loc("")``, keeps the first failure."""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from . import _drops, _log
from ._content import CmdContent, ResultContent
from ._drops import DropLog, DroppedMessage
from ._engine import Graph, Instance
from ._finder import create_instance
from ._graph import GraphSpec, NodeSpec, parse_graph
from ._node import Node
from ._properties import resolve_placeholders
from .cmd_result import StatusCode
from .error import HostError, TenError, TenErrorCode
from .loc import Loc
from .start_graph_cmd import START_GRAPH
from .stop_graph_cmd import CLOSE_APP, STOP_GRAPH

STOP_TIMEOUT_S = 30.0


class AppCore:
    """Lives in the thread that calls :meth:`run`; every other method may be called from any thread.

    *builtins* are addons known to this app alone. *strict* makes an unconnected message a failure.
    """

    def __init__(
        self,
        *,
        builtins: dict[str, Callable[[NodeSpec], Instance]] | None = None,
        strict: bool = False,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self.drops = DropLog()
        self.properties: dict[str, Any] = {}
        self.failure: HostError | None = None
        self.cause: BaseException | None = None
        self.failed_extension = ""
        self.timed_out = False
        self._builtins = builtins or {}
        self._strict = strict
        self._stop_timeout_s = stop_timeout_s
        self._lock = threading.Lock()
        self._graphs: dict[str, Graph] = {}
        self._mail: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._closing = False

    def configure(self, properties: dict[str, Any]) -> None:
        """Take the app's properties and resolve their placeholders, save those of graphs, which resolve their own.

        Raises HostError for a placeholder that cannot be resolved and for graphs that are none.
        """
        ten = properties.get("ten", {})
        if not isinstance(ten, dict):
            raise HostError(f"the app's property 'ten' must be an object, not {ten!r}")
        graphs = ten.get("predefined_graphs", [])
        if not isinstance(graphs, list) or not all(isinstance(entry, dict) for entry in graphs):
            raise HostError("the app's property 'ten.predefined_graphs' must be an array of objects")
        outside = {**properties, "ten": {key: value for key, value in ten.items() if key != "predefined_graphs"}}
        self.properties = resolve_placeholders(outside)
        self.properties["ten"]["predefined_graphs"] = graphs
        _log.configure(self._ten.get("log"))

    @property
    def _ten(self) -> dict[str, Any]:
        value: dict[str, Any] = self.properties.get("ten", {})
        return value

    def predefined_graph(self, name: str) -> dict[str, Any]:
        """Return the named entry of ``predefined_graphs``. Raises HostError when there is none."""
        entries = self._ten.get("predefined_graphs", ())
        for entry in entries:
            if entry.get("name") == name:
                return dict(entry)
        known = ", ".join(repr(entry.get("name")) for entry in entries) or "none"
        raise HostError(f"no predefined graph {name!r}; the app has: {known}")

    def auto_start_graphs(self) -> list[dict[str, Any]]:
        """Return the predefined graphs marked ``auto_start``."""
        return [dict(entry) for entry in self._ten.get("predefined_graphs", ()) if entry.get("auto_start")]

    def default_graphs(self) -> list[dict[str, Any]]:
        """Return what runs when nobody says which: those that start by themselves, or the only one there is."""
        entries = self._ten.get("predefined_graphs", ())
        chosen = self.auto_start_graphs() or [dict(entry) for entry in entries if len(entries) == 1]
        if not chosen:
            known = ", ".join(repr(entry.get("name")) for entry in entries) or "none"
            raise HostError(f"no graph starts by itself (auto_start); name one of: {known}")
        return chosen

    def start_predefined(self, entry: dict[str, Any]) -> Graph:
        """Start one entry of ``predefined_graphs``; in the app's thread."""
        graph = entry.get("graph", {key: entry[key] for key in ("nodes", "connections") if key in entry})
        return self.start_graph(parse_graph(graph), sync_stop=bool(entry.get("sync_stop_before_deinit", False)))

    def start_graph(self, spec: GraphSpec, *, sync_stop: bool = False, fallback: dict[str, str] | None = None) -> Graph:
        """Start a graph; in the app's thread. Raises HostError when an extension cannot be created."""
        graph = Graph(self, uuid.uuid4().hex, spec, sync_stop=sync_stop, fallback=fallback)
        graph.create_nodes(self._create)
        self._graphs[graph.graph_id] = graph
        graph.start()
        return graph

    def _create(self, spec: NodeSpec) -> Instance:
        builtin = self._builtins.get(spec.addon)
        return create_instance(spec) if builtin is None else builtin(spec)

    def run(self, start: Callable[[], None], timeout_s: float | None = None) -> None:
        """Call *start*, which starts graphs, and block until the app is to end; then stop everything.

        It ends by :meth:`close`, a failure, the end of the last graph, or the timeout. Raises what *start* raises.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            if not self._closing:
                start()
            while not self._closing:
                try:
                    job = self._mail.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    self.timed_out = True
                    break
                if job is None:
                    break
                job()
        finally:
            self._closing = True
            self._stop_all()

    def close(self) -> None:
        """Ask the app to end; takes no lock, so a signal handler may call it."""
        self._closing = True
        self._mail.put(None)

    def fail(self, extension: str, hook: str, error: BaseException) -> None:
        """Keep the first failure and close."""
        if isinstance(error, HostError):
            failure = HostError(f"extension {extension!r}: {error}")
        else:
            failure = HostError(f"extension {extension!r} raised in {hook}: {type(error).__name__}: {error}")
        failure.__cause__ = error
        with self._lock:
            first = self.failure is None
            if first:
                self.failure, self.cause, self.failed_extension = failure, error, extension
        _log.note(logging.ERROR, str(failure), extension)
        _log.note(logging.DEBUG, f"traceback of the failure of {extension!r}", extension, error)
        self.close()

    def dropped(self, drop: DroppedMessage) -> None:
        """In strict mode an unconnected message is a failure."""
        if self._strict and drop.cause == _drops.UNCONNECTED:
            problem = HostError(f"sent {drop.kind} {drop.name!r}, which no connection of the graph takes")
            self.fail(drop.sender, "send", problem)

    def find_node(self, loc: Loc, graph: Graph) -> Node | None:
        """Return the node at *loc*, seen from *graph*, or None."""
        if loc.app_uri not in (None, "", "localhost"):
            return None
        where = self._graphs.get(loc.graph_id) if loc.graph_id else graph
        return None if where is None else where.node(loc.extension_name or "")

    def take_cmd(self, graph: Graph, cmd: CmdContent) -> None:
        """Take a command that an extension sent to the app."""
        self._mail.put(lambda: self._run_cmd(graph, cmd))

    def graph_closed(self, graph: Graph) -> None:
        """Called by a graph whose last node closed; the app ends with its last graph, as TEN's does."""
        self._mail.put(lambda: self._forget(graph))

    def _forget(self, graph: Graph) -> None:
        graph.release()
        self._graphs.pop(graph.graph_id, None)
        if not self._graphs and not self._ten.get("long_running_mode", False):
            self._closing = True

    def _run_cmd(self, graph: Graph, cmd: CmdContent) -> None:
        result = ResultContent(cmd.name, int(StatusCode.OK), None)
        try:
            if cmd.name == CLOSE_APP:
                self.close()
            elif cmd.name == STOP_GRAPH:
                wanted = cmd.props.get("graph_id") or graph.graph_id
                target = self._graphs.get(wanted)
                if target is None:
                    raise HostError(f"no graph {wanted!r} runs in this app")
                target.stop()
            elif cmd.name == START_GRAPH:
                if self._closing:
                    raise HostError("the app is closing: no graph starts any more")
                result.props["graph_id"] = self._start_by_cmd(cmd.props).graph_id
            else:
                raise HostError(f"the app of the embedded host has no command {cmd.name!r}")
        except HostError as error:
            result.status = int(StatusCode.ERROR)
            result.props["detail"] = str(error)
        if cmd.return_path is not None:
            cmd.return_path(result)

    def _start_by_cmd(self, props: dict[str, Any]) -> Graph:
        if "predefined_graph" in props:
            entry = self.predefined_graph(props["predefined_graph"])
        else:
            entry = {"graph": props.get("graph", {})}
        if "sync_stop_before_deinit" in props:
            entry["sync_stop_before_deinit"] = props["sync_stop_before_deinit"]
        return self.start_predefined(entry)

    def _stop_all(self) -> None:
        """Stop the graphs; commands that extensions send the app meanwhile are still answered."""
        for graph in list(self._graphs.values()):
            graph.stop()
        deadline = time.monotonic() + self._stop_timeout_s
        while self._graphs:
            try:
                job = self._mail.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if job is not None:
                job()
        for graph in list(self._graphs.values()):
            stuck = ", ".join(graph.abandon())
            problem = HostError(f"did not stop within {self._stop_timeout_s:g} s and was cancelled")
            self.fail(stuck, "stop", problem)
            graph.closed.wait(1.0)
            self._forget(graph)


def timeout_error() -> TenError:
    """Return the error of a test that ran into its timeout."""
    return TenError.create(TenErrorCode.ErrorCodeTimeout, "Test timeout.")
