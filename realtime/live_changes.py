"""The part of a session that changes its configuration: it does what `reconfigure.py` decides.

A class of its own because it is a subject of its own; it is one half of `Session`, and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from . import messages as wire
from .backoff import Backoff, is_refusal
from .connection import Connection
from .dialects.choice import DialectChoice
from .events import Reconfigured
from .lifecycle import SessionState as S
from .options import SessionOptions
from .ownership import change_owner
from .parts import SessionParts
from .reconfigure import APPLIED, SERVER_TYPES, STAYS, TAKEN, Change, Step, Way, refusal, way_of
from .reporting import Reports


class LiveChanges(SessionParts):
    """What `Session` inherits. The attributes are the session's."""

    _reports: Reports
    _backoff: Backoff
    _place: DialectChoice
    "The server in force."
    _good: tuple[SessionOptions, DialectChoice] | None
    "Options and place of the last session that was configured."
    _dial: Callable[[float], None]
    _close: Callable[[Connection, int], None]

    def reconfigure(
        self, request: str, options: SessionOptions, now: float, *, place: DialectChoice | None = None
    ) -> None:
        """Change the configuration without losing a word; exactly one `Reconfigured` answers *request*.

        *place*: another server, for connections from then on. What the stream cannot change, its sample rate, stays.
        Raises ConfigurationError for what model or server cannot take and ValueError for an unresolved `auto`; then
        nothing was asked.
        """
        options = options.replace(sample_rate=self._stream.rate)
        if place is None:
            place = self._updates.newest_place(self._place)
        warnings = place.kind().configure(options, "").warnings
        deadline = now + self.options.connect_timeout_ms / 1000
        self._updates.add(Change(request, options, place, deadline, warnings=warnings))
        self._flush(now)

    def _way(self, change: Change) -> Way:
        if change.place is not self._place:
            return Way.SWITCH
        kind = self._place.kind
        before, after = kind().configure(self.options, ""), kind().configure(change.options, "")
        way = way_of(self.options, change.options, before.expected, after.expected)
        if way is Way.OURS and before.frame == after.frame:
            return way
        return way if kind.confirms and way is Way.LIVE else Way.SWITCH

    def _advance_updates(self, now: float) -> None:
        """Do what the changes that were asked for want done."""
        while (step := self._updates.step(self.state, self._way, now)) is not None:
            change, main = self._updates.current, self._conn
            assert change is not None
            if step is Step.INSTALL:
                self._take(change, now)
                continue
            if step is Step.GIVE_UP:
                reason = f" ({change.reason})" if change.reason else ""
                self._refuse_change(f"no session could be configured with it in time{reason}; {STAYS}", now)
                continue
            assert main is not None
            if step is Step.ASK:
                update_id = self._stream.new_id("update")
                configuration = main.dialect.configure(change.options, update_id)
                main.outbox.append(configuration.frame)
                deadline = now + self.options.commit_timeout_ms / 1000
                self._updates.asked(update_id, configuration.expected, deadline)
            else:
                self._drop_spare()
                self._updates.began_switch(now + self.options.connect_timeout_ms / 1000)
                client_owned = change.options.turn_detection.type in ("local_vad", "none")
                self._rollover.wants_quiet = client_owned and not self._stream.client_owned
                self._rollover.hurry(main, now)

    def _take(self, change: Change, now: float) -> None:
        """*change* comes into force where the stream is: on its connection, or while it has none."""
        moved, main = change.place is not self._place, self._conn
        self._install(change.options, change.place, now)
        if main is not None and main.ready:
            main.options, main.expected = self.options, change.expected or main.expected
            self._good = self.options, self._place
            if self._rollover.spare is not None and self._rollover.spare.options != self.options:
                self._drop_spare()
            self._updates.answer("applied", APPLIED)
            return
        self._updates.answer("taken", TAKEN)
        was_refused = self._backoff.refusals > 0 or (main is not None and main.unfit)
        if self.state is S.FAILED or (self.state is S.BACKOFF and (moved or was_refused)):
            self._backoff = Backoff()
            self._reports.forget()
            self._stream.book.losses.finish()
            self._dial(now)

    def _install(self, options: SessionOptions, place: DialectChoice, now: float) -> None:
        """*options* are in force from here on."""
        before = self._stream.detection
        self.options, self._place = options.replace(sample_rate=self._stream.rate), place
        self._stream.set_options(self.options, place.kind.rules(options.transcription.model))
        if self._stream.detection != before:
            change_owner(self._stream, self._turns, before, self._finalizer.fences, now)
            if not {before, self._stream.detection} <= set(SERVER_TYPES):  # else the server goes on with what it heard
                self._finalizer.connection_lost()
            self._sender.rewind()
            self._watchdog.renew()
        self._rollover.wants_quiet = False

    def _says_no(self, conn: Connection, error: wire.ErrorDetails) -> bool:
        return conn is self._conn and self._updates.refused_by(error.event_id or "", error.param or "")

    def _spare_lost(self, conn: Connection, code: str, reason: str, now: float) -> None:
        """The session that was to bring a change ended, or did not come about."""
        change = self._updates.switching
        if change is None or conn.options != change.options:
            return
        change.reason = conn.words or reason or code
        if conn.unfit or is_refusal(code, conn.refusal, reason):
            self._refuse_change(refusal(change.reason), now)
        elif conn.was_ready:
            self._updates.began_switch(now + self.options.connect_timeout_ms / 1000)

    def _refuse_change(self, message: str, now: float) -> None:
        """The change under way is not to be: everything stays as it was."""
        change, main = self._updates.current, self._conn
        assert change is not None
        self._updates.answer("refused", message)
        if self._rollover.spare is not None and self._rollover.spare.options != self.options:
            self._drop_spare()
        if main is not None and main.ready:
            self._rollover.calm_down(main)
            if change.unsure:
                self._rollover.hurry(main, now)

    def _asked_elsewhere(self, conn: Connection, code: str) -> bool:
        """Whether the same attempt goes on at another URL of the same server."""
        return not conn.update_tries and conn.place.refused(conn.refusal or code)

    def _drop_spare(self) -> None:
        if self._rollover.spare is not None:
            self._close(self._rollover.spare, 1000)
            self._rollover.spare = None

    def _revert(self, conn: Connection, reason: str, now: float) -> bool:
        """What was taken without a connection is refused now: go back to what worked, if that is something else."""
        if self._good is None or (self._good[0] == self.options and self._good[1] is self._place):
            return False
        self._install(*self._good, now)
        words = f"what was taken without a connection was refused ({conn.words or reason})"
        self._stream.emit(Reconfigured("", "reverted", f"{words}; the configuration before it is in force again"))
        return True
