"""One extension (or tester) in a running graph: its life, its inbox, its properties."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from . import _drops, _log
from ._commands import error_result
from ._content import CmdContent, Content, ReturnPath
from ._graph import Conversion, NodeSpec
from ._properties import read_property_file, resolve_placeholders
from ._schema import ApiSchema
from ._threads import LoopThread
from ._values import deep_merge
from .audio_frame import AudioFrame
from .cmd import Cmd
from .data import Data
from .error import HostError
from .loc import Loc
from .log_level import LogLevel
from .log_option import DefaultLogOption
from .msg import Msg
from .video_frame import VideoFrame

if TYPE_CHECKING:
    from ._engine import Graph

_HANDLERS: dict[str, tuple[type[Msg], str]] = {
    "cmd": (Cmd, "on_cmd"),
    "data": (Data, "on_data"),
    "audio_frame": (AudioFrame, "on_audio_frame"),
    "video_frame": (VideoFrame, "on_video_frame"),
}


class Actor(Protocol):
    """The user's object behind a node, async or not, extension or tester."""

    overlapping: bool
    """True for testers: on_stop does not wait for an on_start that still runs."""

    immediate: bool
    """True when :meth:`handle` only makes a coroutine, to be run in a task of its own: a message may be handed over
    while another is."""

    def attach(self, node: Node) -> None:
        """Called once, before any hook."""

    def hook(self, name: str) -> Awaitable[None]:
        """Run ``on_configure`` … ``on_deinit`` to its end."""

    def handle(self, hook: str, msg: Msg) -> Awaitable[None] | None:
        """Call the message handler *hook*; what it returns is awaited, if anything."""


class Node:
    """Everything here runs on the node's own loop thread, save where a docstring says otherwise."""

    def __init__(
        self, graph: Graph, spec: NodeSpec, actor: Actor, thread: LoopThread, base_dir: Path | None, schema: ApiSchema
    ) -> None:
        self.graph = graph
        self.name = spec.name
        self.thread = thread
        self.schema = schema
        self.loc = Loc("", graph.graph_id, spec.name)
        self.properties: dict[str, Any] = {}
        self.initial_properties: dict[str, Any] | None = None
        self.properties_known = False
        self.phase = "created"
        self.closed = False
        self._spec = spec
        self._base_dir = base_dir
        self._actor = actor
        self._stop = asyncio.Event()
        self._receiving = False
        self._deinitialising = False
        self._waiting: list[tuple[Content, Conversion | None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        "Stages of its life; messages have tasks of the name below."
        self._task_name = f"{graph.graph_id}/{spec.name}"
        self._open_cmds: dict[ReturnPath, str] = {}
        self._begun = False
        self._abandoned = False
        self._has_stopped = False

    def start(self) -> None:
        """Begin the life cycle; from any thread."""
        self.thread.call(self._begin)

    def stop(self) -> None:
        """Ask for on_stop and on_deinit; from any thread, any number of times."""
        self.thread.call(self._request_stop)

    def abandon(self) -> None:
        """Cancel everything the node still does; from any thread, when it does not stop in time."""
        self.thread.call(self._cancel_all)

    def deliver(self, content: Content, conversion: Conversion | None) -> None:
        """Take a message from any thread; messages of one sender keep their order."""
        if self._actor.immediate and self.thread.here and not self.closed:
            self._accept(content, conversion)
        elif not self.thread.call(self._accept, content, conversion):
            self._refuse(content)

    def settle(self, path: ReturnPath) -> None:
        """Note that the last result of a command went out; from any thread."""
        self._open_cmds.pop(path, None)

    def log(self, level: LogLevel, message: str) -> None:
        """Log in the extension's name; from any thread."""
        _log.write(level, message, None, None, DefaultLogOption, self.name)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._actor.attach(self)
            self._spawn(self._live())

    def _request_stop(self) -> None:
        self._stop.set()
        if not self._begun:
            # Interrupted between the starts of two nodes: this one never lived.
            self._begun = True
            self._close()

    def _spawn(self, routine: Any) -> None:
        task = self.thread.loop.create_task(routine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self) -> None:
        try:
            ready = await self._hook("configure") and self._assemble_properties()
            if ready and not self._stop.is_set() and await self._hook("init"):
                self._open_gate()
                # What waited starts before on_start does: TEN does not promise the opposite, so nobody may count on it.
                await asyncio.sleep(0)
                if not self._stop.is_set():
                    await self._start()
            await self._stop.wait()
            if self.properties_known:
                await self._hook("stop")
            self._note_stopped()
            await self.graph.may_deinit(self)
            self._deinitialising = True
            if self.properties_known:
                await self._hook("deinit")
        finally:
            self._close()

    async def _start(self) -> None:
        if self._actor.overlapping:
            self._spawn(self._hook("start"))
        else:
            await self._hook("start")

    async def _hook(self, name: str) -> bool:
        """Run one stage; False when it failed, which ends the whole app."""
        self.phase = name
        try:
            await self._actor.hook(name)
        except asyncio.CancelledError as error:
            if self._abandoned or self.closed:
                raise
            self._fail(f"on_{name}", error)
            return False
        except BaseException as error:
            self._fail(f"on_{name}", error)
            return False
        return True

    def _fail(self, where: str, error: BaseException) -> None:
        self._stop.set()
        self.graph.fail(self.name, where, error)

    def _assemble_properties(self) -> bool:
        self.phase = "configured"
        base = self.initial_properties
        try:
            if base is None:
                base = read_property_file(self._base_dir)
            self.properties = resolve_placeholders(deep_merge(base, self._spec.property))
        except HostError as error:
            self._fail("its properties", error)
            return False
        self.properties_known = True
        problem = self.schema.check_properties(self.properties)
        if problem is not None:
            self.log(LogLevel.WARN, f"invalid schema: property {problem}")
        return True

    def _note_stopped(self) -> None:
        if not self._has_stopped:
            self._has_stopped = True
            self.graph.node_stopped()

    def _open_gate(self) -> None:
        self._receiving = True
        waiting, self._waiting = self._waiting, []
        for content, conversion in waiting:
            self._accept(content, conversion)

    def _accept(self, content: Content, conversion: Conversion | None) -> None:
        if self._deinitialising:
            self._refuse(content)
            return
        if not self._receiving:
            self._waiting.append((content, conversion))
            return
        if conversion is not None:
            try:
                conversion.apply(content)
            except ValueError as error:
                self._reject(content, f"msg_conversion failed: {error}")
                return
        problem = self.schema.check_message("in", content)
        if problem is not None:
            self._reject(content, problem)
            return
        if content.dests:
            content.dests = []
        if isinstance(content, CmdContent) and content.return_path is not None:
            self._open_cmds[content.return_path] = content.name
        self._dispatch(content)

    def _dispatch(self, content: Content) -> None:
        cls, hook = _HANDLERS[content.kind]
        msg = cls._wrap(content)
        if self._actor.immediate:
            # By its name it is found when it must be cancelled: a record of it would cost more than the task.
            self.thread.loop.create_task(self._handle(hook, msg), name=self._task_name)
            return
        try:
            self._actor.handle(hook, msg)
        except BaseException as error:
            self._fail(hook, error)

    async def _handle(self, hook: str, msg: Msg) -> None:
        """A message's own task, as in TEN: handlers begin in the order of arrival and interleave where they wait."""
        try:
            pending = self._actor.handle(hook, msg)
            if pending is not None:
                await pending
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._fail(hook, error)

    def _reject(self, content: Content, problem: str) -> None:
        self.graph.drops.add(_drops.INVALID_IN, content, _sender(content), self.name, problem)
        self._answer_error(content, f"invalid schema: {problem}")

    def _refuse(self, content: Content) -> None:
        reason = f"{self.name!r} has deinitialised"
        self.graph.drops.add(_drops.CLOSED, content, _sender(content), self.name, reason)
        self._answer_error(content, reason)

    @staticmethod
    def _answer_error(content: Content, detail: str) -> None:
        if isinstance(content, CmdContent) and content.return_path is not None:
            content.return_path(error_result(content.name, detail))

    def _cancel_all(self) -> None:
        self._abandoned = True
        handlers = [task for task in asyncio.all_tasks(self.thread.loop) if task.get_name() == self._task_name]
        for task in [*self._tasks, *handlers]:
            task.cancel()

    def _close(self) -> None:
        self.phase = "closed"
        self.closed = True
        self._deinitialising = True
        self._note_stopped()
        for content, _ in self._waiting:
            self._refuse(content)
        self._waiting.clear()
        for path, name in list(self._open_cmds.items()):
            path(error_result(name, f"{self.name!r} closed without a result"))
        self._open_cmds.clear()
        self.graph.node_closed(self)


def _sender(content: Content) -> str:
    return content.source.extension_name or ""
