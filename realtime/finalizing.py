"""Finalize requests: each has its fence, its deadline and exactly one answer, in the order they came (S9).

Client-owned turns are closed at the fence by the session, so a request only waits for them. With server-owned turns
nobody but the server knows whether speech is open; a *probe* finds out: a burst of synthetic silence behind the fence,
then a short wait for what the server makes of it.
"""

from __future__ import annotations

import math
from collections import deque

import msgspec

from .connection import Connection
from .events import ClientError, FinalizeDone
from .ledger import State
from .limits import MAX_REQUESTS
from .stream import Stream
from .turn import Phase, Turn

PROBE_WAIT_S = 0.4
"How long a server that has heard the silence may take to say something."
_OPEN = (Phase.WAITING, Phase.OPEN, Phase.CLOSED)
_UNCLAIMED = frozenset({State.PENDING, State.SENT})


class Request(msgspec.Struct, eq=False):
    """One finalize. `fence`: position of the last frame before it."""

    finalize_id: str
    fence: int
    arrived: float
    deadline: float
    needs_probe: bool = False
    padded: bool = False
    "The synthetic silence is written."
    wait_until: float = math.inf
    "When the server has had its time; infinite until the ping behind the silence came back."
    waited: bool = False
    "That time is over; a commit may have to wait for the transport still."
    commit_event_id: str = ""
    had_speech: bool = False
    internal: bool = False
    "Nobody asked: the session drains before it stops."


class Finalizer:
    """All open requests."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._requests: deque[Request] = deque()
        self._advancing = False
        self._heard_until = 0
        self.fences: deque[int] = deque(maxlen=MAX_REQUESTS)
        "Of the newest requests, answered or not: what was said before one is never of one turn with what follows."
        stream.book.on_settled = self.advance

    @property
    def open(self) -> bool:
        """Whether any request still waits for its answer."""
        return bool(self._requests)

    def add(self, finalize_id: str, now: float, timeout_s: float, *, internal: bool = False) -> None:
        """Take a request; its fence is everything accepted so far. An *internal* one is not answered."""
        stream = self._stream
        fence = stream.ledger.accepted
        request = Request(finalize_id, fence, now, now + timeout_s, internal=internal)
        request.had_speech = any(True for _ in stream.book.unsettled_before(fence))
        if not stream.client_owned:
            request.needs_probe = self._may_hold_speech(fence)
            request.had_speech = request.had_speech or request.needs_probe
        self._requests.append(request)
        self.fences.append(fence)
        if len(self._requests) > MAX_REQUESTS:
            self._expire(self._requests[0], now)

    def answer_now(self, finalize_id: str, outcome: str) -> None:
        """Answer a request that nothing can be done for."""
        fence = self._stream.ledger.accepted
        self._stream.emit(FinalizeDone(finalize_id, self._stream.book.ms(fence), outcome, 0))

    # Probe --------------------------------------------------------------------------------------------------

    @property
    def _unheard_from(self) -> int:
        """What lies before was claimed by a turn, or the server had its time for it and found nothing there."""
        return max(self._stream.book.last_end, self._heard_until)

    def _may_hold_speech(self, fence: int) -> bool:
        book = self._stream.book
        if any(t.phase in _OPEN and t.commit_sent_at is None for t in book.unsettled_before(fence)):
            return True
        return self._stream.ledger.unsettled_speech(self._unheard_from, fence, _UNCLAIMED)

    def current_probe(self, conn: Connection) -> Request | None:
        """The request whose silence or commit is the next thing to write behind its fence."""
        for request in self._requests:
            if request.needs_probe and (not request.padded or not request.commit_event_id):
                return request
        return None

    def wait_for_server(self, request: Request, conn: Connection) -> None:
        """The silence is on its way: the server's time begins when a ping sent behind it comes back."""

        def on_pong(now: float) -> None:
            request.wait_until = now + PROBE_WAIT_S

        conn.on_pong.append(on_pong)
        conn.ping_at = 0.0

    def commit_due(self, request: Request, now: float) -> bool:
        """The server had its time, and a turn is still open before the fence."""
        request.waited = request.waited or now >= request.wait_until
        return request.waited and self._open_turn(request) is not None

    def commit_probe(self, request: Request) -> str:
        """What the server holds is committed on behalf of *request*; returns the id of that commit."""
        request.padded = True
        request.commit_event_id = self._stream.new_id("commit")
        return request.commit_event_id

    def commit_refused(self, event_id: str, *, empty: bool) -> None:
        """An error named *event_id*; if it was our commit, nothing will come of it. *empty*: nothing was there."""
        for request in self._requests:
            if event_id and request.commit_event_id == event_id:
                self._end_probe(request, heard=empty)

    def _open_turn(self, request: Request) -> Turn | None:
        for turn in self._stream.book.unsettled_before(request.fence):
            if turn.phase in (Phase.OPEN, Phase.CLOSED) and turn.commit_sent_at is None:
                return turn
        return None

    @property
    def probing(self) -> bool:
        """Whether the server is being asked what it heard before a fence."""
        return any(r.needs_probe and r.padded for r in self._requests)

    def _forget_waiting(self, request: Request, now: float) -> None:
        """The server heard everything before the fence again: what it did not take this time is nothing."""
        if request.waited and self._open_turn(request) is None:
            self._stream.book.retire_waiting(request.fence, now)

    def _probe_settled(self, request: Request) -> bool:
        if not request.padded:
            return not self._may_hold_speech(request.fence)
        if self._open_turn(request) is not None:
            return False
        if self._stream.detection == "semantic_vad" and not request.waited:
            return not self._stream.ledger.unsettled_speech(self._unheard_from, request.fence, _UNCLAIMED)
        return request.waited or self._reached(request)

    def _reached(self, request: Request) -> bool:
        """An item took everything that may have been speech before the fence."""
        stream = self._stream
        return not stream.ledger.unsettled_speech(self._unheard_from, request.fence, _UNCLAIMED)

    def _end_probe(self, request: Request, *, heard: bool) -> None:
        request.needs_probe = False
        if heard:
            self._heard_until = max(self._heard_until, request.fence)

    def connection_lost(self) -> None:
        """What a probe learnt died with its connection; it starts over on the next one if there is still need."""
        self._heard_until = 0
        for request in self._requests:
            request.needs_probe = not self._stream.client_owned and self._may_hold_speech(request.fence)
            request.padded = request.waited = False
            request.wait_until = math.inf
            request.commit_event_id = ""

    # Answers ------------------------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Answer every request whose turn it is."""
        if self._advancing:  # giving up on a request settles turns, which asks again
            return
        self._advancing = True
        try:
            self._advance(now)
        finally:
            self._advancing = False

    def _advance(self, now: float) -> None:
        for request in self._requests:
            request.waited = request.waited or now >= request.wait_until
            if request.needs_probe:
                self._forget_waiting(request, now)
            if request.needs_probe and self._probe_settled(request):
                self._end_probe(request, heard=request.padded)
        while self._requests:
            request = self._requests[0]
            if self._complete(request):
                self._answer(request, "final" if request.had_speech else "empty", now)
            elif now >= request.deadline:
                self._expire(request, now)
            else:
                return

    def _complete(self, request: Request) -> bool:
        if request.needs_probe:
            return False
        return not any(self._holds(turn, request) for turn in self._stream.book.unsettled_before(request.fence))

    def _holds(self, turn: Turn, request: Request) -> bool:
        # A turn without an end that is the client's own is the one after the fence, opened before any audio came.
        return not (turn.client_owned and turn.span_end is None and turn.span_start >= request.fence)

    def _expire(self, request: Request, now: float) -> None:
        missing = self._stream.book.release_before(request.fence, now)
        what = f"{len(missing)} turn(s)" if missing else "the server"
        if not request.internal:
            self._stream.emit(self._timeout(what))
        self._answer(request, "timeout", now)

    @staticmethod
    def _timeout(what: str) -> ClientError:
        return ClientError(
            "finalize_timeout",
            f"finalize was answered at its deadline without waiting longer for {what}; "
            "text that comes later goes out marked late. If the server is always this slow, "
            "raise params.finalize_timeout_ms",
        )

    def _answer(self, request: Request, outcome: str, now: float) -> None:
        self._requests.popleft()
        if request.internal:
            return
        latency = round((now - request.arrived) * 1000)
        fence_ms = self._stream.book.ms(request.fence)
        self._stream.book.losses.flush()  # what was lost is told before the answer
        self._stream.book.answered_until = request.fence
        self._stream.emit(FinalizeDone(request.finalize_id, fence_ms, outcome, latency))

    def answer_all(self, outcome: str, now: float) -> None:
        """Answer what is left, in order."""
        self._advancing = True
        while self._requests:
            self._stream.book.release_before(self._requests[0].fence, now)
            self._answer(self._requests[0], outcome, now)
        self._advancing = False

    def deadline(self) -> float:
        """When `advance` is due next; infinite if nothing is open."""
        if not self._requests:
            return math.inf
        waits = (r.wait_until for r in self._requests if r.needs_probe and not r.waited)
        return min([self._requests[0].deadline, *waits])
