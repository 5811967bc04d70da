"""Audio given to a graph while it is made: words come out, changes are answered, and the end is the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.transcription.graphs import TranscriptionGraph, own_graph
from ten_packages.extension.openai_asr_python.devkit.transcription.job import Received
from ten_packages.extension.openai_asr_python.devkit.transcription.live import LiveGraph

RATE = 16_000
LOUD = b"\x00\x20\x00\xe0" * (RATE // 100)  # 20 ms of a square wave


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with run_in_thread(recognizer=ScriptedRecognizer(["one two", "three four"])) as running:
        yield running


def graph_of(server: LocalServer, **params: Any) -> TranscriptionGraph:
    graph = own_graph()
    graph.ask(url=server.url, model="gpt-transcribe", dialect=None, language=None)
    graph.set_param("api_key", "any")
    graph.set_param("turn_detection.type", "none")
    for name, value in params.items():
        graph.set_param(name, value)
    return graph


def finals(heard: list[Received]) -> list[dict[str, Any]]:
    return [one.payload for one in heard if one.name == "asr_result" and one.payload["final"] and one.payload["text"]]


def test_what_is_pushed_comes_out_as_words_with_its_times(server: LocalServer) -> None:
    heard: list[Received] = []
    with LiveGraph(graph_of(server), take=heard.append, sample_rate=RATE) as live:
        for _ in range(50):
            live.push(LOUD)
        assert live.finish()
        assert live.problem is None
    (final,) = finals(heard)
    assert (final["start_ms"], final["start_ms"] + final["duration_ms"]) == (0, 1000)
    assert final["metadata"]["session_id"] == live.session_id


def test_an_end_waits_for_text_that_is_behind() -> None:
    """The finalize is answered by its own deadline, here at once, and the words come later."""
    heard: list[Received] = []
    with run_in_thread(recognizer=ScriptedRecognizer([Line("one two", delay_s=1.0)])) as slow:
        with LiveGraph(graph_of(slow, finalize_timeout_ms=50), take=heard.append, sample_rate=RATE) as live:
            for _ in range(50):
                live.push(LOUD)
            assert live.finish()
    assert [final["text"] for final in finals(heard)] == ["one two"]


def test_half_a_sample_is_refused_and_the_rest_goes_on(server: LocalServer) -> None:
    heard: list[Received] = []
    with LiveGraph(graph_of(server), take=heard.append, sample_rate=RATE, channels=2) as live:
        with pytest.raises(ValueError, match="pcm: 6 bytes given, must be a multiple of 4"):
            live.push(b"\0" * 6)
        live.push(b"\x00\x20\x00\x20\x00\xe0\x00\xe0" * RATE)
        assert live.finish()
    assert finals(heard)


def test_a_change_is_answered_with_what_became_of_it(server: LocalServer) -> None:
    with LiveGraph(graph_of(server), take=lambda _: None, sample_rate=RATE) as live:
        assert live.finish()
        assert live.update({"language": "de"}).result(10).code == 0
        refused = live.update({"turn_detection": {"threshold": 7}}).result(10)
        assert (
            refused.code and "turn_detection.threshold" in refused.message and "nothing was changed" in refused.message
        )


def test_a_graph_that_ended_answers_and_takes_nothing(server: LocalServer) -> None:
    heard: list[Received] = []
    with LiveGraph(graph_of(server), take=heard.append, sample_rate=RATE) as live:
        pass
    count = len(heard)
    live.push(LOUD)
    began = time.monotonic()
    assert live.update({"language": "de"}).result(10).message == "the graph has ended"
    assert not live.finish(30)
    assert time.monotonic() - began < 10  # it does not wait for an answer that nobody gives
    assert live.problem == "the graph ended" and len(heard) == count


def test_a_graph_that_cannot_start_says_why() -> None:
    graph = own_graph()
    graph.node["addon"] = "no_such_addon"
    with LiveGraph(graph, take=lambda _: None, sample_rate=RATE) as live:
        assert live.problem is not None and "no_such_addon" in live.problem
        assert live.update({}).result(5).code
        assert not live.finish(30)


def test_two_graphs_of_one_process_do_not_mix(server: LocalServer) -> None:
    first: list[Received] = []
    second: list[Received] = []
    with (
        LiveGraph(graph_of(server), take=first.append, sample_rate=RATE) as one,
        LiveGraph(graph_of(server), take=second.append, sample_rate=8_000) as other,
    ):
        for _ in range(50):
            one.push(LOUD)
            other.push(LOUD)
        assert one.finish() and other.finish()
    assert [final["duration_ms"] for final in finals(first)] == [1000]
    assert [final["duration_ms"] for final in finals(second)] == [2000]
