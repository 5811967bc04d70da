"""Real sockets: whom the client trusts, and that nobody learns its key."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from client_peers import KEY, raw_server, socket_client, tidy
from sessions import tone
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.realtime import events as ev
from tone_script import ToneScript

pytestmark = pytest.mark.socket


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    async with tidy():
        yield


# TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody has signed, and its key."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not installed: apt-get install openssl")
        pytest.skip("NOT TESTED: TLS, because openssl is not installed (apt-get install openssl)")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


@contextlib.asynccontextmanager
async def behind_tls(server: LocalServer, certificate: tuple[Path, Path]) -> AsyncIterator[str]:
    """*server* behind TLS: the URL to use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    tasks: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        for work in (pipe(reader, inner_writer), pipe(inner_reader, writer)):
            task = asyncio.ensure_future(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    outer = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    try:
        yield f"wss://127.0.0.1:{outer.sockets[0].getsockname()[1]}/v1"
    finally:
        outer.close()
        await asyncio.gather(*tasks)


async def test_a_certificate_that_is_not_trusted_is_told_clearly(certificate: tuple[Path, Path]) -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        async with behind_tls(server, certificate) as url:
            client, heard = socket_client(url)
            client.start()
            await heard.first(ev.Disconnected)
            await client.stop()
    (told,) = heard.of(ev.ClientError)
    assert "TLS" in told.message and "self-signed certificate" in told.message.replace("self signed", "self-signed")
    assert not told.fatal


async def test_a_certificate_trusted_by_ca_file_lets_words_through(certificate: tuple[Path, Path]) -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        async with behind_tls(server, certificate) as url:
            client, heard = socket_client(url, endpoint={"ca_file": str(certificate[0])})
            client.start()
            client.push_audio(ToneScript().say(5, 6).pcm)
            await client.finalize()
            await client.stop()
    assert heard.texts == ["b5 b6"] and heard.of(ev.ClientError) == []


@pytest.mark.parametrize("named_by", ["SSL_CERT_FILE", "ca_file"])
async def test_the_environment_names_whom_to_trust_and_ca_file_wins(
    certificate: tuple[Path, Path], named_by: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0] if named_by == "SSL_CERT_FILE" else other))
    async with LocalServer(port=0, recognizer="scripted") as server:
        async with behind_tls(server, certificate) as url:
            client, heard = socket_client(
                url, endpoint={"ca_file": str(certificate[0])} if named_by == "ca_file" else {}
            )
            client.start()
            await heard.first(ev.Connected)
            await client.stop()
    assert heard.of(ev.ClientError) == []


async def test_tls_to_a_server_without_it_is_told() -> None:
    async with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n", reads=False) as url:
        client, heard = socket_client(url.replace("ws:", "wss:"))
        client.start()
        await heard.first(ev.Disconnected)
        await client.stop()
    assert "TLS failed" in heard.of(ev.ClientError)[0].message


@pytest.mark.parametrize("content", [None, "this is no certificate"])
async def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    client, heard = socket_client("wss://127.0.0.1:9/v1", endpoint={"ca_file": str(path)})
    client.start()
    await heard.first(ev.Disconnected)
    await client.stop()
    (told,) = heard.of(ev.ClientError)
    assert "ca_file" in told.message and str(path) in told.message


# Secrets ------------------------------------------------------------------------------------------------------


class Ear(logging.Handler):
    """Hears every record, with its arguments and traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.formatter = logging.Formatter("%(name)s %(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)} {record.args!r}")


@pytest.fixture
def ear() -> Iterator[Ear]:
    """All loggers of the process at DEBUG, aside from those of the server's side, which has its own test."""
    names = [n for n in logging.root.manager.loggerDict if not n.startswith("openai_asr.server")]
    loggers = [logging.getLogger(), *map(logging.getLogger, {*names, "websockets", "websockets.client", "asyncio"})]
    before = [(logger, logger.level, logger.disabled) for logger in loggers]
    handler = Ear()
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)
    for logger, level, disabled in before:
        logger.setLevel(level)
        logger.disabled = disabled


async def test_no_key_reaches_a_log_or_an_event_whatever_happens(ear: Ear) -> None:
    asyncio.get_running_loop().set_debug(True)
    told: list[ev.Event] = []

    async def run(url: str, until: Any, key: Any = KEY, **more: Any) -> None:
        client, heard = socket_client(url, key=key, endpoint={"headers": {"X-Key": "canary"}}, **more)
        client.start()
        client.push_audio(tone(200))
        await heard.first(until)
        await client.stop()
        told.extend(heard.events)

    def broken() -> str:
        raise RuntimeError(KEY)

    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        await run(server.url, ev.Connected)
        await run(server.url, ev.Connected, lambda: KEY)
        await run(server.url, ev.Disconnected, "sk-canary-wrong-one")
        await run(server.url, ev.Disconnected, broken)
        await run(server.url, ev.Disconnected, f"{KEY}\nX: y")
    await run(server.url.replace("ws://", "ws://user:canary@"), ev.Disconnected)  # nobody is there any more
    async with raw_server(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") as other:
        await run(other, ev.Disconnected)
    heard = "\n".join(ear.lines)
    assert "asyncio" in heard, "the ear does hear"
    assert "canary" not in heard
    assert "canary" not in "\n".join(map(str, told))
