"""Small extensions registered for one test, with a manifest and properties of their own where a test gives some."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ten_runtime import Addon, AsyncExtensionTester, _AddonManager, register_addon_as_extension

Register = Callable[..., str]


@pytest.fixture
def register(tmp_path: Path) -> Iterator[Register]:
    """Register an extension class: ``register("name", Class, api={...}, properties={...})``."""
    names: list[str] = []

    def enter(
        name: str,
        extension: Callable[[str], Any],
        *,
        api: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
    ) -> str:
        folder = tmp_path / name
        folder.mkdir()
        if api is not None:
            manifest = {"type": "extension", "name": name, "version": "1.0.0", "api": api}
            (folder / "manifest.json").write_text(json.dumps(manifest))
        if properties is not None:
            (folder / "property.json").write_text(json.dumps(properties))

        @register_addon_as_extension(name, base_dir=str(folder / "addon.py"))
        class TestAddon(Addon):
            def on_create_instance(self, ten_env: Any, name: str, context: object) -> None:
                ten_env.on_create_instance_done(extension(name), context)

        names.append(name)
        return name

    yield enter
    for name in names:
        _AddonManager._registry.pop(name, None)


@pytest.fixture
def run_single() -> Callable[..., AsyncExtensionTester]:
    """Run a tester class against one addon, insist that it passed, and return the tester."""

    def run(
        tester_class: type[AsyncExtensionTester], addon: str, properties: dict[str, Any] | None = None
    ) -> AsyncExtensionTester:
        tester = tester_class()
        tester.set_test_mode_single(addon, None if properties is None else json.dumps(properties))
        tester.set_timeout(60_000_000)
        error = tester.run()
        assert error is None, str(error)
        return tester

    return run
