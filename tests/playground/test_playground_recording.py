"""A recording of a page, without the page: what it gives its last words, and what is left when they do not come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from playground_pages import needs_cuts
from ten_packages.extension.openai_asr_python.devkit.playground import recording
from ten_packages.extension.openai_asr_python.devkit.playground.recording import Recording
from ten_packages.extension.openai_asr_python.devkit.playground.relay import Relay
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.transcription.graphs import own_graph
from ten_packages.extension.openai_asr_python.realtime import backoff

pytestmark = pytest.mark.socket

RATE = 16_000
LOUD = b"\x00\x20\x00\xe0" * (RATE // 100)  # 20 ms of a square wave
SAID = "one two three four five six seven"


@contextlib.asynccontextmanager
async def recorded(server: LocalServer, relay: Relay | None = None) -> AsyncIterator[Recording]:
    """A recording that has heard 2.1 s, in which all is said, and the first of its words is there."""
    graph = own_graph()
    graph.ask(url=server.url, model="gpt-live-transcribe", dialect=None, language=None)
    graph.set_param("api_key", "any")
    graph.set_param("turn_detection.type", "none")
    one = Recording(graph, relay, sample_rate=RATE, settings={}, take=lambda *_: None)
    await one.start()
    try:
        for _ in range(105):
            await one.push(LOUD)
        await until(lambda: bool(one.transcript.partials))
        yield one
    finally:
        await one.stop(last_words=False)


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come true"
        await asyncio.sleep(0.02)


def shown(one: Recording) -> list[str]:
    return [partial.text for partial in one.transcript.partials.values()]


@needs_cuts
async def test_a_turn_whose_words_still_come_is_not_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped right after a cut: a streaming model hears it all again, and for longer than words that do not come
    are waited for."""
    monkeypatch.setattr(recording, "QUIET_S", 1.0)
    with run_in_thread(recognizer=ScriptedRecognizer([SAID, SAID]), faults=["decode-speed:speed=0.8"]) as server:
        async with recorded(server, Relay("127.0.0.1", server.port)) as one:
            assert one.cut(0) == 1
            await one.stop(last_words=True)
    assert [final.text for final in one.transcript.finals] == [SAID] and one.shortfall is None


@needs_cuts
async def test_a_turn_that_is_heard_again_is_waited_for_though_nothing_new_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of it was shown before a cut that lasts: it takes the time of the cut and of the replay, without a word."""
    monkeypatch.setattr(backoff, "CAP_S", 0.2)
    monkeypatch.setattr(recording, "QUIET_S", 1.0)
    with run_in_thread(recognizer=ScriptedRecognizer([SAID, SAID])) as server:
        async with recorded(server, Relay("127.0.0.1", server.port)) as one:
            await until(lambda: shown(one) == [SAID])
            assert one.cut(2.0) == 1
            await one.stop(last_words=True)
    assert [final.text for final in one.transcript.finals] == [SAID] and one.shortfall is None


async def test_words_that_never_come_are_told_and_what_was_shown_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "QUIET_S", 0.5)
    with run_in_thread(recognizer=ScriptedRecognizer([Line(SAID, delay_s=60)])) as server:
        async with recorded(server) as one:
            await until(lambda: shown(one) == [SAID])
            await one.stop(last_words=True)
    assert one.shortfall == "The last words did not come within 0.5 s."
    assert one.export("txt")["content"] == f"{SAID}\n"


async def test_whoever_stops_twice_waits_no_longer() -> None:
    with run_in_thread(recognizer=ScriptedRecognizer([Line(SAID, delay_s=60)])) as server:
        async with recorded(server) as one:
            await until(lambda: shown(one) == [SAID])
            stopping = asyncio.create_task(one.stop(last_words=True))
            await asyncio.sleep(0)
            await asyncio.wait_for(one.stop(last_words=False), recording.QUIET_S / 2)
            await stopping
    assert one.export("txt")["content"] == f"{SAID}\n" and one.shortfall is None
