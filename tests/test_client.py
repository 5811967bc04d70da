"""The client on a scripted socket: what its listener hears, how it connects, what it puts on the wire and when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from client_peers import WIRE_RATE, Recorder, at_wire_rate, make_client, scripted, tidy
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
    delta,
    echo,
    error,
    expect,
    expect_close,
    hear,
    ignore_pings,
    say,
    wait,
)
from sessions import silence, tone
from ten_packages.extension.openai_asr_python.audio.g711 import encode_ulaw
from ten_packages.extension.openai_asr_python.openai_asr_client import Endpoint, OpenAIASRListener
from ten_packages.extension.openai_asr_python.realtime import events as ev

APPEND, COMMIT = "input_audio_buffer.append", "input_audio_buffer.commit"


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    async with tidy():
        yield


def sound(ms: float) -> bytes:
    return tone(ms, rate=WIRE_RATE)


def started(item: str, ms: int) -> dict[str, Any]:
    return {"type": "input_audio_buffer.speech_started", "item_id": item, "audio_start_ms": ms}


def stopped(item: str, ms: int) -> dict[str, Any]:
    return {"type": "input_audio_buffer.speech_stopped", "item_id": item, "audio_end_ms": ms}


def last_words() -> tuple[hear, expect]:
    """What a client that stops in the middle of a turn still sends."""
    return hear(), expect(COMMIT)


TURN = (started("i1", 0), stopped("i1", 100), committed("i1"), delta("i1", "good"), delta("i1", " day"))


# What the listener hears --------------------------------------------------------------------------------------


class Diary(OpenAIASRListener):
    """Some callbacks are plain, some take their time; writes down when each begins and ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def _slowly(self, name: str, event: ev.Event) -> None:
        self.lines.append(f"{name} begins")
        for _ in range(10):
            await asyncio.sleep(0)
        self.lines.append(f"{name} ends")

    def on_asr_start(self, event: ev.SpeechStarted) -> None:
        self.lines.append(f"start {event.start_ms}")

    def on_asr_delta(self, event: ev.Transcript) -> Awaitable[None]:
        return self._slowly(f"delta {event.text}", event)

    def on_asr_committed(self, event: ev.Committed) -> Awaitable[None]:
        return self._slowly(f"committed {event.item_id}", event)

    def on_asr_completed(self, event: ev.Transcript) -> None:
        self.lines.append(f"completed {event.text}")

    def on_asr_server_error(self, event: ev.ServerError) -> Awaitable[None]:
        return self._slowly(f"server error {event.code}", event)

    def on_asr_client_error(self, event: ev.ClientError) -> None:
        self.lines.append(f"client error {event.code}")

    def on_other_event(self, event: ev.Event) -> None:
        if isinstance(event, (ev.Connected, ev.Disconnected, ev.FinalizeDone)):
            self.lines.append(type(event).__name__)


async def test_callbacks_sync_and_async_come_one_after_the_other_in_order() -> None:
    diary = Diary()
    script = configured(hear(ms=100), say(*TURN, error("odd"), completed("i1", "good day")), close(1011))
    async with scripted(script, Refuse(503, headers={"Retry-After": "60"})) as network:
        client, _ = make_client(network, at_wire_rate("server_vad"), diary)
        client.start()
        client.push_audio(sound(100))
        while "client error connect_failed" not in diary.lines:
            await asyncio.sleep(0.001)
        await client.stop()
    assert diary.lines == [
        "Connected",
        "start 0",
        "committed i1 begins",
        "committed i1 ends",
        "delta good begins",
        "delta good ends",
        "delta good day begins",
        "delta good day ends",
        "server error odd begins",
        "server error odd ends",
        "completed good day",
        "client error dropped",
        "Disconnected",
        "client error connect_failed",
        "Disconnected",
    ]


async def test_a_callback_that_raises_does_not_end_the_stream_and_its_text_stays_inside(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clumsy(Recorder):
        def on_asr_delta(self, event: ev.Transcript) -> None:
            raise RuntimeError(f"canary sentence {event.text}")

        async def on_asr_committed(self, event: ev.Committed) -> None:
            raise KeyError("canary sentence")

    listener = Clumsy()
    async with scripted(configured(hear(ms=100), say(*TURN, completed("i1", "good day")))) as network:
        client, _ = make_client(network, at_wire_rate("server_vad"), listener)
        client.start()
        client.push_audio(sound(100))
        await listener.until(lambda: listener.finals)
        await client.stop()
    assert listener.texts == ["good day"]
    failures = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert failures == [
        "listener failed on Committed: KeyError",
        "listener failed on Transcript: RuntimeError",
        "listener failed on Transcript: RuntimeError",
    ]
    assert "canary" not in caplog.text


async def test_what_was_said_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with scripted(configured(hear(ms=100), say(*TURN, b"{oops", completed("i1", "good day")))) as network:
        client, heard = make_client(network, at_wire_rate("server_vad"))
        client.start()
        client.push_audio(sound(100))
        await heard.until(lambda: heard.finals)
        await client.stop()
    assert "good" not in caplog.text and "oops" not in caplog.text


# Connecting ---------------------------------------------------------------------------------------------------


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
        await asyncio.sleep(0)
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
        await asyncio.sleep(0)
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
        await asyncio.sleep(0)
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
    async with scripted(broken, configured()) as network:
        client, heard = make_client(network)
        client.start()
        await heard.first(ev.Connected)

        async def send(data: bytes) -> None:
            raise RuntimeError("canary sentence")

        network.connections[0].send = send  # type: ignore[method-assign]
        client.push_audio(sound(20))
        await heard.first(ev.Connected, 2)
        await client.stop()
    assert [report.code for report in heard.of(ev.ClientError)] == ["dropped"]
    assert "failed with RuntimeError" in caplog.text and "canary" not in caplog.text


async def test_a_drop_is_told_and_what_was_not_sent_goes_out_on_the_next_connection() -> None:
    stuck, go = Gate(), Gate()
    first = configured(hear(ms=20), block(stuck), wait(go), close(1001, "Your session hit the maximum duration."))
    second = configured(hear(ms=480), expect(COMMIT), say(committed("i2"), completed("i2", "the rest")))
    async with scripted(first, second) as network:
        client, heard = make_client(network)
        client.start()
        await heard.first(ev.Connected)
        client.push_audio(sound(20))
        while not network.connections[0].audio:
            await asyncio.sleep(0)
        client.push_audio(sound(480))
        go.open()
        await heard.first(ev.Connected, 2)
        await client.finalize()
        await client.stop()
    assert [(e.code, e.vendor_code) for e in heard.of(ev.ClientError)] == [("dropped", "1001")]
    assert [(f.text, f.start_ms, f.duration_ms) for f in heard.finals] == [("the rest", 20, 480)]
    assert [(e.start_ms, e.duration_ms) for e in heard.of(ev.AudioLost)] == [(0, 20)]


async def test_a_connection_that_answers_no_ping_is_replaced() -> None:
    opts = at_wire_rate(ping_interval_ms=20, ping_timeout_ms=30)
    async with scripted(configured(ignore_pings(), expect_close()), configured()) as network:
        client, heard = make_client(network, opts)
        client.start()
        await heard.first(ev.Connected, 2)
        await client.stop()
    assert network.connections[0].log == ["session.update", "ping"]
    assert "half open" in heard.of(ev.ClientError)[0].message


# Audio --------------------------------------------------------------------------------------------------------


async def test_what_queues_while_a_send_is_under_way_goes_out_as_one_message() -> None:
    stuck = Gate()
    async with scripted(configured(hear(ms=20), block(stuck), hear(ms=980), *last_words())) as network:
        client, heard = make_client(network, at_wire_rate(stop_drain_ms=20))
        client.start()
        await heard.first(ev.Connected)
        wire = network.connections[0]
        for _ in range(50):
            client.push_audio(sound(20))
            await asyncio.sleep(0)
        assert wire.log.count(APPEND) == 1, "the transport took nothing more"
        stuck.open()
        await heard.until(lambda: len(wire.audio) == 48_000, 2)
        await client.stop()
    assert wire.log.count(APPEND) == 2


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
    assert wire.log[:3] == ["session.update", APPEND, "ping"] or wire.log[:4][-2:] == [APPEND, "ping"]


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
            await asyncio.sleep(0)
        client.push_audio(sound(60))
        await asyncio.sleep(0.01)
        assert not client.connected
        answer.open()
        await heard.first(ev.Connected)
        await client.stop()
