"""A client of the local server on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import pytest
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Headers: TypeAlias = dict[str, str] | list[tuple[str, str]]

KEY = "sk-canary-0123456789"
BEARER = {"Authorization": f"Bearer {KEY}"}


class Client:
    """JSON over one socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    async def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            await self.socket.send(json.dumps(message))

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event whose type ends like this; those before it are kept too."""
        while True:
            event = json.loads(await asyncio.wait_for(self.socket.recv(), 30))
            self.events.append(event)
            if event["type"].endswith(kind):
                return event

    async def configure(self, **fields: Any) -> None:
        await self.send({"type": "session.update", "session": {"type": "transcription", "audio": {"input": fields}}})
        await self.until("session.updated")

    async def until_closed(self) -> tuple[int, str]:
        """The CLOSE frame that ends the connection, and nothing before it."""
        with pytest.raises(ConnectionClosed) as closed:
            await self.until("anything")
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason


@contextlib.asynccontextmanager
async def client(
    server: LocalServer,
    path: str = "/realtime?intent=transcription",
    headers: Headers | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    url = server.url + path
    headers = BEARER if headers is None else headers
    async with connect(url, additional_headers=headers, compression=None, max_size=None, **options) as socket:
        yield Client(socket)
