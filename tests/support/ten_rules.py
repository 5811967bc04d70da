"""TEN's rules for manifest.json, property.json and graphs, as sentences about what breaks them.

Written from TEN's schemas and documentation: a package whose files break one of these is refused by TEN's tools or by
its runtime, and neither is here to say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
REQUIREMENT = re.compile(r"(\^|~|=|>=?|<=?)?\s?\d+(\.\d+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
LOCALE = re.compile(r"[a-z]{2}(-[A-Z]{2})?")

PACKAGE_TYPES = ("app", "extension", "system", "protocol", "addon_loader")
TOP_LEVEL = {
    "type", "name", "version", "dependencies", "dev_dependencies", "api", "package", "scripts", "tags",
    "display_name", "description", "readme", "supports",
}  # fmt: skip
INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
SCALARS = {"bool", "float32", "float64", "string", "buf", "ptr", *INTEGERS}
MESSAGES = {f"{kind}_{way}" for kind in ("cmd", "data", "audio_frame", "video_frame") for way in ("in", "out")}
CONNECTED = ("cmd", "data", "audio_frame", "video_frame")


# manifest.json ------------------------------------------------------------------------------------------------


def manifest_problems(manifest: Json, folder: Path) -> list[str]:
    """What TEN would refuse in the manifest.json of the package in *folder*."""
    found = [f"{name}: no key of a manifest" for name in manifest.keys() - TOP_LEVEL]
    if manifest.get("type") not in PACKAGE_TYPES:
        found.append(f"type: {manifest.get('type')!r} is none of {PACKAGE_TYPES}")
    if not IDENTIFIER.fullmatch(str(manifest.get("name"))):
        found.append(f"name: {manifest.get('name')!r} is no identifier")
    if not SEMVER.fullmatch(str(manifest.get("version"))):
        found.append(f"version: {manifest.get('version')!r} is not x.y.z")
    for key in ("dependencies", "dev_dependencies"):
        for number, one in enumerate(manifest.get(key, [])):
            found += _dependency_problems(one, f"{key}[{number}]")
    for key in ("display_name", "description", "readme"):
        if key in manifest:
            found += _localised_problems(manifest[key], key, folder)
    found += _list_problems(manifest.get("tags", []), "tags")
    found += _list_problems(manifest.get("package", {}).get("include", []), "package.include")
    for name, command in manifest.get("scripts", {}).items():
        if not isinstance(command, str) or not command:
            found.append(f"scripts.{name}: {command!r} is no command")
    for number, one in enumerate(manifest.get("supports", [])):
        known = {"os": ("linux", "win", "mac"), "arch": ("x86", "x64", "arm", "arm64")}
        if one.keys() - known.keys() or any(value not in known[name] for name, value in one.items()):
            found.append(f"supports[{number}]: {one} is no system")
    return [*found, *api_problems(manifest.get("api", {}))]


def _dependency_problems(one: Json, where: str) -> Iterator[str]:
    if set(one) == {"path"}:
        return
    if set(one) != {"type", "name", "version"}:
        yield f"{where}: has {sorted(one)} and not type, name and version, or a path"
        return
    if one["type"] not in PACKAGE_TYPES:
        yield f"{where}.type: {one['type']!r} is none of {PACKAGE_TYPES}"
    if not IDENTIFIER.fullmatch(one["name"]):
        yield f"{where}.name: {one['name']!r} is no identifier"
    if not REQUIREMENT.fullmatch(one["version"]):
        yield f"{where}.version: {one['version']!r} is no single range"


def _localised_problems(value: Json, where: str, folder: Path) -> Iterator[str]:
    if set(value) != {"locales"} or not value["locales"]:
        yield f"{where}: must hold locales and nothing else"
        return
    for locale, text in value["locales"].items():
        place = f"{where}.locales.{locale}"
        if not LOCALE.fullmatch(locale):
            yield f"{place}: no locale like en or en-US"
        if set(text) not in ({"content"}, {"import_uri"}):
            yield f"{place}: must hold either content or import_uri"
        elif not isinstance(next(iter(text.values())), str) or not next(iter(text.values())):
            yield f"{place}: is empty"
        elif "import_uri" in text and not (folder / text["import_uri"]).is_file():
            yield f"{place}.import_uri: there is no {text['import_uri']}"


def _list_problems(value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        yield f"{where}: {value!r} is no list of words"


def api_problems(api: Json) -> list[str]:
    """What TEN would refuse in the `api` of a manifest or an interface."""
    found = [f"api.{name}: no key of an api" for name in api.keys() - MESSAGES - {"interface", "property"}]
    for number, one in enumerate(api.get("interface", [])):
        if set(one) != {"import_uri"} or not isinstance(one["import_uri"], str):
            found.append(f"api.interface[{number}]: must hold an import_uri and nothing else")
    own = api.get("property", {"properties": {}})
    if "required" in own:
        found.append("api.property.required: properties have no required, messages have")
    found += _properties_problems(own, "api.property", required_allowed=False)
    for kind in sorted(MESSAGES & api.keys()):
        for message in api[kind]:
            where = f"api.{kind}.{message.get('name')}"
            known = {"name", "property", "required"} | ({"result"} if kind.startswith("cmd") else set())
            found += [f"{where}.{name}: no key of a message" for name in message.keys() - known]
            found += _properties_problems(message.get("property", {"properties": {}}), f"{where}.property")
    return found


def _properties_problems(schema: Json, where: str, *, required_allowed: bool = True) -> Iterator[str]:
    if not isinstance(schema.get("properties"), dict):
        yield f"{where}: an object has properties, if only {{}}"
        return
    for name in schema.get("required", []) if required_allowed else []:
        if name not in schema["properties"]:
            yield f"{where}.required: {name} is not declared"
    for name, declared in schema["properties"].items():
        if not IDENTIFIER.fullmatch(name):
            yield f"{where}.{name}: no identifier"
        yield from _type_problems(declared, f"{where}.{name}", required_allowed)


def _type_problems(schema: Any, where: str, required_allowed: bool) -> Iterator[str]:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind == "array":
        if "items" not in schema:
            yield f"{where}: an array has items"
        else:
            yield from _type_problems(schema["items"], f"{where}[]", required_allowed)
    elif kind == "object":
        if "required" in schema and not required_allowed:
            yield f"{where}.required: properties have no required, messages have"
        yield from _properties_problems(schema, where, required_allowed=required_allowed)
    elif kind not in SCALARS:
        yield f"{where}: {kind!r} is no type"
    known = {"type", "items", "properties", "required"}
    for name in schema.keys() - known if isinstance(schema, dict) else ():
        yield f"{where}.{name}: no key of a type"


# property.json ------------------------------------------------------------------------------------------------


def property_problems(value: Any, schema: Json | None = None) -> list[str]:
    """What TEN would refuse in a property.json, or a node's property. *schema*: the manifest's `api.property`."""
    if not isinstance(value, dict):
        return ["properties are an object"]
    found = [f"{where}: null, and a property has none" for where in nulls(value, "")]
    if schema is not None:
        found += _misfits({"type": "object", **schema}, value, "")
    return found


def nulls(value: Any, where: str) -> Iterator[str]:
    """Where *value* holds a null, below *where*."""
    if value is None:
        yield where
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from nulls(one, f"{where}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from nulls(one, f"{where}[{number}]")


def _misfits(schema: Json, value: Any, where: str) -> Iterator[str]:
    """Where *value* has another type than is declared; nothing is turned into anything else."""
    kind = schema["type"]
    if value is None:
        return
    if kind == "object" and isinstance(value, dict):
        for name, one in value.items():
            if name in schema["properties"]:
                yield from _misfits(schema["properties"][name], one, f"{where}.{name}".lstrip("."))
    elif kind == "array" and isinstance(value, list):
        for number, one in enumerate(value):
            yield from _misfits(schema["items"], one, f"{where}[{number}]")
    else:
        wanted = {"bool": bool, "string": str, "float32": float, "float64": float, **dict.fromkeys(INTEGERS, int)}
        if type(value) is not wanted.get(kind):
            yield f"{where}: {value!r} is no {kind}"


# Graphs -------------------------------------------------------------------------------------------------------


def app_problems(value: Json) -> list[str]:
    """What TEN would refuse in an app's property.json."""
    found = property_problems(value)
    graphs = value.get("ten", {}).get("predefined_graphs")
    if not isinstance(graphs, list):
        return [*found, "ten.predefined_graphs: missing"]
    for entry in graphs:
        where = f"graph {entry.get('name')!r}"
        known = {"name", "auto_start", "singleton", "sync_stop_before_deinit", "graph"}
        found += [f"{where}: {name} is no key of a predefined graph" for name in entry.keys() - known]
        if not isinstance(entry.get("name"), str) or not isinstance(entry.get("graph"), dict):
            found.append(f"{where}: needs a name and a graph")
        elif "import_uri" not in entry["graph"]:
            found += [f"{where}: {problem}" for problem in graph_problems(entry["graph"])]
    return found


def graph_problems(graph: Json) -> list[str]:
    """What TEN would refuse in a graph."""
    known = {"nodes", "connections", "exposed_messages", "exposed_properties"}
    found = [f"{name}: no key of a graph" for name in graph.keys() - known]
    names = [node.get("name") for node in graph.get("nodes", [])]
    for node in graph.get("nodes", []):
        found += _node_problems(node)
    for connection in graph.get("connections", []):
        found += _connection_problems(connection, names)
    return [*found, *(f"node {name}: there are two" for name in sorted({n for n in names if names.count(n) > 1}))]


def _node_problems(node: Json) -> Iterator[str]:
    where = f"node {node.get('name')}"
    for name in node.keys() - {"type", "name", "addon", "extension_group", "app", "property"}:
        yield f"{where}: {name} is no key of a node"
    if node.get("type") != "extension":
        yield f"{where}: its type is not extension"
    for key in ("name", "addon"):
        if not IDENTIFIER.fullmatch(str(node.get(key))):
            yield f"{where}: {key} {node.get(key)!r} is no identifier"
    for problem in property_problems(node.get("property", {})):
        yield f"{where}: property: {problem}"


def _connection_problems(connection: Json, nodes: list[Any]) -> Iterator[str]:
    owner = connection.get("extension")
    where = f"connection of {owner}"
    if owner not in nodes:
        yield f"{where}: there is no such node"
    for key in connection.keys() - {"extension", "app", *CONNECTED}:
        yield f"{where}: {key} is no key of a connection"
    for kind in CONNECTED:
        for entry in connection.get(kind, []):
            if len(entry.keys() & {"name", "names"}) != 1:
                yield f"{where}: {kind} needs either name or names"
            if len(entry.keys() & {"dest", "source"}) != 1:
                yield f"{where}: {kind} needs either dest or source"
            for end in (*entry.get("dest", []), *entry.get("source", [])):
                if end.get("extension") not in nodes:
                    yield f"{where}: {kind}: there is no node {end.get('extension')!r}"
