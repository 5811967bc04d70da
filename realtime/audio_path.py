"""The part of a session that audio passes: at once, while it is only to be sent, and else by way of everything.

Nearly always nothing has to be done for a frame but to enter it in the ledger and to send it. The session finds out
when that is so, and up to which position (`_find_steady`, behind whatever else happened), and what audio needs besides
is then seen to every half second. A class of its own because it is a subject of its own; it is one part of `Session`,
and of nothing else.
"""

from __future__ import annotations

from .actions import Action, Send
from .audio_store import BYTES_PER_SAMPLE
from .connection import Connection
from .lifecycle import SessionState as S
from .parts import SessionParts
from .rollover import open_turn
from .stream import NOT_STARTED_WINDOW_S
from .turn import Phase

LOOK_AFTER_MS = 500
"Audio that may come before what it needs besides being sent is seen to."
LONGEST_FRAME_S = 1.0
"Longer ones are no frames, and go out in pieces."
MIN_WINDOW_S = 10.0
"Audio kept for a first send when replay is switched off."


class AudioPath(SessionParts):
    """What `Session` inherits. The attributes are the session's."""

    _actions: list[Action]
    _steady_until: int
    "Up to this position audio needs nothing done but to be kept, and sent if there is a carrier."
    _carrier: Connection | None
    _looked_after: int
    "Position up to which `_look_after` has seen the audio."
    _longest_frame: int
    "Bytes; known where audio is steady."

    def push_audio(self, pcm: bytes, now: float) -> bool:
        """Accept s16le mono at the stream's rate, in every state.

        Returns True if nothing came of it but, at most, one `Send`: no event waits, and no deadline has moved.
        """
        if self._stream.ledger.accepted < self._steady_until and len(pcm) <= self._longest_frame:
            conn = self._carrier
            if conn is None:
                self._stream.ledger.append(pcm)
                return True
            if conn.in_flight == 0:
                if self._sender.wake_at is not None:
                    return self._gather(conn, pcm, now)
                message = self._sender.carry(conn, pcm, now)
                if message is None:
                    return False  # it is gathered from now on: the timer is to be set
                conn.in_flight, conn.blocked_since = 1, now
                self._actions.append(Send(conn.id, message))
                if conn.outbox:
                    self._steady_until = 0
                return True
        if self.state is not S.STOPPED and pcm:
            self._stream.ledger.append(pcm)
            self._flush(now)
        return False

    def _gather(self, conn: Connection, pcm: bytes, now: float) -> bool:
        """Audio that came too fast, or is to go out in packets, waits for more."""
        self._stream.ledger.append(pcm)
        if self._sender.gathers(conn, now):
            return True
        self._flush(now)
        return False

    def _look_after(self, now: float) -> None:
        """What audio needs besides being sent: ageing, turns that grow too long, a server that does not hear it."""
        stream = self._stream
        self._looked_after = stream.ledger.accepted
        self._turns.audio_accepted()
        stream.gate_old_silence()
        if self.state in (S.IDLE, S.FAILED):
            cause = "not_started" if self.state is S.IDLE else "fatal"
            stream.enforce_window(window_s=NOT_STARTED_WINDOW_S, idle_cause=cause)
        else:
            ready = self._conn is not None and self._conn.ready
            stream.enforce_window(window_s=self._window_s, answering=ready)
            self._limit_length()
            if self._conn is not None and ready:
                self._watchdog.listen(self._conn, now)
        stream.book.losses.next_frame()
        stream.bound(now)

    @property
    def _window_s(self) -> float:
        """Seconds of audio that are kept."""
        return self.options.replay_window_ms / 1000 or MIN_WINDOW_S

    def _find_steady(self) -> None:
        """See whether the audio that comes next needs nothing but to be sent, or kept, and for how long."""
        self._steady_until = 0
        conn, sender, stream = self._conn, self._sender, self._stream
        if self._rollover.spare is not None or self._updates.current is not None or self._finalizer.open:
            return
        if self.state is S.READY and conn is not None and not conn.in_flight and not conn.outbox and conn.cut is None:
            if sender.keeps_up(conn):
                self._carrier = conn
            elif stream.detection == "local_vad" and not self._turns.takes_audio:
                self._carrier = None
            else:
                return
        elif self.state in (S.CONNECTING, S.BACKOFF) and not self._turns.wants_turn:
            self._carrier = None
        else:
            return
        until = self._looked_after + stream.samples(LOOK_AFTER_MS)
        full = stream.ledger.kept_from + round(self._window_s * stream.rate)
        self._steady_until = min(until, full, stream.must_look_at())
        self._longest_frame = round(LONGEST_FRAME_S * stream.rate) * BYTES_PER_SAMPLE

    def _limit_length(self) -> None:
        self._turns.limit_length()
        conn = self._conn
        if conn is not None and conn.ready and conn.cut is None and not self._stream.client_owned:
            turn = open_turn(conn, self._stream)
            if turn is not None and turn.phase is Phase.OPEN and self._stream.must_end(turn):
                conn.cut = self._stream.ledger.accepted
