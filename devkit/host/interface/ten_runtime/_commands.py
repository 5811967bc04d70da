"""The way back of command results."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ._content import ResultContent, ReturnPath
from ._graph import Conversion
from .cmd_result import CmdResult, StatusCode
from .error import TenError

if TYPE_CHECKING:
    from ._node import Node

ResultHandler = Callable[["CmdResult | None", "TenError | None"], None]


class ReplyBox:
    """Collects the results of one sent command, whatever number of receivers it has.

    With *every* each result reaches the sender; without it only one does: the first error, or the last OK.
    *handler* is called on the sender's loop.
    """

    def __init__(self, sender: Node, handler: ResultHandler, every: bool) -> None:
        self._sender = sender
        self._handler = handler
        self._every = every
        self._lock = threading.Lock()
        self._outstanding: set[int] = set()
        self._closed = False

    def return_path(self, conversion: Conversion | None) -> ReturnPath:
        """Return the path for one more receiver."""
        token = len(self._outstanding)
        self._outstanding.add(token)
        back = None if conversion is None else conversion.result

        def take(result: ResultContent) -> bool:
            return self._take(token, result, back)

        return take

    def _take(self, token: int, result: ResultContent, conversion: Conversion | None) -> bool:
        if conversion is not None:
            conversion.apply(result)
        if self._sender.schema.check_result("in", result) is not None:
            result.status = int(StatusCode.ERROR)
        with self._lock:
            if self._closed or token not in self._outstanding:
                return False
            if result.final:
                self._outstanding.discard(token)
            failed = result.status != StatusCode.OK
            if self._every:
                result.completed = not self._outstanding
            elif not result.final or not (failed or not self._outstanding):
                return True
            else:
                result.completed = True
            self._closed = result.completed
        return self._sender.thread.call(self._handler, CmdResult._wrap(result), None)


def error_result(name: str, detail: str) -> ResultContent:
    """Return the ERROR result the runtime itself gives, with its *detail*."""
    result = ResultContent(name, int(StatusCode.ERROR), None)
    result.props["detail"] = detail
    return result
