"""The command that starts another graph in this app."""

from __future__ import annotations

from ._content import CmdContent
from .cmd import Cmd
from .error import TenError

START_GRAPH = "ten:start_graph"


class StartGraphCmd(Cmd):
    """Send it to ``Loc("")``; its result carries the string property ``graph_id``."""

    @classmethod
    def create(cls, name: str = START_GRAPH) -> StartGraphCmd:
        return cls._wrap(CmdContent(START_GRAPH))

    def set_graph_from_json(self, json_str: str) -> TenError | None:
        """The graph itself: ``{"nodes": [...], "connections": [...]}``."""
        return self.set_property_from_json("graph", json_str)

    def set_predefined_graph_name(self, predefined_graph_name: str) -> TenError | None:
        """The name of one of the app's ``predefined_graphs``."""
        return self.set_property_string("predefined_graph", predefined_graph_name)

    def set_sync_stop_before_deinit(self, enabled: bool) -> TenError | None:
        """True: no extension of the graph deinitialises before all of them have stopped."""
        return self.set_property_bool("sync_stop_before_deinit", enabled)
