"""The base of speech-to-text extensions at 0.7.48: a connection status whose codes are strings."""

from __future__ import annotations

from typing import Any, final

from .._shared.asr_status import ASRBaseWithStatus
from .._shared.status import Step
from .._shared.struct import ASRResult
from ..types import ASRBufferConfig, ASRBufferConfigModeDiscard, ASRBufferConfigModeKeep
from .message import ModuleConnectionStatus, ModuleConnectionStatusChanged, ModuleType

__all__ = [
    "ASRBufferConfig",
    "ASRBufferConfigModeDiscard",
    "ASRBufferConfigModeKeep",
    "ASRResult",
    "AsyncASRBaseExtension",
]


class AsyncASRBaseExtension(ASRBaseWithStatus):
    """Names the vendor in its status, and has no more of the vendor's than a code."""

    @final
    async def on_disconnected(self, *, code: str = "0", message: str = "closed") -> None:
        """Say that the connection is gone, or that an attempt failed; the subclass calls this."""
        await self._enter(ModuleConnectionStatus.DISCONNECTED, message, code=code)

    def _status_payload(self, step: Step, message: str, **details: Any) -> dict[str, Any]:
        return ModuleConnectionStatusChanged(
            id=self.uuid,
            module=ModuleType.ASR.value,
            vendor=self.vendor(),
            current=step.current.value,
            last=step.last.value,
            message=message,
            metadata=self._report_metadata({}),
            **details,
        ).model_dump()
