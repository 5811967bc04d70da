"""What the base of speech-to-text extensions does since it keeps the status of the connection."""

from __future__ import annotations

import functools
from typing import Any, final

from .asr import ASRBase
from .const import LOG_CATEGORY_KEY_POINT, PROPERTY_KEY_SESSION_ID
from .later_message import VENDOR_METADATA_KEY, ModuleConnectionStatus
from .masking import redact_json
from .status import ConnectionMachine, Step

_STATUS_CHANGED = "connection_status_changed"


class ASRBaseWithStatus(ASRBase):
    """Announces every change of the connection's status, and says with everything whose connection it was."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._connection_machine = ConnectionMachine()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Announce `connecting` before a `start_connection` of the class runs, whoever calls it."""
        super().__init_subclass__(**kwargs)
        start_connection = cls.__dict__.get("start_connection")
        if start_connection is None or getattr(start_connection, "announces_connecting", False):
            return

        @functools.wraps(start_connection)
        async def announced(self: ASRBaseWithStatus, *args: Any, **kwargs: Any) -> Any:
            await self._enter(ModuleConnectionStatus.CONNECTING)
            return await start_connection(self, *args, **kwargs)

        announced.announces_connecting = True  # type: ignore[attr-defined]
        cls.start_connection = announced  # type: ignore[method-assign, assignment]

    @property
    def connection_status(self) -> ModuleConnectionStatus:
        """What was announced last. Whether audio may be sent is `is_connected`'s to say."""
        return self._connection_machine.status

    def vendor_metadata(self) -> dict[str, Any]:
        """Return what identifies the vendor's service: key, url, model, region. Secrets are masked by their names."""
        return {}

    @final
    async def on_connected(self) -> None:
        """Say that the connection can be used; the subclass calls this."""
        await self._enter(ModuleConnectionStatus.CONNECTED)

    async def _on_connection_stopped(self) -> None:
        await self._enter(ModuleConnectionStatus.DISCONNECTED, "stopped")

    async def _enter(self, status: ModuleConnectionStatus, message: str = "", **details: Any) -> None:
        step = self._connection_machine.enter(status)
        if step is None:
            self.ten_env.log_debug(f"connection status is {status.value} already")
            return
        if not step.valid:
            self.ten_env.log_warn(f"invalid change of connection status: {step.last.value} to {step.current.value}")
        payload = self._status_payload(step, message, **details)
        await self._send(_STATUS_CHANGED, payload)
        self.ten_env.log_info(f"send {_STATUS_CHANGED}: {payload}", category=LOG_CATEGORY_KEY_POINT)

    def _status_payload(self, step: Step, message: str, **details: Any) -> dict[str, Any]:
        """Return the message about *step*; what it looks like is the generation's own."""
        raise TypeError(f"{type(self).__name__} must define _status_payload()")

    def _report_metadata(self, extra: dict[str, Any]) -> dict[str, Any]:
        metadata = {**(self.metadata or {}), **extra, VENDOR_METADATA_KEY: redact_json(self.vendor_metadata())}
        if self.session_id is not None:
            metadata[PROPERTY_KEY_SESSION_ID] = self.session_id
        return metadata
