"""The same tree works as a TEN package, as a bare clone of any name, and as a wheel."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAME = "openai_asr_python"
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")

IDENTITY = """
import collections, importlib, runpy, sys
cli = runpy.run_path({main!r})["_cli"]()
name = cli.__name__.removesuffix("devkit.cli.app")
importlib.import_module(name + "devkit.cli.transcribe")
extension = importlib.import_module(name + "extension")
names = collections.defaultdict(set)
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None) or ""
    if file.startswith({root!r}) and "/interface/" not in file:
        names[file].add(module.__name__)
assert len(names) > 30, names
twice = {{file: both for file, both in names.items() if len(both) > 1}}
assert not twice, twice
print(extension.OpenAIASRExtension.__module__, extension.__file__)
"""


@pytest.fixture(scope="module")
def package() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "devkit" / "package.py"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in a folder whose name is no identifier."""
    folder = tmp_path_factory.mktemp("clones") / "my-clone.v2"
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    return folder


def python(*arguments: object, cwd: Path, path: tuple[Path, ...] = ()) -> str:
    """Run Python isolated from this checkout; returns stdout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OPENAI_"))}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    # An editable install of this checkout must not stand in for the copy that is tested.
    code = [sys.executable, "-W", "error", *map(str, arguments)]
    ran = subprocess.run(code, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_ten_package_loads_in_an_app_by_its_ten_name(package: dict[str, Any], tmp_path: Path) -> None:
    package["copy_package"](tmp_path / "ten_packages" / "extension" / NAME)
    code = """
import importlib, json
module = importlib.import_module("ten_packages.extension.openai_asr_python")
from ten_runtime import _AddonManager
extension = importlib.import_module("ten_packages.extension.openai_asr_python.extension")
print(extension.__file__)
print(extension.OpenAIASRExtension("stt").vendor())
"""
    interface = ROOT / "devkit" / "host" / "interface"
    file, vendor = python("-c", code, cwd=tmp_path, path=(tmp_path, interface)).split()
    assert Path(file) == tmp_path / "ten_packages" / "extension" / NAME / "extension.py"
    assert vendor == "openai"


def test_the_archive_unpacks_to_one_folder(package: dict[str, Any], tmp_path: Path) -> None:
    archive = package["build"](tmp_path)
    version = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))["version"]
    assert archive.name == f"{NAME}-{version}-ten.tar.gz"
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert {name.partition("/")[0] for name in names} == {NAME}
    assert f"{NAME}/realtime/messages.py" in names
    assert not [name for name in names if "/devkit/" in name or "/tests/" in name or "__pycache__" in name]


def test_an_include_entry_that_names_nothing_is_an_error(package: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"package": {"include": ["*.json", "no/*.py"]}}))
    with pytest.raises(FileNotFoundError, match=r"no/\*\.py"):
        package["package_files"](tmp_path)


def test_a_clone_of_any_name_loads_and_runs(clone: Path, tmp_path: Path) -> None:
    loaded = python(clone / "devkit" / "host" / "loader.py", cwd=tmp_path)
    assert loaded.strip() == f"ten_packages.extension.{NAME}"
    assert python(clone / "devkit", "--version", cwd=tmp_path).startswith("openai-asr ")
    # The folder's own names must not become top-level modules where the root is the working directory.
    assert python(Path("devkit"), "--version", cwd=clone).startswith("openai-asr ")


def one_identity(root: Path, folder: Path) -> None:
    """Start the command line of *root* and look whether any file of it was imported under two names."""
    main = root / "devkit" / "__main__.py"
    module, file = python("-c", IDENTITY.format(main=str(main), root=str(root)), cwd=folder).split()
    assert module == f"ten_packages.extension.{NAME}.extension"
    assert Path(file) == root / "extension.py"


def test_a_clone_has_one_copy_of_every_class(clone: Path, tmp_path: Path) -> None:
    one_identity(clone, tmp_path)


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive as `make package` does, unpacked."""
    dist = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(clone)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (archive,) = dist.glob("*.whl")
    unpacked = dist / "site"
    zipfile.ZipFile(archive).extractall(unpacked)
    return unpacked


def test_the_wheel_holds_the_product_and_no_tests(wheel: Path) -> None:
    installed = wheel / NAME
    for file in ("manifest.json", "property.json", "py.typed", "extension.py", "devkit/samples/weather.flac"):
        assert (installed / file).is_file(), f"{file} is missing from the wheel"
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "devkit").rglob("*.py")}
    expected -= {path.as_posix() for path in map(Path, expected) if path.parts[1] == "samples"}
    present = {path.relative_to(installed).as_posix() for path in (installed / "devkit").rglob("*.py")}
    assert present == expected
    assert sorted(path.name for path in wheel.iterdir() if "dist-info" not in path.name) == [NAME]
    assert not (installed / "tests").exists()
    (entry_points,) = wheel.glob("*.dist-info/entry_points.txt")
    assert f"openai-asr = {NAME}.devkit.__main__:main" in entry_points.read_text()


def test_importing_the_wheel_needs_no_ten_and_does_nothing(wheel: Path, tmp_path: Path) -> None:
    code = f"import sys, {NAME}; print({NAME}.__file__, *[m for m in sys.modules if m.startswith('ten_')])"
    assert python("-c", code, cwd=tmp_path, path=(wheel,)).split() == [str(wheel / NAME / "__init__.py")]


def test_the_wheels_command_line_runs_with_one_copy_of_every_class(wheel: Path, tmp_path: Path) -> None:
    ran = python("-m", f"{NAME}.devkit", "--version", cwd=tmp_path, path=(wheel,))
    assert ran.startswith("openai-asr ")
    one_identity(wheel / NAME, tmp_path)
