"""The provider's own protocol, as of November 2026 (GA). It upgrades first and judges afterwards."""

from __future__ import annotations

from collections.abc import Mapping

from ..access import Access
from ..handshake import Refusal, is_realtime_path, judge
from ..voice import Voice
from .base import Dialect


class OpenAI(Dialect):
    """See the module."""

    name = "openai"
    mints = True

    def serves(self, target: str) -> bool:
        """See `Dialect`. Below any prefix at all, as a proxy may have it."""
        return is_realtime_path(target)

    def refuse(self, target: str, headers: Mapping[str, str], access: Access) -> Refusal | None:
        """See `Dialect`."""
        return judge(target, headers, access)

    def voice(self, target: str, epoch: float) -> Voice:
        """See `Dialect`."""
        return Voice()
