"""What the graph is told of the connection: legal and complete where the base has a status, nothing where it has none.

`run_call` holds every change of the status to what may follow the one before.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from asr_tester import Call, Json, node, run_call
from fast_calls import fast_calls
from ten_ai_base.asr import AsyncASRBaseExtension
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from tone_script import ToneScript
from wire_servers import COMMIT, TRANSCRIPTION, FakeServer, Peer

pytestmark = pytest.mark.socket

SPEECH = ToneScript().pause(100).say(5, ms=300).pause(100).pcm
HAS_STATUS = hasattr(AsyncASRBaseExtension, "on_connected")
KEY = "sk-canary-0123456789-abcdefghij"


def changes(call: Call) -> list[Json]:
    return call.payloads("connection_status_changed")


def steps(call: Call) -> list[str]:
    return [change["current"] for change in changes(call)]


def told(*expected: str) -> list[str]:
    """What the base can tell of *expected*."""
    return list(expected) if HAS_STATUS else []


def code(change: Json) -> str:
    """Its code, which older bases send as a string."""
    return str(change["code"])


async def one_turn(call: Call) -> None:
    await call.send(SPEECH)
    await call.finalize("f1")
    await call.answer("f1")


async def healthy(peer: Peer) -> None:
    await peer.configure()
    await peer.transcribe("hello")


def test_a_call_is_connecting_connected_and_stopped() -> None:
    with FakeServer(healthy) as server:
        call = run_call(node(server.url), one_turn)
    assert steps(call) == told("connecting", "connected", "disconnected")
    for change in changes(call)[-1:]:
        assert (code(change), change["message"]) == ("0", "stopped")


def test_a_drop_and_the_reconnect_are_told() -> None:
    async def drop(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        await peer.close(1001, "going away")

    with FakeServer(drop, healthy) as server:
        call = run_call(node(server.url), one_turn)
    assert call.texts == ["hello"]
    lost = told("disconnected")
    assert steps(call) == told("connecting", "connected", *lost, "connecting", "connected", "disconnected")
    for change in changes(call)[2:3]:
        assert code(change) == "1000" and "going away" in change["message"]


def test_each_attempt_that_fails_is_told() -> None:
    with FakeServer(healthy, refuse=lambda dial: 503 if dial <= 2 else None) as server:
        call = run_call(node(server.url), one_turn)
    failed = ["connecting", "disconnected"]
    assert steps(call) == told(*failed, *failed, "connecting", "connected", "disconnected")


def test_without_auto_connect_nothing_is_told_before_the_trigger() -> None:
    before: list[str] = []

    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        await call.finalize("f0")
        await call.answer("f0")
        before.extend(steps(call))
        await call.send_data("trigger_connect")
        await call.send_data("trigger_connect")
        await call.connected()
        await one_turn(call)

    with FakeServer(healthy) as server:
        call = run_call({**node(server.url), "auto_connect": False}, scenario)
    assert before == []
    assert steps(call) == told("connecting", "connected", "disconnected")


def test_the_next_session_takes_over_in_silence() -> None:
    script = ToneScript()
    for label in range(1, 60):
        script.say(label).pause(1000)

    async def scenario(call: Call) -> None:
        for at in range(0, len(script.pcm), 6400):
            await call.send(script.pcm[at : at + 6400])
            await asyncio.sleep(0.2)
        await call.finalize("f1")
        await call.answer("f1")

    with fast_calls(), run_in_thread(recognizer="scripted", session_seconds=10) as server:
        call = run_call(node(server.url, turns="server_vad"), scenario)
    assert " ".join(call.texts) == script.words
    assert call.metric("vendor_metrics")[-1]["rollovers"] >= 5
    assert steps(call) == told("connecting", "connected", "disconnected") and not call.errors


def test_a_key_that_is_refused_for_good_is_told_as_fatal_and_may_be_tried_again() -> None:
    async def scenario(call: Call) -> None:
        await call.until("the fatal error", lambda: [e for e in call.errors if e["code"] == -1000], 100)
        await asyncio.sleep(60)
        count.append(len(steps(call)))
        await call.send_data("trigger_connect")
        await asyncio.sleep(1)

    count: list[int] = []
    with fast_calls(), run_in_thread(recognizer="scripted", api_key="sk-right") as server:
        call = run_call(node(server.url, api_key=KEY), scenario)
    assert [error["code"] for error in call.errors][:2] == [1000, -1000]
    if HAS_STATUS:
        assert steps(call)[: count[0]] == ["connecting", "disconnected"] * (count[0] // 2)
        codes = [code(change) for change in changes(call)[: count[0]] if change["current"] == "disconnected"]
        assert codes == ["1000"] * (len(codes) - 1) + ["-1000"] and len(codes) >= 6
        assert steps(call)[count[0] : count[0] + 2] == ["connecting", "disconnected"]


def test_a_configuration_that_cannot_work_does_not_connect_for_ever() -> None:
    async def scenario(call: Call) -> None:
        await call.until("the error", lambda: call.errors)
        await call.send_data("trigger_connect")
        await call.finalize("f1")
        await call.answer("f1")

    call = run_call(node("ws://127.0.0.1:9/v1", sample_rate=7), scenario)
    assert [error["code"] for error in call.errors] == [-1000]
    assert steps(call) == told(*["connecting", "disconnected"] * 2)
    assert all(code(change) == "-1000" for change in changes(call)[1::2])


# Whose it is ------------------------------------------------------------------------------------------------


def test_what_a_server_says_when_it_closes_cannot_carry_the_key() -> None:
    async def tell(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        await peer.close(4001, f"not for {KEY}")

    with FakeServer(tell, healthy) as server:
        call = run_call(node(server.url, api_key=KEY), one_turn)
    assert steps(call) == told("connecting", "connected", "disconnected", "connecting", "connected", "disconnected")
    assert_no_part_of_the_key(call)


def assert_no_part_of_the_key(call: Call) -> None:
    said = call.story() + json.dumps([m.payload for m in call.messages]) + call.log_text()
    for part in ("canary", "0123456789", "abcdefghij"):
        assert part not in said


def vendor(call: Call) -> Json:
    """What the newest error or metric says of the vendor."""
    metadata: Json = call.metrics[-1]["metadata"]
    assert ("vendor_metadata" in metadata) is HAS_STATUS
    return metadata.get("vendor_metadata", {})  # type: ignore[no-any-return]


def call_with(key: str) -> Call:
    with FakeServer(healthy) as server:
        call = run_call(node(server.url + "?api-key=canary-in-the-url", api_key=key), one_turn)
    assert_no_part_of_the_key(call)
    return call


def test_the_vendor_is_described_and_its_key_can_be_told_from_another_and_not_read() -> None:
    one, same, other, short = (call_with(key) for key in (KEY, KEY, KEY + "x", "local"))
    (features,) = one.payloads("provide_features") or [{}]
    assert features in ({}, {"features": {"asr.vendor": "openai", "asr.model": "gpt-4o-transcribe"}})
    if HAS_STATUS:
        assert vendor(one)["model"] == "gpt-4o-transcribe"
        assert vendor(one)["url"].startswith("ws://127.0.0.1:")
        assert vendor(one)["key"] == vendor(same)["key"] != vendor(other)["key"]
        assert vendor(short)["key"] and "local" not in vendor(short)["key"]
        assert vendor(call_with("other"))["key"] == vendor(short)["key"], "a short key could be found by trying"
    else:
        assert vendor(one) == {}


def test_an_error_is_of_the_session_it_is_about_and_not_of_the_newest() -> None:
    turn = len(SPEECH) * 3 // 2  # at the wire's 24 kHz

    async def fail_when_the_next_speaks(peer: Peer) -> None:
        await peer.configure()
        await peer.heard(COMMIT)
        await peer.committed("item_1")
        await peer.heard_audio(2 * turn - 2000)
        error = {"type": "server_error", "code": None, "message": "no luck"}
        await peer.say({"type": TRANSCRIPTION + "failed", "item_id": "item_1", "content_index": 0, "error": error})
        await peer.transcribe("two", 2)

    async def mend(peer: Peer) -> None:
        await peer.configure()
        await peer.transcribe("one")

    async def scenario(call: Call) -> None:
        await call.send(SPEECH, metadata={"session_id": "first"})
        await call.finalize("f1", "first")
        await call.send(SPEECH, metadata={"session_id": "second"})
        await call.finalize("f2", "second")
        await call.answer("f2")

    with FakeServer(fail_when_the_next_speaks, mend) as server:
        call = run_call(node(server.url), scenario)
    assert [(final["text"], final["metadata"]["session_id"]) for final in call.finals] == [
        ("one", "first"),
        ("two", "second"),
    ]
    assert [error["metadata"]["session_id"] for error in call.errors] == ["first"]
