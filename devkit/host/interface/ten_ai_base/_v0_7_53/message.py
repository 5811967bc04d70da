"""Errors, metrics, the status of a connection with the vendor's words, and what a module can do."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from .._shared.later_message import *  # noqa: F403
from .._shared.message import ModuleErrorVendorInfo


class ModuleConnectionStatusChanged(BaseModel, defer_build=True):
    """A step from one status to another, with what the vendor said about it."""

    id: str = ""
    module: str = ""
    vendor_info: ModuleErrorVendorInfo = ModuleErrorVendorInfo()
    current: str = ""
    last: str = ""
    code: int = 0
    message: str = ""
    metadata: dict[str, Any] = {}


class ProvideFeaturesPayload(BaseModel, defer_build=True):
    """What a module says of itself when it starts."""

    features: dict[str, Any] = {}
