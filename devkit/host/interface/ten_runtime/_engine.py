"""A running graph: nodes, routing, failure, stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import _drops
from ._commands import ReplyBox, ResultHandler
from ._content import CmdContent, Content
from ._drops import DropLog
from ._graph import GraphSpec, NodeSpec, Route
from ._node import Actor, Node
from ._schema import load_schema
from ._threads import LoopThread, shared_loop
from .error import TenError, TenErrorCode
from .msg import Msg

if TYPE_CHECKING:
    from ._app_core import AppCore


class Instance(NamedTuple):
    """A created extension: its hooks, where its files are, and whether it lives on the shared loop."""

    actor: Actor
    base_dir: Path | None
    on_shared_loop: bool
    thread_name: str


Creator = Callable[[NodeSpec], Instance]


class Graph:
    """*fallback* routes what the graph leaves unconnected (the two nodes of a tester's single mode)."""

    def __init__(
        self,
        app: AppCore,
        graph_id: str,
        spec: GraphSpec,
        *,
        sync_stop: bool = False,
        fallback: dict[str, str] | None = None,
    ) -> None:
        self.app = app
        self.graph_id = graph_id
        self.drops: DropLog = app.drops
        self.closed = threading.Event()
        self._spec = spec
        self._sync_stop = sync_stop
        self._fallback = {sender: [Route(receiver)] for sender, receiver in (fallback or {}).items()}
        self._lock = threading.Lock()
        self._nodes: dict[str, Node] = {}
        self._own_threads: list[LoopThread] = []
        self._shared_users = 0
        self._running = 0
        self._not_stopped = 0
        self._all_stopped: list[tuple[Node, asyncio.Event]] = []

    def create_nodes(self, create: Creator) -> None:
        """Create every extension, in the calling thread. Raises HostError when one cannot be."""
        try:
            for spec in self._spec.nodes:
                instance = create(spec)
                schema = load_schema(instance.base_dir)
                thread = self._thread_for(instance)
                self._nodes[spec.name] = Node(self, spec, instance.actor, thread, instance.base_dir, schema)
        except BaseException:
            self.release()
            raise
        self._running = self._not_stopped = len(self._nodes)

    def start(self) -> None:
        """Begin the life of every node."""
        for node in self._nodes.values():
            node.start()
        if not self._nodes:
            self.closed.set()
            self.app.graph_closed(self)

    def _thread_for(self, instance: Instance) -> LoopThread:
        if instance.on_shared_loop:
            self._shared_users += 1
            return shared_loop.acquire()
        thread = LoopThread(instance.thread_name)
        self._own_threads.append(thread)
        return thread

    def stop(self) -> None:
        """Ask every node to stop; from any thread."""
        for node in list(self._nodes.values()):
            node.stop()

    def abandon(self) -> list[str]:
        """Cancel what does not stop by itself; returns the nodes concerned with the hook each is stuck in."""
        stuck = {f"{node.name} (in on_{node.phase})": node for node in self._nodes.values() if not node.closed}
        for node in stuck.values():
            node.abandon()
        return list(stuck)

    def release(self) -> None:
        """Give the threads back; in the app's thread, after the nodes closed."""
        for thread in self._own_threads:
            thread.close()
        self._own_threads.clear()
        while self._shared_users:
            self._shared_users -= 1
            shared_loop.release()

    def fail(self, extension: str, hook: str, error: BaseException) -> None:
        """Record what would have ended a TEN process, and stop; from any thread."""
        self.app.fail(extension, hook, error)

    def node_stopped(self) -> None:
        with self._lock:
            self._not_stopped -= 1
            if self._not_stopped:
                return
            waiting, self._all_stopped = self._all_stopped, []
        for node, event in waiting:
            node.thread.call(event.set)

    async def may_deinit(self, node: Node) -> None:
        """Wait until all nodes have stopped, in a graph that asks for it."""
        if not self._sync_stop:
            return
        event = asyncio.Event()
        with self._lock:
            if not self._not_stopped:
                return
            self._all_stopped.append((node, event))
        await event.wait()

    def node_closed(self, node: Node) -> None:
        with self._lock:
            self._running -= 1
            last = self._running == 0
        if last:
            self.closed.set()
            self.app.graph_closed(self)

    def node(self, name: str) -> Node | None:
        return self._nodes.get(name)

    def send_cmd(self, sender: Node, msg: Msg, handler: ResultHandler, every: bool) -> TenError | None:
        """Send a command; *handler* gets its results on the sender's loop unless an error is returned."""
        return self.send(sender, msg, ReplyBox(sender, handler, every))

    def send(self, sender: Node, msg: Msg, reply: ReplyBox | None = None) -> TenError | None:
        """Send a message; from any thread. Returns what became of it; the message object is empty after."""
        content = msg._take()
        if sender.closed:
            return TenError.create(TenErrorCode.ErrorCodeTenIsClosed, f"{sender.name!r} is closed")
        if content.locks:
            return self._drop(_drops.LOCKED, sender, content, "its buffer is still locked: call unlock_buf first")
        problem = sender.schema.check_message("out", content)
        if problem is not None:
            return self._drop(_drops.INVALID_OUT, sender, content, problem)
        content.source = sender.loc
        if content.dests:
            return self._send_to_locs(sender, content, reply)
        routes = self._spec.routes.get((sender.name, content.kind, content.name)) or self._fallback.get(sender.name)
        if not routes:
            return self._drop(_drops.UNCONNECTED, sender, content, "no connection of the graph takes it")
        if len(routes) == 1 and reply is None:  # a frame's way, nearly always
            self._nodes[routes[0].extension].deliver(content, routes[0].conversion)
        else:
            self._deliver([(self._nodes[route.extension], route) for route in routes], content, reply)
        return None

    def _send_to_locs(self, sender: Node, content: Content, reply: ReplyBox | None) -> TenError | None:
        targets: list[tuple[Node | None, Route]] = []
        for loc in content.dests:
            node = self.app.find_node(loc, self) if loc.extension_name else None
            if node is None and loc.extension_name:
                return self._drop(_drops.UNCONNECTED, sender, content, f"there is no extension at {loc!r}")
            if node is None and reply is None:
                return self._drop(_drops.UNCONNECTED, sender, content, "the app itself takes commands only")
            targets.append((node, Route(loc.extension_name or "")))
        self._deliver(targets, content, reply)
        return None

    def _deliver(self, targets: Sequence[tuple[Node | None, Route]], content: Content, reply: ReplyBox | None) -> None:
        """Give the original to the first target and clones to the others; no node means the app itself."""
        copies = [content, *(content.clone() for _ in targets[1:])]
        if reply is not None:
            # All paths first: the first receiver may answer before the second has got its copy.
            for copy, (_, route) in zip(copies, targets, strict=True):
                if isinstance(copy, CmdContent):
                    copy.return_path = reply.return_path(route.conversion)
        for copy, (node, route) in zip(copies, targets, strict=True):
            if node is not None:
                node.deliver(copy, route.conversion)
            elif isinstance(copy, CmdContent):
                self.app.take_cmd(self, copy)

    def _drop(self, cause: str, sender: Node, content: Content, reason: str) -> TenError:
        drop = self.drops.add(cause, content, sender.name, "", reason)
        self.app.dropped(drop)
        code = TenErrorCode.ErrorCodeMsgNotConnected if cause == _drops.UNCONNECTED else TenErrorCode.ErrorCodeGeneric
        return TenError.create(code, f"{content.kind} {content.name!r}: {cause}: {reason}")
