"""What a start loads: every process of an app pays for it, and so does one that never hears a word."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTENSION = "ten_packages.extension.openai_asr_python"
LIBRARIES = {
    "annotated_types", "async_timeout", "msgspec", "numpy", "pydantic", "pydantic_core", "python_socks",
    "typing_extensions", "typing_inspection", "websockets",
}  # fmt: skip
"""What the extension needs before the first stream, and what that loads by itself (for proxies, where it is installed;
async_timeout, on Python 3.10).
A detector, an SDK and devkit are not among them."""
LATER = {"difflib", "email.mime", "http.server", "multiprocessing", "unittest", "xml"}
"Parts of Python that a start has no use for."


def loaded_by(module: str) -> list[str]:
    """Names of all modules in a new process that has imported the extension's *module*."""
    code = (
        "import sys, json; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import chaos_load, importlib;"
        f"importlib.import_module('{EXTENSION}.{module}');"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    command = [sys.executable, "-c", code, str(ROOT / "bench")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    names: list[str] = json.loads(done.stdout)
    return names


def test_a_start_loads_no_library_it_may_not_need() -> None:
    names = loaded_by("extension")
    ours = {"ten_ai_base", "ten_packages", "ten_runtime", "chaos_load", "chaos_loader"}
    tops = {name.partition(".")[0] for name in names}
    foreign = {top for top in tops - ours - set(sys.stdlib_module_names) if not top.startswith("_")}
    assert foreign <= LIBRARIES
    assert not LATER & (tops | set(names))
    assert not [name for name in names if ".devkit." in name]


def test_registering_the_addon_loads_nothing_of_the_extension() -> None:
    names = loaded_by("addon")
    assert not {"numpy", "websockets", "picows", "msgspec"} & set(names)
    assert [name for name in names if ".openai_asr_python." in name] == [f"{EXTENSION}.addon"]
