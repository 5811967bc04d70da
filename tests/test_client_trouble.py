"""Real sockets that do not work: refused, cut, half open, not trusted. What the user learns, and what is saved."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from client_peers import KEY, Recorder, raw_server, socket_client, tidy
from sessions import tone
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.openai_asr_client import OpenAIASRClient
from ten_packages.extension.openai_asr_python.realtime import events as ev
from tone_script import ToneScript
from websockets.asyncio.server import ServerConnection, serve

pytestmark = pytest.mark.socket

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE_MS = 20


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    async with tidy():
        yield


# Refused ------------------------------------------------------------------------------------------------------


async def test_a_wrong_key_is_one_non_fatal_report_and_attempts_grow_apart() -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        client, heard = socket_client(server.url, key="sk-wrong-canary")
        client.start()
        client.push_audio(tone(100))
        await heard.first(ev.Disconnected, 2)
        await client.stop()
    (told,) = heard.of(ev.ServerError)
    assert (told.code, told.fatal) == ("invalid_api_key", False)
    assert heard.of(ev.ClientError) == []
    downs = [(down.code, down.reason, down.retry_in_ms) for down in heard.of(ev.Disconnected)][:2]
    assert downs == [("3000", "invalid_request_error.invalid_api_key", wait) for wait in (1_100, 2_200)]
    assert client.session.stats.sent_user_ms == 0


@pytest.mark.parametrize(("status", "waits"), [(503, [400, 400]), (404, [1_100, 2_200])])
async def test_an_http_refusal_is_told_with_its_status_and_retry_after_is_kept(status: int, waits: list[int]) -> None:
    answer = f"HTTP/1.1 {status} No\r\nRetry-After: 0.4\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw_server(answer) as url:
        client, heard = socket_client(url)
        client.start()
        await heard.first(ev.Disconnected, 2)
        await client.stop()
    (told,) = heard.of(ev.ClientError)
    assert (told.code, told.vendor_code, told.fatal) == ("connect_failed", str(status), False)
    assert f"HTTP {status}" in told.message
    assert [down.retry_in_ms for down in heard.of(ev.Disconnected)][:2] == waits


async def test_a_refused_connection_names_the_place_without_its_secrets() -> None:
    with socket.socket() as holder:  # bound and not listening: nobody else gets the port
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        client, heard = socket_client(f"ws://user:canary@127.0.0.1:{port}/v1?api-key=canary")
        client.start()
        await heard.first(ev.Disconnected, 2)
        await client.stop()
    (told,) = heard.of(ev.ClientError)
    assert told.code == "connect_failed" and f"ws://127.0.0.1:{port}/v1/realtime" in told.message
    assert "refused" in told.message.lower() or "Connect call failed" in told.message
    assert "canary" not in "".join(map(str, heard.events))


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
)
async def test_what_is_no_websocket_server_is_a_failed_attempt(answer: bytes) -> None:
    async with raw_server(answer, reads=bool(answer)) as url:
        client, heard = socket_client(url)
        client.start()
        await heard.first(ev.Disconnected, 2)
        await client.stop()
    assert {told.code for told in heard.of(ev.ClientError)} == {"connect_failed"}
    assert not any(told.fatal for told in heard.of(ev.ClientError))


# Cut ----------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def server_process(port: int) -> AsyncIterator[subprocess.Popen[str]]:
    """The local server in a process of its own, which can be killed."""
    command = [sys.executable, str(ROOT / "devkit"), "serve", "--port", str(port), "--recognizer", "scripted"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        ready = await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, process.stdout.readline), 30)
        assert ready.startswith("ws://"), "the server did not start"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def free_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])


async def everything_sent(client: OpenAIASRClient) -> None:
    while client.session.stream.lag_ms:
        await asyncio.sleep(0.005)


async def test_a_server_killed_in_the_middle_of_speech_and_started_again() -> None:
    port = free_port()
    client, heard = socket_client(f"ws://127.0.0.1:{port}/v1", finalize_timeout_ms=10_000)
    script = ToneScript()
    pushed = 0

    async def push(until_ms: float | None = None) -> None:
        nonlocal pushed
        pcm = script.pcm if until_ms is None else script.pcm[: 2 * round(until_ms * 16)]
        for at in range(pushed, len(pcm), 640):
            client.push_audio(pcm[at : at + 640])
            await asyncio.sleep(0)
        pushed = len(pcm)

    async with server_process(port) as process:
        client.start()
        script.pause(300).say(1, 2)
        await push()
        await client.finalize()
        script.pause(500).say(10, 11, 12, 13, 14, 15, 16, 17, ms=400)
        cut = script.spoken[5].start_ms + 100  # in the middle of the word 13
        await push(cut)
        await everything_sent(client)
        process.kill()
        process.wait()
    await heard.first(ev.Disconnected)
    await push()
    assert not client.connected
    async with server_process(port):
        await heard.first(ev.Connected, 2)
        await client.finalize()
        script.pause(500).say(20, 21).pause(300)
        await push()
        await client.finalize()
        await client.stop()
    check_what_was_saved(heard, script, cut)


def check_what_was_saved(heard: Recorder, script: ToneScript, cut: float) -> None:
    """Words that were not sent yet are heard, the rest is told as lost, nothing comes twice, and times are true."""
    words = " ".join(heard.texts).split()
    assert len(words) == len(set(words)) and words == sorted(words, key=lambda word: int(word[1:]))
    unsent = [f"b{spoken.label}" for spoken in script.spoken if spoken.start_ms > cut]
    assert unsent[0] == "b14" and set(unsent) <= set(words)
    losses = [(loss.start_ms, loss.start_ms + loss.duration_ms) for loss in heard.of(ev.AudioLost)]
    for spoken in script.spoken:
        told = any(start < spoken.end_ms and end > spoken.start_ms for start, end in losses)
        assert told or f"b{spoken.label}" in words, f"b{spoken.label} is neither heard nor told"
    assert all(end <= cut + TOLERANCE_MS for _, end in losses), "nothing behind the cut is lost"
    by_text = {final.text: final for final in heard.finals}
    for text, first, last in (("b1 b2", 0, 1), ("b20 b21", -2, -1)):
        final = by_text[text]
        assert abs(final.start_ms - script.spoken[first].start_ms) <= TOLERANCE_MS
        assert abs(final.start_ms + final.duration_ms - script.spoken[last].end_ms) <= TOLERANCE_MS
    middle = next(final for final in heard.finals if "b17" in final.text)
    assert abs(middle.start_ms + middle.duration_ms - script.spoken[9].end_ms) <= TOLERANCE_MS
    dropped = [told for told in heard.of(ev.ClientError) if told.code == "dropped"]
    assert len(dropped) == 1 and not dropped[0].fatal


# Half open ----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def deaf_server() -> AsyncIterator[str]:
    """Configures a session, then neither reads nor says anything any more, not even to a close."""
    over = asyncio.Event()

    async def handler(peer: ServerConnection) -> None:
        await peer.send('{"type": "session.created", "session": {}}')
        update = await peer.recv(decode=False)
        await peer.send(update.replace(b"session.update", b"session.updated"), text=True)
        peer.transport.pause_reading()
        await over.wait()
        peer.transport.abort()

    silent: Any = logging.Logger("silent", level=logging.CRITICAL + 1)
    async with serve(handler, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1, logger=silent) as server:
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            over.set()


@pytest.mark.parametrize("seconds", [0.1, 300.0])
async def test_stop_is_in_time_on_a_half_open_socket(seconds: float) -> None:
    """With little audio only the close stays unanswered; with much the writing itself is blocked."""
    async with deaf_server() as url:
        client, heard = socket_client(url, stop_drain_ms=100)
        client.start()
        await heard.first(ev.Connected)
        for _ in range(max(1, round(seconds / 2))):
            client.push_audio(tone(min(seconds, 2.0) * 1000))
            await asyncio.sleep(0)
        if seconds > 10:
            await asyncio.sleep(0.1)
            assert client.session.stream.lag_ms > 2_000, "the transport takes no more"
        began = time.monotonic()
        await asyncio.wait_for(client.stop(), 10)
        took = time.monotonic() - began
    assert took < 0.1 + 5.0, "a second is promised; a machine that does something else as well gets a few more"


async def test_a_half_open_socket_is_found_by_its_missing_pong_and_replaced() -> None:
    async with deaf_server() as url:
        client, heard = socket_client(url, ping_interval_ms=50, ping_timeout_ms=100, stop_drain_ms=0)
        client.start()
        await heard.first(ev.Connected, 2)
        await client.stop()
    assert [(told.code, told.vendor_message) for told in heard.of(ev.ClientError)][:1] == [
        ("dropped", "no pong: the connection is half open")
    ]
