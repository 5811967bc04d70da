"""Graphs to transcribe with: our own, or one of the user's with our source and sink put around its recogniser."""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ...config_spelling import Path as Place
from ...config_spelling import dotted, places_of
from ...realtime.errors import show_value
from .failure import wrong_use
from .nodes import AUDIO_FRAME, FINALIZE, METRICS, RESULTS, SINK_ADDON, SOURCE_ADDON, UPDATE_CONFIGS

OUR_ADDON = "openai_asr_python"
GRAPH_NAME = "transcribe"
_SHAPES = '{"ten": {"predefined_graphs": [...]}} of an app, or {"nodes": [...], "connections": [...]}'

Json = dict[str, Any]


@dataclass
class TranscriptionGraph:
    """A graph and the name of the node that recognises speech in it."""

    graph: Json
    recogniser: str

    @property
    def node(self) -> Json:
        """The recogniser's node."""
        found: Json = next(node for node in self.graph["nodes"] if node["name"] == self.recogniser)
        return found

    @property
    def is_ours(self) -> bool:
        """Whether the recogniser is this extension."""
        return bool(self.node["addon"] == OUR_ADDON)

    def fed_by(self, addon: str) -> list[str]:
        """Names of the nodes that the audio of *addon*'s nodes goes to."""
        sources = {node["name"] for node in self.graph["nodes"] if node["addon"] == addon}
        flows = [
            flow
            for connection in _objects(self.graph["connections"])
            if connection.get("extension") in sources
            for flow in _objects(connection.get("audio_frame"))
        ]
        return [str(dest.get("extension")) for flow in flows for dest in _objects(flow.get("dest"))]

    def set_param(self, path: str, value: Any) -> None:
        """Set `params.<path>` of the recogniser's property; *path* is dotted. Any other spelling of it goes.

        Raises CommandError where the property has something else than an object on the way.
        """
        property = self.node.setdefault("property", {})
        canonical = tuple(path.split("."))
        for place in places_of(canonical):
            holder = _at(property, place[:-1])
            if isinstance(holder, dict):
                holder.pop(place[-1], None)
        target = property
        for depth, name in enumerate(("params", *canonical[:-1]), 1):
            if target.get(name) is None:
                target[name] = {}
            target = target[name]
            if not isinstance(target, dict):
                where = dotted(("params", *canonical)[:depth])
                raise wrong_use(f"node {self.recogniser!r}: {where} is {show_value(target)}: write an object there.")
        target[canonical[-1]] = value

    def ask(
        self,
        *,
        url: str | None = None,
        model: str | None = None,
        dialect: str | None = None,
        language: str | None = None,
    ) -> None:
        """Set what is not None, as the options of the same names mean it."""
        asked = {
            "base_url": url,
            "input_audio_transcription.model": model,
            "dialect": dialect,
            "input_audio_transcription.language": language,
        }
        for path, value in asked.items():
            if value is not None:
                self.set_param(path, value)

    def app_property(self) -> Json:
        """What the property.json of an app with this graph would hold."""
        # All nodes stop before any is taken down, so that the sink hears the recogniser's last metrics.
        entry = {"name": GRAPH_NAME, "auto_start": True, "sync_stop_before_deinit": True, "graph": self.graph}
        return {"ten": {"predefined_graphs": [entry]}}


def _objects(value: Any) -> list[Json]:
    """What of a list can be looked into; a graph that is not as it must be is for the host to refuse."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _at(value: Any, place: Place) -> Any:
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def own_graph() -> TranscriptionGraph:
    """source → this extension → sink."""
    node = {"type": "extension", "name": "stt", "addon": OUR_ADDON, "property": {}}
    return with_ends({"nodes": [node], "connections": []})


def with_ends(graph: Json) -> TranscriptionGraph:
    """A copy of *graph* with our source and sink around its recogniser, unless it names their addons itself.

    The recogniser is the node of this extension's addon, else the only node, else the one called `stt`. Raises
    CommandError when there is none.
    """
    graph = copy.deepcopy(graph)
    graph.setdefault("connections", [])
    ours = {node["addon"]: node["name"] for node in graph["nodes"] if node["addon"] in (SOURCE_ADDON, SINK_ADDON)}
    recogniser = _recogniser([node for node in graph["nodes"] if node["addon"] not in ours])
    if SOURCE_ADDON not in ours:
        source = _add(graph, "file_source", SOURCE_ADDON)
        dest = [{"extension": recogniser}]
        to_recogniser: Json = {
            "extension": source,
            "audio_frame": [{"name": AUDIO_FRAME, "dest": dest}],
            "data": [{"name": FINALIZE, "dest": dest}],
            "cmd": [{"name": UPDATE_CONFIGS, "dest": dest}],
        }
        from_recogniser = {
            "extension": recogniser,
            "data": [{"name": METRICS, "dest": [{"extension": source}]}],
        }
        graph["connections"] += [to_recogniser, from_recogniser]
    if SINK_ADDON not in ours:
        sink = _add(graph, "transcript_sink", SINK_ADDON)
        results = {"names": list(RESULTS), "dest": [{"extension": sink}]}
        graph["connections"].append({"extension": recogniser, "data": [results]})
    return TranscriptionGraph(graph, recogniser)


def _recogniser(nodes: list[Json]) -> str:
    for chosen in ([n for n in nodes if n["addon"] == OUR_ADDON], nodes, [n for n in nodes if n["name"] == "stt"]):
        if len(chosen) == 1:
            return str(chosen[0]["name"])
    names = ", ".join(f"{node['name']} ({node['addon']})" for node in nodes) or "none"
    raise wrong_use(f"which node of the graph recognises speech? Call it 'stt'; its nodes are: {names}.")


def _add(graph: Json, name: str, addon: str) -> str:
    taken = {node["name"] for node in graph["nodes"]}
    while name in taken:
        name += "_"
    graph["nodes"].append({"type": "extension", "name": name, "addon": addon, "property": {}})
    return name


def read_app(path: str) -> Json:
    """The app properties in *path*: an app's folder, its property.json, or a file with a graph alone.

    Addons of the app (`ten_packages/extension` beside the file) become importable. Raises CommandError for what is
    no graph.
    """
    file = Path(path) / "property.json" if Path(path).is_dir() else Path(path)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise wrong_use(f"{file} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise wrong_use(f"{file} is not JSON: {error}.") from None
    _offer_addons(file.resolve().parent)
    if isinstance(content, dict):
        ten = content.get("ten")
        if isinstance(ten, dict) and isinstance(ten.get("predefined_graphs"), list):
            return content
        graph = content.get("graph", content)
        if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
            entry = {"name": content.get("name", GRAPH_NAME), "auto_start": True, "graph": graph}
            return {"ten": {"predefined_graphs": [entry]}}
    raise wrong_use(f"{file} holds no graph: it must look like {_SHAPES}.")


def choose_graph(app: Json, name: str | None) -> Json:
    """The entry of `predefined_graphs` called *name*; without a name the only one, or the first that starts itself.

    Raises CommandError naming the graphs there are.
    """
    entries: list[Json] = [entry for entry in app["ten"]["predefined_graphs"] if isinstance(entry, dict)]
    names = ", ".join(str(entry.get("name")) for entry in entries) or "none"
    if name is not None:
        chosen = [entry for entry in entries if entry.get("name") == name]
    else:
        chosen = entries if len(entries) == 1 else [entry for entry in entries if entry.get("auto_start")]
    if not chosen:
        raise wrong_use(f"there is no such graph: choose one with --name; the file has: {names}.")
    return chosen[0]


def graph_of(entry: Json) -> Json:
    """The graph of an entry of `predefined_graphs`. Raises CommandError for one that is not in place."""
    graph = entry.get("graph", entry)
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or not nodes:
        raise wrong_use(f"graph {entry.get('name')!r} has no nodes in this file: put the graph in place.")
    for node in nodes:
        if not isinstance(node, dict) or not {"name", "addon"} <= node.keys():
            raise wrong_use(f"graph {entry.get('name')!r}: each node needs a name and an addon.")
        _check_property(node)
    return {"nodes": nodes, "connections": graph.get("connections", [])}


def _check_property(node: Json) -> None:
    """Raises CommandError where an object must be, and something else is."""
    places = [("property",), ("property", "params")] if node["addon"] == OUR_ADDON else [("property",)]
    for place in places:
        holder = _at(node, place[:-1])
        if place[-1] in holder and not isinstance(holder[place[-1]], dict):
            given = show_value(holder[place[-1]])
            raise wrong_use(
                f"node {node['name']!r}: {dotted(place)} is {given}: write an object there, or leave it out."
            )


def _offer_addons(folder: Path) -> None:
    """Let `ten_packages.extension.<name>` be found in the app in *folder*, behind what is importable already."""
    for package, path in (
        ("ten_packages", folder / "ten_packages"),
        ("ten_packages.extension", folder / "ten_packages" / "extension"),
    ):
        module: ModuleType | None = sys.modules.get(package)
        if path.is_dir() and module is not None and str(path) not in module.__path__:
            module.__path__.append(str(path))
