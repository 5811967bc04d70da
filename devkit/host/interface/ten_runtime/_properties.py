"""How an extension's properties come about: its own file, the graph node's on top, then placeholders."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .error import HostError

_OPEN = "${"


def resolve_placeholders(value: Any, where: str = "") -> Any:
    """Return *value* with every string that is wholly a placeholder replaced, objects and arrays walked.

    ``${env:NAME}`` and ``${env:NAME|default}`` become strings, always; a backslash takes the next character as it
    is; text with anything after the closing brace is no placeholder. Raises HostError for a variable that is not set
    and has no default (TEN ends the process there).
    """
    if isinstance(value, dict):
        return {key: resolve_placeholders(item, f"{where}.{key}" if where else key) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_placeholders(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, str) and value.startswith(_OPEN) and value.endswith("}"):
        return _resolve(value, where)
    return value


def _resolve(text: str, where: str) -> str:
    scope, colon, rest = text[len(_OPEN) : -1].partition(":")
    if not colon or not scope.isidentifier():
        return text
    name: list[str] = []
    default: list[str] | None = None
    characters = iter(rest)
    for character in characters:
        if character == "|" and default is None:
            default = []
            continue
        if character == "\\":
            character = next(characters, "\\")
        elif character == "}":
            return text
        (name if default is None else default).append(character)
    if scope != "env":
        raise HostError(f"property {where}: placeholder {text!r}: the only scope is env, as in ${{env:NAME|default}}")
    variable = "".join(name)
    found = os.environ.get(variable)
    if found is not None:
        return found
    if default is None:
        raise HostError(
            f"property {where}: environment variable {variable} is not set and {text!r} has no default; "
            f"set it, or write ${{env:{variable}|}} for an empty default"
        )
    return "".join(default)


def read_property_file(base_dir: Path | None) -> dict[str, Any]:
    """Return what *base_dir*/property.json holds, empty when there is none. Raises HostError when unreadable."""
    path = None if base_dir is None else base_dir / "property.json"
    if path is None or not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HostError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise HostError(f"{path} must hold a JSON object")
    return value
