"""From a graph node to a living extension: find the addon, importing its package if need be, and ask it for one.

An addon that nobody has registered yet is looked for as ``ten_packages.extension.<name>`` on the import path, then
in the checkout this host belongs to, then in the working directory (an extension tested on its own).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import threading
from pathlib import Path
from types import ModuleType

from ._actors import AsyncExtensionActor, ExtensionActor
from ._engine import Instance
from ._graph import NodeSpec
from .addon_manager import Registration, _AddonManager
from .async_extension import AsyncExtension
from .error import HostError
from .extension import Extension
from .ten_env import AddonTenEnv

CREATE_TIMEOUT_S = 30.0
_HERE = Path(__file__).resolve().parent


def create_instance(spec: NodeSpec) -> Instance:
    """Create the extension of a graph node in the calling thread. Raises HostError when there is no such addon."""
    registration = _AddonManager._find(spec.addon) or _import_addon(spec.addon)
    done = threading.Event()
    created: list[object] = []

    def take(instance: object) -> None:
        created.append(instance)
        done.set()

    context = object()
    env = AddonTenEnv(spec.name, context, take)
    try:
        registration.addon().on_create_instance(env, spec.name, context)
    except Exception as error:
        raise HostError(f"addon {spec.addon!r} could not create {spec.name!r}: {error}") from error
    if not done.wait(CREATE_TIMEOUT_S):
        raise HostError(f"addon {spec.addon!r} never called on_create_instance_done for {spec.name!r}")
    return as_instance(spec.name, created[0], registration.base_dir)


def as_instance(name: str, extension: object, base_dir: Path | None) -> Instance:
    """Wrap an extension object. Raises HostError for an object of any other class."""
    if isinstance(extension, AsyncExtension):
        return Instance(AsyncExtensionActor(extension), base_dir, True, "")
    if isinstance(extension, Extension):
        return Instance(ExtensionActor(extension), base_dir, False, f"ten-extension-{name}")
    raise HostError(f"node {name!r}: {type(extension).__name__} is neither Extension nor AsyncExtension")


def _import_addon(name: str) -> Registration:
    folders = _folders()
    for folder in (None, *folders):
        try:
            if folder is None:
                _import_installed(name)
            else:
                _import_from(folder, name)
        except Exception as error:
            raise HostError(f"importing addon {name!r} failed: {type(error).__name__}: {error}") from error
        found = _AddonManager._find(name)
        if found is not None:
            return found
    places = " nor ".join(str(folder) for folder in folders)
    raise HostError(
        f"addon {name!r} not found: not registered, no ten_packages.extension.{name} on the import path, "
        f"and neither {places} is an extension of that name"
    )


def _folders() -> list[Path]:
    """The checkout of this host and the working directory."""
    checkout = _HERE.parent.parent.parent.parent
    try:
        return [checkout, Path.cwd()]
    except OSError:
        return [checkout]


def _import_installed(name: str) -> None:
    full = f"ten_packages.extension.{name}"
    try:
        found = importlib.util.find_spec(full)
    except (ImportError, ValueError):
        return
    if found is not None:
        importlib.import_module(full)


def _import_from(folder: Path, name: str) -> None:
    """Import the extension in *folder*, whatever the folder is called, when its manifest bears *name*."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(manifest, dict) and manifest.get("type") == "extension" and manifest.get("name") == name:
        _loader().load_extension(folder)


def _loader() -> ModuleType:
    """Return devkit/host/loader.py, executed by path: this package knows no other name for it."""
    path = _HERE.parent.parent / "loader.py"
    spec = importlib.util.spec_from_file_location("_ten_host_loader", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise HostError(f"{path} is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
