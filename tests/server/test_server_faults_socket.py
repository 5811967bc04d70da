"""Faults of a real socket, and those that are told while the server runs, as an ordinary client sees them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from server_clients import Client, client
from server_faults import COMMITTING
from server_peers import append, silence, speech
from ten_packages.extension.openai_asr_python.devkit.server import app
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.faults import Faults
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.server.tones import make_block
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

pytestmark = pytest.mark.socket
COMMIT = {"type": "input_audio_buffer.commit"}
STREAMING = {"transcription": {"model": "gpt-live-transcribe"}, "turn_detection": None}


def serving(*faults: str, lines: tuple[str, ...] = ()) -> LocalServer:
    return LocalServer(port=0, recognizer=ScriptedRecognizer(lines), faults=faults)


async def last_words(peer: Client) -> list[str]:
    """What still comes until the connection is cut; there must be no CLOSE frame."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            await peer.until("nothing of that name")
    assert closed.value.rcvd is None, "a CLOSE frame came"
    return [event["type"].rpartition(".")[2] for event in peer.events]


async def gone(faults: Faults, live: int = 0) -> None:
    """Until the server has noticed that only so many connections are left."""
    while faults.live > live:
        await asyncio.sleep(0.005)


# Cut ------------------------------------------------------------------------------------------------------------


async def test_all_connections_are_cut_at_once_from_another_thread() -> None:
    with run_in_thread(recognizer="scripted") as server:
        faults = server.faults
        async with client(server) as first, client(server) as second:
            for peer in (first, second):
                await peer.until("created")
            assert (faults.connections, faults.live) == (2, 2)
            assert faults.kill_all() == 2
            for peer in (first, second):
                assert await last_words(peer) == ["created"]
        await gone(faults)
        assert faults.kill_all() == 0
        async with client(server) as third:
            await third.until("created")
        assert faults.connections == 3
    assert faults.kill_all() == 0, "the server is gone, and nothing hangs"


@pytest.mark.parametrize(
    ("phase", "last"),
    [
        ("speaking", "updated"),
        ("before_commit", "updated"),
        ("after_commit", "committed"),
        ("inside_message", "updated"),
    ],
)
async def test_a_kill_comes_at_its_moment(phase: str, last: str) -> None:
    with run_in_thread(recognizer=ScriptedRecognizer(["words"]), seed=2) as server:
        kill = server.faults.kill_when(phase)
        async with client(server) as peer:
            await peer.configure(**COMMITTING)
            assert not kill.happened
            await peer.send(append(silence(100)), append(speech(2000)), COMMIT)
            seen = await last_words(peer)
        assert kill.wait(30) and kill.connection == 1
        assert "completed" not in seen
        if phase != "after_commit":
            assert seen[-1] == last
        async with client(server) as peer:
            await peer.configure(**COMMITTING)
            await peer.send(append(speech(200)), COMMIT)
            await peer.until("completed")


class RawClient:
    """A client that sees bytes: a library would hide half a frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, server: LocalServer) -> RawClient:
        raw = cls(*await asyncio.open_connection("127.0.0.1", server.port))
        raw._writer.write(
            b"GET /v1/realtime?intent=transcription HTTP/1.1\r\nHost: x\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        answer = await raw._reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer
        return raw

    def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self._writer.write(Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True))

    async def frames(self) -> AsyncIterator[bytes]:
        """Payloads until the end; raises IncompleteReadError inside a frame."""
        while head := await self._reader.read(1):
            assert head[0] == 0x80 | Opcode.TEXT
            length = (await self._reader.readexactly(1))[0]
            if length == 126:
                length = int.from_bytes(await self._reader.readexactly(2), "big")
            yield await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


async def test_a_cut_inside_a_message_leaves_half_a_frame() -> None:
    async with serving("drop:phase=inside-message") as server:
        raw = await RawClient.connect(server)
        raw.send({"type": "session.update", "session": {"type": "transcription", "audio": {"input": COMMITTING}}})
        raw.send(append(speech(200)), COMMIT)
        kinds = []
        with pytest.raises(asyncio.IncompleteReadError) as cut:
            async for payload in raw.frames():
                kinds.append(json.loads(payload)["type"])
        raw.close()
        assert kinds == ["session.created", "session.updated"]
        assert cut.value.partial.startswith(b'{"type":"input_audio_buffer.committed"')


# Refused --------------------------------------------------------------------------------------------------------


async def refused(server: LocalServer) -> tuple[int, str | None]:
    with pytest.raises(InvalidStatus) as error:
        async with client(server):
            pass
    return error.value.response.status_code, error.value.response.headers.get("Retry-After")


async def admitted(server: LocalServer) -> None:
    """Until the server takes a connection."""
    while True:
        with contextlib.suppress(InvalidStatus):
            async with client(server) as peer:
                await peer.until("created")
            return
        await asyncio.sleep(0.02)


async def test_http_answers_so_many_upgrades_with_a_status() -> None:
    async with serving("http:status=429,retry-after=2.5,times=2", "http:status=529,connections=3") as server:
        assert [await refused(server) for _ in range(3)] == [(429, "3"), (429, "3"), (529, None)]
        async with client(server) as peer:
            await peer.until("created")
        assert (server.faults.connections, server.faults.refused) == (1, 3)


async def test_refusals_can_begin_and_end_while_the_server_runs() -> None:
    with run_in_thread(recognizer="scripted") as server:
        async with client(server) as peer:
            await peer.until("created")
            server.faults.refuse(503, 60, retry_after=1)
            assert await refused(server) == (503, "1")
            await peer.configure(**COMMITTING)  # who is in, is in
        server.faults.clear()
        server.faults.refuse(503, 0.2)
        await asyncio.wait_for(admitted(server), 30)
        server.faults.refuse(401)
        assert await refused(server) == (401, None)
        server.faults.clear()
        async with client(server) as peer:
            await peer.until("created")


# Told while it runs ---------------------------------------------------------------------------------------------


async def test_a_fault_may_be_added_to_connections_that_are_open() -> None:
    with run_in_thread(recognizer="scripted") as server:
        async with client(server) as peer:
            await peer.configure(**COMMITTING)
            server.faults.add("close:code=1012,reason=maintenance,times=1")
            assert await peer.until_closed() == (1012, "maintenance")
        async with client(server) as peer:
            await peer.configure(**COMMITTING)
        assert server.faults.counts == {"close:code=1012,reason=maintenance,times=1": 1}


async def test_the_time_of_an_added_fault_begins_when_it_is_added() -> None:
    with run_in_thread(recognizer="scripted") as server:
        async with client(server) as peer:
            await peer.configure(**COMMITTING)
            await asyncio.sleep(0.3)
            added = time.monotonic()
            server.faults.add("close:after=0.3")
            assert (await peer.until_closed())[0] == 1011
            assert time.monotonic() - added > 0.25, "it counted from the connection"


async def test_the_seed_of_the_server_is_that_of_its_faults() -> None:
    ids = []
    for seed in (7, 7, 8):
        async with LocalServer(port=0, recognizer="scripted", seed=seed, faults=["error-event:interval=0"]) as server:
            async with client(server) as peer:
                ids.append((await peer.until("error"))["event_id"])
    assert ids[0] == ids[1] != ids[2]


# Open and dead --------------------------------------------------------------------------------------------------


async def test_half_open_answers_nothing_and_does_not_close(monkeypatch: pytest.MonkeyPatch) -> None:
    # The server's own pings go unanswered too, and are no reason for it to close.
    monkeypatch.setattr(app, "PING_SECONDS", 0.1)
    began = time.monotonic()
    async with serving() as server:
        async with client(server, close_timeout=0.1) as peer:
            await peer.configure(**COMMITTING)
            server.faults.add("half-open")
            await gone(server.faults)
            pong = await peer.socket.ping()
            await peer.send(COMMIT)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(peer.until("error"), 0.5)
            assert not pong.done()
    assert time.monotonic() - began < 9, "the server waited for a connection that is dead"


async def test_no_pong_leaves_pings_unanswered_and_the_rest_as_it_is() -> None:
    async with serving("no-pong", lines=("words",)) as server, client(server) as peer:
        await peer.configure(**COMMITTING)
        pong = await peer.socket.ping()
        await peer.send(append(speech(200)), COMMIT)
        assert (await peer.until("completed"))["transcript"] == "words"
        assert not pong.done()


@pytest.mark.parametrize(("faults", "blocks"), [((), False), (("slow-read:stop=60",), True)])
async def test_a_server_that_does_not_read_blocks_the_sender(faults: tuple[str, ...], blocks: bool) -> None:
    big = {"type": "input_audio_buffer.clear", "event_id": "x" * 1_000_000}

    async def send() -> None:
        await peer.send(*[big] * 24)
        await peer.send(COMMIT)
        await peer.until("error")

    async with serving(*faults) as server, client(server, close_timeout=0.1) as peer:
        await peer.configure(**COMMITTING)
        if blocks:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(send(), 1)
        else:
            await asyncio.wait_for(send(), 30)
        peer.socket.transport.abort()


async def test_junk_arrives_as_it_is_and_the_text_with_it() -> None:
    async with serving("junk", lines=("words",)) as server, client(server) as peer:
        await peer.send(
            {"type": "session.update", "session": {"type": "transcription", "audio": {"input": COMMITTING}}},
            append(speech(200)),
            COMMIT,
        )
        frames = [await asyncio.wait_for(peer.socket.recv(), 10) for _ in range(14)]
    assert "{this is not JSON" in frames and "" in frames and "null" in frames
    assert any(isinstance(frame, bytes) for frame in frames)
    assert any(isinstance(frame, str) and '"transcript":"words"' in frame for frame in frames)


# Hearing --------------------------------------------------------------------------------------------------------

BLOCKS = b"".join(make_block(label, 200, 24000) for label in range(10))


async def test_decode_speed_makes_the_text_lag_behind_a_burst() -> None:
    async with serving("decode-speed:speed=5") as server, client(server) as peer:
        await peer.configure(**STREAMING)
        began = time.monotonic()
        await peer.send(append(BLOCKS), COMMIT)
        final = await peer.until("completed")
    assert time.monotonic() - began > 0.35, "two seconds at five times real time"
    assert final["transcript"].split() == [f"b{label}" for label in range(10)]
    assert final["usage"]["seconds"] == 2.0


async def test_a_commit_may_lose_what_was_not_heard() -> None:
    async with serving("commit-loses-undecoded:speed=0.5") as server, client(server) as peer:
        await peer.configure(**STREAMING)
        await peer.send(append(BLOCKS), COMMIT)
        final = await peer.until("completed")
        assert len(final["transcript"].split()) < 5
        assert final["usage"]["seconds"] < 1.0
        await peer.configure(**COMMITTING)
        await peer.send(append(BLOCKS), COMMIT)
        assert len((await peer.until("completed"))["transcript"].split()) == 10, "models that commit first hear it all"
