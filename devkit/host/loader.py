"""Load a TEN extension from a clone of any folder name, under the name TEN itself would give it.

One file without relative imports, so that ``python devkit/host/loader.py``, ``conftest.py`` and the command
line can all execute it by path before anything else of the project is importable.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent.parent
INTERFACE = Path(__file__).resolve().parent / "interface"
GENERATION = "TEN_AI_BASE_GENERATION"
"The environment variable that chooses a generation of the embedded ten_ai_base, for this process and its children."


def ensure_runtime(ten_ai_base: str | None = None) -> None:
    """Make ``ten_runtime`` importable: the real one if there is one, else the embedded host's.

    The stand-in goes to the end of ``sys.path``, and only when nothing else answers to the name, so it never
    shadows a real runtime or a real ten_ai_base.

    *ten_ai_base* chooses the generation of the embedded one ("0.7.41", "0.7.48" or "0.7.53"), as the environment
    variable TEN_AI_BASE_GENERATION does, which it sets. Raises ImportError for another value, for a second
    generation in one process, and where there is a real ten_ai_base: that is what it is.
    """
    if not _importable("ten_runtime") and str(INTERFACE) not in sys.path:
        sys.path.append(str(INTERFACE))
        importlib.invalidate_caches()
    if ten_ai_base is not None:
        _choose_generation(ten_ai_base)


def load_extension(root: str | Path = ROOT, *, ten_ai_base: str | None = None) -> ModuleType:
    """Import the TEN package in folder *root* as ``ten_packages.extension.<manifest name>`` and return it.

    *ten_ai_base* chooses a generation, see `ensure_runtime`. Loading the same folder again returns the same module.
    Raises ImportError when *root* is no TEN extension or another folder's extension of that name is loaded already, and
    whatever importing the package itself raises.
    """
    folder = Path(root).resolve()
    name = _extension_name(folder)
    ensure_runtime(ten_ai_base)
    full = f"ten_packages.extension.{name}"
    loaded = sys.modules.get(full)
    if loaded is not None:
        _refuse_other_folder(loaded, folder)
        return loaded
    _namespace("ten_packages")
    parent = _namespace("ten_packages.extension")
    init = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location(full, init, submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None or not init.is_file():
        raise ImportError(f"{folder} is no Python package: it has no __init__.py", name=full)
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for loaded_name in [key for key in sys.modules if key == full or key.startswith(full + ".")]:
            del sys.modules[loaded_name]
        raise
    setattr(parent, name, module)
    return module


def _choose_generation(wanted: str) -> None:
    before = os.environ.get(GENERATION)
    spec = importlib.util.find_spec("ten_ai_base")
    if spec is None or Path(spec.origin or "").parent.parent != INTERFACE:
        raise ImportError(f"ten_ai_base={wanted!r} chooses among the embedded ones, and {spec and spec.origin} is real")
    os.environ[GENERATION] = wanted
    try:
        has = importlib.import_module("ten_ai_base._generation").GENERATION
    except ImportError:
        _set_generation(before)
        raise
    if has != wanted:
        _set_generation(before)
        raise ImportError(f"ten_ai_base={wanted!r} given, but this process has {has} already: start another process")


def _set_generation(value: str | None) -> None:
    if value is None:
        os.environ.pop(GENERATION, None)
    else:
        os.environ[GENERATION] = value


def _extension_name(folder: Path) -> str:
    manifest = folder / "manifest.json"
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except OSError as error:
        raise ImportError(f"{folder} is no TEN extension: {manifest} cannot be read ({error})") from error
    except ValueError as error:
        raise ImportError(f"{manifest} is not JSON: {error}") from error
    name = content.get("name") if isinstance(content, dict) else None
    if not isinstance(name, str) or not name.isidentifier():
        raise ImportError(f"{manifest} must name the extension with an identifier, not {name!r}")
    return name


def _refuse_other_folder(module: ModuleType, folder: Path) -> None:
    places = [Path(place).resolve() for place in getattr(module, "__path__", [])]
    if folder not in places:
        raise ImportError(f"{module.__name__} is loaded already, from {places}; {folder} cannot be loaded beside it")


def _importable(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _namespace(name: str) -> ModuleType:
    """Import *name*, or make an empty package of that name when a bare clone has none."""
    if _importable(name):
        return importlib.import_module(name)
    module = ModuleType(name)
    module.__path__ = []
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
    return module


if __name__ == "__main__":
    print(load_extension().__name__)
