"""What the classes that a session is put together from have in common."""

from __future__ import annotations

from collections.abc import Callable

from .client_turns import ClientTurns
from .connection import Connection
from .finalizing import Finalizer
from .lifecycle import SessionState
from .options import SessionOptions
from .overdue import Watchdog
from .reconfigure import Reconfigurer
from .rollover import Rollover
from .sending import Sender
from .stream import Stream


class SessionParts:
    """Names for what `Session` makes, and its pieces share. It has no life of its own."""

    options: SessionOptions
    state: SessionState
    _stream: Stream
    _turns: ClientTurns
    _finalizer: Finalizer
    _sender: Sender
    _rollover: Rollover
    _watchdog: Watchdog
    _updates: Reconfigurer
    _conn: Connection | None
    "The connection that carries the stream."
    _flush: Callable[[float], None]
