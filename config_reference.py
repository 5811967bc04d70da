"""What the configuration's model says about itself, for the documentation and for manifest.json.

Tests hold `docs/configuration.md` and `manifest.json` to `markdown_table` and `manifest_properties`, and
print what belongs there when they differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from .config import OpenAIASRConfig
from .config_sections import Section, kind_of, limits_of, words_of
from .config_spelling import ALIASES, ENVIRONMENT, TOP_LEVEL_KEYS, VENDOR_KEYS, Path, known_places

# Defaults that one value does not tell.
_DEFAULTS = {("turn_detection", "silence_duration_ms"): "500 server, 800 local"}
_TEN_TYPES = {"bool": "bool", "int": "int64", "float": "float64", "string": "string"}


def fields() -> Iterator[tuple[Path, FieldInfo]]:
    """Every property in canonical spelling, sections opened, in the order of the model."""
    for name, info in OpenAIASRConfig.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, Section):
            for inner, inner_info in section.model_fields.items():
                if inner != "extra":
                    yield (name, inner), inner_info
        else:
            yield (name,), info


def markdown_table() -> str:
    """The table of all keys, as Markdown: key, type, default, meaning. Ends in a newline."""
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for path, info in fields():
        mark = " T" if path[0] in TOP_LEVEL_KEYS else ""
        lines.append(f"| `{'.'.join(path)}`{mark} | {_type(info)} | {_default(path, info)} | {info.description} |")
    return "\n".join(lines) + "\n"


def _type(info: FieldInfo) -> str:
    words = words_of(info.annotation)
    if words:
        return ", ".join(f"`{word}`" for word in words)
    kind = kind_of(info.annotation)
    low, high = limits_of(info)
    if low is not None and high is not None:
        return f"{kind}, {low:g} to {high:g}"
    return f"{kind}, from {low:g}" if low else kind


def _default(path: Path, info: FieldInfo) -> str:
    if path in _DEFAULTS:
        return _DEFAULTS[path]
    default = info.default
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    shown = str(default).lower() if isinstance(default, bool) else default
    text = "unset" if default in (None, (), {}) else f"`{shown}`"
    variable = ENVIRONMENT.get(path[0])
    return f"environment `{variable}`, else {text}" if variable else text


def manifest_properties() -> dict[str, Any]:
    """`api.property.properties` of manifest.json: every place a value may be written at, with its one TEN type."""
    tree: dict[str, Any] = {}
    types = {path: kind_of(info.annotation) for path, info in fields()}
    for place in known_places():
        node = tree
        for name in place[:-1]:
            node = node.setdefault(name, {"type": "object", "properties": {}})["properties"]
        node[place[-1]] = _schema(types.get(_canonical(place), "string"))
    return tree


def _canonical(place: Path) -> Path:
    """What a spelled place means."""
    if place[:3] == ("params", "audio", "input"):
        name, member = place[3:]
        # The vendor's rate is a whole number, like ours.
        return ("sample_rate",) if member == "rate" else (VENDOR_KEYS[name], member)
    path = place[1:] if place[0] == "params" else place
    return ALIASES.get(path[0], path) if len(path) == 1 else path


def _schema(kind: str) -> dict[str, Any]:
    """TEN's schema of one value. Arrays must say what they hold, objects what members they have."""
    if kind == "array":
        return {"type": "array", "items": {"type": "string"}}
    if kind == "object":
        return {"type": "object", "properties": {}}
    return {"type": _TEN_TYPES[kind]}
