"""Opening WebSockets: addresses, refusals, proxies, TLS, cancelled dials, and that nothing of it is logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from client_peers import raw_server, tidy
from raw_peers import CLOSE, TEXT, Noted, RawPeer, frame, raw_websocket
from raw_proxies import http_proxy, socks5_proxy
from ten_packages.extension.openai_asr_python.transport import (
    Endpoint,
    Transport,
    TransportRefused,
    dial_websocket,
)
from websockets.asyncio import client

pytestmark = pytest.mark.socket
HEADERS = {"Authorization": "Bearer sk-canary", "X-Umlaut": "ok"}
LIBRARY = int(version("websockets").split(".")[0])


@pytest.fixture(autouse=True)
async def nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    async with tidy():
        yield


async def echo(peer: RawPeer) -> None:
    while (heard := await peer.frame())[0] == TEXT:
        peer.say(frame(TEXT, heard[1]))
    peer.say(frame(CLOSE, heard[1]))


async def there_and_back(url: str, endpoint: Endpoint) -> Transport:
    """Dial, say something, hear it again, close."""
    transport, noted = await dial_websocket(url, HEADERS, endpoint), Noted()
    transport.start(noted)
    transport.send(b"hello")
    await noted.until(lambda: noted.news)
    assert noted.news == [b"hello"]
    await transport.close(1000, "")
    return transport


async def refusal(url: str, **endpoint: Any) -> TransportRefused:
    with pytest.raises(TransportRefused) as refused:
        await dial_websocket(url, HEADERS, Endpoint(**endpoint))
    assert "canary" not in f"{refused.value} {refused.value.headers} {refused.value.__cause__}"
    return refused.value


# Addresses ----------------------------------------------------------------------------------------------------


async def test_the_request_names_path_query_and_host() -> None:
    seen: list[RawPeer] = []

    async def behave(peer: RawPeer) -> None:
        seen.append(peer)
        peer.accept("X-Request-Id: r1\r\n")
        await echo(peer)

    async with raw_websocket(behave, upgrade=False) as url:
        transport = await there_and_back(f"{url}?intent=transcription&a=%20b", Endpoint())
    (peer,) = seen
    assert peer.path == "/v1/realtime?intent=transcription&a=%20b"
    assert peer.headers["host"] == url.split("/")[2]
    assert peer.headers["authorization"] == "Bearer sk-canary"
    assert "sec-websocket-extensions" not in peer.headers and "sec-websocket-protocol" not in peer.headers
    assert {name.lower(): value for name, value in transport.headers.items()}["x-request-id"] == "r1"


async def test_an_address_of_ip_6() -> None:
    if not socket.has_ipv6:
        pytest.fail("this Python has no IPv6")
    hosts: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = RawPeer(reader, writer)
        await peer.request()
        hosts.append(peer.headers["host"])
        writer.write(b"HTTP/1.1 418 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    try:
        server = await asyncio.start_server(talk, "::1", 0)
    except OSError:  # no such interface here: the name of the host is all that can be asked
        assert "[::1]" in str(await refusal("ws://[::1]:9/v1"))
        return
    port = server.sockets[0].getsockname()[1]
    assert (await refusal(f"ws://[::1]:{port}/v1")).status == 418
    server.close()
    await server.wait_closed()
    assert hosts == [f"[::1]:{port}"]


# Refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *[(status, "short") for status in (200, 400, 401, 403, 404, 429, 500, 503, 524)],
        *[(429, body) for body in ("none", "long", "until the end")],
    ],
)
async def test_an_http_answer_is_told_with_its_headers(status: int, body: str) -> None:
    text = {"none": b"", "short": b'{"error": 1}', "long": bytes(500_000), "until the end": b"no length"}[body]
    length = b"" if body == "until the end" else b"Content-Length: %d\r\n" % len(text)
    answer = b"HTTP/1.1 %d Words\r\nRetry-After: 7\r\nX-Request-Id: r1\r\n%s\r\n%s" % (status, length, text)
    async with raw_server(answer) as url:
        refused = await refusal(url)
    assert (refused.status, str(refused)) == (status, f"HTTP {status} instead of an upgrade")
    headers = {name.lower(): value for name, value in refused.headers.items()}
    assert (headers["retry-after"], headers["x-request-id"]) == ("7", "r1")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        b"HTTP/1.1 101",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 5000 + b"\r\n",
        bytes(100_000),
    ],
)
async def test_what_is_no_websocket_is_refused(answer: bytes) -> None:
    async with raw_server(answer) as url:
        refused = await refusal(url)
    assert refused.status in (0, 200) and ("handshake failed" in str(refused) or "cannot connect" in str(refused))


async def test_nobody_there() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{holder.getsockname()[1]}/v1?secret=canary"
        assert str(await refusal(url)).startswith(f"cannot connect to {url.partition('?')[0]}")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
async def test_no_header_can_smuggle_another(value: str) -> None:
    with pytest.raises(TransportRefused, match="X-Odd"):
        await dial_websocket("ws://127.0.0.1:9/v1", {"X-Odd": value}, Endpoint())


async def test_a_redirect_is_followed_and_a_loop_ends() -> None:
    paths: list[str] = []

    async def behave(peer: RawPeer) -> None:
        paths.append(peer.path)
        if peer.path == "/there":
            peer.accept()
            await echo(peer)
            return
        where = "/there" if peer.path == "/v1/realtime" else "/loop"
        peer.say(f"HTTP/1.1 307 T\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())
        await peer.hung_up()

    async with raw_websocket(behave, upgrade=False) as url:
        await there_and_back(url, Endpoint())
        assert paths == ["/v1/realtime", "/there"]
        assert "handshake failed" in str(await refusal(url.replace("/v1/realtime", "/loop")))


async def test_the_key_does_not_go_where_a_redirect_points() -> None:
    went: list[str] = []

    async def elsewhere(peer: RawPeer) -> None:
        went.append(peer.path)

    async def behave(peer: RawPeer) -> None:
        peer.say(f"HTTP/1.1 307 T\r\nLocation: {other}\r\nContent-Length: 0\r\n\r\n".encode())
        await peer.hung_up()

    async with raw_websocket(elsewhere) as other, raw_websocket(behave, upgrade=False) as url:
        refused = await refusal(url)
    assert (refused.status, went) == (307, [])


async def test_a_redirect_to_a_page_is_told_as_one() -> None:
    async with raw_server(b"HTTP/1.1 301 M\r\nLocation: https://x.test/\r\nContent-Length: 2\r\n\r\nno") as url:
        refused = await refusal(url)
    assert (refused.status, str(refused)) == (301, "HTTP 301 instead of an upgrade")
    assert (refused.headers["Location"], refused.body) == ("https://x.test/", b"no")


# Proxies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["http", "https", "socks5", "socks5h"])
@pytest.mark.parametrize("tls", [False, True])
async def test_a_proxy_with_user_and_password(
    kind: str, tls: bool, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if LIBRARY < 15:
        assert "websockets 15" in str(await refusal("ws://127.0.0.1:9/v1", proxy="http://127.0.0.1:9"))
        return
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))  # whom a proxy's certificate is held against
    asked: list[str] = []
    user = "me:s3cret"
    proxies: Any = socks5_proxy(asked, user=user)
    if kind.startswith("http"):
        proxies = http_proxy(asked, user=user, tls=of_server(certificate) if kind == "https" else None)
    async with raw_websocket(echo, tls=of_server(certificate) if tls else None) as url, proxies as port:
        if kind == "https" and tls and sys.version_info < (3, 11):
            assert "needs Python 3.11" in str(await refusal(url, proxy=f"https://127.0.0.1:{port}"))
            return
        at = f"{kind}://{user}@127.0.0.1:{port}"
        await there_and_back(url, Endpoint(proxy=at, ca_file=str(certificate[0])))
        assert asked == [url.split("/")[2]]
        if kind == "https" and LIBRARY < 17:
            return  # it stumbles, for all to see, over the end of a connection that the proxy has refused
        refused = await refusal(url, proxy=at.replace("s3cret", "canary"), ca_file=str(certificate[0]))
        assert refused.status == 0 and ("the proxy answered HTTP 407" in str(refused) or kind.startswith("socks"))


@pytest.mark.skipif(LIBRARY < 15, reason="websockets 14 knows no proxies")
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 502 no way to there\r\n\r\n", "the proxy answered HTTP 502 no way to there"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the proxy closed the connection, or its answer is not HTTP"),
    ],
)
async def test_what_a_proxy_answers_instead_is_said_in_words(answer: bytes, told: str) -> None:
    async with raw_server(answer) as url:
        at = url.replace("ws://", "http://").removesuffix("/v1")
        assert told in str(await refusal("ws://127.0.0.1:9/v1", proxy=at))


async def test_a_socks_proxy_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    if LIBRARY < 15:
        return

    async def without(*_: Any, **__: Any) -> None:
        raise ImportError("python-socks")

    monkeypatch.setattr(client, "connect_socks_proxy", without)
    refused = await refusal("ws://127.0.0.1:9/v1", proxy="socks5://127.0.0.1:9")
    assert "pip install 'python-socks[asyncio]'" in str(refused)


async def test_the_environment_is_asked_anew_for_each_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    if LIBRARY < 15:
        return
    asked: list[str] = []
    async with raw_websocket(echo) as url, http_proxy(asked) as port:
        await there_and_back(url, Endpoint())
        assert asked == []
        monkeypatch.setenv("ws_proxy", f"http://127.0.0.1:{port}")
        await there_and_back(url, Endpoint())
        assert asked == [url.split("/")[2]]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        await there_and_back(url, Endpoint())
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.delenv("ws_proxy")
        await there_and_back(url, Endpoint())
        assert len(asked) == 1


# TLS ----------------------------------------------------------------------------------------------------------


def of_server(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def make(folder: Path, name: str, days: int) -> tuple[Path, Path]:
    """A certificate for an IP address that nobody has signed, and its key."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not installed: apt-get install openssl")
        pytest.skip("NOT TESTED: TLS, because openssl is not installed (apt-get install openssl)")
    cert, key, request = folder / "cert.pem", folder / "key.pem", folder / "request.pem"
    subject = f"-subj /CN=localhost -addext subjectAltName=IP:{name}"
    for command in (
        f"openssl req -newkey rsa:2048 -nodes {subject} -keyout {key} -out {request}",
        f"openssl x509 -req -in {request} -signkey {key} -days {days} -copy_extensions copyall -out {cert}",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make(tmp_path_factory.mktemp("tls"), "127.0.0.1", 2)


async def test_a_certificate_of_our_own_authority(certificate: tuple[Path, Path]) -> None:
    async with raw_websocket(echo, tls=of_server(certificate)) as url:
        await there_and_back(url, Endpoint(ca_file=str(certificate[0])))
        assert str(await refusal(url)) == "TLS failed: self-signed certificate"


@pytest.mark.parametrize(
    ("name", "days", "why"),
    [("127.0.0.9", 2, "IP address mismatch, certificate is not valid for '127.0.0.1'."), ("127.0.0.1", -1, "expired")],
)
async def test_a_certificate_of_another_host_or_another_time(name: str, days: int, why: str, tmp_path: Path) -> None:
    made = make(tmp_path, name, days)
    async with raw_websocket(echo, tls=of_server(made)) as url:
        refused = str(await refusal(url, ca_file=str(made[0])))
    assert refused.startswith("TLS failed: ") and why in refused


async def test_tls_to_a_server_without() -> None:
    async with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n", reads=False) as url:
        assert str(await refusal(url.replace("ws:", "wss:"))).startswith("TLS failed: ")


# Cancelled ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
async def test_a_dial_cancelled_at_any_moment_leaves_no_socket(tls: bool, certificate: tuple[Path, Path]) -> None:
    """Cancelled after each number of turns of the loop, until a dial is faster than that."""
    transport, turns, hung_up = None, 0, 0

    async def behave(peer: RawPeer) -> None:
        nonlocal hung_up
        await peer.gone()
        hung_up += 1

    endpoint = Endpoint(ca_file=str(certificate[0]))
    async with raw_websocket(behave, tls=of_server(certificate) if tls else None) as url:
        while transport is None and turns < 500:
            dial = asyncio.ensure_future(dial_websocket(url, {}, endpoint))
            for _ in range(turns):
                await asyncio.sleep(0)
            dial.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                transport = await dial
            for _ in range(3):
                await asyncio.sleep(0)
            turns += 1
        assert transport is not None and turns > 3
        await transport.close(1000, "")
        left = [task for task in asyncio.all_tasks() if "behave" in repr(task)]
        assert len(left) <= 1


async def test_nothing_is_logged_by_anybody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "websockets.client", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    async with raw_websocket(echo) as url:
        await there_and_back(url, Endpoint())
    async with raw_server(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n") as url:
        await refusal(url)
    assert [record for record in caplog.records if record.name != "asyncio"] == [] and "canary" not in caplog.text
