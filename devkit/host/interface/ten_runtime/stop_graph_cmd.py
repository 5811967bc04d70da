"""The command that stops a graph of this app."""

from __future__ import annotations

from ._content import CmdContent
from .cmd import Cmd
from .error import TenError

STOP_GRAPH = "ten:stop_graph"
CLOSE_APP = "ten:close_app"


class StopGraphCmd(Cmd):
    """Send it to ``Loc("")``. Without a graph id it stops the sender's own graph."""

    @classmethod
    def create(cls, name: str = STOP_GRAPH) -> StopGraphCmd:
        return cls._wrap(CmdContent(STOP_GRAPH))

    def set_graph_id(self, graph_id: str) -> TenError | None:
        return self.set_property_string("graph_id", graph_id)
