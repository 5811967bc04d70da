"""What testers of both flavours do: make an app of the extension under test and themselves, and run it."""

from __future__ import annotations

import threading
from typing import Any

from ._app_core import AppCore, timeout_error
from ._drops import DroppedMessage
from ._engine import Instance
from ._graph import GraphSpec, NodeSpec, parse_graph
from ._node import Actor
from ._values import parse_json
from .error import HostError, TenError

TESTER = "ten:test_extension"
DEFAULT_TIMEOUT_US = 180_000_000


class TesterBase:
    """Modes, timeout, :meth:`run`, and what the embedded host adds: :attr:`dropped_messages`."""

    def __init__(self) -> None:
        self._spec: GraphSpec | None = None
        self._fallback: dict[str, str] | None = None
        self._timeout_us = DEFAULT_TIMEOUT_US
        self._core: AppCore | None = None
        self._result: TenError | None = None
        self._result_lock = threading.Lock()

    def set_test_mode_single(self, addon_name: str, property_json_str: str | None = None) -> None:
        """Test one extension; everything it sends comes here and everything sent goes to it.

        Raises ValueError for properties that are no JSON object.
        """
        properties: Any = parse_json(property_json_str) if property_json_str else {}
        if not isinstance(properties, dict):
            raise ValueError(f"the properties of {addon_name!r} must be a JSON object")
        self._spec = GraphSpec([NodeSpec(TESTER, TESTER, {}), NodeSpec(addon_name, addon_name, properties)])
        self._fallback = {TESTER: addon_name, addon_name: TESTER}

    def set_test_mode_graph(self, graph_json: str) -> None:
        """Test a graph that has the node ``ten:test_extension``; its connections say what the tester gets.

        Raises ValueError for a text that is no such graph.
        """
        graph = parse_json(graph_json)
        try:
            self._spec = parse_graph(graph.get("graph", graph))
        except (AttributeError, HostError) as error:
            raise ValueError(f"not a graph: {error}") from error
        if TESTER not in {node.name for node in self._spec.nodes}:
            raise ValueError(f"the graph needs a node named {TESTER!r} with that addon")
        self._fallback = None

    def set_timeout(self, timeout_us: int) -> None:
        """Microseconds until the test is stopped with the error "Test timeout."; 0 for never, 180 s at first."""
        self._timeout_us = timeout_us

    def run(self) -> TenError | None:
        """Run the test to its end; None when it passed, else the first error given to ``stop_test``.

        Where TEN would end the process this raises: the tester's own exception as it is (a failed ``assert`` in a
        hook reads like any other), one of an extension as a HostError that names it.
        """
        if self._spec is None:
            raise RuntimeError("call set_test_mode_single or set_test_mode_graph before run")
        spec, fallback = self._spec, self._fallback
        self._result = None
        core = self._core = AppCore(builtins={TESTER: self._make_instance})

        def start() -> None:
            core.start_graph(spec, fallback=fallback)

        core.run(start, self._timeout_us / 1e6 if self._timeout_us > 0 else None)
        if core.timed_out:
            self._note(timeout_error())
        if core.failure is not None:
            if core.failed_extension == TESTER and core.cause is not None:
                raise core.cause
            raise core.failure
        return self._result

    @property
    def dropped_messages(self) -> list[DroppedMessage]:
        """What was dropped in the last :meth:`run`, with reasons; only the embedded host knows."""
        return [] if self._core is None else self._core.drops.all()

    def _make_instance(self, spec: NodeSpec) -> Instance:
        return Instance(self._make_actor(), None, False, "ten-tester")

    def _make_actor(self) -> Actor:
        raise TypeError(f"{type(self).__name__} must be a subclass of AsyncExtensionTester or ExtensionTester")

    def _stop_test(self, error: TenError | None) -> None:
        self._note(error)
        if self._core is not None:
            self._core.close()

    def _note(self, error: TenError | None) -> None:
        with self._result_lock:
            if self._result is None:
                self._result = error
