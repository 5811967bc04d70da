"""`update_configs`: settings change in the middle of a call, with a result that says what became of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asr_tester import STREAMING, Call, Json, node, poll, run_call
from recorded_server import Recorded
from tone_script import ToneScript
from wire_servers import dead_port

pytestmark = pytest.mark.socket

APPLIED = "applied"


def speech(*labels: int) -> bytes:
    return ToneScript().say(*labels, ms=300).pause(100).pcm


async def said(call: Call, name: str, *labels: int) -> str:
    """Say *labels*, finalize; the text of that turn."""
    await call.send(speech(*labels))
    await call.finalize(name)
    await call.answer(name)
    return call.texts[-1]


def status_events(call: Call) -> list[str]:
    return [change["current"] for change in call.payloads("connection_status_changed")]


def updates(server: Recorded, connection: int = 0) -> list[Json]:
    """The session's input of each `session.update` on a connection."""
    heard = server.wires[connection].heard
    return [message["session"]["audio"]["input"] for message in heard if message["type"] == "session.update"]


@pytest.mark.parametrize(
    ("params", "look", "there"),
    [
        ({"language": "de"}, lambda given: given["transcription"].get("language"), "de"),
        ({"audio": {"input": {"transcription": {"language": "fr"}}}}, lambda g: g["transcription"]["language"], "fr"),
        ({"input_audio_transcription": {"prompt": "Yacht"}}, lambda g: g["transcription"].get("prompt"), "Yacht"),
        ({"input_audio_noise_reduction": "far_field"}, lambda g: (g["noise_reduction"] or {}).get("type"), "far_field"),
        ({"turn_detection": {"silence_duration_ms": 900}}, lambda g: g["turn_detection"]["silence_duration_ms"], 900),
    ],
)
def test_what_a_session_can_change_changes_in_it(
    serve: Callable[..., Recorded], params: Json, look: Callable[[Json], Any], there: Any
) -> None:
    server = serve()

    async def scenario(call: Call) -> None:
        await call.connected()
        assert await said(call, "f1", 1) == "b1"
        status, code, message = await call.update_configs({"params": params})
        assert (status, code) == (0, 0) and APPLIED in message
        assert await said(call, "f2", 2) == "b2"

    call = run_call(node(server.url, turns="server_vad"), scenario)
    assert len(server.wires) == 1 and [look(given) == there for given in updates(server)] == [False, True]
    assert call.texts == ["b1", "b2"] and call.errors == []
    if "language" in params:
        assert [final["language"] for final in call.finals] == ["en-US", "de-DE"]


def test_another_model_is_a_silent_change_of_sessions(serve: Callable[..., Recorded]) -> None:
    server = serve()

    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(speech(1, 2))
        status, code, _ = await call.update_configs({"params": {"model": STREAMING}})
        assert (status, code) == (0, 0)
        await call.send(speech(3, 4))
        await call.finalize("f1")
        await call.answer("f1")

    call = run_call(node(server.url), scenario)
    assert " ".join(call.texts).split() == ["b1", "b2", "b3", "b4"]
    assert [updates(server, i)[0]["transcription"]["model"] for i in (0, 1)] == ["gpt-4o-transcribe", STREAMING]
    assert call.errors == [] and status_events(call)[:2] in ([], ["connecting", "connected"])
    assert call.finals[-1]["metadata"]["asr_info"]["model"] == STREAMING


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        ({"params": {"turn_detection": {"threshold": 7}}}, "params.turn_detection.threshold"),
        ({"params": {"sample_rate": "16k"}}, "params.sample_rate"),
        ({"params": {"base_url": "ftp://x"}}, "params.base_url"),
        ({"params": {"model": STREAMING}}, "params.turn_detection.type"),
        ({"language": "de", "params": {"language": "fr"}}, "keep one"),
    ],
)
def test_a_bad_value_changes_nothing_and_is_named(serve: Callable[..., Recorded], payload: Json, names: str) -> None:
    server = serve()

    async def scenario(call: Call) -> None:
        await call.connected()
        status, code, message = await call.update_configs(payload)
        assert (status, code) == (1, 1000) and names in message and "nothing was changed" in message
        status, code, _ = await call.update_configs({"params": {"language": "de"}})
        assert (status, code) == (0, 0), "what was wrong is not remembered"
        assert await said(call, "f1", 1) == "b1"

    call = run_call(node(server.url, turns="server_vad"), scenario)
    assert len(server.wires) == 1 and call.errors == []
    assert updates(server)[-1]["transcription"] == {"model": "gpt-4o-transcribe", "language": "de"}


def test_a_server_that_refuses_it_is_quoted_and_everything_stays_as_it_was(serve: Callable[..., Recorded]) -> None:
    server = serve()

    async def scenario(call: Call) -> None:
        await call.connected()
        refused = {"params": {"input_audio_transcription": {"prompt": 2_000 * "a"}}}
        status, code, message = await call.update_configs(refused)
        assert (status, code) == (1, 1000) and "too long" in message and "stays in force" in message
        assert await said(call, "f1", 1) == "b1"
        server.server.faults.kill_all()
        assert await said(call, "f2", 2) == "b2"

    run_call(node(server.url, model="a-name-without-rules"), scenario)
    assert all("prompt" not in given["transcription"] for given in updates(server, 1))


def test_updates_that_come_at_once_are_taken_one_after_the_other(serve: Callable[..., Recorded]) -> None:
    server = serve()

    async def scenario(call: Call) -> None:
        await call.connected()
        answers = await asyncio.gather(
            call.update_configs({"params": {"language": "de"}}),
            call.update_configs({"params": {"turn_detection": {"threshold": 9}}}),
            call.update_configs({"params": {"input_audio_transcription": {"prompt": "Yacht"}}}),
        )
        assert [answer[0] for answer in answers] == [0, 1, 0]

    run_call(node(server.url), scenario)
    assert updates(server)[-1]["transcription"] == {"model": "gpt-4o-transcribe", "language": "de", "prompt": "Yacht"}


def test_while_nobody_is_connected_it_is_taken_for_the_next_session(serve: Callable[..., Recorded]) -> None:
    """From an address where nobody listens to one where somebody does."""
    server = serve()

    async def scenario(call: Call) -> None:
        await call.send(speech(1))
        await call.error("connect")
        status, code, message = await call.update_configs({"params": {"base_url": server.url, "language": "de"}})
        assert (status, code) == (0, 0) and "next session" in message
        await call.connected()
        assert await said(call, "f1", 2) == "b1 b2"

    with dead_port() as nowhere:
        run_call(node(nowhere), scenario)
    assert updates(server)[0]["transcription"]["language"] == "de"


def test_it_is_answered_when_the_call_ends_before_it_is_in_force(serve: Callable[..., Recorded]) -> None:
    server = serve(faults=["mute"])
    waiting: list[asyncio.Task[tuple[int, int, str]]] = []

    async def scenario(call: Call) -> None:
        await poll("the dial", lambda: server.wires)
        waiting.append(asyncio.ensure_future(call.update_configs({"params": {"language": "de"}})))
        await asyncio.sleep(0.2)  # nothing tells that a command has arrived
        assert not waiting[0].done(), "it waits for the session that is being configured"

    call = run_call(node(server.url), scenario)
    assert "update_configs: " in call.log_text() and "stopped before it was applied" in call.log_text()


def test_an_extension_that_was_configured_wrong_is_brought_to_life(serve: Callable[..., Recorded]) -> None:
    server = serve()

    async def scenario(call: Call) -> None:
        await call.error("finalize_timeout_ms")
        status, _, message = await call.update_configs({"params": {"language": "tlh!"}})
        assert status == 1 and "finalize_timeout_ms" in message
        status, code, message = await call.update_configs({"params": {"finalize_timeout_ms": 20_000}})
        assert (status, code) == (0, 0) and "active" in message
        await call.connected()
        assert await said(call, "f1", 1) == "b1"

    call = run_call(node(server.url, finalize_timeout_ms="soon"), scenario)
    assert [error["code"] for error in call.errors] == [-1000]


def test_a_recording_begins_and_ends_with_it(serve: Callable[..., Recorded], tmp_path: Path) -> None:
    server = serve()

    async def scenario(call: Call) -> None:
        await call.connected()
        await said(call, "f1", 1)
        assert (await call.update_configs({"dump": True, "dump_path": str(tmp_path)}))[1] == 0
        await said(call, "f2", 2)
        assert (await call.update_configs({"dump": False}))[1] == 0
        await said(call, "f3", 3)

    run_call(node(server.url), scenario)
    (recording,) = tmp_path.glob("*.pcm")
    assert recording.read_bytes() == speech(2)


def test_what_says_nothing_new_sends_nothing(serve: Callable[..., Recorded]) -> None:
    server = serve()

    async def scenario(call: Call) -> None:
        await call.connected()
        for payload in ({}, {"params": {}}, {"params": {"language": "en"}}):
            assert (await call.update_configs(payload))[:2] == (0, 0)

    run_call(node(server.url), scenario)
    assert len(updates(server)) == 1


def test_a_new_key_is_used_from_then_on_and_never_shown(serve: Callable[..., Recorded]) -> None:
    server = serve(api_key="sk-second-canary-123456")

    async def scenario(call: Call) -> None:
        await call.error("invalid_api_key")
        status, code, message = await call.update_configs({"params": {"api_key": "sk-second-canary-123456"}})
        assert (status, code) == (0, 0) and "canary" not in message
        await call.connected()
        assert await said(call, "f1", 1) == "b1"

    call = run_call(node(server.url, api_key="sk-first-canary-123456"), scenario)
    assert "canary" not in call.log_text() and "canary" not in call.story()


def test_other_commands_are_answered_as_the_base_does(serve: Callable[..., Recorded]) -> None:
    from ten_runtime import Cmd

    async def scenario(call: Call) -> None:
        assert call.env is not None
        result, _ = await call.env.send_cmd(Cmd.create("flush"))
        assert result is not None and int(result.get_status_code()) == 0
        assert json.loads(result.get_property_to_json(None)[0] or "{}") == {}

    run_call(node(serve().url), scenario)
