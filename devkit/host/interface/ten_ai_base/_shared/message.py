"""Errors and metrics that every kind of module reports."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import BaseModel


class ModuleType(str, Enum):
    ASR = "asr"
    LLM = "llm"
    TTS = "tts"
    MLLM = "mllm"
    AVATAR = "avatar"
    TURN = "turn"


class ModuleErrorCode(str, Enum):
    """Declared with integers, so the values are the strings ``"0"``, ``"-1000"``, ``"1000"``: as in ten_ai_base."""

    OK = 0
    FATAL_ERROR = -1000
    NON_FATAL_ERROR = 1000


class ModuleErrorVendorInfo(BaseModel, defer_build=True):
    """The vendor's own words about an error, all of them strings."""

    vendor: str = ""
    code: str = ""
    message: str = ""


class ModuleError(BaseModel, defer_build=True):
    """An error report. *code* takes the strings of ModuleErrorCode and makes them integers."""

    id: str = ""
    module: str = ""
    code: int = 0
    message: str = ""
    vendor_info: ModuleErrorVendorInfo | None = None
    metadata: dict[str, Any] = {}


class ModuleMetrics(BaseModel, defer_build=True):
    """A metrics report; times are milliseconds."""

    id: str = ""
    module: str = ""
    vendor: str = ""
    metrics: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class ModuleVendorException(Exception):
    """Raised by modules for an error that the vendor reported."""

    def __init__(self, error: ModuleErrorVendorInfo) -> None:
        super().__init__(error.message)
        self.error = error

    def __str__(self) -> str:
        return f"{self.error.vendor}: {self.error.message} (code {self.error.code})"
