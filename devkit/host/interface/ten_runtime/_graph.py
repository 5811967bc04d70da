"""Graphs as JSON: nodes, routes by exact message name, and conversions on a route."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ._content import Content
from ._values import copy_value, get_at, set_at
from .error import HostError

_KINDS = ("cmd", "data", "audio_frame", "video_frame")


class Conversion(NamedTuple):
    """A ``msg_conversion`` of type ``per_property``; *result* is applied to what comes back."""

    rules: tuple[dict[str, Any], ...]
    keep_original: bool
    result: Conversion | None = None

    @classmethod
    def parse(cls, spec: dict[str, Any]) -> Conversion:
        """Raises HostError for anything but ``per_property`` with well-formed rules."""
        if spec.get("type") != "per_property":
            raise HostError(f"msg_conversion type must be 'per_property', not {spec.get('type')!r}")
        rules = tuple(spec.get("rules", ()))
        for rule in rules:
            mode = rule.get("conversion_mode")
            needed = {"fixed_value": "value", "from_original": "original_path"}.get(mode)
            if "path" not in rule or needed is None or needed not in rule:
                raise HostError(f"msg_conversion rule {rule!r} needs path and fixed_value/value or from_original/…")
        result = spec.get("result")
        return cls(rules, bool(spec.get("keep_original", False)), None if result is None else cls.parse(result))

    def apply(self, content: Content) -> None:
        """Change *content* in place; a rule whose original is missing changes nothing."""
        original = copy_value(content.props)
        name = content.name
        props: dict[str, Any] = content.props if self.keep_original else {}
        for rule in self.rules:
            if rule["conversion_mode"] == "fixed_value":
                value = copy_value(rule["value"])
            elif rule["original_path"] == "ten.name":
                value = name
            else:
                try:
                    value = copy_value(get_at(original, rule["original_path"]))
                except KeyError:
                    continue
            if rule["path"] == "ten.name":
                content.name = str(value)
            else:
                set_at(props, rule["path"], value)
        content.props = props


class Route(NamedTuple):
    """One receiver of a message."""

    extension: str
    conversion: Conversion | None = None


class NodeSpec(NamedTuple):
    """One extension of a graph."""

    name: str
    addon: str
    property: dict[str, Any]


RouteKey = tuple[str, str, str]
"""Sender, message kind, exact message name."""


@dataclass
class GraphSpec:
    """A parsed graph."""

    nodes: list[NodeSpec]
    routes: dict[RouteKey, list[Route]] = field(default_factory=dict)


def parse_graph(graph: dict[str, Any]) -> GraphSpec:
    """Raises HostError naming what is wrong with the graph."""
    try:
        return _parse_graph(graph)
    except (AttributeError, KeyError, TypeError) as error:
        raise HostError(f"malformed graph: {error}") from error


def _parse_graph(graph: dict[str, Any]) -> GraphSpec:
    if "import_uri" in graph:
        raise HostError("graphs by import_uri are not supported by the embedded host: put the graph in place")
    spec = GraphSpec([_parse_node(node) for node in graph.get("nodes", ())])
    names = {node.name for node in spec.nodes}
    if len(names) != len(spec.nodes):
        raise HostError(f"graph has two nodes of one name among {sorted(node.name for node in spec.nodes)}")
    for block in graph.get("connections", ()):
        owner = _extension(block, names)
        for kind in _KINDS:
            for entry in block.get(kind, ()):
                for name, sender, route in _routes(entry, owner, names):
                    spec.routes.setdefault((sender, kind, name), []).append(route)
    return spec


def _parse_node(node: dict[str, Any]) -> NodeSpec:
    kind = node.get("type")
    if kind != "extension":
        raise HostError(f"graph node {node.get('name')!r}: type {kind!r} is not supported, only 'extension'")
    for key in ("name", "addon"):
        if not isinstance(node.get(key), str) or not node[key]:
            raise HostError(f"graph node {node!r} needs a {key}")
    _local(node)
    properties = node.get("property", {})
    if not isinstance(properties, dict):
        raise HostError(f"graph node {node['name']!r}: property must be an object")
    return NodeSpec(node["name"], node["addon"], properties)


def _local(item: dict[str, Any]) -> None:
    if item.get("app") not in (None, "", "localhost"):
        raise HostError(f"app {item['app']!r}: the embedded host runs one app only")


def _extension(item: dict[str, Any], names: set[str]) -> str:
    _local(item)
    name = item.get("extension")
    if not isinstance(name, str):
        raise HostError(f"connection {item!r} must name an extension (no subgraphs or selectors in this host)")
    if name not in names:
        raise HostError(f"connection names extension {name!r}, which is no node of the graph: {sorted(names)}")
    return name


def _routes(entry: dict[str, Any], owner: str, names: set[str]) -> Iterator[tuple[str, str, Route]]:
    """Yield message name, sender and route of one entry of a connection block."""
    messages = [entry["name"]] if "name" in entry else list(entry.get("names", ()))
    if not messages:
        raise HostError(f"connection of {owner!r}: entry {entry!r} needs name or names")
    if ("dest" in entry) == ("source" in entry):
        raise HostError(f"connection of {owner!r}: entry {entry!r} needs exactly one of dest and source")
    for message in messages:
        for item in entry.get("dest", ()):
            spec = item.get("msg_conversion")
            if spec is not None and "names" in entry:
                raise HostError(f"connection of {owner!r}: msg_conversion does not go with names")
            conversion = None if spec is None else Conversion.parse(spec)
            yield message, owner, Route(_extension(item, names), conversion)
        for item in entry.get("source", ()):
            yield message, _extension(item, names), Route(owner)
