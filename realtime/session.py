"""The client's half of a Realtime transcription session, without I/O, clock or randomness.

Three things drive it: the caller's audio, the server's messages, and one timer. Every input takes `now`, the
monotonic time in seconds. After every input take `actions()` and do them, drain `next_event()`, and call
`handle_timer` at `get_timer()`. Nothing a server or a network does raises here.

The life of the session is the table in `lifecycle.py`; `docs/session.md` draws it. The file is a little longer than
others because the whole contract is one class; what it does is in the files it puts together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import messages as wire
from .actions import Action, Close, Connect, Ping, Send
from .backoff import USEFUL_AFTER_S, Backoff, is_refusal, retry_after_seconds
from .client_turns import ClientTurns
from .connection import Connection, Encoder, Stage
from .errors import show_value
from .events import ClientError, Connected, Connecting, Disconnected, Event, WireEvent
from .finalizing import Finalizer
from .handshake import check_echo, config_error, update_message
from .lifecycle import TRANSITIONS, SessionState
from .options import SessionOptions
from .receiving import Receiver, server_error
from .reporting import Reports
from .sending import Sender
from .stream import NOT_STARTED_WINDOW_S, LevelMarker, SessionStats, Stream
from .wire_map import WireMap

S = SessionState
MIN_WINDOW_S = 10.0
"Audio kept for a first send when replay is switched off."


class Session:
    """See the module's docstring for the contract."""

    def __init__(
        self,
        options: SessionOptions,
        *,
        encoder: Callable[[], Encoder],
        level: LevelMarker,
        random: Callable[[], float],
        new_id: Callable[[str], str],
    ) -> None:
        """*encoder* makes one per connection; *random* gives [0, 1); *new_id* a fresh id for a purpose."""
        if options.turn_detection.type == "auto":
            raise ValueError("turn_detection: auto must be resolved first (realtime.models)")
        self.options = options
        self.state = S.IDLE
        self._make_encoder = encoder
        self._random = random
        self._stream = Stream(options, level, new_id)
        self._finalizer = Finalizer(self._stream)
        self._turns = ClientTurns(self._stream)
        self._sender = Sender(self._stream, self._finalizer)
        self._reports = Reports(self._stream)
        self._receiver = Receiver(self._stream, self._finalizer, lambda e: self._reports.server_error(e, live=True))
        self._backoff = Backoff()
        self._actions: list[Action] = []
        self._conn: Connection | None = None
        self._next_conn = 1
        self._dial_at: float | None = None
        self._drain_deadline = 0.0

    # What a user reads --------------------------------------------------------------------------------------

    @property
    def stats(self) -> SessionStats:
        """Counters."""
        return self._stream.stats

    @property
    def stream(self) -> Stream:
        """The ledger and the turns, to read."""
        return self._stream

    @property
    def connected(self) -> bool:
        """A connection is configured and its echo was checked."""
        return self._conn is not None and self._conn.ready

    def actions(self) -> list[Action]:
        """What to do now, in this order. Each is returned once."""
        actions, self._actions = self._actions, []
        return actions

    def next_event(self) -> Event | None:
        """The next thing to tell the user, or None."""
        return self._stream.events.popleft() if self._stream.events else None

    def set_sample_rate(self, rate: int, level: LevelMarker) -> None:
        """Count positions at *rate* (Hz) from now on; only before the first audio."""
        if self._stream.ledger.accepted:
            raise ValueError("sample_rate: audio was already accepted; the stream's rate is fixed by its first frame")
        self.options = self.options.replace(sample_rate=rate)
        self._stream.set_rate(self.options, level)
        if self._conn is not None:
            self._conn.encoder, self._conn.map = self._make_encoder(), WireMap(rate)

    # Audio and turns ----------------------------------------------------------------------------------------

    def push_audio(self, pcm: bytes, now: float) -> None:
        """Accept s16le mono at the stream's rate, in every state."""
        if self.state is S.STOPPED or not pcm:
            return
        stream = self._stream
        stream.accept(pcm)
        self._turns.audio_accepted()
        stream.gate_old_silence()
        if self.state in (S.IDLE, S.FAILED):
            cause = "not_started" if self.state is S.IDLE else "fatal"
            stream.enforce_window(window_s=NOT_STARTED_WINDOW_S, idle_cause=cause)
        else:
            window = self.options.replay_window_ms / 1000 or MIN_WINDOW_S
            stream.enforce_window(window_s=window, answering=self.connected)
            self._turns.limit_length()
        stream.book.tell_loss()
        self._flush(now)

    def turn_started(self, position: int, now: float) -> None:
        """The local detector confirmed speech since *position*."""
        if self._stream.detection == "local_vad" and self.state is not S.STOPPED:
            self._turns.started(position)
            self._flush(now)

    def turn_ended(self, position: int, now: float) -> None:
        """The local detector heard the end of speech at *position*."""
        if self._stream.detection == "local_vad" and self.state is not S.STOPPED:
            self._turns.ended(position)
            self._flush(now)

    # Finalize and stop --------------------------------------------------------------------------------------

    def finalize(self, finalize_id: str, now: float) -> None:
        """Ask for everything said so far. Exactly one `FinalizeDone` answers, by `finalize_timeout_ms`."""
        if self.state in (S.IDLE, S.FAILED, S.STOPPED):
            self._finalizer.answer_now(finalize_id, "stopped" if self.state is S.STOPPED else "inactive")
            return
        self._turns.close_at_fence(now, self.options.finalize_timeout_ms / 1000)
        self._finalizer.add(finalize_id, now, self.options.finalize_timeout_ms / 1000)
        self._flush(now)

    def stop(self, now: float) -> None:
        """Finish: open turns get `stop_drain_ms`, everything is answered, the connection closes."""
        if self.state in (S.STOPPED, S.DRAINING):
            return
        if self.state is S.READY:
            self._turns.close_at_fence(now, self.options.stop_drain_ms / 1000)
            if not self._stream.client_owned:
                self._finalizer.add("", now, self.options.stop_drain_ms / 1000, internal=True)
            self._enter(S.DRAINING)
            self._drain_deadline = now + self.options.stop_drain_ms / 1000
            self._flush(now)
        else:
            self._stopped(now)

    def _drained(self, now: float) -> bool:
        turns = self._stream.book.turns
        speaking = [t for t in turns if not (t.client_owned and t.span_end is None)]
        return now >= self._drain_deadline or not (speaking or self._finalizer.open)

    def _stopped(self, now: float) -> None:
        stream = self._stream
        if self.state is S.IDLE:
            stream.gate_unstarted()
        stream.gate_not_taken(answered=self.state is S.DRAINING and not self._finalizer.open)
        self._finalizer.answer_all("stopped", now)
        for turn in list(stream.book.turns):
            stream.book.lose(turn, "stopped", now)
        stream.settle_rest("stopped")
        stream.book.flush_loss()
        if self._conn is not None:
            self._close(self._conn, 1000)
        self._dial_at = None
        self._enter(S.STOPPED)

    # Connections --------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Dial; during back-off: now. While an attempt is under way this does nothing."""
        if self.state in (S.IDLE, S.FAILED, S.BACKOFF):
            self._dial(now)
            self._flush(now)

    def _dial(self, now: float) -> None:
        self._dial_at = None
        number, self._next_conn = self._next_conn, self._next_conn + 1
        deadline = now + self.options.connect_timeout_ms / 1000
        self._conn = Connection(number, self._make_encoder(), WireMap(self.options.sample_rate), now, deadline)
        self._stream.stats.dials += 1
        self._enter(S.CONNECTING)
        self._stream.emit(Connecting(number, self._stream.stats.dials))
        self._actions.append(Connect(number))

    def connection_opened(self, conn: int, headers: Mapping[str, str], now: float) -> None:
        """The upgrade succeeded. That proves nothing yet: credentials are judged behind it."""
        c = self._live(conn)
        if c and c.stage is Stage.DIALLING:
            c.stage = Stage.OPEN
            self._flush(now)

    def connection_refused(self, conn: int, status: int, headers: Mapping[str, str], now: float) -> None:
        """The upgrade was refused with an HTTP *status*, or failed before HTTP (*status* 0)."""
        c = self._live(conn)
        if c:
            reason = f"HTTP {status}" if status else headers.get("reason", "the connection could not be made")
            self._lose_connection(c, str(status or ""), reason, now, retry_after_seconds(headers))

    def connection_lost(self, conn: int, code: int, reason: str, now: float) -> None:
        """The connection ended, by whoever; any close we did not ask for is a drop, 1000 and 1001 included."""
        c = self._live(conn)
        if c:
            self._lose_connection(c, str(code), reason, now)

    def sent(self, conn: int, count: int, now: float) -> None:
        """The transport took *count* more messages."""
        c = self._live(conn)
        if c:
            c.in_flight = max(0, c.in_flight - count)
            c.blocked_since = None if c.in_flight == 0 else now
            self._flush(now)

    def pong_received(self, conn: int, now: float) -> None:
        """The newest ping was answered."""
        c = self._live(conn)
        if c and c.pong_deadline is not None:
            c.pong_deadline = None
            callbacks, c.pong_callbacks = c.pong_callbacks, []
            for callback in callbacks:
                callback(now)
            self._flush(now)

    def _live(self, conn: int) -> Connection | None:
        c = self._conn
        return c if c is not None and c.id == conn and c.stage is not Stage.CLOSED else None

    def _close(self, conn: Connection, code: int, reason: str = "") -> None:
        conn.stage = Stage.CLOSED
        self._actions.append(Close(conn.id, code, reason))

    def _lose_connection(self, conn: Connection, code: str, reason: str, now: float, retry_after: float = 0.0) -> None:
        was_ready = conn.ready
        useful = was_ready and (
            conn.settled_items > 0 or (conn.ready_at is not None and now - conn.ready_at >= USEFUL_AFTER_S)
        )
        self._close(conn, 1000)
        for turn in self._stream.book.on_connection(conn.id):
            self._turns.connection_lost(turn, now)
        self._stream.requeue(conn.id)
        self._sender.rewind()
        self._stream.book.flush_loss()
        self._finalizer.connection_lost()
        if self.state is S.DRAINING:
            self._stopped(now)
            return
        if useful:
            self._reports.forget()
        if is_refusal(code, conn.refusal) and not useful:
            wait = self._backoff.refused(now, self._random())
            if wait is None:
                self._fail(conn, code, reason, now)
                return
            delay = max(wait, retry_after)
        else:
            delay = self._backoff.next_delay(useful=useful, random=self._random(), retry_after=retry_after)
        self._reports.drop(conn, code, reason, delay)
        self._enter(S.BACKOFF)
        self._dial_at = now + delay
        self._stream.emit(Disconnected(conn.id, code, reason, round(delay * 1000)))
        if was_ready:
            self._stream.stats.reconnects += 1
        self._flush(now)

    def _fail(self, conn: Connection, code: str, reason: str, now: float) -> None:
        """Refused for good: say so once, answer what waits, and stay inert until somebody starts it again."""
        self._backoff.accepted()
        self._enter(S.FAILED)
        self._reports.refused_for_good(conn, code, reason)
        self._stream.emit(Disconnected(conn.id, code, reason, None))
        self._finalizer.answer_all("inactive", now)
        self._flush(now)

    # Messages -----------------------------------------------------------------------------------------------

    def receive_message(self, conn: int, data: bytes | str, now: float) -> None:
        """One frame from the server. Junk is counted, reported once, and passed over."""
        c = self._live(conn)
        if c is None:
            return
        stats = self._stream.stats
        stats.events_received += 1
        decoded = wire.decode_server_message(data)
        message = decoded.message
        if isinstance(message, wire.MalformedMessage):
            stats.malformed_events += 1
            self._reports.note_once("malformed", message.type, f"passed over a malformed message: {message.reason}")
        elif isinstance(message, wire.UnknownMessage):
            stats.unknown_events += 1
            self._reports.note_once(
                "unknown", message.type, f"passed over events of unknown type {show_value(message.type)}"
            )
            self._stream.emit(WireEvent(message.type, False, decoded.data))
        else:
            for name in decoded.unknown_fields:
                self._reports.note_once("field", f"{message.type}.{name}", f"ignored unknown field {show_value(name)}")
            self._dispatch(c, message, decoded.data, now)
        self._flush(now)

    def _dispatch(self, conn: Connection, message: wire.Message, data: dict[str, Any], now: float) -> None:
        if isinstance(message, wire.SessionCreated):
            self._stream.emit(WireEvent(message.type, True, data))
            if conn.stage in (Stage.DIALLING, Stage.OPEN):
                conn.stage = Stage.CONFIGURING
                self._send_update(conn)
        elif isinstance(message, wire.SessionUpdated):
            self._stream.emit(WireEvent(message.type, True, data))
            self._configured(conn, message.session, now)
        elif isinstance(message, wire.ErrorMessage) and not conn.ready:
            error = server_error(message.error)
            conn.refusal = error.code
            self._reports.server_error(error, live=False)
            if conn.update_id and message.error.event_id == conn.update_id:
                # The update was discarded whole: without it no text would ever come on this connection.
                self._stream.emit(config_error(error))
                self._lose_connection(conn, "", f"session.update was refused: {error.code}", now)
        else:
            self._receiver.receive(conn, message, data, now)

    def _send_update(self, conn: Connection) -> None:
        conn.update_id = self._stream.new_id("update")
        conn.update_tries += 1
        message, conn.expected, warnings = update_message(self.options, conn.update_id)
        for warning in warnings:
            self._reports.note_once("options", warning, warning)
        conn.outbox.append(message)

    def _configured(self, conn: Connection, echo: dict[str, Any], now: float) -> None:
        if conn.stage is not Stage.CONFIGURING:
            return
        differences = check_echo(conn.expected, echo)
        for warning in differences.minor:
            self._reports.note_once("echo", warning, warning)
        if differences.grave and conn.update_tries < 2:
            self._send_update(conn)
            return
        if differences.grave:
            self._stream.emit(ClientError("echo_mismatch", "; ".join(differences.grave)))
            self._lose_connection(conn, "", "the server did not take the configuration", now)
            return
        conn.stage = Stage.READY
        conn.ready_at = now
        self._backoff.accepted()
        conn.ping_at = now + self.options.ping_interval_ms / 1000
        self._enter(S.READY)
        self._stream.emit(Connected(conn.id, round((now - conn.dialled_at) * 1000)))

    # Timer --------------------------------------------------------------------------------------------------

    def get_timer(self) -> float | None:
        """When `handle_timer` is due, in the time of `now`; None if nothing is."""
        return min(self._deadlines(), default=None)

    def _deadlines(self) -> Iterator[float]:
        if self._dial_at is not None:
            yield self._dial_at
        if self.state is S.DRAINING:
            yield self._drain_deadline
        for deadline in (self._finalizer.deadline(), self._stream.book.hold_deadline()):
            if deadline is not None:
                yield deadline
        conn = self._conn
        if conn is None or conn.stage is Stage.CLOSED:
            return
        if not conn.ready:
            yield conn.deadline
        ping = conn.pong_deadline if conn.pong_deadline is not None else conn.ping_at
        for at in (ping, self._stall_deadline(conn)):
            if at is not None:
                yield at
        commit = self._sender.deadline(conn) if conn.ready and conn.in_flight == 0 else None
        if commit is not None:
            yield commit

    def _stall_deadline(self, conn: Connection) -> float | None:
        return None if conn.blocked_since is None else conn.blocked_since + self.options.send_stall_ms / 1000

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        if self._dial_at is not None and now >= self._dial_at:
            self._dial(now)
        conn = self._conn
        if conn is not None and conn.stage is not Stage.CLOSED:
            self._check_connection(conn, now)
        self._stream.book.advance(now)
        self._flush(now)

    def _check_connection(self, conn: Connection, now: float) -> None:
        stall = self._stall_deadline(conn)
        if not conn.ready and now >= conn.deadline:
            waited = {
                Stage.DIALLING: "the end of the handshake",
                Stage.OPEN: "session.created",
                Stage.CONFIGURING: "session.updated",
            }[conn.stage]
            self._lose_connection(conn, "timeout", f"{waited} did not come in time", now)
        elif conn.pong_deadline is not None and now >= conn.pong_deadline:
            self._lose_connection(conn, "1006", "no pong: the connection is half open", now)
        elif stall is not None and now >= stall:
            self._lose_connection(conn, "1006", "the server stopped reading", now)

    def _ping(self, conn: Connection, now: float) -> None:
        if conn.ping_at is None or now < conn.ping_at or conn.pong_deadline is not None or not conn.ready:
            return
        self._actions.append(Ping(conn.id))
        conn.pong_deadline = now + self.options.ping_timeout_ms / 1000
        conn.ping_at = now + self.options.ping_interval_ms / 1000
        conn.pong_callbacks, conn.on_pong = conn.pong_callbacks + conn.on_pong, []

    # The pump -----------------------------------------------------------------------------------------------

    def _flush(self, now: float) -> None:
        """Put what can be sent into the actions, and settle what is complete."""
        conn = self._conn
        if conn is not None and conn.stage is not Stage.CLOSED:
            if conn.in_flight == 0:
                self._send_next(conn, now)
            self._ping(conn, now)
        self._stream.bound(now)
        self._finalizer.advance(now)
        self._stream.book.flush_loss(keep_growing=True)
        if self.state is S.DRAINING and self._drained(now):
            self._stopped(now)

    def _send_next(self, conn: Connection, now: float) -> None:
        if conn.ready:
            message = self._sender.next_message(conn, now)
        else:
            message = conn.outbox.popleft() if conn.outbox else None
        if message is not None:
            conn.in_flight += 1
            conn.blocked_since = now
            self._actions.append(Send(conn.id, message))

    def _enter(self, state: SessionState) -> None:
        assert state in TRANSITIONS[self.state], f"{self.state} to {state}"
        self.state = state
