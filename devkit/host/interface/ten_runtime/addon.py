"""Factories of extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ten_env import TenEnv


class Addon:
    """Subclassed and registered by a package; makes one extension per graph node."""

    def on_create_instance(self, ten_env: TenEnv, name: str, context: object) -> None:
        """Answer with ``ten_env.on_create_instance_done(instance, context)``; *name* is the node's name."""
        raise TypeError(f"addon {type(self).__name__} does not define on_create_instance")
