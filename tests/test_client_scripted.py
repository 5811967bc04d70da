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
    matches,
    say,
    wait,
)
from ten_packages.extension.openai_asr_python.openai_asr_client import TransportClosed, TransportRefused
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


async def dialled(network: ScriptedNetwork) -> Any:
    return await network.dial("ws://x", {}, None)


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
        assert json.loads(await wire.receive()) == CREATED
        await wire.send(message("session.update", session={"type": "transcription", "audio": {}, "more": 1}))
        for ms in (60, 40, 20):
            await wire.send(append(ms))
        gate.open()
        await wire.send(append(7))
        await wire.send(message(COMMIT, event_id="c1"))
        assert json.loads(await wire.receive())["type"] == "late"
        await wire.close(1000, "")
        with pytest.raises(TransportClosed):
            await wire.receive()
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
            with pytest.raises(TransportClosed):
                for data in sent:
                    await wire.send(data)
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
        assert [await wire.receive() for _ in range(3)] == [b'{"type": "a"}', "b", b"c"]
        for attempt in (wire.receive(), wire.send(append(1)), wire.ping()):
            with pytest.raises(TransportClosed) as closed:
                await attempt
            assert (closed.value.code, closed.value.reason) == (1013, "busy")


async def test_a_blocked_send_returns_when_its_gate_opens() -> None:
    gate = Gate()
    async with scripted(Connection(hear(ms=20), block(gate), hear(ms=20))) as network:
        wire = await dialled(network)
        sending = asyncio.ensure_future(wire.send(append(20)))
        await asyncio.sleep(0)
        assert len(wire.audio) == 960 and not sending.done()
        gate.open()
        await sending
        await wire.send(append(20))


def test_patterns() -> None:
    assert matches({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3})
    assert not matches({"a": None}, {})
    assert not matches({"a": 1}, [1])
    assert matches([1, 2], [1, 2]) and not matches([1], [1, 2])
