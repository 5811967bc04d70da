"""Our manifest, properties, examples and what the documentation shows keep TEN's rules; what breaks one is named."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ten_rules import app_problems, graph_problems, manifest_problems, property_problems

ROOT = Path(__file__).resolve().parent.parent
Json = dict[str, Any]

NODE: Json = {"type": "extension", "name": "stt", "addon": "openai_asr_python", "property": {"params": {}}}
APP: Json = {
    "ten": {
        "predefined_graphs": [
            {
                "name": "calls",
                "auto_start": True,
                "graph": {
                    "nodes": [NODE, {"type": "extension", "name": "mic", "addon": "microphone"}],
                    "connections": [
                        {"extension": "mic", "audio_frame": [{"name": "pcm_frame", "dest": [{"extension": "stt"}]}]}
                    ],
                },
            }
        ]
    }
}


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def manifest() -> Json:
    found: Json = read(ROOT / "manifest.json")
    return found


def schema() -> Json:
    found: Json = manifest()["api"]["property"]
    return found


def problems_of(value: Any) -> list[str]:
    """What is wrong with any JSON that looks like a thing of TEN's; nothing for other JSON."""
    if not isinstance(value, dict):
        return []
    if "ten" in value:
        return app_problems(value)
    if "nodes" in value:
        return graph_problems(value)
    if "addon" in value:
        return graph_problems({"nodes": [value]}) + property_problems(value.get("property", {}), schema())
    if "params" in value:
        return property_problems(value, schema())
    return []


# Ours ---------------------------------------------------------------------------------------------------------


def test_our_manifest() -> None:
    assert manifest_problems(manifest(), ROOT) == []


def test_what_our_manifest_names_is_in_the_package() -> None:
    import runpy

    files = {path.as_posix() for path in runpy.run_path(str(ROOT / "devkit" / "package.py"))["package_files"]()}
    named = {text["import_uri"] for text in manifest()["readme"]["locales"].values()}
    assert {"docs/README.en-US.md", "docs/README.ko-KR.md", "docs/README.zh-CN.md"} == named
    assert named <= files


def test_our_properties() -> None:
    assert property_problems(read(ROOT / "property.json"), schema()) == []


@pytest.mark.parametrize("folder", ["tests/configs", "examples"])
def test_json_files_that_users_copy(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.json")):
        value = read(path)
        if path.name == "manifest.json":
            assert manifest_problems(value, path.parent) == [], path
        else:
            assert problems_of(value) == [], path


DOCUMENTS = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_the_documentation_shows(document: str) -> None:
    for block in re.findall(r"```json\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL):
        if "\n{" in block:  # lines of JSON, which are no file of TEN's
            continue
        value = json.loads(block)
        assert problems_of(value) == [], block
        if "dependencies" in value:
            complete = {"type": "app", "name": "an_app", "version": "1.0.0", **value}
            assert manifest_problems(complete, ROOT) == [], block


# Planted ------------------------------------------------------------------------------------------------------


def planted(path: str, value: Any) -> Callable[[Json], None]:
    def plant(document: Json) -> None:
        place: Any = document
        *above, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for part in above:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return plant


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("surprise", 1, "surprise: no key of a manifest"),
        ("type", "plugin", "type: 'plugin' is none of"),
        ("name", "openai-asr", "name: 'openai-asr' is no identifier"),
        ("name", "1st", "name: '1st' is no identifier"),
        ("version", "1.0", "version: '1.0' is not x.y.z"),
        ("version", "01.0.0", "version: '01.0.0' is not x.y.z"),
        ("dependencies/0/version", ">=0.11,<1", "dependencies[0].version: '>=0.11,<1' is no single range"),
        ("dependencies/0/version", "0.11 || 0.12", "dependencies[0].version: '0.11 || 0.12' is no single range"),
        ("dependencies/0/hash", "0", "dependencies[0]: has ['hash', 'name', 'type', 'version'] and not"),
        ("dependencies/0/type", "library", "dependencies[0].type: 'library' is none of"),
        ("display_name/locales/english", {"content": "x"}, "display_name.locales.english: no locale"),
        ("display_name/locales/en-us", {"content": "x"}, "display_name.locales.en-us: no locale"),
        ("readme/locales/en-US", {"import_uri": "docs/NONE.md"}, "readme.locales.en-US.import_uri: there is no"),
        ("readme/locales/en-US", {"content": "x", "import_uri": "README.md"}, "readme.locales.en-US: must hold either"),
        ("description", "x", "description: must hold locales"),
        ("supports/0/arch", "riscv", "supports[0]: "),
        ("tags", "asr", "tags: 'asr' is no list of words"),
        ("package/include", ["*.py", 1], "package.include: "),
        ("api/surprise", [], "api.surprise: no key of an api"),
        ("api/interface/0/uri", "x", "api.interface[0]: must hold an import_uri"),
        ("api/property/required", ["params"], "api.property.required: properties have no required"),
        ("api/property/properties/my-key", {"type": "string"}, "api.property.my-key: no identifier"),
        ("api/property/properties/dump", {"type": "boolean"}, "api.property.dump: 'boolean' is no type"),
        ("api/property/properties/dump", {"type": "bool", "default": True}, "api.property.dump.default: no key"),
        ("api/property/properties/dump", {"type": "array"}, "api.property.dump: an array has items"),
        ("api/property/properties/headers", {"type": "object"}, "api.property.headers: an object has properties"),
        ("api/property/properties/params/properties/include/items", {"type": "text"}, "include[]: 'text' is no type"),
        ("api/data_out", [{"name": "x", "result": {}}], "api.data_out.x.result: no key of a message"),
    ],
)
def test_a_planted_violation_of_the_manifest_is_named(path: str, value: Any, problem: str) -> None:
    wrong = copy.deepcopy(manifest())
    planted(path, value)(wrong)
    found = manifest_problems(wrong, ROOT)
    assert len(found) == 1 and problem in found[0], found


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "properties are an object"),
        ({"params": {"turn_detection": None}}, "params.turn_detection: null, and a property has none"),
        ({"params": {"keywords": ["a", None]}}, "params.keywords[1]: null, and a property has none"),
        ({"dump": "true"}, "dump: 'true' is no bool"),
        ({"params": {"sample_rate": 16000.0}}, "params.sample_rate: 16000.0 is no int64"),
        ({"params": {"replay_speed": 4}}, "params.replay_speed: 4 is no float64"),
        ({"params": {"include": [1]}}, "params.include[0]: 1 is no string"),
        ({"headers": "X: y"}, "headers: 'X: y' is no object"),
    ],
)
def test_a_planted_violation_of_a_property_is_named(value: Any, problem: str) -> None:
    assert property_problems(value, schema()) == [problem]


def test_a_right_app_passes() -> None:
    assert app_problems(APP) == []


GRAPH = "ten/predefined_graphs/0/graph"


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("ten/predefined_graphs", ..., "ten.predefined_graphs: missing"),
        ("ten/predefined_graphs/0/autostart", True, "autostart is no key of a predefined graph"),
        ("ten/predefined_graphs/0/graph", ..., "needs a name and a graph"),
        (f"{GRAPH}/edges", [], "edges: no key of a graph"),
        (f"{GRAPH}/nodes/0/group", "x", "node stt: group is no key of a node"),
        (f"{GRAPH}/nodes/1/addon", "my-mic", "node mic: addon 'my-mic' is no identifier"),
        (f"{GRAPH}/nodes/0/type", "asr", "node stt: its type is not extension"),
        (f"{GRAPH}/nodes/0/property/params/prompt", None, "params.prompt: null"),
        (f"{GRAPH}/connections/0/frames", [], "connection of mic: frames is no key of a connection"),
        (f"{GRAPH}/connections/0/audio_frame/0/names", ["x"], "audio_frame needs either name or names"),
        (f"{GRAPH}/connections/0/audio_frame/0/dest", ..., "audio_frame needs either dest or source"),
        (f"{GRAPH}/connections/0/audio_frame/0/dest/0/extension", "asr", "there is no node 'asr'"),
    ],
)
def test_a_planted_violation_of_a_graph_is_named(path: str, value: Any, problem: str) -> None:
    wrong = copy.deepcopy(APP)
    planted(path, value)(wrong)
    found = app_problems(wrong)
    assert any(problem in one for one in found), found
