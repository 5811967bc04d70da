"""The scripted socket itself: it has to fail what is not in the script, or no test that uses it proves anything."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from client_peers import scripted
from scripted import (
    CREATED,
    Connection,
    Gate,
    Refuse,
    ScriptedNetwork,
    block,
    close,
    expect,
    expect_close,
    hear,
    ignore_pings,
    matches,
    say,
    wait,
)
from ten_packages.extension.openai_asr_python.transport import TransportRefused
from virtual_time import virtual_time

COMMIT = "input_audio_buffer.commit"


@pytest.fixture(autouse=True)
async def no_time_passes() -> AsyncIterator[None]:
    with virtual_time():
        yield


def message(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields}).encode()


def append(ms: float) -> bytes:
    return message("input_audio_buffer.append", audio=base64.b64encode(bytes(round(48 * ms))).decode())


class Heard:
    """What a client is told."""

    def __init__(self) -> None:
        self.news: list[Any] = []

    def message(self, data: bytes) -> None:
        self.news.append(data)

    def pong(self) -> None:
        self.news.append("pong")

    def writable(self) -> None:
        self.news.append("writable")

    def closed(self, code: int, reason: str) -> None:
        self.news.append((code, reason))


async def dialled(network: ScriptedNetwork) -> Any:
    wire = await network.dial("ws://x", {}, None)
    wire.heard = Heard()
    wire.start(wire.heard)
    await asyncio.sleep(0)
    return wire


async def test_a_conversation_as_written_passes() -> None:
    gate = Gate()
    script = Connection(
        say(CREATED),
        expect("session.update", session={"type": "transcription", "audio": ...}),
        hear(ms=100),
        wait(gate, audio=True),
        hear(),
        expect(COMMIT, event_id=lambda value: value.startswith("c")),
        say({"type": "late"}),
        expect_close(1000),
    )
    async with scripted(script) as network:
        wire = await dialled(network)
        assert [json.loads(data) for data in wire.heard.news] == [CREATED]
        assert wire.send(message("session.update", session={"type": "transcription", "audio": {}, "more": 1}))
        for ms in (60, 40, 20):
            assert wire.send(append(ms))
        gate.open()
        wire.send(append(7))
        wire.send(message(COMMIT, event_id="c1"))
        assert len(wire.heard.news) == 1, "not inside of the client's call"
        await asyncio.sleep(0)
        assert json.loads(wire.heard.news[1])["type"] == "late"
        await wire.close(1000, "")
        await asyncio.sleep(0)
        assert len(wire.heard.news) == 2, "who closes is told nothing any more"
    assert wire.close_code == 1000 and len(wire.audio) == 127 * 48


@pytest.mark.parametrize(
    ("steps", "sent", "complaint"),
    [
        ([expect(COMMIT)], [message("input_audio_buffer.clear")], "input_audio_buffer.clear"),
        ([expect(COMMIT, event_id="a")], [message(COMMIT, event_id="b")], '"event_id": "b"'),
        ([], [message(COMMIT)], "the end of the script"),
        ([hear(ms=100)], [append(60), append(60)], "5760 bytes of audio"),
        ([hear(ms=100)], [append(60), message(COMMIT)], "after 2880 bytes of audio"),
        ([wait(Gate())], [append(20)], "step 1 of 1, wait"),
        ([expect_close(1000)], [append(20)], "step 1 of 1, expect_close"),
    ],
)
async def test_a_message_that_is_not_in_the_script_fails_at_once(
    steps: list[Any], sent: list[bytes], complaint: str
) -> None:
    began = asyncio.get_running_loop().time()
    with pytest.raises(AssertionError, match=complaint):
        async with scripted(Connection(*steps)) as network:
            wire = await dialled(network)
            for data in sent:
                assert wire.send(data)
            await asyncio.Event().wait()  # whatever the test waits for
    assert asyncio.get_running_loop().time() == began


@pytest.mark.parametrize("steps", [[expect(COMMIT)], [hear(ms=20)], [wait(Gate())], [expect_close(1000)]])
async def test_a_step_that_is_left_over_fails(steps: list[Any]) -> None:
    with pytest.raises(AssertionError, match="left over: connection 1, step 2 of 2"):
        async with scripted(Connection(say(CREATED), *steps)) as network:
            await dialled(network)


async def test_connections_are_counted() -> None:
    with pytest.raises(AssertionError, match=r"1 connection\(s\) never dialled"):
        async with scripted(Refuse(404)) as network:
            pass
    with pytest.raises(AssertionError, match="dial 2: the script has no such connection"):
        async with scripted(Refuse(404, "gone", {"a": "b"})) as network:
            with pytest.raises(TransportRefused) as refused:
                await dialled(network)
            assert (refused.value.status, refused.value.headers["a"]) == (404, "b")
            await dialled(network)


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_close_is_as_expected_or_fails(code: int) -> None:
    with pytest.raises(AssertionError, match=f"closed with {code}"):
        async with scripted(Connection(expect(COMMIT) if code == 1000 else expect_close(1000))) as network:
            await (await dialled(network)).close(code, "")


async def test_a_test_that_hangs_is_told_where() -> None:
    with pytest.raises(AssertionError, match=r"not over after 0.01 s: connection 1, step 1 of 1, expect"):
        async with scripted(Connection(expect(COMMIT)), timeout_s=0.01) as network:
            await dialled(network)
            await asyncio.Event().wait()


async def test_the_servers_close_comes_behind_what_it_said() -> None:
    async with scripted(Connection(say({"type": "a"}, "b", b"c"), close(1013, "busy"))) as network:
        wire = await dialled(network)
        assert wire.heard.news == [b'{"type": "a"}', b"b", b"c", (1013, "busy")]
        assert wire.send(append(1))
        wire.ping()
        await asyncio.sleep(0)
        assert wire.log == [] and len(wire.heard.news) == 4


async def test_a_full_transport_says_when_it_has_room() -> None:
    gate = Gate()
    async with scripted(Connection(hear(ms=20), block(gate), hear(ms=40))) as network:
        wire = await dialled(network)
        assert not wire.send(append(20)) and not wire.send(append(20))
        assert len(wire.audio) == 1920, "it was taken all the same"
        assert wire.heard.news == []
        gate.open()
        await asyncio.sleep(0)
        assert wire.heard.news == ["writable"]
        assert wire.send(append(20))


async def test_pings_are_answered_in_the_next_round_until_they_are_not() -> None:
    async with scripted(Connection(hear(ms=20), ignore_pings())) as network:
        wire = await dialled(network)
        wire.ping()
        assert wire.heard.news == []
        await asyncio.sleep(0)
        wire.send(append(20))
        wire.ping()
        await asyncio.sleep(0)
        assert wire.heard.news == ["pong"] and wire.log.count("ping") == 2


def test_patterns() -> None:
    assert matches({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3})
    assert not matches({"a": None}, {})
    assert not matches({"a": 1}, [1])
    assert matches([1, 2], [1, 2]) and not matches([1], [1, 2])
