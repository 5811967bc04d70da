"""The command by which TEN apps hold back life-cycle stages; named here so that imports work."""

from __future__ import annotations

from ._content import CmdContent
from .cmd import Cmd
from .error import TenError

TRIGGER_LIFE_CYCLE = "ten:trigger_life_cycle"


class TriggerLifeCycleCmd(Cmd):
    """The embedded host answers it with an error: no graph of ours holds stages back."""

    @classmethod
    def create(cls, name: str = TRIGGER_LIFE_CYCLE) -> TriggerLifeCycleCmd:
        return cls._wrap(CmdContent(TRIGGER_LIFE_CYCLE))

    def set_stage(self, stage: str) -> TenError | None:
        return self.set_property_string("stage", stage)
