"""Options of the ``send_*`` calls."""

from __future__ import annotations


class SendOptions:
    """*wait_for_result*: report what became of the message instead of ``None`` as soon as it is queued."""

    def __init__(self, wait_for_result: bool = False) -> None:
        self.wait_for_result = wait_for_result
