"""The client on a scripted socket: what its listener hears, in which order, and what it may do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from client_peers import WIRE_RATE, Recorder, at_wire_rate, make_client, scripted, tidy
from scripted import (
    Refuse,
    close,
    committed,
    completed,
    configured,
    delta,
    error,
    hear,
    say,
)
from sessions import tone
from ten_packages.extension.openai_asr_python.openai_asr_client import OpenAIASRListener
from ten_packages.extension.openai_asr_python.realtime import events as ev
from virtual_time import virtual_time


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    with virtual_time():
        async with tidy():
            yield


def sound(ms: float) -> bytes:
    return tone(ms, rate=WIRE_RATE)


def started(item: str, ms: int) -> dict[str, Any]:
    return {"type": "input_audio_buffer.speech_started", "item_id": item, "audio_start_ms": ms}


def stopped(item: str, ms: int) -> dict[str, Any]:
    return {"type": "input_audio_buffer.speech_stopped", "item_id": item, "audio_end_ms": ms}


TURN = (started("i1", 0), stopped("i1", 100), committed("i1"), delta("i1", "good"), delta("i1", " day"))


class Diary(OpenAIASRListener):
    """Some callbacks are plain, some take their time; writes down when each begins and ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def _slowly(self, name: str, event: ev.Event) -> None:
        self.lines.append(f"{name} begins")
        for _ in range(10):
            await asyncio.sleep(0.001)
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
