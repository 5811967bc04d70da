"""Property trees: JSON text, copies, and paths such as ``a.b[0].c``."""

from __future__ import annotations

import functools
import json
from typing import Any

INT64_MIN, INT64_MAX, UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# Made once: json.loads and json.dumps make a new one for each call that asks for anything special.
_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def parse_json(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError for anything that is not strict JSON."""
    return _decoder.decode(text)


def dump_json(value: Any) -> str:
    """Return compact JSON text. Raises TypeError or ValueError for what JSON cannot hold (buffers, NaN)."""
    return _encoder.encode(value)


def copy_value(value: Any) -> Any:
    """Return a deep copy of a property value."""
    if type(value) is dict:
        return {key: copy_value(item) for key, item in value.items()}
    if type(value) is list:
        return [copy_value(item) for item in value]
    return value


@functools.lru_cache(maxsize=1024)
def parse_path(path: str) -> tuple[str | int, ...]:
    """Split ``a.b[0].c`` into ``("a", "b", 0, "c")``. Raises ValueError for a malformed path."""
    steps: list[str | int] = []
    for segment in path.split("."):
        name, *indices = segment.split("[")
        if name:
            steps.append(name)
        elif not indices or steps:
            raise ValueError(f"property path {path!r} has an empty name")
        for index in indices:
            if not index.endswith("]") or not index[:-1].isdecimal():
                raise ValueError(f"property path {path!r} has a malformed index [{index}")
            steps.append(int(index[:-1]))
    return tuple(steps)


def get_at(root: Any, path: str | None) -> Any:
    """Return the value at *path* (``None`` or ``""``: the whole tree). Raises KeyError when it is missing."""
    if not path:
        return root
    value = root
    for step in parse_path(path):
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                raise KeyError(path)
        elif not isinstance(value, dict) or step not in value:
            raise KeyError(path)
        value = value[step]
    return value


def set_at(root: dict[str, Any], path: str, value: Any) -> None:
    """Store *value* at *path*, making the objects and arrays on the way. Raises ValueError where that cannot be."""
    steps = parse_path(path)
    parent: Any = root
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        fresh: Any = value if last else ([] if isinstance(steps[position + 1], int) else {})
        if isinstance(step, int):
            if not isinstance(parent, list):
                raise ValueError(f"property path {path!r}: [{step}] needs an array")
            parent.extend([None] * (step + 1 - len(parent)))
            if last or not isinstance(parent[step], (dict, list)):
                parent[step] = fresh
        else:
            if not isinstance(parent, dict):
                raise ValueError(f"property path {path!r}: {step!r} needs an object")
            if last or not isinstance(parent.get(step), (dict, list)):
                parent[step] = fresh
        parent = parent[step]


def deep_merge(base: Any, over: Any) -> Any:
    """Return *over* laid on *base*: objects key by key, arrays and scalars replaced. Shares nothing with either."""
    if isinstance(base, dict) and isinstance(over, dict):
        merged = {key: copy_value(item) for key, item in base.items()}
        for key, item in over.items():
            merged[key] = deep_merge(merged[key], item) if key in merged else copy_value(item)
        return merged
    return copy_value(over)
