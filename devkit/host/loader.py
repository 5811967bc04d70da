"""Load a TEN extension from a clone of any folder name, under the name TEN itself would give it.

One file without relative imports, so that ``python devkit/host/loader.py``, ``conftest.py`` and the command
line can all execute it by path before anything else of the project is importable.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent.parent
INTERFACE = Path(__file__).resolve().parent / "interface"


def _namespace(name: str) -> ModuleType:
    """Import *name*, or make an empty package of that name when a bare clone has none."""
    if name in sys.modules:
        return sys.modules[name]
    try:
        if importlib.util.find_spec(name) is not None:
            return importlib.import_module(name)
    except (ImportError, ValueError):
        pass
    module = ModuleType(name)
    module.__path__ = []
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
    return module


def load_extension(root: Path = ROOT) -> ModuleType:
    """Import the TEN package in folder *root* as ``ten_packages.extension.<manifest name>`` and return it.

    The embedded host's ``ten_runtime`` is put at the end of ``sys.path`` only if no other one is importable,
    so a real TEN runtime is never shadowed. Raises what importing the package raises.
    """
    root = Path(root)
    if importlib.util.find_spec("ten_runtime") is None:
        sys.path.append(str(INTERFACE))
    name = json.loads((root / "manifest.json").read_text(encoding="utf-8"))["name"]
    full = f"ten_packages.extension.{name}"
    if full in sys.modules:
        return sys.modules[full]
    _namespace("ten_packages")
    parent = _namespace("ten_packages.extension")
    spec = importlib.util.spec_from_file_location(full, root / "__init__.py", submodule_search_locations=[str(root)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full]
        raise
    setattr(parent, name, module)
    return module


if __name__ == "__main__":
    print(load_extension().__name__)
