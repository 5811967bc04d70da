"""The app object of TEN programs and of test sessions."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from ._app_core import AppCore
from ._properties import read_property_file
from ._values import get_at, parse_json
from .error import VALUE_NOT_FOUND, TenError, TenErrorCode
from .ten_env import DetachedTenEnv, TenEnv


class AppTenEnv(DetachedTenEnv):
    """The environment of an app's own hooks: logging, the app's properties, the ``on_*_done`` calls."""

    def __init__(self, core: AppCore) -> None:
        super().__init__("app")
        self.given_properties: dict[str, Any] | None = None
        self._core = core
        self._stages = {stage: threading.Event() for stage in ("configure", "init", "deinit")}
        self._done = self._note_done

    def wait_done(self, stage: str) -> None:
        """Block until the app has called ``on_<stage>_done``."""
        self._stages[stage].wait()

    def _note_done(self, stage: str) -> None:
        self._stages[stage].set()

    def _get(self, path: str | None) -> tuple[Any, TenError | None]:
        try:
            return get_at(self._core.properties, (path or "").removeprefix("app:")), None
        except (KeyError, ValueError):
            return None, TenError.create(VALUE_NOT_FOUND, f"the app has no property {path!r}")

    def _init_json(self, json_str: str) -> TenError | None:
        if self._stages["configure"].is_set():
            message = "init_property_from_json has its time in on_configure"
            return TenError.create(TenErrorCode.ErrorCodeGeneric, message)
        try:
            value = parse_json(json_str)
        except ValueError as error:
            return TenError.create(TenErrorCode.ErrorCodeInvalidJSON, f"not JSON: {error}")
        if not isinstance(value, dict):
            return TenError.create(TenErrorCode.ErrorCodeInvalidJSON, "properties must be a JSON object")
        self.given_properties = value
        return None


class App:
    """Runs the ``auto_start`` graphs of its properties until it is closed or the last graph has ended.

    Properties come from ``init_property_from_json`` in on_configure, else from property.json in the working
    directory when its manifest.json says it is an app.
    """

    def __init__(self) -> None:
        self._core = AppCore()
        self._thread: threading.Thread | None = None
        self._background_failure: BaseException | None = None

    def run(self, run_in_background: bool = False) -> None:
        """Run; *run_in_background* False blocks until closed. Raises HostError where TEN would end the process."""
        if not run_in_background:
            self._run()
            return
        self._thread = threading.Thread(target=self._run_in_background, name="ten-app", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Block until an app in the background has ended. Raises what :meth:`run` would have raised."""
        if self._thread is not None:
            self._thread.join()
        if self._background_failure is not None:
            raise self._background_failure

    def close(self) -> None:
        """End the app; from any thread, any number of times."""
        self._core.close()

    def on_configure(self, ten_env: TenEnv) -> None:
        ten_env.on_configure_done()

    def on_init(self, ten_env: TenEnv) -> None:
        ten_env.on_init_done()

    def on_deinit(self, ten_env: TenEnv) -> None:
        ten_env.on_deinit_done()

    def _run_in_background(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self._background_failure = error

    def _run(self) -> None:
        env = AppTenEnv(self._core)
        self.on_configure(env)
        env.wait_done("configure")
        given = env.given_properties
        self._core.configure(_own_properties() if given is None else given)
        self.on_init(env)
        env.wait_done("init")
        try:
            self._core.run(self._start_graphs)
        finally:
            self.on_deinit(env)
            env.wait_done("deinit")
        if self._core.failure is not None:
            raise self._core.failure

    def _start_graphs(self) -> None:
        for entry in self._core.auto_start_graphs():
            self._core.start_predefined(entry)


def _own_properties() -> dict[str, Any]:
    folder = Path.cwd()
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_app = isinstance(manifest, dict) and manifest.get("type") == "app"
    return read_property_file(folder) if is_app else {}
