"""The client's half of a Realtime transcription session, without I/O, clock or randomness.

Three things drive it: the caller's audio, the server's messages, and one timer. Every input takes `now`, the
monotonic time in seconds. After every input take `actions()` and do them, drain `next_event()`, and call
`handle_timer` at `get_timer()`. Nothing a server or a network does raises here.

The life of the session is the table in `lifecycle.py`; `docs/session.md` draws it. The file is longer than others
because the whole contract is one class, of which the way of audio (`audio_path.py`) and changes of the configuration
(`live_changes.py`) have files of their own; what it does is in the files it puts together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from . import messages as wire
from .actions import Action, Close, Connect, Ping, Send
from .audio_path import AudioPath
from .backoff import USEFUL_AFTER_S, Backoff, is_refusal, retry_after_seconds
from .client_turns import ClientTurns
from .connection import Connection, Encoder, Role, Stage
from .dialects.choice import DialectChoice
from .errors import SESSION_EXPIRED, ConfigurationError, show_value
from .events import ClientError, Connected, Connecting, Disconnected, Event, ServerError, WireEvent
from .finalizing import Finalizer
from .handshake import check_echo, config_error
from .ledger import State
from .lifecycle import TRANSITIONS, SessionState
from .limiter import DialLimiter, Unlimited
from .live_changes import LiveChanges
from .liveness import deadline, ping_due, trouble
from .models import resolve_turn_detection
from .options import SessionOptions, TurnDetectionOptions
from .overdue import OVERDUE, Watchdog
from .poison import PoisonWatch
from .receiving import Receiver, server_error
from .reconfigure import APPLIED, SOON_S, TAKEN, Reconfigurer, refusal
from .repair import Repairer
from .reporting import Reports, refused_for_good
from .rollover import Rollover, date_of, note_lifetime
from .sending import Sender
from .stream import LevelMarker, SessionStats, Stream
from .turn import Phase
from .wire_map import WireMap
from .writing import Writer

S = SessionState
SIGNS_OF_SPEECH = (wire.SpeechStarted, wire.TranscriptionDelta, wire.TranscriptionCompleted)
PASSING: frozenset[type[wire.Message]] = frozenset(
    {wire.TranscriptionDelta, wire.ConversationItemAdded, wire.ConversationItemDone}
)
"What changes nothing but a text, while audio flows."
BOOKED: frozenset[type[wire.Message]] = PASSING | {
    wire.SpeechStarted,
    wire.SpeechStopped,
    wire.InputAudioBufferCommitted,
    wire.TranscriptionCompleted,
}
"What changes the books alone, while audio flows to a server that finds the turns: nothing is to be sent for it."
HASTES_NOTHING: frozenset[type[wire.Message]] = PASSING.union((wire.SpeechStarted, wire.SpeechStopped))
"And, of those, what nothing is due for."


class Session(AudioPath, LiveChanges):
    """See the module's docstring for the contract."""

    def __init__(
        self,
        options: SessionOptions,
        *,
        encoder: Callable[[int], Encoder],
        level: LevelMarker,
        random: Callable[[], float],
        new_id: Callable[[str], str],
        wall_time: Callable[[], float] = lambda: 0.0,
        limiter: DialLimiter | None = None,
        dialects: DialectChoice | None = None,
    ) -> None:
        """*encoder* makes one per connection, given the wire's rate for `pcm16` in hertz; *random* gives [0, 1);
        *new_id* a fresh id for a purpose. Without *dialects* the server speaks GA.

        *wall_time* gives seconds since 1970; it is asked only where a server does not tell its own. (Longer than other
        functions: it puts the parts together.)
        """
        if options.turn_detection.type == "auto":
            raise ValueError("turn_detection: auto must be resolved first (realtime.models)")
        self.options = options
        self.state = S.IDLE
        self._make_encoder = encoder
        self._random = random
        self._limiter = Unlimited() if limiter is None else limiter
        self._place = DialectChoice() if dialects is None else dialects
        self._stream = Stream(options, level, new_id)
        self._stream.rules = self._place.kind.rules(options.transcription.model)
        self._finalizer = Finalizer(self._stream)
        self._turns = ClientTurns(self._stream)
        self._writer = Writer(self._stream)
        self._sender = Sender(self._stream, self._finalizer, self._writer)
        self._reports = Reports(self._stream)
        self._repairer = Repairer(self._stream, self._writer)
        self._rollover = Rollover(self._stream, self._turns, self._finalizer, self._sender)
        self._watchdog = Watchdog(self._stream)
        self._poison = PoisonWatch()
        self._receiver = Receiver(self._stream, self._finalizer, self._repairer.take, self._reports.live_error)
        self._stream.book.on_missing = self._repairer.take
        self._updates = Reconfigurer(self._stream.emit)
        self.dialling = options
        "What the connection that is being made is for: its encoder depends on it."
        self._good: tuple[SessionOptions, DialectChoice] | None = None
        "Options and place of the last session that was configured."
        self._backoff = Backoff()
        self._side_backoff = Backoff()
        self._wall_time = wall_time
        self._actions: list[Action] = []
        self._conn: Connection | None = None
        "The one that carries the stream."
        self._next_conn = 1
        self._steady_until = 0
        self._carrier: Connection | None = None
        self._longest_frame = 0
        self._looked_after = 0
        self._dial_at: float | None = None
        self._drain_deadline = 0.0

    # What a user reads --------------------------------------------------------------------------------------

    @property
    def stats(self) -> SessionStats:
        """Counters."""
        self._stream.tell_sent()
        return self._stream.stats

    @property
    def stream(self) -> Stream:
        """The ledger and the turns, to read."""
        return self._stream

    @property
    def connected(self) -> bool:
        """A connection is configured and its echo was checked."""
        return self._conn is not None and self._conn.ready

    @property
    def connection(self) -> int:
        """Number of the connection that carries the stream; 0 before the first."""
        return self._conn.id if self._conn is not None else 0

    def actions(self) -> list[Action]:
        """What to do now, in this order. Each is returned once."""
        actions, self._actions = self._actions, []
        return actions

    @property
    def steady(self) -> bool:
        """Audio flows, and nothing else waits to be done."""
        return self._steady_until > 0

    def next_event(self) -> Event | None:
        """The next thing to tell the user, or None."""
        return self._stream.events.popleft() if self._stream.events else None

    def set_sample_rate(self, rate: int, level: LevelMarker) -> None:
        """Count positions at *rate* (Hz) from now on; only before the first audio."""
        if self._stream.ledger.accepted:
            raise ValueError("sample_rate: audio was already accepted; the stream's rate is fixed by its first frame")
        self.options = self.options.replace(sample_rate=rate)
        self._stream.set_rate(self.options, level)
        self.dialling = self.options
        for conn in self._connections():
            # Its encoder may be made anew, when the server's first event is there.
            conn.options = (conn.options or self.options).replace(sample_rate=rate)
            conn.encoder, conn.map = self._make_encoder(conn.dialect.pcm_rate), WireMap(rate)

    # Audio and turns ----------------------------------------------------------------------------------------

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
        if self.state is S.BACKOFF and self._has_unsettled_speech():
            self._dial(now)  # what was said last may make it yet
        if self.state is S.READY or (self.state is S.CONNECTING and self._has_unsettled_speech()):
            self._turns.close_at_fence(now, self.options.stop_drain_ms / 1000, ends=True)
            if not self._stream.client_owned:
                self._finalizer.add("", now, self.options.stop_drain_ms / 1000, internal=True)
            self._enter(S.DRAINING)
            self._drain_deadline = now + self.options.stop_drain_ms / 1000
            self._flush(now)
        else:
            self._stopped(now)

    def _has_unsettled_speech(self) -> bool:
        ledger, on_the_way = self._stream.ledger, (State.PENDING, State.SENT, State.COMMITTED)
        return ledger.unsettled_speech(ledger.settled_until, ledger.accepted, on_the_way)

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
        stream.book.release_before(stream.ledger.accepted, now)
        for turn in list(stream.book.turns):
            stream.book.lose(turn, "stopped", now)
        stream.settle_rest("stopped")
        stream.book.losses.finish()
        self._reports.folding.finish()
        for conn in self._connections():
            self._close(conn, 1000)
        self._dial_at = None
        stream.tell_sent()
        self._enter(S.STOPPED)
        self._advance_updates(now)

    # Connections --------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Dial; during back-off: now. While an attempt is under way this does nothing."""
        if self.state in (S.IDLE, S.FAILED, S.BACKOFF):
            self._stream.book.losses.finish()
            self._dial(now)
            self._flush(now)

    def _dial(self, now: float) -> None:
        self._dial_at = None
        self._enter(S.CONNECTING)
        self._conn = self._connect(Role.MAIN, now)

    def _connect(self, role: Role, now: float) -> Connection:
        number, self._next_conn = self._next_conn, self._next_conn + 1
        wait = self._limiter.reserve(now)
        self._reports.waits_to_dial(wait)
        slot = now + wait
        change = self._updates.switching if role is Role.NEXT else None
        self.dialling, place = (change.options, change.place) if change else (self.options, self._place)
        dialect = place.kind()
        encoder, positions = self._make_encoder(dialect.pcm_rate), WireMap(self.options.sample_rate)
        conn = Connection(number, encoder, positions, slot, slot, dialect, role)
        conn.options, conn.place, conn.model = self.dialling, place, self.dialling.transcription.model
        conn.rules = place.kind.rules(conn.model)
        self._begin_dial(conn, now)
        return conn

    def _begin_dial(self, conn: Connection, now: float) -> None:
        """Dial, unless the process's limit on connects still holds *conn* back."""
        if now < conn.deadline:
            return
        conn.stage = Stage.DIALLING
        conn.dialled_at, conn.deadline = now, now + self.options.connect_timeout_ms / 1000
        self._stream.stats.dials += 1
        if conn.role is Role.MAIN:
            self._stream.emit(Connecting(conn.id, self._stream.stats.dials))
        self._actions.append(Connect(conn.id, conn.role.value, conn.place, conn.model))

    def connection_opened(self, conn: int, headers: Mapping[str, str], now: float) -> None:
        """The upgrade succeeded. That proves nothing yet: credentials are judged behind it."""
        c = self._live(conn)
        if c and c.stage is Stage.DIALLING:
            c.stage = Stage.OPEN
            c.opened_at, c.server_time = now, date_of(headers)
            self._flush(now)

    def connection_refused(self, conn: int, status: int, headers: Mapping[str, str], now: float) -> None:
        """The upgrade was refused with an HTTP *status*, or failed before HTTP (*status* 0)."""
        c = self._live(conn)
        if c:
            reason = headers.get("reason") or (f"HTTP {status}" if status else "the connection could not be made")
            self._lose_connection(c, str(status or ""), reason, now, retry_after_seconds(headers))

    def connection_lost(self, conn: int, code: int, reason: str, now: float) -> None:
        """The connection ended, by whoever; any close we did not ask for is a drop, 1000 and 1001 included."""
        c = self._live(conn)
        if c:
            self._lose_connection(c, str(code), reason, now)

    def sent(self, conn: int, count: int, now: float) -> None:
        """The transport took *count* more messages."""
        c = self._carrier
        if c is not None and self._steady_until and c.id == conn and c.in_flight == count:
            c.in_flight, c.blocked_since = 0, None
            return
        c = self._live(conn)
        if c:
            c.in_flight = max(0, c.in_flight - count)
            c.blocked_since = None if c.in_flight == 0 else now
            self._serve(c, now)
            self._stream.tell_sent(few=False)
            self._find_steady()

    def pong_received(self, conn: int, now: float) -> None:
        """The newest ping was answered."""
        c = self._live(conn)
        if c and c.pong_deadline is not None:
            c.pong_deadline = None
            callbacks, c.pong_callbacks = c.pong_callbacks, []
            for callback in callbacks:
                callback(now)
            self._flush(now)

    def _connections(self) -> list[Connection]:
        """All that live: the main one first."""
        conn, rollover, repairing = self._conn, self._rollover, self._repairer.conn
        if rollover.spare is None and repairing is None and not rollover.retired:  # nearly always
            return [conn] if conn is not None and conn.stage is not Stage.CLOSED else []
        candidates = (conn, rollover.spare, repairing, *rollover.retired)
        return [c for c in candidates if c is not None and c.stage is not Stage.CLOSED]

    @property
    def _others_rest(self) -> bool:
        """No connection has anything to do but the one that carries the stream."""
        return self._rollover.spare is None and not self._rollover.retired and self._repairer.turn is None

    def _live(self, conn: int) -> Connection | None:
        main = self._conn
        if main is not None and main.id == conn and main.stage is not Stage.CLOSED:
            return main
        return next((c for c in self._connections() if c.id == conn), None)

    def _close(self, conn: Connection, code: int, reason: str = "") -> None:
        if conn.stage is not Stage.WAITING:
            self._actions.append(Close(conn.id, code, reason))
        conn.stage = Stage.CLOSED

    def _lose_connection(self, conn: Connection, code: str, reason: str, now: float, retry_after: float = 0.0) -> None:
        self._close(conn, 1000)
        if conn.role is Role.MAIN:
            self._lose_main(conn, code, reason, now, retry_after)
        elif conn.role is Role.NEXT:
            elsewhere = self._asked_elsewhere(conn, code)
            delay = 0.0 if elsewhere else self._side_backoff.next_delay(False, self._random(), retry_after)
            self._rollover.spare_lost(now + delay)
            if not elsewhere:
                self._spare_lost(conn, code, reason, now)
        elif conn.role is Role.REPAIR:
            self._repairer.lost(now, self._side_backoff.next_delay(conn.was_ready, self._random(), retry_after))
        else:
            self._rollover.retired.remove(conn)
            for turn in self._stream.book.on_connection(conn.id):
                if turn.phase is not Phase.READY and not self._repairer.take(turn, now):
                    self._stream.book.lose(turn, "dropped", now)
        self._flush(now)

    def _lose_main(self, conn: Connection, code: str, reason: str, now: float, retry_after: float) -> None:
        was_ready = conn.was_ready
        useful = was_ready and (conn.settled_items > 0 or (conn.lived(now) >= USEFUL_AFTER_S and code != OVERDUE))
        poison = self._poison.lost(conn, self._stream, now) if was_ready else None
        if poison is not None:
            self._stream.book.lose(poison, "poison", now)
        for turn in self._stream.book.on_connection(conn.id):
            self._turns.connection_lost(turn, now)
        self._stream.requeue(conn.id)
        self._sender.careful = self._poison.wants_pieces
        if self._poison.wants_pieces:
            self._turns.part()
        self._sender.rewind()
        self._stream.book.losses.flush()
        self._finalizer.connection_lost()
        if self.state is S.DRAINING:
            self._stopped(now)
            return
        if useful:
            self._reports.forget()
        if was_ready:
            self._stream.stats.reconnects += 1
        if self._rollover.spare is not None:
            self._adopt(self._rollover.spare, conn, code, reason, now)
        else:
            self._redial(conn, code, reason, now, useful, retry_after)

    def _redial(self, conn: Connection, code: str, reason: str, now: float, useful: bool, retry_after: float) -> None:
        if self._asked_elsewhere(conn, code):
            self._conn = self._connect(Role.MAIN, now)  # the same attempt, at another URL
            return
        refused = is_refusal(code, conn.refusal, reason)
        if (refused or conn.unfit) and not useful and self._revert(conn, reason or code, now):
            delay = retry_after
        elif refused and not useful:
            wait = self._backoff.refused(now, self._random())
            if wait is None:
                self._fail(conn, code, reason, now)
                return
            delay = max(wait, retry_after)
        else:
            delay = self._backoff.next_delay(useful, self._random(), retry_after)
        self._out_of_service(conn, code, reason, now, delay)
        self._dial_at = now + delay

    def _out_of_service(self, conn: Connection, code: str, reason: str, now: float, delay: float) -> None:
        self._repairer.pause()
        self._reports.drop(conn, code, reason, delay)
        self._enter(S.BACKOFF)
        self._stream.emit(Disconnected(conn.id, code, reason, round(delay * 1000)))

    def _adopt(self, spare: Connection, conn: Connection, code: str, reason: str, now: float) -> None:
        """The connection was lost while another was on its way: that one carries the stream."""
        if spare.ready:
            self._reports.drop(conn, code, reason, 0.0)
        else:
            self._out_of_service(conn, code, reason, now, 0.0)
            self._enter(S.CONNECTING)
            if spare.stage is not Stage.WAITING:  # else its dial will say so
                self._stream.emit(Connecting(spare.id, self._stream.stats.dials))
        self._carry_on(spare, now)

    def _carry_on(self, conn: Connection, now: float) -> None:
        """*conn* carries the stream from now on, with what it is configured with."""
        conn.role, self._conn, self._rollover.spare = Role.MAIN, conn, None
        change = self._updates.switching
        if change is not None and conn.options == change.options and conn.place is change.place:
            self._install(change.options, change.place, now)
            self._updates.answer("applied" if conn.ready else "taken", APPLIED if conn.ready else TAKEN)
        if conn.ready:
            self._good = self.options, self._place
        self._sender.begin(now)
        self._watchdog.renew()

    def _fail(self, conn: Connection, code: str, reason: str, now: float, error: ClientError | None = None) -> None:
        """It cannot work: say so once, answer what waits, and stay inert until somebody starts it again.

        Without an *error* of its own it is a refusal.
        """
        self._backoff.accepted()
        self._enter(S.FAILED)
        self._reports.failed(error or refused_for_good(conn, code, reason))
        self._stream.emit(Disconnected(conn.id, code, reason, None))
        self._finalizer.answer_all("inactive", now)
        self._flush(now)

    # Messages -----------------------------------------------------------------------------------------------

    def receive_message(self, conn: int, data: bytes | str, now: float) -> bool:
        """One frame from the server. Junk is counted, reported once, and passed over.

        Returns True if nothing came of it but events: no action waits, and no deadline came nearer.
        """
        c = self._live(conn)
        if c is None:
            return False
        stats = self._stream.stats
        stats.events_received += 1
        if c.stage in (Stage.DIALLING, Stage.OPEN) and c.place.hear(data) and not self._speak_otherwise(c, now):
            return False
        steady = self._steady_until > 0 and c is self._conn
        turns, rules = len(self._stream.book.turns), self._stream.rules
        kinds: set[type] = set()
        for decoded in c.dialect.decode(data):
            self._receive(c, decoded, now)
            kinds.add(type(decoded.message))
        if c.dialect.broken and c.stage is not Stage.CLOSED:
            self._lose_connection(c, "", f"the server cannot go on: {c.dialect.broken}", now)
            return False
        if steady and kinds <= PASSING and turns == len(self._stream.book.turns) and rules is self._stream.rules:
            return True  # more text of a turn that is known: by far the most of what comes
        self._stream.bound(now)
        if not (steady and kinds <= BOOKED) or self._stream.client_owned or not self._others_rest:
            self._flush(now)
            return False
        self._find_steady()
        return kinds <= HASTES_NOTHING or not self._stream.book.turns

    def _receive(self, conn: Connection, decoded: wire.Decoded, now: float) -> None:
        stats, message = self._stream.stats, decoded.message
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
            self._dispatch(conn, message, decoded.data, now)

    def _speak_otherwise(self, conn: Connection, now: float) -> bool:
        """The server's first event shows what it speaks, and it is not what we took it for; False if that cannot do."""
        kind, options = conn.place.kind, conn.options or self.options
        rules = kind.rules(conn.model)
        try:
            resolve_turn_detection(options.turn_detection, conn.model, local_vad_available=True, rules=rules)
            kind().configure(options, "")
        except ConfigurationError as exc:
            message = f"{exc} (the server was found to speak the dialect {kind.name})"
            if conn.role is not Role.MAIN:
                conn.unfit, conn.words = True, message
                self._lose_connection(conn, "", message, now)
                return False
            self._close(conn, 1000)
            if self.state is S.DRAINING:
                self._stopped(now)
            else:
                self._fail(conn, "", "dialect_unfit", now, ClientError("dialect_unfit", message, fatal=True))
            return False
        self.dialling = options
        conn.dialect, conn.encoder, conn.rules = kind(), self._make_encoder(kind.pcm_rate), rules
        if conn.role is Role.MAIN:
            self._stream.rules = rules
        return True

    def _dispatch(self, conn: Connection, message: wire.Message, data: dict[str, Any], now: float) -> None:
        if isinstance(message, wire.SessionCreated):
            self._stream.emit(WireEvent(message.type, True, data))
            if conn.stage in (Stage.DIALLING, Stage.OPEN):
                conn.stage = Stage.CONFIGURING
                self._send_update(conn)
                if not conn.dialect.confirms:
                    self._configured(conn, {}, now)
        elif isinstance(message, wire.SessionUpdated):
            self._stream.emit(WireEvent(message.type, True, data))
            self._configured(conn, message.session, now)
        elif isinstance(message, wire.ErrorMessage) and message.error.code == SESSION_EXPIRED:
            conn.expired = True
        elif isinstance(message, wire.ErrorMessage) and (not conn.ready or conn.dialect.broken):
            error = server_error(message.error)
            conn.refusal, conn.words = error.code, error.message
            if conn.update_id and message.error.event_id == conn.update_id:
                conn.unfit = True
                # The update was discarded whole: without it no text would ever come on this connection.
                self._tell_of_setup(conn, config_error(error))
                self._lose_connection(conn, "", f"session.update was refused: {error.code}", now)
            else:
                self._tell_of_setup(conn, error)
        elif isinstance(message, wire.ErrorMessage) and self._says_no(conn, message.error):
            self._refuse_change(refusal(message.error.message or str(message.error.code)), now)
        else:
            self._receiver.receive(conn, message, data, now)
            if conn is self._conn and isinstance(message, SIGNS_OF_SPEECH):
                self._watchdog.heard(conn)
            if isinstance(message, wire.TranscriptionCompleted):
                self._backoff.accepted()  # the first sign of it, where an update is not confirmed
                self._poison.text_came()
                self._sender.careful = False

    def _tell_of_setup(self, conn: Connection, error: ClientError | ServerError) -> None:
        """Trouble before the session is configured; that of other connections than the stream's is not told."""
        if conn.role is not Role.MAIN:
            return
        if isinstance(error, ServerError):
            self._reports.setup_error(error)
        else:
            self._reports.client_error(error)

    def _send_update(self, conn: Connection) -> None:
        conn.update_id = self._stream.new_id("update")
        conn.update_tries += 1
        options = conn.options or self.options
        if conn.client_owned:
            options = options.replace(turn_detection=TurnDetectionOptions("none"))
        configuration = conn.dialect.configure(options, conn.update_id)
        conn.expected = configuration.expected
        for warning in configuration.warnings:
            self._reports.note_once("options", warning, warning)
        conn.outbox.append(configuration.frame)

    def _configured(self, conn: Connection, echo: dict[str, Any], now: float) -> None:
        change = self._updates.awaited(conn, self._conn)
        if change is None and conn.stage is not Stage.CONFIGURING:
            return
        differences = check_echo(conn.expected if change is None else change.expected, echo)
        for warning in differences.minor:
            self._reports.note_once("echo", warning, warning)
        if change is not None:
            self._updates.echoed(differences, now)
            return
        if differences.grave and conn.update_tries < 2:
            self._send_update(conn)
            return
        if differences.grave:
            error = ClientError("echo_mismatch", "; ".join(differences.grave))
            conn.refusal, conn.words, conn.unfit = error.code, error.message, True
            self._tell_of_setup(conn, error)
            self._lose_connection(conn, "", "the server did not take the configuration", now)
            return
        conn.stage = Stage.READY
        conn.ready_at = now
        conn.ping_at = now + self.options.ping_interval_ms / 1000
        note_lifetime(conn, echo.get("expires_at"), self._wall_time(), self._stream)
        if conn.role is Role.MAIN:
            if conn.dialect.confirms:
                self._backoff.accepted()
            if self.state is not S.DRAINING:
                self._enter(S.READY)
            self._stream.emit(Connected(conn.id, round((now - conn.dialled_at) * 1000)))
            self._carry_on(conn, now)
            self._repairer.resume(now)
        elif conn.role is Role.NEXT and self._conn is not None:
            self._rollover.spare_ready(self._conn, now, SOON_S)
            if self._updates.switching is not None:
                self._updates.ready_to_switch()

    # Timer --------------------------------------------------------------------------------------------------

    def get_timer(self) -> float | None:
        """When `handle_timer` is due, in the time of `now`; None if nothing is."""
        due = min(self._updates.deadline(), self._stream.book.hold_deadline(), self._reports.folding.deadline())
        if self._dial_at is not None:
            due = min(due, self._dial_at)
        if self.state is S.DRAINING:
            due = min(due, self._drain_deadline)
        if self._finalizer.open:
            due = min(due, self._finalizer.deadline())
        for conn in self._connections():
            due = min(due, deadline(conn, self.options))
        main = self._conn
        if main is not None and main.ready:
            due = min(due, self._repairer.deadline(), self._watchdog.deadline(main))
            if main.in_flight == 0 and self._sender.wake_at is not None:
                due = min(due, self._sender.wake_at)
            if self.state is S.READY:
                due = min(due, self._rollover.deadline(main))
        return due if due < math.inf else None

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        if self._dial_at is not None and now >= self._dial_at:
            self._dial(now)
        for conn in self._connections():
            self._check_connection(conn, now)
        self._check_overdue(now)
        self._stream.book.advance(now)
        self._reports.folding.advance(now)
        self._flush(now)

    def _check_connection(self, conn: Connection, now: float) -> None:
        if conn.stage is Stage.CLOSED:
            return  # the end of another that was due at the same time closed it
        if conn.stage is Stage.WAITING:
            self._begin_dial(conn, now)
        elif (dead := trouble(conn, self.options, now)) is not None:
            self._lose_connection(conn, *dead, now)

    def _check_overdue(self, now: float) -> None:
        conn = self._conn
        while conn is not None and conn.ready:
            overdue = self._watchdog.check(conn, now)
            if overdue is None:
                return
            repairing = overdue.turn is not None and self._repairer.take(overdue.turn, now)
            self._reports.overdue(overdue.what, repairing=repairing)
            if not repairing:
                self._lose_connection(conn, OVERDUE, f"{overdue.what} did not come", now)
                return

    # Other connections --------------------------------------------------------------------------------------

    def _advance_rollover(self, now: float) -> None:
        """Dial the next session in time, and let it take over where nothing is open."""
        while self.state is S.READY and self._conn is not None:
            new = self._rollover.advance(self._conn, now, self._connect)
            if new is None:
                return
            self._carry_on(new, now)
            self._advance_updates(now)  # the change behind the one that is in force now

    def _close_settled(self, now: float) -> None:
        """Connections whose work is done are closed."""
        repaired = self._repairer.finished(now)
        if repaired is not None and repaired.stage is not Stage.CLOSED:
            self._close(repaired, 1000)
        for conn in self._rollover.done():
            self._close(conn, 1000)
        if self._repairer.may_dial(now) and self.connected:
            self._repairer.dialled(self._connect(Role.REPAIR, now))

    # The pump -----------------------------------------------------------------------------------------------

    def _flush(self, now: float) -> None:
        """Put what can be sent into the actions, and settle what is complete. Most of it is nearly always nothing."""
        accepted = self._stream.ledger.accepted
        if self._steady_until <= accepted and self._looked_after < accepted and self.state is not S.STOPPED:
            self._look_after(now)
        if self._updates.current is not None:
            self._advance_updates(now)
        self._advance_rollover(now)
        for conn in self._connections():
            self._serve(conn, now)
        if self._finalizer.open:
            self._finalizer.advance(now)
        self._close_settled(now)
        self._stream.book.losses.flush(keep_growing=True)
        if self.state is S.DRAINING and self._drained(now):
            self._stopped(now)
        self._stream.tell_sent(few=self.state is not S.READY)
        self._find_steady()

    def _serve(self, conn: Connection, now: float) -> None:
        """What *conn* wants written now."""
        if conn.in_flight == 0:
            self._send_next(conn, now)
        if ping_due(conn, self.options, now):
            self._actions.append(Ping(conn.id))

    def _send_next(self, conn: Connection, now: float) -> None:
        message: bytes | None
        if conn.ready and conn.role is Role.MAIN:
            message = self._sender.next_message(conn, now)
        elif conn.ready and conn.role is Role.REPAIR:
            message = self._repairer.next_message(conn, now)
        else:
            message = conn.outbox.popleft() if conn.outbox else None
        if message is not None:
            conn.in_flight += 1
            conn.blocked_since = now
            self._actions.append(Send(conn.id, message))
            if unsaid := conn.dialect.unsaid():
                for decoded in unsaid:
                    self._receive(conn, decoded, now)
                self._flush(now)

    def _enter(self, state: SessionState) -> None:
        assert state in TRANSITIONS[self.state], f"{self.state} to {state}"
        self.state, self._steady_until = state, 0
