"""Which graph a recording goes through, and where its audio would go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ten_packages.extension.openai_asr_python.config_spelling import known_places, normalise, places_of
from ten_packages.extension.openai_asr_python.devkit.transcription.destination import (
    destination_of,
    encoding_of_frames,
    is_on_this_machine,
    properties_of,
)
from ten_packages.extension.openai_asr_python.devkit.transcription.failure import WRONG_USE, CommandError
from ten_packages.extension.openai_asr_python.devkit.transcription.graphs import (
    choose_graph,
    graph_of,
    own_graph,
    read_app,
    with_ends,
)


def node(name: str, addon: str, **properties: Any) -> dict[str, Any]:
    return {"type": "extension", "name": name, "addon": addon, "property": properties}


def links(graph: dict[str, Any]) -> set[tuple[str, str, str]]:
    """(sender, message, receiver) of every connection."""
    found = set()
    for block in graph["connections"]:
        for kind in ("audio_frame", "data"):
            for entry in block.get(kind, ()):
                for name in entry.get("names", [entry.get("name")]):
                    found |= {(block["extension"], name, dest["extension"]) for dest in entry["dest"]}
    return found


def wrong(action: Any, *arguments: Any) -> str:
    with pytest.raises(CommandError) as caught:
        action(*arguments)
    assert caught.value.code == WRONG_USE
    return str(caught.value)


def test_the_own_graph_connects_source_extension_and_sink() -> None:
    graph = own_graph()
    assert graph.recogniser == "stt"
    assert {("file_source", "pcm_frame", "stt"), ("file_source", "asr_finalize", "stt")} <= links(graph.graph)
    assert {("stt", "asr_result", "transcript_sink"), ("stt", "metrics", "file_source")} <= links(graph.graph)
    entry = graph.app_property()["ten"]["predefined_graphs"][0]
    assert entry["auto_start"] and entry["sync_stop_before_deinit"]


def test_a_users_graph_keeps_its_own_nodes_and_connections() -> None:
    mine = {
        "nodes": [node("ears", "openai_asr_python", params={"api_key": "k"}), node("file_source", "logger")],
        "connections": [
            {"extension": "ears", "data": [{"name": "asr_result", "dest": [{"extension": "file_source"}]}]}
        ],
    }
    before = json.dumps(mine)
    graph = with_ends(mine)
    assert json.dumps(mine) == before
    assert graph.recogniser == "ears"
    assert {"ears", "file_source", "file_source_", "transcript_sink"} == {n["name"] for n in graph.graph["nodes"]}
    assert ("ears", "asr_result", "file_source") in links(graph.graph)
    assert ("file_source_", "pcm_frame", "ears") in links(graph.graph)


def test_ends_that_a_graph_places_itself_are_left_where_they_are() -> None:
    mine = {
        "nodes": [
            node("in", "openai_asr_file_source"),
            node("filter", "denoiser"),
            node("stt", "openai_asr_python"),
            node("out", "openai_asr_transcript_sink"),
        ],
        "connections": [],
    }
    graph = with_ends(mine)
    assert len(graph.graph["nodes"]) == 4
    assert links(graph.graph) == set()


@pytest.mark.parametrize(
    ("first", "encoding"), [("stt", "g711_alaw"), ("filter", "pcm16"), (None, "g711_alaw")], ids=str
)
def test_our_source_sends_what_the_recogniser_reads_unless_another_node_is_between(
    first: str | None, encoding: str
) -> None:
    nodes = [node("stt", "openai_asr_python", params={"input_encoding": "g711_alaw"}), node("filter", "denoiser")]
    sound = [{"name": "pcm_frame", "dest": [{"extension": first}]}]
    placed = {
        "nodes": [node("in", "openai_asr_file_source"), *nodes],
        "connections": [{"extension": "in", "audio_frame": sound}],
    }
    assert encoding_of_frames(with_ends(placed if first else {"nodes": nodes})) == encoding


@pytest.mark.parametrize(
    ("nodes", "recogniser"),
    [
        ([node("a", "some_asr")], "a"),
        ([node("stt", "some_asr"), node("b", "else")], "stt"),
        ([node("x", "openai_asr_python"), node("stt", "else")], "x"),
    ],
)
def test_which_node_recognises_speech(nodes: list[dict[str, Any]], recogniser: str) -> None:
    assert with_ends({"nodes": nodes}).recogniser == recogniser


def test_a_graph_with_no_clear_recogniser_is_refused() -> None:
    message = wrong(with_ends, {"nodes": [node("a", "x"), node("b", "y")]})
    assert "a (x), b (y)" in message


@pytest.mark.parametrize("wrap", ["app", "named", "bare"])
def test_graphs_are_read_from_every_shape_of_file(tmp_path: Path, wrap: str) -> None:
    bare = {"nodes": [node("stt", "openai_asr_python")], "connections": []}
    entry = {"name": "voice", "auto_start": True, "graph": bare}
    content = {"app": {"ten": {"predefined_graphs": [entry]}}, "named": entry, "bare": bare}[wrap]
    (tmp_path / "property.json").write_text(json.dumps(content))
    for path in (tmp_path, tmp_path / "property.json"):
        assert graph_of(choose_graph(read_app(str(path)), None))["nodes"] == bare["nodes"]


def test_a_graph_is_chosen_by_name_else_the_one_that_starts_itself() -> None:
    entries = [{"name": "a"}, {"name": "b", "auto_start": True}]
    app = {"ten": {"predefined_graphs": entries}}
    assert choose_graph(app, "a")["name"] == "a"
    assert choose_graph(app, None)["name"] == "b"
    assert "a, b" in wrong(choose_graph, app, "c")


def test_files_without_a_graph_are_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    assert "cannot be read" in wrong(read_app, str(file))
    file.write_text("{")
    assert "not JSON" in wrong(read_app, str(file))
    file.write_text('{"params": {}}')
    assert "holds no graph" in wrong(read_app, str(file))
    assert "in place" in wrong(graph_of, {"name": "g", "graph": {"import_uri": "x.json"}})
    assert "name and an addon" in wrong(graph_of, {"name": "g", "graph": {"nodes": [{"name": "a"}]}})


def test_without_key_and_url_the_audio_has_nowhere_to_go() -> None:
    assert destination_of(own_graph(), url_given=False) is None


def test_a_key_means_the_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    destination = destination_of(own_graph(), url_given=False)
    assert destination is not None
    assert "api.openai.com" in destination.url and "canary" not in repr(destination)
    assert not destination.on_this_machine
    assert destination.speed == 1.25  # the default model listens while the speaker speaks
    graph = own_graph()
    graph.set_param("input_audio_transcription.model", "gpt-4o-transcribe")
    assert destination_of(graph, url_given=False).speed == 4.0  # type: ignore[union-attr]


def test_a_vendors_url_without_a_key_is_no_reason_for_a_local_server() -> None:
    graph = own_graph()
    graph.set_param("base_url", "wss://api.openai.com/v1")
    assert "OPENAI_API_KEY" in wrong(lambda: destination_of(graph, url_given=True))


def test_the_environment_may_name_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:9/v1")
    destination = destination_of(own_graph(), url_given=False)
    assert destination is not None and destination.on_this_machine and destination.speed is None


def test_placeholders_of_a_graph_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVER", "wss://asr.example.com/v1")
    graph = with_ends({"nodes": [node("stt", "openai_asr_python", params={"base_url": "${env:MY_SERVER|}"})]})
    destination = destination_of(graph, url_given=False)
    assert destination is not None and destination.url.startswith("wss://asr.example.com/v1")


def test_a_configuration_that_cannot_work_is_wrong_use() -> None:
    graph = own_graph()
    graph.set_param("base_url", "ftp://x")
    assert "params.base_url" in wrong(lambda: destination_of(graph, url_given=True))


MODEL, LANGUAGE = ("input_audio_transcription", "model"), ("input_audio_transcription", "language")


@pytest.mark.parametrize(
    ("path", "properties"),
    [
        (MODEL, {"params": {"model": "old"}}),
        (MODEL, {"model": "old"}),
        (MODEL, {"params": {"audio": {"input": {"transcription": {"model": "old"}}}}}),
        (LANGUAGE, {"params": {"language": "de"}}),
        (LANGUAGE, {"language": "de"}),
        (("base_url",), {"websocket_base_url": "wss://old.test"}),
        (("log_level",), {"log_level": "info"}),
        (("turn_detection", "type"), {"params": {"turn_detection": {"mode": "local_vad"}}}),
    ],
)
def test_an_option_takes_the_place_of_every_spelling(path: tuple[str, ...], properties: dict[str, Any]) -> None:
    """Two that differ would be "keep one of the two"."""
    graph = with_ends({"nodes": [node("stt", "openai_asr_python", **properties)]})
    graph.set_param(".".join(path), "error")
    spelling = normalise(properties_of(graph), {})
    assert spelling.get(path) == "error" and spelling.problems == []


def test_every_place_is_known_by_what_it_says() -> None:
    """Whatever may be written somewhere is among the places of what it means."""
    for place in known_places():
        written: Any = "true" if place[-1] == "enabled" else "word"
        for name in reversed(place):
            written = {name: written}
        for path in normalise(written, {}).places:
            assert place in places_of(path) or place[-2:] == ("format", "type"), place


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"property": None}, "property is null"),
        ({"property": {"params": None}}, "property.params is null"),
        ({"property": {"params": "sk-canary-01234"}}, 'property.params is "***"'),
        ({"property": [1]}, "property is a list of 1"),
    ],
)
def test_a_property_that_is_none_is_named(properties: dict[str, Any], words: str) -> None:
    mine = {"name": "ears", "addon": "openai_asr_python", **properties}
    assert words in (said := wrong(graph_of, {"graph": {"nodes": [mine]}})) and "'ears'" in said


def test_an_option_cannot_go_into_a_word() -> None:
    graph = with_ends({"nodes": [node("stt", "openai_asr_python", params={"input_audio_transcription": "whisper-1"})]})
    said = wrong(lambda: graph.ask(model="gpt-transcribe"))
    assert 'params.input_audio_transcription is "whisper-1"' in said
    graph = with_ends({"nodes": [node("stt", "openai_asr_python", params={"input_audio_transcription": None})]})
    graph.ask(model="gpt-transcribe")
    assert graph.node["property"]["params"]["input_audio_transcription"] == {"model": "gpt-transcribe"}


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("ws://127.0.0.1:1/v1", True),
        ("ws://localhost/v1", True),
        ("ws://[::1]:1", True),
        ("ws://10.0.0.1", False),
        ("wss://localhost.example.com", False),
    ],
)
def test_what_is_on_this_machine(url: str, local: bool) -> None:
    assert is_on_this_machine(url) is local
