"""Who gets in at the local server, and what who does not is told."""

from __future__ import annotations

import asyncio
import http.client
import json

import pytest
from server_clients import BEARER, KEY, Headers, client
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


@pytest.mark.parametrize(
    ("path", "headers", "code", "closed"),
    [
        ("?intent=transcription", {"Authorization": "Bearer sk-wrong"}, "invalid_api_key", (3000, ".invalid_api_key")),
        ("?intent=transcription", {"api-key": "sk-wrong"}, "invalid_api_key", (3000, ".invalid_api_key")),
        ("?intent=transcription", {}, None, (3000, "")),
        ("", BEARER, "missing_model", (4000, ".missing_model")),
        ("?model=gpt-4o-transcribe", BEARER, "invalid_model", (4000, ".invalid_model")),
        ("?intent=transcription&model=whisper-1", BEARER, "invalid_model", (4000, ".invalid_model")),
        ("?intent=chat", BEARER, "invalid_value", (4000, ".invalid_value")),
        (
            "?intent=transcription",
            {**BEARER, "OpenAI-Beta": "realtime=v1"},
            "beta_api_shape_disabled",
            (4000, ".beta_api_shape_disabled"),
        ),
    ],
)
async def test_who_does_not_get_in_is_told_after_the_upgrade(
    path: str, headers: dict[str, str], code: str | None, closed: tuple[int, str]
) -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        async with client(server, f"/realtime{path}", headers) as peer:
            error = await peer.until("error")
            assert (error["error"]["type"], error["error"]["code"]) == ("invalid_request_error", code)
            assert await peer.until_closed() == (closed[0], f"invalid_request_error{closed[1]}")
            assert KEY not in json.dumps(error) and "sk-wrong" not in json.dumps(error)


LOGIN = ("Authorization", "Basic dXNlcjpwYXNz")
"What a client sends for `ws://user:pass@host`, beside its key."


@pytest.mark.parametrize(
    "headers",
    [
        BEARER,
        {"api-key": KEY},
        {"Authorization": f"bearer  {KEY}"},
        [LOGIN, *BEARER.items()],
        [*BEARER.items(), LOGIN],
        [("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", f"openai-insecure-api-key.{KEY}")],
    ],
)
async def test_the_right_key_gets_in(headers: Headers) -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        async with client(server, headers=headers) as peer:
            assert (await peer.until("created"))["session"]["type"] == "transcription"


async def test_a_key_that_is_said_twice_and_differently_does_not_get_in() -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        async with client(server, headers=[("api-key", KEY), ("api-key", "sk-other")]) as peer:
            assert (await peer.until("error"))["error"]["code"] == "invalid_api_key"
        async with client(server, headers=[LOGIN]) as peer:
            assert "Missing bearer" in (await peer.until("error"))["error"]["message"]


async def test_a_login_in_the_url_does_not_keep_a_key_from_minting() -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:

        def post() -> int:
            link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            try:
                link.putrequest("POST", "/v1/realtime/client_secrets")
                for name, value in (*BEARER.items(), LOGIN):
                    link.putheader(name, value)
                link.putheader("Content-Length", "0")
                link.endheaders()
                return link.getresponse().status
            finally:
                link.close()

        assert await asyncio.to_thread(post) == 200


async def test_a_browser_gets_in_with_its_subprotocols() -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        protocols = ["realtime", f"openai-insecure-api-key.{KEY}"]
        async with client(server, headers={}, subprotocols=protocols) as peer:
            await peer.until("created")
            assert peer.socket.subprotocol == "realtime"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer whatever"}])
async def test_without_a_key_of_its_own_the_server_takes_any(headers: dict[str, str]) -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        async with client(server, headers=headers) as peer:
            await peer.until("created")


async def test_other_prefixes_work_and_other_paths_do_not() -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:
        base = server.url.removesuffix("/v1")
        for path in ("/v1/realtime", "/openai/v1/realtime", "/realtime/"):
            async with connect(f"{base}{path}?intent=transcription", additional_headers=BEARER) as socket:
                assert json.loads(await socket.recv())["type"] == "session.created"
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{base}/v1/realtime/transcription", additional_headers=BEARER)
        assert refused.value.response.status_code == 404


async def test_health_is_answered_without_a_key() -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY) as server:

        def get() -> int:
            link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            try:
                link.request("GET", "/healthz")
                return link.getresponse().status
            finally:
                link.close()

        assert await asyncio.to_thread(get) == 200


async def test_compression_is_not_offered() -> None:
    async with LocalServer(port=0, recognizer="scripted") as server:
        async with connect(server.url + "/realtime?intent=transcription", compression="deflate") as socket:
            assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_sessions_of_one_server_have_their_own_ids_and_a_seed_repeats_them() -> None:
    ids: list[str] = []
    for _ in range(2):
        async with LocalServer(port=0, recognizer="scripted", seed=7) as server:
            for _ in range(2):
                async with client(server) as peer:
                    ids.append((await peer.until("created"))["session"]["id"])
    assert ids[0] != ids[1] and ids[:2] == ids[2:]
