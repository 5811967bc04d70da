"""A recording of a page, without the page: what it gives its last words, and what is left when they do not come."""

from __future__ import annotations

import asyncio
import contextlib
import json
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

RATE = 16_000
LOUD = b"\x00\x20\x00\xe0" * (RATE // 100)  # 20 ms of a square wave
SAID = "one two three four five six seven"
WORD_MS = 150
HEARD_MS = 1_100


@contextlib.asynccontextmanager
async def recorded(
    server: LocalServer, relay: Relay | None = None, heard_ms: int = HEARD_MS
) -> AsyncIterator[Recording]:
    """A recording that has heard *heard_ms*, as a rule all that is said; the first of its words is there."""
    graph = own_graph()
    graph.ask(url=server.url, model="gpt-live-transcribe", dialect=None, language=None)
    graph.set_param("api_key", "any")
    graph.set_param("turn_detection.type", "none")
    graph.set_param("stop_drain_ms", 100)  # what the extension itself waits in vain, once nobody else does
    one = Recording(graph, relay, sample_rate=RATE, settings={}, take=lambda *_: None)
    await one.start()
    try:
        for _ in range(heard_ms // 20):
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


def says(*lines: str | Line) -> ScriptedRecognizer:
    return ScriptedRecognizer(lines, word_ms=WORD_MS)


def shown(one: Recording) -> list[str]:
    return [partial.text for partial in one.transcript.partials.values()]


def problem_in_export(one: Recording) -> str | None:
    problem: str | None = json.loads(one.export("json")["content"])["problem"]
    return problem


@needs_cuts
async def test_a_turn_whose_words_still_come_is_not_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped right after a cut: a streaming model hears it all again, and for longer than words that do not come
    are waited for."""
    monkeypatch.setattr(recording, "QUIET_S", 1.5)
    with run_in_thread(recognizer=says(SAID, SAID), faults=["decode-speed:speed=0.8"]) as server:
        async with recorded(server, Relay("127.0.0.1", server.port)) as one:
            assert one.cut(0) == 1
            await one.stop(last_words=True)
    assert [final.text for final in one.transcript.finals] == [SAID] and one.shortfall is None


@needs_cuts
async def test_a_turn_that_is_heard_again_is_waited_for_though_nothing_new_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of it was shown before a cut that lasts: it takes the time of the cut and of the replay, without a word."""
    monkeypatch.setattr(backoff, "CAP_S", 0.1)
    monkeypatch.setattr(recording, "QUIET_S", 1.5)
    with run_in_thread(recognizer=says(SAID, SAID)) as server:
        async with recorded(server, Relay("127.0.0.1", server.port)) as one:
            await until(lambda: shown(one) == [SAID])
            assert one.cut(1.0) == 1
            await one.stop(last_words=True)
    assert [final.text for final in one.transcript.finals] == [SAID] and one.shortfall is None


async def test_words_that_never_come_are_told_and_what_was_shown_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "QUIET_S", 0.3)
    with run_in_thread(recognizer=says(Line(SAID, delay_s=60))) as server:
        async with recorded(server) as one:
            await until(lambda: shown(one) == [SAID])
            await one.stop(last_words=True)
    assert one.shortfall is not None and one.shortfall.startswith("The last words did not come within 0.3 s.")
    assert problem_in_export(one) == one.shortfall
    assert one.export("txt")["content"] == f"{SAID}\n"


async def test_audio_that_has_no_text_is_told() -> None:
    with run_in_thread(recognizer=says(*[SAID] * 9), faults=["fail-item:every=1"]) as server:
        async with recorded(server, heard_ms=400) as one:
            await one.stop(last_words=True)
    assert one.shortfall == "0.4 s of the audio could not be transcribed."
    assert problem_in_export(one) == one.shortfall


async def test_whoever_stops_twice_waits_no_longer() -> None:
    with run_in_thread(recognizer=says(Line(SAID, delay_s=60))) as server:
        async with recorded(server) as one:
            await until(lambda: shown(one) == [SAID])
            stopping = asyncio.create_task(one.stop(last_words=True))
            await asyncio.sleep(0)
            await asyncio.wait_for(one.stop(last_words=False), recording.QUIET_S / 2)
            await stopping
    assert one.export("txt")["content"] == f"{SAID}\n" and one.shortfall is None
    assert problem_in_export(one) == "The last words were not waited for."
