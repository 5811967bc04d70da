"""The tree keeps its own rules: imports point one way, and the lists in the manifests name what is there."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
NOT_SOURCE = {"tests", "bench", "examples", "build", "dist", "docs"}
INTERFACE = "devkit/host/interface/"

# Lower may not know higher; `audio` and `realtime` may not know each other.
LAYERS = {"audio": 0, "realtime": 0, "": 1, "devkit": 2}

DEVKIT_LAYERS = {
    "host": 0,
    "server": 0,
    "transcription": 1,
    "doctor": 2,
    "microphone": 2,
    "playground": 2,
    "cli": 3,
    "samples": 4,
}

IO_CLOCKS_AND_CHANCE = {
    "aiohttp", "asyncio", "concurrent", "http", "httpx", "openai", "random", "secrets", "select", "socket",
    "ssl", "ten_ai_base", "ten_runtime", "threading", "time", "uuid", "websockets",
}  # fmt: skip
SOCKET_LIBRARIES = {"aiohttp", "http", "httpx", "picows", "requests", "socket", "websockets"}
OUR_NAMES = {
    "addon", "audio", "audio_dump", "config", "connect_limit", "devkit", "extension", "openai_asr_client",
    "openai_asr_python", "realtime", "ten_packages", "transport",
}  # fmt: skip


def source_files() -> list[str]:
    """Every Python file of the product, as a path from the root."""
    files = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")]
    tops = NOT_SOURCE | {path.name for path in ROOT.iterdir() if path.name.startswith(".")}
    return sorted(file for file in files if file.partition("/")[0] not in tops)


def imports(file: str) -> Iterator[tuple[str, str]]:
    """(kind, target) of every import: ('absolute', dotted name) or ('relative', path from the root)."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield "absolute", alias.name
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield "absolute", node.module or ""
        elif isinstance(node, ast.ImportFrom):
            above = Path(file).parts[: -node.level]
            if len(Path(file).parts) < node.level:
                pytest.fail(f"{file}:{node.lineno} imports from outside of the package")
            inside = (node.module or "").split(".") if node.module else []
            if inside:
                yield "relative", "/".join((*above, *inside))
            else:
                for alias in node.names:
                    yield "relative", "/".join((*above, alias.name))


def folder_of_layer(path: str) -> str:
    """Which layer a path belongs to: the name of its top folder, '' for a file at the root."""
    top, slash, _ = path.partition("/")
    if slash or (ROOT / top).is_dir():
        return top
    return ""


def absolute_imports(file: str) -> set[str]:
    return {target.partition(".")[0] for kind, target in imports(file) if kind == "absolute"}


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def manifest() -> dict[str, Any]:
    return json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))


def load_package_script() -> dict[str, Any]:
    import runpy

    return runpy.run_path(str(ROOT / "devkit" / "package.py"))


def test_the_tree_is_seen() -> None:
    assert {"addon.py", "realtime/messages.py", "devkit/host/loader.py"} <= set(source_files())


@pytest.mark.parametrize("file", source_files())
def test_imports_point_down(file: str) -> None:
    ours = folder_of_layer(file)
    for kind, target in imports(file):
        if kind == "absolute":
            continue
        if file.startswith(INTERFACE):
            package = "/".join(Path(file).parts[:4])
            assert target.startswith(package), f"{file}: the stand-in of a foreign package imports {target}"
            continue
        theirs = folder_of_layer(target)
        assert theirs in LAYERS, f"{file} imports {target}, which belongs to no layer"
        allowed = ours == theirs or LAYERS[theirs] < LAYERS[ours]
        assert allowed, f"{file} ({ours or 'root'}) imports {target} ({theirs or 'root'})"


@pytest.mark.parametrize("file", [f for f in source_files() if f.startswith("devkit/") and f.count("/") > 1])
def test_imports_in_the_devkit_point_down(file: str) -> None:
    if file.startswith(INTERFACE):
        return
    ours = file.split("/")[1]
    for kind, target in imports(file):
        if kind == "relative" and target.startswith("devkit/") and target.count("/") > 1:
            theirs = target.split("/")[1]
            allowed = ours == theirs or DEVKIT_LAYERS[theirs] < DEVKIT_LAYERS[ours]
            assert allowed, f"{file} ({ours}) imports {target} ({theirs})"


@pytest.mark.parametrize("file", source_files())
def test_nobody_imports_us_absolutely(file: str) -> None:
    """`import config` finds ours only while the root happens to be the working directory."""
    assert not absolute_imports(file) & OUR_NAMES


def test_tests_import_us_only_below_the_name_ten_gives() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        file = path.relative_to(ROOT).as_posix()
        tops = absolute_imports(file) & (OUR_NAMES - {"ten_packages"})
        assert not tops, f"{file} imports {tops}"
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("file", [f for f in source_files() if f.startswith(("audio/", "realtime/"))])
def test_sans_io_layers_know_no_world(file: str) -> None:
    assert not absolute_imports(file) & IO_CLOCKS_AND_CHANCE


def test_only_the_transport_opens_sockets() -> None:
    extension = [file for file in source_files() if not file.startswith("devkit/")]
    knowing = {file for file in extension if absolute_imports(file) & SOCKET_LIBRARIES}
    assert knowing <= {"transport.py"}
    # The vendor's SDK, imported by name when it is needed, opens them too.
    sdk = {file for file in extension if 'import_module, "openai"' in (ROOT / file).read_text(encoding="utf-8")}
    assert sdk == {"client_secret.py"}


def test_the_extension_imports_nothing_of_the_devkits_extras() -> None:
    """What a TEN app installs is `requirements.txt`; typer or soundfile are not in it."""
    extras = {"typer", "rich", "soundfile", "pocketsphinx", "langcodes", "pysubs2", "jsonschema", "soxr"}
    for file in source_files():
        if not file.startswith("devkit/"):
            assert not absolute_imports(file) & extras, file


def test_client_and_extension_have_one_timer() -> None:
    """Deadlines live in the session. The one timer of the client is armed with what `get_timer()` says."""
    waits = {"sleep", "wait_for", "call_later", "call_at"}
    found: list[str] = []
    for file in ("openai_asr_client.py", "extension.py"):
        if not (ROOT / file).exists():
            continue
        source = (ROOT / file).read_text(encoding="utf-8")
        for function in ast.walk(ast.parse(source)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                name = getattr(node, "attr", None) or getattr(node, "id", None)
                if name in waits:
                    found.append(f"{file}:{node.lineno}")
                    text = ast.get_source_segment(source, function) or ""
                    assert "get_timer" in text, f"{file}:{node.lineno} waits for a time of its own"
    assert len(set(found)) <= 1, f"one timer is allowed, found {sorted(set(found))}"


def test_the_loader_stands_alone() -> None:
    for file in ("devkit/host/loader.py", "devkit/package.py", "devkit/__main__.py"):
        assert not [target for kind, target in imports(file) if kind == "relative"], file
        assert absolute_imports(file) <= set(sys.stdlib_module_names) | {"__future__"}, file


def test_the_wheel_lists_every_package() -> None:
    setuptools = pyproject()["tool"]["setuptools"]
    tops = NOT_SOURCE | {path.name for path in ROOT.iterdir() if path.name.startswith(".")}
    folders = [path.parent.relative_to(ROOT) for path in ROOT.rglob("__init__.py")]
    found = {".".join(("openai_asr_python", *f.parts)) for f in folders if not f.parts or f.parts[0] not in tops}
    assert set(setuptools["packages"]) == found
    for file in source_files():
        folder = ".".join(("openai_asr_python", *Path(file).parts[:-1]))
        in_wheel = folder in found or file.startswith("devkit/samples/")
        assert in_wheel, f"{file} lies in a folder without __init__.py and would miss from the wheel"


def test_the_ten_package_holds_the_extension_and_nothing_else() -> None:
    files = {path.as_posix() for path in load_package_script()["package_files"]()}
    wanted = {file for file in source_files() if not file.startswith("devkit/")}
    assert wanted <= files
    assert {"manifest.json", "property.json", "requirements.txt", "LICENSE", "README.md"} <= files
    foreign = {file for file in files if file.startswith(("devkit/", "tests/", "bench/", "examples/", "."))}
    assert not foreign


@pytest.mark.parametrize(
    ("glob", "inside", "outside"),
    [
        ("*.py", ["addon.py", ".py"], ["devkit/package.py", "addon.pyc", "addonxpy"]),
        ("**.py", ["addon.py"], ["devkit/package.py"]),  # `**` beside other characters is a plain star
        ("**/*.py", ["addon.py", "a/b/addon.py"], ["addon.md"]),
        ("realtime/*.py", ["realtime/session.py"], ["realtime/a/session.py", "audio/session.py", "realtime/.pyc"]),
        ("realtime/**/*.py", ["realtime/session.py", "realtime/a/b/c.py"], ["realtimes/session.py"]),
        ("docs/**", ["docs/a.md", "docs/a/b.md"], ["docs", "docs/", "adocs/a.md"]),
        ("docs/**.md", ["docs/a.md"], ["docs/a/b.md"]),
        ("**", ["a", "a/b/c"], []),
        ("a?.md", ["ab.md"], ["a.md", "a/.md", "abc.md"]),
        ("LICENSE", ["LICENSE"], ["a/LICENSE", "LICENSES"]),
        ("a.b*", ["a.bc"], ["axbc"]),
    ],
)
def test_a_glob_of_the_include_list_names_what_ten_takes_it_for(
    glob: str, inside: list[str], outside: list[str]
) -> None:
    pattern = load_package_script()["include_pattern"](glob)
    assert [path for path in inside if not pattern.fullmatch(path)] == []
    assert [path for path in outside if pattern.fullmatch(path)] == []


@pytest.mark.parametrize("glob", ["*.{py,md}", "[ab].py", "/addon.py", "./addon.py", "../x", "docs/", "a//b", "!x", ""])
def test_a_glob_that_is_not_the_same_to_every_tool_is_refused(glob: str) -> None:
    with pytest.raises(ValueError, match=r"package\.include"):
        load_package_script()["include_pattern"](glob)


def test_requirements_are_the_dependencies_of_the_wheel() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert lines == pyproject()["project"]["dependencies"]


def test_one_version_everywhere() -> None:
    assert manifest()["version"] == pyproject()["project"]["version"]
    assert manifest()["name"] == pyproject()["project"]["name"]
    if (ROOT / "CHANGELOG.md").exists():
        assert manifest()["version"] in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_dependency_is_pinned_for_every_interpreter() -> None:
    from packaging.requirements import Requirement

    project = pyproject()["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["devkit"],
        *project["optional-dependencies"]["dev"],
    ]
    wanted += pyproject()["build-system"]["requires"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for python in ("3.10", "3.11", "3.12", "3.13"):
        here: dict[str, str] = {}
        for pin in pins:
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            if pin.marker is None or pin.marker.evaluate(
                {"python_version": python, "python_full_version": f"{python}.0"}
            ):
                name = re.sub(r"[-_.]+", "-", pin.name).lower()
                assert name not in here, f"{name} is pinned twice for Python {python}"
                here[name] = specifier.version
        for requirement in map(Requirement, wanted):
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if name == "openai-asr-python":
                continue
            assert name in here, f"{name} is not pinned for Python {python}"
            assert requirement.specifier.contains(here[name]), f"{name}: {here[name]} breaks our own range"


def test_no_file_of_the_set_up_names_a_registry() -> None:
    for file in (
        "constraints.txt",
        "requirements.txt",
        "Makefile",
        "pyproject.toml",
        ".ci/run",
        "MANIFEST.in",
    ):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not re.search(r"://|--index|find-links|/root\b|/home\b", text), file
