"""The process-wide register of addons, filled by importing the packages that define them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar

from ._log import note
from .addon import Addon

AddonT = TypeVar("AddonT", bound=type[Addon])


class Registration(NamedTuple):
    """A registered addon class and the folder whose manifest.json and property.json describe its extension."""

    addon: type[Addon]
    base_dir: Path | None


class _AddonManager:
    """Names as TEN's: apps and tests call :meth:`register_all_addons`; here registering is complete at import."""

    _registry: ClassVar[dict[str, Registration]] = {}

    @classmethod
    def register_all_addons(cls, register_ctx: object) -> None:
        """Nothing is left to do: :func:`register_addon_as_extension` has entered every addon already."""

    @classmethod
    def _find(cls, name: str) -> Registration | None:
        return cls._registry.get(name)


def register_addon_as_extension(name: str, base_dir: str | None = None) -> Callable[[AddonT], AddonT]:
    """Class decorator that enters an addon under *name* and returns the class unchanged.

    *base_dir* is any file in the extension's folder (its ``dirname`` is used); by default the calling file.
    A second addon of the same name is skipped with a note, as in TEN, unless it is the same class loaded anew.
    """
    path = sys._getframe(1).f_code.co_filename if base_dir is None else base_dir
    folder = Path(os.path.dirname(path)).absolute() if os.path.dirname(path) else None

    def enter(addon: AddonT) -> AddonT:
        known = _AddonManager._registry.get(name)
        if known is not None and known.addon.__module__ != addon.__module__:
            other = known.addon.__module__
            note(logging.WARNING, f"addon {name!r} is registered by {other}; the one of {addon.__module__} is skipped")
            return addon
        _AddonManager._registry[name] = Registration(addon, folder)
        return addon

    return enter
