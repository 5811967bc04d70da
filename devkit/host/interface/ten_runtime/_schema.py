"""The ``api`` part of a manifest and the check every message has to pass, on the way out and on the way in.

A declared property that is present must have exactly its type: an integer fits any integer type it does not
overflow, a float any float type, and nothing is ever turned into anything else (``null`` fits no type).
Undeclared properties pass. ``required`` counts only inside ``property``; beside ``name``, where
asr-interface.json has it, the runtime does not look.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from ._content import Content
from .error import HostError

_KINDS = ("cmd", "data", "audio_frame", "video_frame")
_INTEGERS = {f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)} | {
    f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)
}
_EMBEDDED_INTERFACES = "ten_ai_base.interface_files"


# bool before int, which it is a kind of.
_TYPE_NAMES: dict[type, str] = {
    type(None): "null", bool: "bool", int: "int64", float: "float64", str: "string",
    bytes: "buf", bytearray: "buf", list: "array", dict: "object",
}  # fmt: skip


# Of these the type is all there is to look at.
_PLAIN = {"string": str, "bool": bool, "float64": float}


def _type_name(value: Any) -> str:
    """Return TEN's name for the type of a property value; that of an enum is its base's."""
    exact = _TYPE_NAMES.get(type(value))
    if exact is not None:
        return exact
    return next((name for kind, name in _TYPE_NAMES.items() if isinstance(value, kind)), "object")


def _find_problem(schema: dict[str, Any], value: Any) -> str | None:
    """Return why *value* does not fit *schema*, or None when it fits.

    The text begins where the property's name ends: whoever knows the name puts it in front. So a message that fits,
    which is nearly every one, costs no text.
    """
    declared = schema["type"]
    actual = _type_name(value)
    if declared in _INTEGERS:
        low, high = _INTEGERS[declared]
        if actual != "int64":
            return f" must be {declared}, not {actual}"
        return None if low <= value <= high else f" must be {declared}, and {value} does not fit"
    if declared == "float32":
        return None if actual == "float64" else f" must be {declared}, not {actual}"
    if declared != actual:
        return f" must be {declared}, not {actual}"
    if declared == "object":
        problem = find_object_problem(schema, value)
        return None if problem is None else f".{problem}"
    if declared == "array":
        items = schema["items"]
        for index, item in enumerate(value):
            problem = _find_problem(items, item)
            if problem is not None:
                return f"[{index}]{problem}"
    return None


def find_object_problem(schema: dict[str, Any], value: dict[str, Any]) -> str | None:
    """Return the first problem among the declared properties of an object, naming the property, or None."""
    if "properties" in schema:
        for name, declared in schema["properties"].items():
            if name in value:
                fits = _PLAIN.get(declared["type"])
                if fits is type(value[name]):
                    continue
                problem = _find_problem(declared, value[name])
                if problem is not None:
                    return f"{name}{problem}"
    if "required" in schema:
        for name in schema["required"]:
            if name not in value:
                return f"{name} is required and missing"
    return None


class ApiSchema:
    """What one extension declares about its properties and messages; empty for one without a manifest."""

    def __init__(self, api: dict[str, Any] | None = None) -> None:
        api = api or {}
        self.property: dict[str, Any] = api.get("property", {})
        self._messages: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._results: dict[tuple[str, str], dict[str, Any]] = {}
        for kind in _KINDS:
            for direction in ("in", "out"):
                for entry in api.get(f"{kind}_{direction}", ()):
                    self._messages[direction, kind, entry["name"]] = entry.get("property", {})
                    if "result" in entry:
                        self._results[direction, entry["name"]] = entry["result"].get("property", {})

    def check_message(self, direction: str, content: Content) -> str | None:
        """Return why a message of direction ``in`` or ``out`` is invalid, or None."""
        schema = self._messages.get((direction, content.kind, content.name))
        return None if schema is None else find_object_problem(schema, content.props)

    def check_result(self, direction: str, content: Content) -> str | None:
        """Return why the result of a ``cmd_in`` (``out`` of its receiver) or ``cmd_out`` is invalid, or None."""
        schema = self._results.get(("in" if direction == "out" else "out", content.name))
        return None if schema is None else find_object_problem(schema, content.props)

    def check_properties(self, properties: dict[str, Any]) -> str | None:
        """Return why the extension's own properties are invalid, or None."""
        return find_object_problem(self.property, properties)


def load_schema(base_dir: Path | None) -> ApiSchema:
    """Read the manifest in *base_dir* with the interfaces it imports; no manifest means nothing is declared.

    Raises HostError for a manifest that cannot be read or an interface that cannot be found.
    """
    manifest = None if base_dir is None else base_dir / "manifest.json"
    if manifest is None or not manifest.is_file():
        return ApiSchema()
    api = _read_json(manifest).get("api", {})
    try:
        _check_types(api)
        return ApiSchema(_with_interfaces(api, manifest.parent))
    except (KeyError, TypeError, AttributeError) as error:
        raise HostError(f"{manifest}: malformed api section: {error!r}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HostError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise HostError(f"{path} must hold a JSON object")
    return value


def _with_interfaces(api: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return *api* with what it imports put before its own declarations, which therefore win."""
    merged: dict[str, Any] = {"property": {"properties": {}}}
    parts = [_read_interface(entry["import_uri"], folder) for entry in api.get("interface", ())]
    for part in (*parts, api):
        merged["property"]["properties"].update(part.get("property", {}).get("properties", {}))
        for kind in _KINDS:
            for direction in ("in", "out"):
                key = f"{kind}_{direction}"
                merged.setdefault(key, []).extend(part.get(key, ()))
    return merged


def _read_interface(uri: str, folder: Path) -> dict[str, Any]:
    """Read the interface file at *uri*; one of ten_ai_base that is not on disk comes from our stand-in for it."""
    path = Path(uri.replace("${app_base_dir}", str(folder.parent.parent.parent)))
    path = path if path.is_absolute() else folder / path
    if path.is_file():
        interface = _read_json(path)
        return _with_interfaces(interface, path.parent)
    if path.parts[-3:-1] == ("ten_ai_base", "api"):
        embedded = importlib.import_module(_EMBEDDED_INTERFACES).INTERFACES.get(path.name)
        if embedded is not None:
            return dict(embedded)
    raise HostError(f"interface {uri!r} imported by the manifest in {folder} does not exist")


def _check_types(api: dict[str, Any]) -> None:
    """Raise KeyError, AttributeError or TypeError where a declaration lacks what TEN insists on."""
    schemas = list(api.get("property", {}).get("properties", {}).values())
    for kind in _KINDS:
        for direction in ("in", "out"):
            for entry in api.get(f"{kind}_{direction}", ()):
                schemas += entry.get("property", {}).get("properties", {}).values()
    while schemas:
        schema = schemas.pop()
        if schema["type"] == "array":
            schemas.append(schema["items"])
        elif schema["type"] == "object":
            schemas += schema["properties"].values()
