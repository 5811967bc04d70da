"""The golden traces over a real socket, played by a client that knows nothing of this project."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from server_peers import GOLDEN
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.handshake import Refusal
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from ten_packages.extension.openai_asr_python.realtime.messages import ErrorDetails

KEY = "sk-right-key"
PLAYER = Path(__file__).with_name("wire_check.py")
TRACES = [path.stem for path in sorted(GOLDEN.glob("*.json")) if not path.stem.startswith(("g11", "g12"))]


def player() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wire_check", PLAYER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(steps: list[dict[str, Any]]) -> list[Line]:
    """What the recogniser must say for the trace: a line for each item, in the order in which the items begin."""
    ends: dict[str, Line] = {}
    done: list[str] = []
    for message in (step["m"] for step in steps if step["d"] == "s>c"):
        item = message.get("item_id")
        if item is not None:
            ends.setdefault(item, Line("words that never become final"))
        if message["type"].endswith(".completed"):
            done.append(item)
            ends[item] = Line(message["transcript"])
        elif message["type"].endswith(".failed"):
            own = "failed for item" in message["error"]["message"]
            ends[item] = Line(error=None if own else ErrorDetails(**message["error"]))
            if own:
                ends[item] = Line(text=BREAKS)
    if done != sorted(done):
        # The trace has a later item done first: the earlier one has to wait for it.
        ends[done[-1]] = Line(ends[done[-1]].text, delay_s=0.5)
    return list(ends.values())


BREAKS = "\0breaks"


class BreakingRecognizer(ScriptedRecognizer):
    """Breaks where a line says so, as a bug would make it."""

    def session(self, request: Any) -> Any:
        session = super().session(request)
        if getattr(session, "_line", Line()).text == BREAKS:

            async def finish() -> Any:
                raise OSError("the recogniser fell over the words it heard")

            session.finish = finish  # type: ignore[method-assign]
        return session


@pytest.mark.parametrize("name", TRACES)
def test_the_server_plays_its_part_over_a_socket(name: str) -> None:
    path = GOLDEN / f"{name}.json"
    steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
    connections: list[str] = []

    def refuse(request: Any) -> Refusal | None:
        connections.append(request.path)
        if name.startswith("g07") and len(connections) == 2:
            message = "You exceeded your current quota, please check your plan and billing details."
            return Refusal(ErrorDetails(type="insufficient_quota", code="insufficient_quota", message=message), 1013)
        return None

    with run_in_thread(
        recognizer=BreakingRecognizer(lines(steps), word_ms=200),
        api_key=KEY,
        session_seconds=0.5 if name.startswith("g06") else 3600,
        refuse=refuse,
    ) as server:
        base = server.url.removesuffix("/v1")
        checked = asyncio.run(player().check(base, KEY, path))
    assert checked == sum(step["d"] == "s>c" for step in steps) > 0


def test_the_player_knows_nothing_of_us() -> None:
    tree = ast.parse(PLAYER.read_text(encoding="utf-8"))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    ours = {"ten_packages", "openai_asr_python", "realtime", "devkit", "server_peers"}
    assert not {module.partition(".")[0] for module in modules} & ours
    assert not any(node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))


@pytest.mark.parametrize(
    ("step", "change", "complaint"),
    [
        (3, {"type": "session.updated", "event_id": "event_2", "session": {}}, "session.updated.session"),
        (5, {"type": "input_audio_buffer.cleared", "event_id": "event_3"}, "input_audio_buffer.cleared"),
    ],
)
def test_the_player_notices_what_is_wrong(step: int, change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    trace = json.loads((GOLDEN / "g03_empty_commit.json").read_text(encoding="utf-8"))
    trace["steps"][step]["m"] = change
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(trace), encoding="utf-8")
    module = player()
    with run_in_thread(recognizer="scripted", api_key=KEY) as server:
        with pytest.raises(module.Mismatch, match=complaint):
            asyncio.run(module.check(server.url.removesuffix("/v1"), KEY, path))
