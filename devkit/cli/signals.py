"""Being told to end, while an event loop runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal


def first_signal(*numbers: signal.Signals) -> asyncio.Future[signal.Signals]:
    """Done with the first of these signals that comes.

    Left to asyncio, Ctrl-C interrupts whatever runs at that moment, and Python 3.10 prints a traceback of it.
    """
    loop = asyncio.get_running_loop()
    told: asyncio.Future[signal.Signals] = loop.create_future()

    def tell(number: signal.Signals) -> None:
        if not told.done():
            told.set_result(number)
        loop.remove_signal_handler(number)  # who says it twice will not wait

    # Windows has no signal handlers on its loops; there the interruption stays what it is.
    with contextlib.suppress(NotImplementedError):
        for number in numbers:
            loop.add_signal_handler(number, tell, number)
    return told
