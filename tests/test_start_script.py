"""`tests/bin/start` runs the acceptance suite: on a TEN runtime in TEN's layout, else on the embedded host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "docs", "bench", "*.egg-info")
SYSTEM = Path(".ten/app/ten_packages/system")


def start(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "TEN_AI_BASE_GENERATION")}
    env |= {"PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    command = [str(root / "tests" / "bin" / "start"), "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of this checkout without any runtime."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    return folder


def test_without_a_runtime_it_says_so_and_uses_the_embedded_host(clone: Path) -> None:
    done = start(clone, "-k", "connection_timing", TEN_AI_BASE_GENERATION="0.7.48")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no TEN runtime in" in done.stdout and "the embedded host, with ten_ai_base 0.7.48" in done.stdout
    assert "ten_ai_base: embedded, generation 0.7.48" in done.stdout and "1 passed" in done.stdout


def test_a_runtime_in_tens_layout_is_what_it_runs_on(clone: Path) -> None:
    """The runtime here is a copy of ours, and so serves: what counts is from where it is imported."""
    interface = ROOT / "devkit" / "host" / "interface"
    runtime, base = (clone / SYSTEM / name / "interface" for name in ("ten_runtime_python", "ten_ai_base"))
    shutil.copytree(interface / "ten_runtime", runtime / "ten_runtime")
    done = start(clone)
    assert done.returncode == 1 and "no ten_ai_base; say tman install --standalone" in done.stderr

    shutil.copytree(interface / "ten_ai_base", base / "ten_ai_base")
    done = start(clone, "-k", "vendor_error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"TEN's runtime, from {clone / SYSTEM}" in done.stdout
    assert f"ten_runtime: {runtime / 'ten_runtime' / '__init__.py'}" in done.stdout
    assert f"ten_ai_base: {base / 'ten_ai_base' / '__init__.py'}" in done.stdout
    assert "1 passed" in done.stdout


def test_the_manifest_names_it() -> None:
    assert json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))["scripts"] == {"test": "tests/bin/start"}
    assert os.access(ROOT / "tests" / "bin" / "start", os.X_OK)
