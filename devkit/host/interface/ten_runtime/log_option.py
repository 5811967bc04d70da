"""Options of TEN's log calls."""

from __future__ import annotations


class LogOption:
    """*skip*: stack frames above the internal logger at which the caller is found; *sync*: wait until written.

    The embedded host writes every record before the call returns, so *sync* changes nothing here.
    """

    def __init__(self, skip: int = 2, sync: bool = False) -> None:
        self.skip = skip
        self.sync = sync


DefaultLogOption = LogOption()
