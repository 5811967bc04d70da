"""manifest.json, property.json and the documentation say what the configuration's model says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ten_packages.extension.openai_asr_python.config import OpenAIASRConfig
from ten_packages.extension.openai_asr_python.config_reference import (
    fields,
    manifest_properties,
    markdown_table,
)
from ten_packages.extension.openai_asr_python.config_sections import kind_of

ROOT = Path(__file__).resolve().parent.parent
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
SCALARS = {"bool": bool, "int64": int, "float64": float, "string": str}
TOP_LEVEL_KEYS = {
    "type", "name", "version", "dependencies", "dev_dependencies", "api", "package", "scripts", "tags",
    "display_name", "description", "readme", "supports",
}  # fmt: skip
INTERFACE = {"url": "string", "headers": "object", "dump": "bool", "dump_path": "string", "auto_connect": "bool"}
"What TEN's asr-interface.json declares for every speech recogniser."


def manifest() -> dict[str, Any]:
    return json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))


def declared() -> dict[str, Any]:
    return manifest()["api"]["property"]["properties"]


def schemas(
    properties: dict[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for name, schema in properties.items():
        yield (*above, name), schema
        yield from schemas(schema.get("properties", {}), (*above, name))


def problem(schema: dict[str, Any], value: Any) -> str | None:
    """Why TEN would refuse *value*: one type a key, no null, integers are no floats."""
    if schema["type"] == "object":
        if not isinstance(value, dict):
            return f"{value!r} is no object"
        inner = [(schema["properties"].get(name), v) for name, v in value.items()]
        return next((p for s, v in inner if s is not None and (p := problem(s, v))), None)
    if schema["type"] == "array":
        if not isinstance(value, list):
            return f"{value!r} is no array"
        return next((p for v in value if (p := problem(schema["items"], v))), None)
    return None if type(value) is SCALARS[schema["type"]] else f"{value!r} is no {schema['type']}"


class TestManifest:
    def test_it_has_only_keys_ten_knows(self) -> None:
        assert set(manifest()) <= TOP_LEVEL_KEYS
        assert manifest()["type"] == "extension"
        assert re.fullmatch(r"\d+\.\d+\.\d+", manifest()["version"])
        assert {d["name"] for d in manifest()["dependencies"]} == {"ten_runtime_python", "ten_ai_base"}

    def test_it_declares_exactly_the_properties_of_the_model(self) -> None:
        expected = manifest_properties()
        assert declared() == expected, "api.property.properties should be:\n" + json.dumps(expected, indent=2)

    def test_every_schema_is_one_ten_takes(self) -> None:
        for path, schema in schemas(declared()):
            assert all(IDENTIFIER.match(name) for name in path), path
            assert schema["type"] in {*SCALARS, "array", "object"}, path
            assert "required" not in schema, path
            if schema["type"] == "array":
                assert schema["items"] == {"type": "string"}, path
            if schema["type"] == "object":
                assert isinstance(schema["properties"], dict), path

    def test_every_field_of_the_model_has_its_type_below_params(self) -> None:
        types = {"bool": "bool", "int": "int64", "float": "float64"}
        found = dict(schemas(declared()))
        for path, info in fields():
            kind = kind_of(info.annotation)
            assert found[("params", *path)]["type"] == types.get(kind, kind), path

    def test_the_interface_is_imported_and_not_contradicted(self) -> None:
        (interface,) = manifest()["api"]["interface"]
        assert interface == {"import_uri": "../../system/ten_ai_base/api/asr-interface.json"}
        assert {name: declared()[name]["type"] for name in INTERFACE} == INTERFACE

    def test_a_whole_configuration_passes_the_schema(self) -> None:
        params = {
            "api_key": "k",
            "sample_rate": 8000,
            "turn_detection": {"type": "local_vad", "threshold": 0.5, "enabled": True},
            "include": ["x"],
            "replay_speed": 4.0,
            "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}},
        }
        node = {"dump": True, "headers": {"X": "y"}, "params": params}
        schema = {"type": "object", "properties": declared()}
        assert problem(schema, node) is None
        assert OpenAIASRConfig.load(node, {}).config.sample_rate == 8000
        for wrong in ({"dump": "true"}, {"params": {"sample_rate": "8000"}}, {"params": {"include": [1]}}):
            assert problem(schema, wrong) is not None

    def test_everything_it_names_exists(self) -> None:
        for locale in manifest()["readme"]["locales"].values():
            assert (ROOT / locale["import_uri"]).is_file()
        for text in (manifest()["display_name"], manifest()["description"]):
            for locale, value in text["locales"].items():
                assert re.fullmatch(r"[a-z]{2}(-[A-Z]{2})?", locale)
                assert value["content"]

    def test_it_ships_the_layers_and_nothing_of_the_devkit(self) -> None:
        include = manifest()["package"]["include"]
        assert {"*.py", "realtime/*.py", "audio/*.py", "manifest.json", "property.json"} <= set(include)
        assert not [glob for glob in include if glob.startswith(("devkit", "tests", "**"))]


class TestShippedProperty:
    def test_it_ships_the_key_and_nothing_else(self) -> None:
        """TEN merges it under every node, so any other default here would be in every user's way."""
        shipped = json.loads((ROOT / "property.json").read_text(encoding="utf-8"))
        assert shipped == {"params": {"api_key": "${env:OPENAI_API_KEY|}"}}
        assert problem({"type": "object", "properties": declared()}, shipped) is None

    def test_without_a_key_in_the_environment_the_node_still_loads(self) -> None:
        node = {"params": {"api_key": "", "base_url": "ws://127.0.0.1:8765"}}
        assert OpenAIASRConfig.load(node, {}).config.api_key is None


class TestDocumentation:
    def test_the_table_is_the_models(self) -> None:
        text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
        assert markdown_table() in text, "the table of keys should be:\n" + markdown_table()

    def test_the_table_has_a_row_for_each_property(self) -> None:
        rows = markdown_table().splitlines()[2:]
        assert len(rows) == len(list(fields()))
        for (path, info), row in zip(fields(), rows, strict=True):
            assert f"`{'.'.join(path)}`" in row
            assert info.description and row.count(" | ") == 3

    @pytest.mark.parametrize("document", ["configuration.md", "upgrade.md"])
    def test_what_the_documentation_shows_works(self, document: str) -> None:
        text = (ROOT / "docs" / document).read_text(encoding="utf-8")
        blocks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
        for block in blocks:
            property_json = json.loads(block)
            schema = {"type": "object", "properties": declared()}
            assert problem(schema, property_json) is None
            loaded = OpenAIASRConfig.load(property_json, {"OPENAI_API_KEY": "k"})
            assert loaded.warnings == ()
        assert blocks or document == "upgrade.md"

    def test_the_links_lead_somewhere(self) -> None:
        for document in ("configuration.md", "upgrade.md"):
            text = (ROOT / "docs" / document).read_text(encoding="utf-8")
            for target in re.findall(r"\]\(([^)#]+)\)", text):
                assert (ROOT / "docs" / target).exists(), target

    def test_every_way_back_works(self) -> None:
        """The snippets of the upgrade page that restore an earlier default."""
        text = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8")
        snippets = [json.loads(f"{{{found}}}") for found in re.findall(r'`("\w+": [^`|]+)`', text)]
        assert len(snippets) >= 4
        for snippet in snippets:
            # Those that need another model than the default say so in the text beside them.
            params = {"input_audio_transcription": {"model": "whisper-1"}, **snippet}
            assert OpenAIASRConfig.load({"params": params}, {"OPENAI_API_KEY": "k"}).config
