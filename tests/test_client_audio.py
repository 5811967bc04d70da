"""The client on a scripted socket: what becomes of the audio that is pushed, on its way to the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from client_peers import WIRE_RATE, at_wire_rate, make_client, scripted, tidy
from halves import ToneDetector
from scripted import (
    Gate,
    block,
    committed,
    completed,
    configured,
    expect,
    expect_close,
    hear,
    say,
)
from sessions import silence, tone
from ten_packages.extension.openai_asr_python import openai_asr_client
from ten_packages.extension.openai_asr_python.audio.g711 import encode_ulaw
from ten_packages.extension.openai_asr_python.realtime import events as ev
from virtual_time import virtual_time

APPEND, COMMIT = "input_audio_buffer.append", "input_audio_buffer.commit"


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


async def test_what_queues_while_a_send_is_under_way_goes_out_as_one_message() -> None:
    stuck = Gate()
    async with scripted(configured(hear(ms=20), block(stuck), hear(ms=980), *last_words())) as network:
        client, heard = make_client(network, at_wire_rate(stop_drain_ms=20))
        client.start()
        await heard.first(ev.Connected)
        wire = network.connections[0]
        for _ in range(50):
            client.push_audio(sound(20))
            await asyncio.sleep(0.001)
        assert wire.log.count(APPEND) == 1, "the transport took nothing more"
        stuck.open()
        await heard.until(lambda: len(wire.audio) == 48_000, 2)
        await client.stop()
    assert wire.log.count(APPEND) == 2


async def test_a_server_that_stops_reading_is_left_also_when_nothing_more_is_said() -> None:
    opts = at_wire_rate(send_stall_ms=50, stop_drain_ms=20)
    deaf = configured(hear(ms=80), block(Gate()), expect_close(1000))
    async with scripted(deaf, configured(hear(ms=80), *last_words())) as network:
        client, heard = make_client(network, opts)
        client.start()
        await heard.first(ev.Connected)
        for _ in range(4):
            client.push_audio(sound(20))
            await asyncio.sleep(0.001)
        await heard.until(lambda: len(heard.of(ev.Connected)) == 2, 2)
        await client.stop()
    assert [report.vendor_message for report in heard.of(ev.ClientError)] == ["the server stopped reading"]


async def test_a_ping_never_passes_what_was_queued_before_it() -> None:
    stuck = Gate()
    opts = at_wire_rate(ping_interval_ms=20, stop_drain_ms=20)
    async with scripted(configured(hear(ms=20), block(stuck), hear(ms=20), *last_words())) as network:
        client, heard = make_client(network, opts)
        client.start()
        await heard.first(ev.Connected)
        wire = network.connections[0]
        client.push_audio(sound(20))
        await asyncio.sleep(0.05)  # the ping is due long since
        assert "ping" not in wire.log, "it would come back although nothing behind it is through"
        client.push_audio(sound(20))
        stuck.open()
        while "ping" not in wire.log:
            await asyncio.sleep(0.001)
        await client.stop()
    assert wire.log[:2] == ["session.update", APPEND]


async def test_the_format_of_the_frames_may_be_set_until_the_first_of_them_decides_the_rate() -> None:
    script = configured(hear(), expect(COMMIT), say(committed("i1"), completed("i1", "one")))
    async with scripted(script) as network:
        client, heard = make_client(network)
        client.start()
        await heard.first(ev.Connected)
        assert client.input_format == ("pcm16", 1, WIRE_RATE)
        client.set_input_format("g711_ulaw", 1, 8_000)
        assert client.input_format == ("g711_ulaw", 1, 8_000)
        pcm = silence(300, 8_000) + tone(500, rate=8_000)
        assert client.push_audio(encode_ulaw(pcm)) == 6_400, "positions count samples at 8 kHz now"
        await client.finalize()
        await client.stop()
    assert len(network.connections[0].audio) == pytest.approx(800 * 48, abs=8)
    (final,) = heard.finals
    assert (final.start_ms, final.start_ms + final.duration_ms) == (300, 800)


async def test_a_later_change_of_format_is_converted_and_times_stay_true() -> None:
    script = configured(hear(), expect(COMMIT), say(committed("i1"), completed("i1", "both")))
    async with scripted(script) as network:
        client, heard = make_client(network)
        client.start()
        client.push_audio(sound(500))
        client.set_input_format("pcm16", 2, 48_000)
        stereo = b"".join(s * 2 for s in _samples(tone(500, rate=48_000)))
        assert client.push_audio(stereo) == pytest.approx(24_000, abs=2)
        with pytest.raises(ValueError, match=r"channels: 9 given, must be"):
            client.set_input_format("pcm16", 9, 48_000)
        assert client.input_format == ("pcm16", 2, 48_000), "a format that cannot be changes nothing"
        await client.finalize()
        await client.stop()
    (final,) = heard.finals
    assert final.start_ms == 0 and final.duration_ms == pytest.approx(1_000, abs=1)


def _samples(pcm: bytes) -> list[bytes]:
    return [pcm[i : i + 2] for i in range(0, len(pcm), 2)]


async def test_frames_of_odd_sizes_are_the_same_stream() -> None:
    pcm = sound(200)
    async with scripted(configured(hear(ms=200), *last_words())) as network:
        client, heard = make_client(network, at_wire_rate(stop_drain_ms=20))
        client.start()
        position = 0
        for at in range(0, len(pcm), 333):
            position = client.push_audio(memoryview(pcm)[at : at + 333])
        assert position == len(pcm) // 2
        wire = (await heard.first(ev.Connected)) and network.connections[0]
        while len(wire.audio) < len(pcm):
            await asyncio.sleep(0.001)
        await client.stop()
    assert wire.audio == pcm


async def test_a_finalize_takes_the_word_the_local_detector_was_not_sure_of_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openai_asr_client, "SileroDetector", ToneDetector)
    script = configured(
        hear(), expect(COMMIT), say(committed("i1"), completed("i1", "no")), hear(), expect(COMMIT), expect_close()
    )
    async with scripted(script) as network:
        client, heard = make_client(network, at_wire_rate("local_vad", stop_drain_ms=20))
        client.start()
        await heard.first(ev.Connected)
        client.push_audio(silence(480, WIRE_RATE) + sound(80))
        await asyncio.sleep(0.01)
        assert network.connections[0].audio == b"", "too short to be believed, so nothing was sent"
        assert (await client.finalize()).outcome == "final"
        (final,) = heard.finals
        assert abs(final.start_ms - 480) <= 20 and abs(final.start_ms + final.duration_ms - 560) <= 20
        client.push_audio(sound(400))  # speech that goes on is a new turn
        await heard.first(ev.SpeechStarted, 2)
        await client.stop()
    assert heard.of(ev.SpeechStarted)[1].start_ms >= 560
