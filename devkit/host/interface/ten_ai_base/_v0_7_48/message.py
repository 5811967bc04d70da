"""Errors, metrics and, for the first time, the status of a connection."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from .._shared.later_message import *  # noqa: F403


class ModuleConnectionStatusChanged(BaseModel, defer_build=True):
    """A step from one status to another. *code* is a string here and an integer later."""

    id: str = ""
    module: str = ""
    vendor: str = ""
    current: str = ""
    last: str = ""
    code: str = "0"
    message: str = ""
    metadata: dict[str, Any] = {}
