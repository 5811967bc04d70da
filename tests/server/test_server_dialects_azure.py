"""`--dialect azure` and `azure_ephemeral`, and client secrets, which the provider has as well."""

from __future__ import annotations

import asyncio
import socket as sockets
import time
from typing import Any

import pytest
from dialect_peers import closed, post, receive, refusal, say, until
from server_clients import BEARER, KEY
from server_peers import append, silence
from ten_packages.extension.openai_asr_python.devkit.server import app
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.devkit.server.dialects.azure import Azure
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer
from websockets.asyncio.client import connect

pytestmark = pytest.mark.socket

INTENT = "/realtime?intent=transcription"
MINT = "/realtime/client_secrets"
CONFIG = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}


def server(dialect: str | Azure, api_key: str | None = KEY, **options: Any) -> LocalServer:
    return LocalServer(port=0, recognizer="scripted", api_key=api_key, dialect=dialect, **options)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def minted(at: LocalServer, **body: Any) -> dict[str, Any]:
    status, answer = await post(at.url + MINT, body, {"api-key": KEY})
    assert status == 200, answer
    assert answer.keys() == {"value", "expires_at", "session"} and answer["value"].startswith("ek_")
    result: dict[str, Any] = answer
    return result


async def first_event(url: str, headers: dict[str, str]) -> dict[str, Any]:
    async with connect(url, additional_headers=headers, compression=None) as socket:
        return await receive(socket)


# Azure ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{"api-key": KEY}, BEARER])
async def test_the_key_may_come_in_two_headers(headers: dict[str, str]) -> None:
    async with server("azure") as azure:
        assert (await first_event(azure.url + INTENT, headers))["type"] == "session.created"


async def test_it_refuses_before_there_is_a_socket() -> None:
    async with server("azure") as azure:
        host = azure.url.removesuffix("/openai/v1")
        key = {"api-key": KEY}
        cases: list[tuple[str, dict[str, str], int, str]] = [
            (azure.url + INTENT, {}, 401, "401"),
            (azure.url + INTENT, {"api-key": "wrong"}, 401, "401"),
            (azure.url + INTENT, bearer("wrong"), 401, "401"),
            (azure.url + "/realtime?model=whisper-1", key, 400, "OpperationNotSupported"),
            (azure.url + "/realtime", key, 400, "BadRequest"),
            (host + "/v1" + INTENT, key, 404, "404"),
        ]
        for url, headers, status, code in cases:
            answer = await refusal(url, headers)
            assert answer[0] == status and answer[1]["error"]["code"] == code, url
            assert KEY not in str(answer)


async def test_openai_answers_101_where_azure_does_not() -> None:
    async with server("openai") as openai:
        async with connect(openai.url + INTENT, additional_headers=bearer("wrong")) as socket:
            assert (await receive(socket))["error"]["code"] == "invalid_api_key"
            assert await closed(socket) == (3000, "invalid_request_error.invalid_api_key")


async def test_a_deployment_behaves_as_the_model_behind_it() -> None:
    recognizer = ScriptedRecognizer(["one two"], word_ms=100)
    azure = LocalServer(port=0, recognizer=recognizer, dialect=Azure({"my-ears": "gpt-live-transcribe"}))
    async with azure, connect(azure.url + INTENT) as socket:
        await receive(socket)
        config = {"transcription": {"model": "my-ears", "languages": ["en"]}}
        await say(socket, {"type": "session.update", "session": {"type": "transcription", "audio": {"input": config}}})
        told = (await receive(socket))["session"]["audio"]["input"]
        assert (told["transcription"]["model"], told["turn_detection"]) == ("my-ears", None)
        await say(socket, append(silence(300)))
        # Text before the commit: only that model does so.
        assert (await until(socket, "conversation.item.input_audio_transcription.delta"))[-1]["delta"]


# Client secrets -------------------------------------------------------------------------------------------------


async def test_the_ephemeral_socket_takes_a_minted_secret_only() -> None:
    async with server("azure_ephemeral") as azure:
        secret = (await minted(azure, session=CONFIG))["value"]
        for headers in (BEARER, {"api-key": KEY}, {"api-key": secret}, bearer("ek_invented"), {}):
            assert (await refusal(azure.url + INTENT, headers))[0] == 401, headers
        for _ in range(2):  # one secret starts several sessions
            created = await first_event(azure.url + INTENT, bearer(secret))
            assert created["session"]["audio"]["input"]["transcription"]["model"] == "whisper-1"
        assert (await first_event(azure.url + "/realtime", bearer(secret)))["type"] == "session.created"


async def test_a_secret_expires_and_the_session_it_began_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(app.time, "time", lambda: now)
    async with server("azure_ephemeral") as azure:
        answer = await minted(azure, expires_after={"anchor": "created_at", "seconds": 10})
        assert answer["expires_at"] == int(now) + 10
        async with connect(azure.url + INTENT, additional_headers=bearer(answer["value"])) as socket:
            await receive(socket)
            now += 11
            assert (await refusal(azure.url + INTENT, bearer(answer["value"])))[0] == 401
            await say(socket, {"type": "input_audio_buffer.clear"})
            assert (await receive(socket))["type"] == "input_audio_buffer.cleared"


async def test_the_provider_mints_too_and_takes_both() -> None:
    async with server("openai") as openai:
        assert openai.url.endswith("/v1")
        status, answer = await post(openai.url + MINT, {"session": CONFIG}, BEARER)
        assert status == 200 and answer["session"]["audio"]["input"]["transcription"]["model"] == "whisper-1"
        assert (answer["session"]["type"], answer["session"]["id"][:5]) == ("transcription", "sess_")
        assert answer["expires_at"] == pytest.approx(time.time() + 600, abs=5)
        for headers in (BEARER, bearer(answer["value"])):
            assert (await first_event(openai.url + INTENT, headers))["type"] == "session.created"
        offered: Any = ["realtime", f"openai-insecure-api-key.{answer['value']}"]
        async with connect(openai.url + INTENT, subprotocols=offered) as socket:
            assert (await receive(socket))["type"] == "session.created"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"expires_after": {"seconds": 9}}, "invalid_value"),
        ({"expires_after": {"seconds": 7201}}, "invalid_value"),
        ({"expires_after": {"seconds": "60"}}, "invalid_type"),
        ({"expires_after": {"anchor": "last_active_at"}}, "invalid_value"),
        ({"lifetime": 60}, "unknown_parameter"),
        ({"session": {"type": "realtime"}}, "invalid_parameter"),
        ({"session": {"audio": {}}}, "missing_required_parameter"),
        (b"{no JSON", "invalid_json"),
        (b"[]", "invalid_type"),
    ],
)
async def test_a_wrong_body_is_400_and_named(body: Any, code: str) -> None:
    async with server("openai") as openai:
        status, answer = await post(openai.url + MINT, body, BEARER)
        assert (status, answer["error"]["code"]) == (400, code)


@pytest.mark.parametrize("dialect", ["openai", "azure"])
async def test_secrets_are_minted_for_the_key_only(dialect: str) -> None:
    async with server(dialect) as at:
        for headers in ({}, bearer("wrong"), {"api-key": "wrong"}):
            status, answer = await post(at.url + MINT, {}, headers)
            assert status == 401 and "error" in answer
        secret = (await minted(at))["value"]
        assert (await post(at.url + MINT, {}, bearer(secret)))[0] == 401
        assert (await post(at.url + "/elsewhere", {}, BEARER))[0] == 404


async def test_other_dialects_mint_nothing() -> None:
    for dialect, status in (("beta", 404), ("speaches", 403), ("vllm", 403)):
        async with server(dialect) as at:
            assert (await post(at.url + MINT, {}, BEARER))[0] == status


# The port -------------------------------------------------------------------------------------------------------


async def exchange(port: int, *parts: bytes) -> bytes:
    """What comes back for these bytes, each a packet of its own, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_requests_come_in_any_pieces() -> None:
    request = (
        f"POST /v1{MINT} HTTP/1.1\r\nHost: x\r\nAUTHORIZATION: Bearer {KEY}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    )
    async with server("openai") as openai:
        answer = await exchange(openai.port, *(request[i : i + 1] for i in range(len(request))))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b'"ek_' in answer
        health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await exchange(openai.port, *(health[i : i + 1] for i in range(len(health))))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"POST /v1/x HTTP/1.1\r\nContent-Length: 999999\r\n\r\n", b"413"),
        (b"POST /v1/x HTTP/1.1\r\nX: " + b"y" * 70_000, b"413"),
        (b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"POST /v1/x HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST \r\n\r\n", b"400"),
    ],
)
async def test_requests_that_cannot_be_read_are_answered(request_head: bytes, status: bytes) -> None:
    async with server("openai") as openai:
        assert (await exchange(openai.port, request_head)).startswith(b"HTTP/1.1 " + status)


async def test_curl_waits_to_be_told_to_send_its_body() -> None:
    head = (
        f"POST /v1{MINT} HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    async with server("openai") as openai:
        reader, writer = await asyncio.open_connection("127.0.0.1", openai.port)
        writer.write(head.encode())
        assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 100 Continue\r\n"
        writer.write(b"{}")
        assert b"200 OK" in await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_who_says_nothing_does_not_hold_the_server_up() -> None:
    openai = server("openai")
    await openai.start()
    silent = [await asyncio.open_connection("127.0.0.1", openai.port) for _ in range(2)]
    silent[1][1].write(b"POST /v1")
    await asyncio.wait_for(openai.stop(), 5)
    for reader, writer in silent:
        with pytest.raises(ConnectionError):
            if await asyncio.wait_for(reader.read(), 5) == b"":
                raise ConnectionError
        writer.close()
