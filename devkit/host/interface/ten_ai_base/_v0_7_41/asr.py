"""The base of speech-to-text extensions at 0.7.41: there is no connection status."""

from __future__ import annotations

from .._shared.asr import ASRBase
from .._shared.struct import ASRResult
from ..types import ASRBufferConfig, ASRBufferConfigModeDiscard, ASRBufferConfigModeKeep

__all__ = [
    "ASRBufferConfig",
    "ASRBufferConfigModeDiscard",
    "ASRBufferConfigModeKeep",
    "ASRResult",
    "AsyncASRBaseExtension",
]


class AsyncASRBaseExtension(ASRBase):
    """Sends results, errors and metrics; an error's own metadata is ignored."""
