"""The client on a scripted socket: how it connects, with which key, and what it does when that fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from client_peers import WIRE_RATE, at_wire_rate, make_client, scripted, tidy
from scripted import (
    CREATED,
    Connection,
    Gate,
    NeverConnects,
    Refuse,
    block,
    close,
    committed,
    completed,
    configured,
    echo,
    expect,
    expect_close,
    hear,
    ignore_pings,
    say,
    wait,
)
from sessions import tone
from ten_packages.extension.openai_asr_python.openai_asr_client import Endpoint
from ten_packages.extension.openai_asr_python.realtime import events as ev
from virtual_time import virtual_time

COMMIT = "input_audio_buffer.commit"


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    with virtual_time():
        async with tidy():
            yield


def sound(ms: float) -> bytes:
    return tone(ms, rate=WIRE_RATE)


def last_words() -> tuple[hear, expect]:
    """What a client that stops in the middle of a turn still sends."""
    return hear(), expect(COMMIT)


async def test_first_words_spoken_while_dialling_are_the_first_on_the_wire() -> None:
    through = Gate()
    script = configured(
        hear(ms=350), expect(COMMIT), say(committed("i1"), completed("i1", "first words")), after=through
    )
    async with scripted(script) as network:
        client, heard = make_client(network)
        client.push_audio(sound(100))  # before anybody said start
        client.start()
        spoken = sound(100) + sound(250)
        for at in range(0, len(sound(250)), 960):
            client.push_audio(sound(250)[at : at + 960])
        await asyncio.sleep(0.001)
        through.open()
        await heard.first(ev.Connected)
        done = await client.finalize("f1")
        await client.stop()
    assert network.connections[0].log[0] == "session.update", "no audio before the configuration"
    assert network.connections[0].audio == spoken
    assert done.outcome == "final"
    assert [(f.text, f.start_ms, f.duration_ms) for f in heard.finals] == [("first words", 0, 350)]


async def test_start_again_while_an_attempt_is_under_way_dials_once() -> None:
    through = Gate()
    async with scripted(configured(after=through)) as network:
        client, heard = make_client(network)
        client.start()
        client.start()
        await asyncio.sleep(0.001)
        client.start()
        through.open()
        await heard.first(ev.Connected)
        client.start()
        assert client.connected
        await client.stop()
    assert len(network.dials) == 1


async def test_start_during_back_off_dials_now() -> None:
    async with scripted(Refuse(503, headers={"Retry-After": "60"}), configured()) as network:
        client, heard = make_client(network)
        client.start()
        down = await heard.first(ev.Disconnected)
        assert down.retry_in_ms == 60_000
        client.start()
        await heard.first(ev.Connected)
        await client.stop()


async def test_url_and_headers_of_the_handshake() -> None:
    endpoint = Endpoint(
        "https://proxy.example/openai/v1/", api_key="sk-1", organization="org", project="proj", headers={"X-A": "b"}
    )
    async with scripted(configured()) as network:
        client, heard = make_client(network, endpoint=endpoint)
        client.start()
        await heard.first(ev.Connected)
        await client.stop()
    assert network.dials == [
        (
            "wss://proxy.example/openai/v1/realtime?intent=transcription",
            {
                "Authorization": "Bearer sk-1",
                "OpenAI-Organization": "org",
                "OpenAI-Project": "proj",
                "X-A": "b",
            },
        )
    ]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_function_is_asked_for_the_key_before_each_connect(asynchronous: bool) -> None:
    keys = iter(["sk-first", "sk-second", "sk-third"])

    async def later() -> str:
        await asyncio.sleep(0.001)
        return next(keys)

    endpoint = Endpoint("ws://test.invalid/v1", api_key=later if asynchronous else lambda: next(keys))
    async with scripted(Refuse(503), configured(close(1006)), configured()) as network:
        client, heard = make_client(network, endpoint=endpoint)
        client.start()
        await heard.first(ev.Connected, 2)
        await client.stop()
    assert [headers["Authorization"] for _, headers in network.dials] == [
        "Bearer sk-first",
        "Bearer sk-second",
        "Bearer sk-third",
    ]


async def test_a_key_function_that_fails_is_reported_without_its_words_and_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    answers: list[Any] = [RuntimeError("vault says sk-canary"), "sk-with\nnewline-canary", 7, None]

    def key() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with scripted(configured()) as network:
        client, heard = make_client(network, endpoint=Endpoint("ws://test.invalid/v1", api_key=key))
        client.start()
        await heard.first(ev.Connected)
        await client.stop()
    reports = [report.message for report in heard.of(ev.ClientError)]
    assert "the function for api_key raised RuntimeError" in reports[0]
    assert len(heard.of(ev.Disconnected)) == 3 and not any(report.fatal for report in heard.of(ev.ClientError))
    told = caplog.text + "".join(map(str, heard.events))
    assert "canary" not in told and "newline" not in told
    assert network.dials == [("ws://test.invalid/v1/realtime?intent=transcription", {})]


async def test_a_key_function_that_never_answers_costs_one_attempt() -> None:
    asked = 0

    async def key() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.Event().wait()
        return "sk-second"

    async with scripted(configured()) as network:
        endpoint = Endpoint("ws://test.invalid/v1", api_key=key)
        client, heard = make_client(network, at_wire_rate(connect_timeout_ms=40), endpoint=endpoint)
        client.start()
        await heard.first(ev.Connected)
        await client.stop()
    assert asked == 2 and [down.code for down in heard.of(ev.Disconnected)] == ["timeout"]


def test_an_endpoint_shows_no_secret() -> None:
    shown = repr(Endpoint(api_key="sk-canary", headers={"X-Key": "canary"}, proxy="http://u:canary@proxy"))
    assert "canary" not in shown and "api.openai.com" in shown


async def test_a_refused_handshake_is_one_non_fatal_report_with_its_status() -> None:
    busy = Refuse(503, "HTTP 503 instead of an upgrade", {"Retry-After": "0.02"})
    async with scripted(busy, busy, busy, configured()) as network:
        client, heard = make_client(network)
        client.start()
        await heard.first(ev.Connected)
        await client.stop()
    (report,) = heard.of(ev.ClientError)
    assert (report.code, report.vendor_code, report.fatal) == ("connect_failed", "503", False)
    assert "HTTP 503" in report.message and "audio is kept" in report.message
    assert [(down.code, down.retry_in_ms) for down in heard.of(ev.Disconnected)] == [("503", 20)] * 3
    assert [up.attempt for up in heard.of(ev.Connecting)] == [1, 2, 3, 4]


async def test_a_dialler_that_raises_what_nobody_expected_is_a_refusal() -> None:
    """The library may raise anything, such as UnicodeError for a host name or ImportError for a missing helper."""
    faults: list[Exception] = [UnicodeError("label too long"), ImportError("sk-canary needs python-socks")]
    async with scripted(configured()) as network:

        async def dial(*args: Any) -> Any:
            if faults:
                raise faults.pop(0)
            return await network.dial(*args)

        client, heard = make_client(network, dial=dial)
        client.start()
        await heard.first(ev.Connected)
        await client.stop()
    reports = [report.message for report in heard.of(ev.ClientError)]
    assert len(reports) == 2 and "UnicodeError" in reports[0] and "ImportError" in reports[1]
    assert "canary" not in "".join(reports)


async def test_a_socket_that_raises_what_nobody_expected_is_a_lost_connection(caplog: pytest.LogCaptureFixture) -> None:
    broken = configured(expect_close(1000))
    async with scripted(broken, configured(hear(ms=20), *last_words())) as network:
        client, heard = make_client(network)
        client.start()
        await heard.first(ev.Connected)

        def send(data: bytes) -> bool:
            raise RuntimeError("canary sentence")

        network.connections[0].send = send  # type: ignore[method-assign]
        client.push_audio(sound(20))
        await heard.first(ev.Connected, 2)
        await client.stop()
    assert [report.code for report in heard.of(ev.ClientError)] == ["dropped"]
    assert "failed with RuntimeError" in caplog.text and "canary" not in caplog.text


async def test_a_drop_is_told_and_what_was_not_answered_goes_out_on_the_next_connection() -> None:
    stuck, go = Gate(), Gate()
    first = configured(hear(ms=20), block(stuck), wait(go), close(1001, "going away"))
    second = configured(hear(ms=500), expect(COMMIT), say(committed("i2"), completed("i2", "all of it")))
    async with scripted(first, second) as network:
        client, heard = make_client(network)
        client.start()
        await heard.first(ev.Connected)
        client.push_audio(sound(20))
        while not network.connections[0].audio:
            await asyncio.sleep(0.001)
        client.push_audio(sound(480))
        go.open()
        await heard.first(ev.Connected, 2)
        await client.finalize()
        await client.stop()
    assert [(e.code, e.vendor_code) for e in heard.of(ev.ClientError)] == [("dropped", "1001")]
    assert [(f.text, f.start_ms, f.duration_ms) for f in heard.finals] == [("all of it", 0, 500)]
    assert heard.of(ev.AudioLost) == []


async def test_a_connection_that_answers_no_ping_is_replaced() -> None:
    opts = at_wire_rate(ping_interval_ms=20, ping_timeout_ms=30)
    async with scripted(configured(ignore_pings(), expect_close()), configured()) as network:
        client, heard = make_client(network, opts)
        client.start()
        await heard.first(ev.Connected, 2)
        await client.stop()
    assert network.connections[0].log == ["session.update", "ping"]
    assert "half open" in heard.of(ev.ClientError)[0].message


async def test_a_connection_that_says_nothing_is_given_up_and_the_next_one_is_tried() -> None:
    opts = at_wire_rate(connect_timeout_ms=40)
    silent = Connection(say(CREATED), expect("session.update"), expect_close())
    async with scripted(NeverConnects(), Connection(expect_close()), silent, configured()) as network:
        client, heard = make_client(network, opts)
        client.start()
        await heard.first(ev.Connected)
        await client.stop()
    waited = [report.vendor_message for report in heard.of(ev.ClientError)]
    assert waited == [
        "the end of the handshake did not come in time",
        "session.created did not come in time",
        "session.updated did not come in time",
    ]


async def test_the_echo_may_come_late() -> None:
    answer = Gate()
    script = Connection(say(CREATED), expect("session.update"), wait(answer), say(echo), hear(ms=60), *last_words())
    async with scripted(script) as network:
        client, heard = make_client(network, at_wire_rate(stop_drain_ms=20))
        client.start()
        while not network.connections or not network.connections[0].messages:
            await asyncio.sleep(0.001)
        client.push_audio(sound(60))
        await asyncio.sleep(0.01)
        assert not client.connected
        answer.open()
        await heard.first(ev.Connected)
        await client.stop()
