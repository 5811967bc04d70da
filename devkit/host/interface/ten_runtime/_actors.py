"""The user's extensions and testers, made uniform for a node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from ._node import Node
from .async_extension import AsyncExtension
from .async_ten_env import AsyncTenEnv
from .extension import Extension
from .msg import Msg
from .ten_env import TenEnv


class AsyncExtensionActor:
    """Coroutine hooks with an AsyncTenEnv."""

    overlapping = False
    immediate = True

    def __init__(self, extension: AsyncExtension) -> None:
        self._target: Any = extension
        self._env: Any = None

    def attach(self, node: Node) -> None:
        self._env = AsyncTenEnv(node)

    async def hook(self, name: str) -> None:
        await getattr(self._target, f"on_{name}")(self._env)

    def handle(self, hook: str, msg: Msg) -> Awaitable[None] | None:
        pending: Awaitable[None] = getattr(self._target, hook)(self._env, msg)
        return pending


class DoneEvents:
    """The ``on_*_done`` calls of a synchronous extension, from whatever thread they come."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._events = {stage: asyncio.Event() for stage in ("configure", "init", "start", "stop", "deinit")}

    def __call__(self, stage: str) -> None:
        self._node.thread.call(self._events[stage].set)

    async def wait(self, stage: str) -> None:
        await self._events[stage].wait()


class ExtensionActor:
    """Plain hooks with a TenEnv; a stage is over when its ``on_*_done`` was called."""

    overlapping = False
    immediate = False

    def __init__(self, extension: Extension) -> None:
        self._target: Any = extension
        self._env: Any = None
        self._done: DoneEvents | None = None

    def attach(self, node: Node) -> None:
        self._done = DoneEvents(node)
        self._env = self._make_env(node, self._done)

    def _make_env(self, node: Node, done: DoneEvents) -> Any:
        env = TenEnv()
        env._node = node
        env._done = done
        return env

    async def hook(self, name: str) -> None:
        assert self._done is not None
        getattr(self._target, f"on_{name}")(self._env)
        await self._done.wait(name)

    def handle(self, hook: str, msg: Msg) -> Awaitable[None] | None:
        getattr(self._target, hook)(self._env, msg)
        return None
