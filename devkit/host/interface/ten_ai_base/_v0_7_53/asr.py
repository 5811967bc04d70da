"""The base of speech-to-text extensions as last read: status with the vendor's words, and `provide_features`."""

from __future__ import annotations

from typing import Any, final

from ten_runtime import AsyncTenEnv

from .._shared.asr_status import ASRBaseWithStatus
from .._shared.status import Step
from .._shared.struct import ASRResult
from ..types import ASRBufferConfig, ASRBufferConfigModeDiscard, ASRBufferConfigModeKeep
from .const import DATA_OUT_PROVIDE_FEATURES, LOG_CATEGORY_KEY_POINT
from .message import (
    ModuleConnectionStatus,
    ModuleConnectionStatusChanged,
    ModuleErrorVendorInfo,
    ModuleType,
    ProvideFeaturesPayload,
)

__all__ = [
    "ASRBufferConfig",
    "ASRBufferConfigModeDiscard",
    "ASRBufferConfigModeKeep",
    "ASRResult",
    "AsyncASRBaseExtension",
]


class AsyncASRBaseExtension(ASRBaseWithStatus):
    """Says at its start what it offers; its status has an integer code and the vendor's words."""

    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        features = {"asr.vendor": self.vendor()}
        model = self.vendor_metadata().get("model")
        if isinstance(model, str) and model:
            features["asr.model"] = model
        payload = ProvideFeaturesPayload(features=features).model_dump()
        await self._send(DATA_OUT_PROVIDE_FEATURES, payload)
        ten_env.log_info(f"send {DATA_OUT_PROVIDE_FEATURES}: {payload}", category=LOG_CATEGORY_KEY_POINT)
        await super().on_start(ten_env)

    @final
    async def on_disconnected(
        self, *, code: int = 0, message: str = "closed", vendor_info: ModuleErrorVendorInfo | None = None
    ) -> None:
        """Say that the connection is gone, or that an attempt failed; the subclass calls this."""
        details: dict[str, Any] = {} if vendor_info is None else {"vendor_info": vendor_info}
        await self._enter(ModuleConnectionStatus.DISCONNECTED, message, code=code, **details)

    def _status_payload(self, step: Step, message: str, **details: Any) -> dict[str, Any]:
        details.setdefault("vendor_info", ModuleErrorVendorInfo(vendor=self.vendor()))
        return ModuleConnectionStatusChanged(
            id=self.uuid,
            module=ModuleType.ASR.value,
            current=step.current.value,
            last=step.last.value,
            message=message,
            metadata=self._report_metadata({}),
            **details,
        ).model_dump()
