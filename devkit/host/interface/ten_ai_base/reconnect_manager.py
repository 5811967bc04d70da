"""One reconnect attempt at a time, with growing delays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .message import ModuleError, ModuleErrorCode, ModuleType


class ReconnectManager:
    """Delays grow from *base_delay* by doubling up to *max_delay*, in seconds; a success starts over."""

    def __init__(self, base_delay: float = 0.5, max_delay: float = 4.0, logger: Any = None) -> None:
        self.base_delay = base_delay
        self.max_delay = max_delay
        self.logger = logger
        self._attempts = 0

    def mark_connection_successful(self) -> None:
        """The connection works: the next delay is the shortest again."""
        self._attempts = 0

    async def handle_reconnect(
        self,
        connection_func: Callable[[], Awaitable[None]],
        error_handler: Callable[[ModuleError], Awaitable[None]] | None = None,
    ) -> bool:
        """Wait, then try once. False when the attempt raised; *error_handler* gets a FATAL error then."""
        self._attempts += 1
        await asyncio.sleep(min(self.base_delay * 2 ** (self._attempts - 1), self.max_delay))
        try:
            await connection_func()
        except Exception as error:
            if self.logger is not None:
                self.logger.log_error(f"reconnect attempt {self._attempts} failed: {error}")
            if error_handler is not None:
                code = int(ModuleErrorCode.FATAL_ERROR.value)
                message = f"reconnect attempt {self._attempts} failed: {error}"
                await error_handler(ModuleError(module=ModuleType.ASR.value, code=code, message=message))
            return False
        return True
