"""Time that passes only while nobody has anything to do, for event loops in several threads that talk over sockets.

    with shared_time() as clock:
        ...  # loops made in here go by it; `clock.now` for whatever takes a clock

The clock of these loops stands still while any of them runs, and while one has something to read. Once every running
loop has looked after the last of them fell idle and found nothing, the clock jumps to the next timer of any. So minutes
take a moment, a busy machine changes nothing, and a deadline is missed only if what it waits for never comes.

What it cannot see is work in threads without a loop: time may pass while they work, as while a host stops; `hold` is
for those whose work counts. For one loop without sockets there is `virtual_time.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

_HOLD_S = 30.0
"Real time for which `hold` is believed: what should have ended it has gone wrong."
_LOOK_S = 0.001
"Real time after which an idle loop looks at its sockets again, if no other loop gives it a reason before."


@dataclass(eq=False)
class _Member:
    loop: Any
    deadline: float | None = None
    "When its next timer is due; None while it runs."
    looked_after: int = -1
    "The newest turn of events after which it found nothing to read."


class SharedClock:
    """The time of all loops that were made while it was in use."""

    def __init__(self) -> None:
        self._now = time.monotonic()
        self._turn = 0
        "Counts what may concern others: a loop that became idle or ceased to be, time that passed."
        self._members: list[_Member] = []
        self._held_until = 0.0
        self._lock = threading.Condition()

    def now(self) -> float:
        """Seconds, as of `time.monotonic` when the clock was made."""
        return self._now

    def hold(self) -> None:
        """Let no time pass before `release`: threads without a loop have work to do."""
        self._held_until = time.monotonic() + _HOLD_S

    def release(self) -> None:
        """Time may pass from now on."""
        self._held_until = 0.0

    def adopt(self, loop: Any) -> None:
        """Have *loop* go by this clock."""
        member = _Member(loop)
        look = loop._selector.select  # asyncio lets one give a loop its selector, but not change it

        def select(timeout: float | None = None) -> Any:
            ready = look(0)
            if ready or (timeout is not None and timeout <= 0):
                return ready
            self._idle(member, math.inf if timeout is None else self._now + timeout)
            while not self._due(member):
                turn = self._turn
                ready = look(0)
                if ready:
                    self._busy(member)
                    return ready
                member.looked_after = turn
                self._wait_for_news(turn)
            return look(0)

        loop.time = self.now
        loop._selector.select = select
        with self._lock:
            self._members.append(member)

    def _idle(self, member: _Member, deadline: float) -> None:
        with self._lock:
            member.deadline = deadline
            self._news()

    def _busy(self, member: _Member) -> None:
        with self._lock:
            member.deadline = None
            self._news()

    def _due(self, member: _Member) -> bool:
        """Whether *member*'s timer is due, after letting time pass if it may."""
        with self._lock:
            self._let_time_pass()
            assert member.deadline is not None
            if member.deadline > self._now:
                return False
            member.deadline = None
            self._news()
            return True

    def _wait_for_news(self, turn: int) -> None:
        with self._lock:
            if self._turn == turn:
                self._lock.wait(_LOOK_S)

    def _news(self) -> None:
        self._turn += 1
        self._lock.notify_all()

    def _let_time_pass(self) -> None:
        if self._held_until and time.monotonic() < self._held_until:
            return
        self._members = [member for member in self._members if not member.loop.is_closed()]
        running = [member for member in self._members if member.loop.is_running()]
        deadlines = [member.deadline for member in running if member.looked_after == self._turn]
        known = [deadline for deadline in deadlines if deadline is not None]
        if len(known) == len(running) and math.isfinite(soonest := min(known, default=math.inf)):
            if soonest > self._now:
                self._now = soonest
                self._news()


@contextlib.contextmanager
def shared_time() -> Iterator[SharedClock]:
    """See the module's docstring."""
    clock = SharedClock()
    make = asyncio.SelectorEventLoop.__init__

    def adopted(loop: Any, *args: Any, **kwargs: Any) -> None:
        make(loop, *args, **kwargs)
        clock.adopt(loop)

    with mock.patch.object(asyncio.SelectorEventLoop, "__init__", adopted):
        yield clock
