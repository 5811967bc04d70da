"""What the ASR base does with audio while it is not connected."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class ASRBufferConfigModeKeep(BaseModel, defer_build=True):
    """Keep up to *byte_limit* bytes, the newest. The default of ten bytes is ten_ai_base's own."""

    mode: Literal["keep"] = "keep"
    byte_limit: int = 10


class ASRBufferConfigModeDiscard(BaseModel, defer_build=True):
    """Throw it away."""

    mode: Literal["discard"] = "discard"


ASRBufferConfig = ASRBufferConfigModeKeep | ASRBufferConfigModeDiscard
