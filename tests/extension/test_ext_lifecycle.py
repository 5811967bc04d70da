"""It starts when told, stops at once in every state, keeps to itself, and outlives every odd message."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asr_tester import Call, Json, make_frame, node, poll, run_call
from ten_runtime import AudioFrame, AudioFrameDataFmt
from tone_script import ToneScript
from wire_servers import COMMIT, FakeServer, Peer, black_hole, configured_and_mute, dead_port, mute

pytestmark = pytest.mark.socket

SPEECH = ToneScript().pause(100).say(5, ms=300).pause(100).pcm
DRAIN_S = 0.5
STOP_S = DRAIN_S + 1.0
"The promise: a second beyond the drain."
SLACK_S = 3.0
"For a machine that does something else as well. What does not stop takes five seconds at least."


async def one_turn(call: Call) -> None:
    await call.send(SPEECH)
    await call.finalize("f1")
    await call.answer("f1")


async def transcribe_all(peer: Peer) -> None:
    await peer.configure()
    turn = 1
    while True:
        await peer.transcribe(f"turn {turn}", turn)
        turn += 1


# Starting ---------------------------------------------------------------------------------------------------


def test_without_auto_connect_it_waits_for_the_trigger_and_keeps_the_last_two_seconds() -> None:
    script = ToneScript().say(1).pause(3000).say(2).pause(400).say(3).pause(100)

    async def scenario(call: Call) -> None:
        await call.send(script.pcm)
        await call.finalize("f0")
        await call.answer("f0")
        assert server.dials == 0
        await call.send_data("trigger_connect")
        await call.connected()
        await call.finalize("f1")
        await call.answer("f1")
        await call.send_data("trigger_connect")
        await one_more(call)

    async def one_more(call: Call) -> None:
        await call.send(SPEECH)
        await call.finalize("f2")
        await call.answer("f2")

    with FakeServer(transcribe_all) as server:
        properties = {**node(server.url), "auto_connect": False}
        call = run_call(properties, scenario)
        assert server.dials == 1
    assert call.texts == ["turn 1", "turn 2"]
    assert call.finals[0]["start_ms"] == pytest.approx(script.spoken[1].start_ms, abs=40)
    assert not call.errors, "audio before the start is nobody's loss"


def test_a_second_run_in_the_same_process_is_a_new_call(serve) -> None:
    url = serve().url
    first, second = run_call(node(url), one_turn), run_call(node(url), one_turn)
    assert first.texts == second.texts == ["b5"]
    assert first.finals[0]["id"] != second.finals[0]["id"]
    assert second.finals[0]["start_ms"] == first.finals[0]["start_ms"]


def test_two_calls_at_once_do_not_mix(serve) -> None:
    url = serve().url

    def talk(base: int) -> Call:
        async def scenario(call: Call) -> None:
            for turn in range(4):
                label = base + turn
                await call.send(ToneScript().say(label).pause(60).pcm, metadata={"session_id": f"call {base}"})
                await call.finalize(f"{base}-{turn}", session=f"call {base}")
                await call.answer(f"{base}-{turn}")

        return run_call(node(url), scenario)

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(talk, (100, 200))
    for base, call in ((100, one), (200, two)):
        assert call.texts == [f"b{base + turn}" for turn in range(4)]
        assert {r["metadata"]["session_id"] for r in call.results} == {f"call {base}"}
        assert not call.errors
    assert not {r["id"] for r in one.results} & {r["id"] for r in two.results}


def test_it_leaves_the_folder_and_the_logging_of_its_host_alone(
    serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before = (root.level, list(root.handlers), root.disabled)
    call = run_call(node(serve().url, top={"log_level": "debug"}), one_turn)
    assert call.texts == ["b5"]
    assert not list(tmp_path.iterdir())
    assert (root.level, list(root.handlers), root.disabled) == before


# Stopping ---------------------------------------------------------------------------------------------------


def assert_stops_at_once(call: Call) -> None:
    assert call.stopped_after_s < STOP_S + SLACK_S


def test_it_stops_while_a_handshake_hangs() -> None:
    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        await asyncio.sleep(0.2)

    with black_hole() as url:
        assert_stops_at_once(run_call(node(url), scenario))


def test_it_stops_while_a_session_is_awaited() -> None:
    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        await poll("a connection", lambda: server.peers)

    with FakeServer(mute) as server:
        assert_stops_at_once(run_call(node(server.url), scenario))


def test_it_stops_right_after_a_refusal() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.say({"type": "error", "error": {"type": "invalid_request_error", "code": "no", "message": "no"}})
        await peer.close(3000, "no")

    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        await call.until("the refusal", lambda: call.errors)

    with FakeServer(refuse) as server:
        assert_stops_at_once(run_call(node(server.url), scenario))


def test_it_stops_during_back_off() -> None:
    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        await call.error("attempt follows")
        await asyncio.sleep(0.5)

    with dead_port() as url:
        assert_stops_at_once(run_call(node(url), scenario))


def test_it_stops_while_a_command_for_the_key_hangs_and_ends_the_command(tmp_path: Path) -> None:
    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        await poll("the command", beats.exists)

    beats = tmp_path / "beats"
    script = tmp_path / "hang.py"
    script.write_text(
        "import time\n"
        "for _ in range(1000):\n"
        f"    with open({str(beats)!r}, 'a') as file:\n"
        "        file.write('.')\n"
        "    time.sleep(0.02)\n"
    )
    with FakeServer(mute) as server:
        call = run_call(node(server.url, api_key="", api_key_command=f'"{sys.executable}" "{script}"'), scenario)
        assert server.dials == 0
    assert_stops_at_once(call)
    at_the_end = beats.stat().st_size
    time.sleep(0.5)
    assert beats.stat().st_size == at_the_end, "the command lives on"


@pytest.mark.parametrize("turns", ["none", "server_vad", "semantic_vad", "local_vad"])
def test_it_stops_while_somebody_speaks_to_a_mute_server(turns: str) -> None:
    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(SPEECH)

    with FakeServer(configured_and_mute) as server:
        call = run_call(node(server.url, turns=turns), scenario)
    assert server.peers[0].close_code == 1000
    assert_stops_at_once(call)
    assert not call.results


def test_it_stops_while_a_finalize_waits_and_answers_it() -> None:
    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(SPEECH)
        await call.finalize("f1")
        await poll("the commit", lambda: server.peers[0].all(COMMIT))

    with FakeServer(configured_and_mute) as server:
        call = run_call(node(server.url, finalize_timeout_ms=60_000), scenario)
    assert_stops_at_once(call)
    assert [answer["finalize_id"] for answer in call.answers] == ["f1"]


def test_it_stops_when_the_server_has_stopped_reading() -> None:
    """A peer that reads nothing and answers no close: the socket is full, and still nobody waits."""

    async def deaf(peer: Peer) -> None:
        await peer.configure()
        peer.socket.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.socket.transport.pause_reading()

    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(ToneScript().say(1, ms=1000).pcm * 120, frame_bytes=32_000)
        await call.until("a lag", lambda: any(m["lag_ms"] > 5000 for m in call.metric("vendor_metrics")))

    with FakeServer(deaf) as server:
        call = run_call(node(server.url), scenario)
        assert_stops_at_once(call)


@pytest.mark.parametrize("turns", ["none", "server_vad", "semantic_vad"])
def test_what_was_being_said_at_the_stop_is_still_transcribed(serve, turns: str) -> None:
    async def scenario(call: Call) -> None:
        await call.connected()
        await call.send(SPEECH)

    call = run_call(node(serve().url, turns=turns, stop_drain_ms=10_000), scenario)
    assert call.texts == ["b5"]
    assert not call.errors


def test_nothing_is_dialled_behind_a_stop() -> None:
    async def scenario(call: Call) -> None:
        await call.error("attempt follows")
        await asyncio.sleep(0.1)

    with FakeServer(mute, refuse=lambda dial: 503) as server:
        call = run_call(node(server.url), scenario)
        time.sleep(0.3)  # a dial that was under way at the stop may still arrive
        dials = server.dials
        time.sleep(1.0)
        assert server.dials == dials
    assert_stops_at_once(call)


# Odd messages -----------------------------------------------------------------------------------------------


def odd_frames() -> list[AudioFrame]:
    frames = [make_frame(b""), make_frame(bytes(1)), make_frame(bytes(3))]
    settings: list[dict[str, int]] = [
        {"sample_rate": 7}, {"sample_rate": -16_000}, {"sample_rate": 2_000_000},
        {"number_of_channels": 99}, {"number_of_channels": -1}, {"number_of_channels": 3},
        {"bytes_per_sample": 4}, {"bytes_per_sample": 1}, {"bytes_per_sample": -2},
        {"samples_per_channel": 5}, {"timestamp": -1}, {"line_size": 3},
        {"sample_rate": 7, "number_of_channels": 99, "bytes_per_sample": 4},
    ]  # fmt: skip
    for fields in settings:
        frame = make_frame(bytes(321))
        for name, value in fields.items():
            getattr(frame, f"set_{name}")(value)
        frames.append(frame)
    ending = make_frame(bytes(320))
    ending.set_eof(True)
    planar = make_frame(bytes(320))
    planar.set_data_fmt(AudioFrameDataFmt.NON_INTERLEAVE)
    return [*frames, ending, planar]


ODD_METADATA = ['"text"', "7", "[]", "null", "{}", '{"session_id": 7}', '{"session_id": ["a"]}', '{"deep": {"er": []}}']


def test_odd_frames_cost_themselves_and_nothing_else(serve) -> None:
    async def scenario(call: Call) -> None:
        for frame in odd_frames():
            await call.send_frame(frame)
        for metadata in ODD_METADATA:
            frame = make_frame(bytes(320))
            frame.set_property_from_json("metadata", metadata)
            await call.send_frame(frame)
        unreadable = make_frame(bytes(320))
        unreadable.set_property_string("metadata", "{no json")
        await call.send_frame(unreadable)
        # The odd frames above end inside a sample; with this byte it is whole, and then comes sound.
        await call.send_frame(make_frame(b"\0"))
        await call.send(SPEECH, rate=16_000, channels=1, width=2)
        await call.finalize("f1")
        await call.answer("f1")

    call = run_call(node(serve().url), scenario, odd_input=True)
    assert call.texts == ["b5"]
    assert call.finals[0]["metadata"]["session_id"] == "call-1"
    # Each way to be unreadable is told once.
    assert 1 <= len(call.errors) <= 4 and all(error["code"] == 1000 for error in call.errors)


@pytest.mark.parametrize("seed", range(3))
def test_frames_at_random_end_nothing(serve, seed: int) -> None:
    rng = random.Random(seed)

    async def scenario(call: Call) -> None:
        for _ in range(150):
            frame = make_frame(rng.randbytes(rng.choice((0, 1, 2, 3, 100, 320, 641, 5000))))
            frame.set_sample_rate(rng.choice((0, 7, 8_000, 16_000, 44_100, 48_000, 96_000, -1)))
            frame.set_number_of_channels(rng.choice((0, 1, 2, 3, 8, 9, 99, -2)))
            frame.set_bytes_per_sample(rng.choice((0, 1, 2, 2, 4)))
            frame.set_eof(rng.random() < 0.1)
            if rng.random() < 0.3:
                frame.set_property_from_json("metadata", rng.choice(ODD_METADATA))
            await call.send_frame(frame)
            if rng.random() < 0.05:
                await call.finalize(f"f{rng.randrange(1_000_000)}")
        await call.finalize("last")
        await call.answer("last")

    turns = rng.choice(("none", "server_vad"))
    run_call(node(serve().url, turns=turns, finalize_timeout_ms=1_000), scenario, odd_input=True)


def test_odd_data_and_commands_end_nothing(serve) -> None:
    async def scenario(call: Call) -> None:
        for payload in ({}, {"finalize_id": 7}, {"finalize_id": {"no": "string"}}, {"metadata": {"session_id": 1}}):
            await call.send_data("asr_finalize", payload)
        for name in ("tts_text_input", "trigger_connect", "flush", ""):
            if name:
                await call.send_data(name, {"text": "hello"})
        await call.send_data("asr_finalize")
        await one_turn(call)

    call = run_call(node(serve().url), scenario, odd_input=True)
    assert call.texts == ["b5"]
    assert not call.errors


def test_a_finalize_with_a_very_strange_id_gets_it_back(serve) -> None:
    strange = ["", "  ", "ünï-🎙", "x" * 5000, '{"json": true}']

    async def scenario(call: Call) -> None:
        for finalize_id in strange:
            await call.finalize(finalize_id)
        await call.until("all answers", lambda: len(call.answers) == len(strange))

    assert [a["finalize_id"] for a in run_call(node(serve().url), scenario).answers] == strange


def test_commands_are_acknowledged(serve) -> None:
    from ten_runtime import Cmd, StatusCode

    results: list[Json] = []

    async def scenario(call: Call) -> None:
        assert call.env is not None
        for name in ("flush", "update_configs"):
            result, error = await call.env.send_cmd(Cmd.create(name))
            assert error is None and result is not None
            results.append({"name": name, "ok": result.get_status_code() == StatusCode.OK})
        await one_turn(call)

    assert run_call(node(serve().url), scenario).texts == ["b5"]
    assert results == [{"name": "flush", "ok": True}, {"name": "update_configs", "ok": True}]
