"""Every message the extension emits, in every test there is, is held to TEN's interface for speech recognisers.

The fixture is used by all tests (tests/conftest.py). The host drops a message with a wrong type and the sender never
hears of it; here such a message fails the test, and so does one that lacks a field the interface requires (which no
runtime checks), has a field or a name nobody declared, or holds a null.
"""

from __future__ import annotations

import importlib
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ten_rules import nulls

ADDON = "openai_asr_python"
ROOT = Path(__file__).resolve().parent.parent.parent
Json = dict[str, Any]

UNDECLARED = frozenset({"provide_features", "connection_status_changed"})
"Messages of newer bases that the interface of an older one does not have; no runtime minds."
INTEGERS = {f"int{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)} | {
    f"uint{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)
}
PLAIN = {"bool": bool, "string": str, "float32": float, "float64": float, "object": dict, "array": list}


def declared_messages() -> dict[tuple[str, str], Json]:
    """What may go out, by ("data" or "result", name): asr-interface.json, and our manifest before it."""
    interface = importlib.import_module("ten_ai_base.interface_files").INTERFACES["asr-interface.json"]
    manifest = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))["api"]
    found: dict[tuple[str, str], Json] = {}
    for api in (interface, manifest):
        for entry in api.get("data_out", ()):
            found["data", entry["name"]] = entry
        for entry in api.get("cmd_in", ()):
            found["result", entry["name"]] = entry.get("result", {})
    return found


def message_problems(declared: dict[tuple[str, str], Json], kind: str, name: str, payload: Json) -> list[str]:
    """What is wrong with one message, as sentences; *kind* is `data` or `result`."""
    entry = declared.get((kind, name))
    if entry is None:
        # Whoever sends us a command of a name of his own gets a result of that name.
        return [] if kind == "result" or name in UNDECLARED else [f"{kind} {name!r} is not in the interface"]
    properties: Json = entry.get("property", {}).get("properties", {})
    required = (*entry.get("required", ()), *entry.get("property", {}).get("required", ()))
    found = [f"{field} is required and missing" for field in required if field not in payload]
    for field, value in payload.items():
        if field in properties:
            found += _problems(properties[field], value, field)
        elif kind == "data":
            found.append(f"{field} is not in the interface")
    found += [f"{where} is null" for where in nulls(payload, "") if not any(one.startswith(where) for one in found)]
    return [f"{name}: {problem}" for problem in found]


def _problems(schema: Json, value: Any, where: str) -> Iterator[str]:
    kind = schema["type"]
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        if type(value) is not int or not low <= value <= high:
            yield f"{where} is {value!r} and must be {kind}"
    elif type(value) is not PLAIN[kind]:
        yield f"{where} is {value!r} and must be {kind}"
    elif kind == "array":
        for number, one in enumerate(value):
            yield from _problems(schema["items"], one, f"{where}[{number}]")
    elif kind == "object":
        for name, one in value.items():
            if name in schema["properties"]:
                yield from _problems(schema["properties"][name], one, f"{where}.{name}")


class MessageWatch:
    """What was found, and how many messages were looked at."""

    def __init__(self, declared: dict[tuple[str, str], Json]) -> None:
        self.found: list[str] = []
        self.messages = 0
        self._declared = declared
        self._schemas: weakref.WeakSet[Any] = weakref.WeakSet()
        self._names: set[str] = set()

    def nodes_created(self, graph: Any) -> None:
        """Note which nodes of a new graph are the extension."""
        for spec in graph._spec.nodes:
            if spec.addon == ADDON:
                self._schemas.add(graph._nodes[spec.name].schema)
                self._names.add(spec.name)

    def emitted(self, schema: Any, kind: str, name: str, payload: Json) -> None:
        """A message on its way out of the node whose schema this is."""
        if schema in self._schemas:
            self.messages += 1
            self.found += message_problems(self._declared, kind, name, payload)[:20]

    def dropped(self, sender: str, cause: str, reason: str) -> None:
        """A message the host dropped."""
        if sender in self._names and ("schema" in cause or "locked" in cause):
            self.found.append(f"dropped: {reason}")

    def take(self) -> list[str]:
        """What was found since the last time."""
        found, self.found = self.found, []
        return found


def watch_host(watch: MessageWatch, patch: pytest.MonkeyPatch) -> None:
    """Have the embedded host show *watch* what passes."""
    engine = importlib.import_module("ten_runtime._engine")
    schema = importlib.import_module("ten_runtime._schema").ApiSchema
    drops = importlib.import_module("ten_runtime._drops").DropLog
    create_nodes, check_message, check_result, add = (
        engine.Graph.create_nodes,
        schema.check_message,
        schema.check_result,
        drops.add,
    )

    def creating(graph: Any, create: Any) -> None:
        create_nodes(graph, create)
        watch.nodes_created(graph)

    def checking(self: Any, direction: str, content: Any) -> Any:
        if direction == "out":
            watch.emitted(self, content.kind, content.name, content.props)
        return check_message(self, direction, content)

    def checking_result(self: Any, direction: str, content: Any) -> Any:
        if direction == "out":
            watch.emitted(self, "result", content.name, content.props)
        return check_result(self, direction, content)

    def adding(self: Any, cause: str, content: Any, sender: str, receiver: str, reason: str) -> Any:
        watch.dropped(sender, cause, f"{content.name}: {reason}")
        return add(self, cause, content, sender, receiver, reason)

    patch.setattr(engine.Graph, "create_nodes", creating)
    patch.setattr(schema, "check_message", checking)
    patch.setattr(schema, "check_result", checking_result)
    patch.setattr(drops, "add", adding)


@pytest.fixture(scope="session")
def ten_watch() -> Iterator[MessageWatch | None]:
    """The one watch of the run; None on a real runtime, which cannot be looked into."""
    if not getattr(importlib.import_module("ten_runtime"), "IS_EMBEDDED_HOST", False):
        yield None
        return
    watch = MessageWatch(declared_messages())
    with pytest.MonkeyPatch.context() as patch:
        watch_host(watch, patch)
        yield watch


@pytest.fixture(autouse=True)
def messages_are_tens(ten_watch: MessageWatch | None) -> Iterator[None]:
    """Every message of the extension in this test was one of the interface's, and none was dropped."""
    if ten_watch is None:
        yield
        return
    ten_watch.take()
    yield
    found = ten_watch.take()
    assert not found, "the extension emitted what TEN's interface does not know: " + "; ".join(sorted(set(found)))
