"""Saying things once: one error per cause, one warning per kind of oddity, and how often what keeps coming came."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from .connection import Connection
from .errors import OTHER, Outcome, Where, is_expiry, row_of
from .events import ClientError, ServerError, Warned
from .limits import MAX_NOTED
from .overdue import OVERDUE
from .stream import Stream

LONG_WAIT_S = 1.0
"A dial that is held back longer than this is worth a word."
_KEY_LENGTH = 200
"Characters by which a cause is known again: a server that makes up new ones for ever must not fill the memory."
FOLD_S = 10.0
"Repeats of an error that was told are counted this long, then told as one."
ITEMS_TOLD = 3
"Failed items carry times of their own: this many of one code are told singly before they are folded."
MAX_SERIES = 32
"Codes counted apart; with more than that at a time, a server makes them up, and the rest is counted together."


@dataclass
class _Series:
    """Errors of one code: `told` singly, and `count` more of them since."""

    until: float
    told: int = 1
    count: int = 0
    folded: ServerError | None = None

    def fold(self, error: ServerError) -> None:
        """Count *error*; of failed items also what they lost."""
        self.count += 1
        before = self.folded
        if before is not None and before.start_ms is not None and error.start_ms is not None:
            duration = (before.duration_ms or 0) + (error.duration_ms or 0)
            error = replace(error, item_id="", start_ms=min(before.start_ms, error.start_ms), duration_ms=duration)
        self.folded = replace(error, count=self.count)


class Folding:
    """Server errors on a live stream: the first of a code is told at once, its repeats as one report with a count.

    Nothing is swallowed: the counts of all reports are the errors that came, at the latest when `finish` is called.
    """

    def __init__(self, emit: Callable[[ServerError], None]) -> None:
        self._emit = emit
        self._series: dict[tuple[bool, str], _Series] = {}

    def add(self, error: ServerError, now: float) -> None:
        """Tell *error*, or count it."""
        self.advance(now)
        item = error.duration_ms is not None
        known = (item, error.code) in self._series or len(self._series) < MAX_SERIES
        key = (item, error.code if known else OTHER)
        series = self._series.get(key)
        if series is None:
            self._series[key] = _Series(now + FOLD_S)
            self._emit(error)
        elif item and series.told < ITEMS_TOLD:
            series.told += 1
            self._emit(error)
        else:
            series.fold(error)

    def deadline(self) -> float:
        """When a count is due to be told; infinite when there is none."""
        if not self._series:
            return math.inf
        return min((series.until for series in self._series.values() if series.folded), default=math.inf)

    def advance(self, now: float) -> None:
        """Tell the counts that are due. What goes on coming stays folded; what stopped will be news again."""
        for key, series in list(self._series.items()):
            if now < series.until:
                continue
            if series.folded is None:
                del self._series[key]
            else:
                self._emit(series.folded)
                self._series[key] = _Series(now + FOLD_S, told=ITEMS_TOLD)

    def finish(self) -> None:
        """Tell every count: the stream ends."""
        for series in self._series.values():
            if series.folded is not None:
                self._emit(series.folded)
        self._series.clear()


class Reports:
    """What was already told. A cause is forgotten when a connection proves useful."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._told: set[str] = set()
        self._noted: set[str] = set()
        self.folding = Folding(stream.emit)

    def forget(self) -> None:
        """A connection was useful: what happens now is news again."""
        self._told.clear()

    def note_once(self, kind: str, detail: str, message: str) -> None:
        """Warn the first time this *kind* of oddity shows this *detail*."""
        key = f"{kind}:{detail}"[:_KEY_LENGTH]
        if key not in self._noted and len(self._noted) < MAX_NOTED:
            self._noted.add(key)
            self._stream.emit(Warned(kind, message))

    def live_error(self, error: ServerError, now: float) -> None:
        """An error on a live stream, or a failed item."""
        row = row_of(Where.LIVE if error.duration_ms is None else Where.ITEM, error.code)
        if row.outcome is not Outcome.IGNORE and not row.silent:
            self.folding.add(error, now)

    def setup_error(self, error: ServerError) -> None:
        """An error before the session is configured: one report per cause, however many attempts meet it."""
        if self._is_news(f"server:{error.code}"):
            self._stream.emit(error)

    def client_error(self, error: ClientError) -> None:
        """An error that ends the attempt to configure a session: one report per cause, that of the end included."""
        if self._is_news(f"{error.code}:{error.message}"):
            self._is_news(f"server:{error.vendor_code or error.code}")
            self._stream.emit(error)

    def _is_news(self, cause: str) -> bool:
        """Whether *cause* was not told yet; from now on it is."""
        if self._was_told(cause):
            return False
        if len(self._told) >= MAX_NOTED:
            self._told.clear()
        self._told.add(cause[:_KEY_LENGTH])
        return True

    def _was_told(self, cause: str) -> bool:
        return cause[:_KEY_LENGTH] in self._told

    def drop(self, conn: Connection, code: str, reason: str, delay: float) -> None:
        """A connection ended, or did not come about; *delay*: seconds to the next attempt.

        The end of a session that has lived its time is nobody's fault, and what was overdue has been told.
        """
        if conn.expired or code == OVERDUE or (conn.was_ready and is_expiry("", code, reason)):
            return
        what = "dropped" if conn.was_ready else "connect_failed"
        if conn.refusal and self._was_told(f"server:{conn.refusal}"):
            return
        if not self._is_news(f"{what}:{code}:{conn.refusal or reason}"):
            return
        happened = "the connection was lost" if conn.was_ready else "no session could be configured"
        detail = " ".join(part for part in (code, conn.refusal or reason) if part)
        self._stream.emit(
            ClientError(
                what,
                f"{happened} ({detail}); audio is kept and the next attempt follows in {delay:.1f} s",
                vendor_code=conn.refusal or code,
                vendor_message=reason,
            )
        )

    def overdue(self, what: str, *, repairing: bool) -> None:
        """The server owes something for too long."""
        if not self._is_news(f"overdue:{what}"):
            return
        then = "its audio is sent once more" if repairing else "the connection is renewed; audio is kept"
        self._stream.emit(ClientError(OVERDUE, f"{what} did not come in time, though the connection lives; {then}"))

    def waits_to_dial(self, wait: float) -> None:
        """The process's limit on connects holds a dial back for *wait* seconds."""
        if wait > LONG_WAIT_S:
            self.note_once(
                "connect_limit",
                "",
                f"this process connects as fast as its limit allows; the dial waits {wait:.1f} s and audio is kept",
            )

    def failed(self, error: ClientError) -> None:
        """The one fatal error of what cannot work. Whoever starts again is told anew."""
        self.forget()
        self._stream.emit(error)


def refused_for_good(conn: Connection, code: str, reason: str) -> ClientError:
    """The error for a key, model or quota that stays refused."""
    what = conn.refusal or reason or code
    return ClientError(
        "refused",
        f"the service refuses the session ({what}) and was asked often enough; the extension is inactive until "
        "trigger_connect. Check params.api_key, the model, the account's quota and params.base_url",
        fatal=True,
        vendor_code=conn.refusal or code,
        vendor_message=reason,
    )


def server_error_text(error: ServerError) -> str:
    """*error* as a sentence to the user: what was reported, of what, how often, and which audio it concerns."""
    item = error.duration_ms is not None
    of = f" (item {error.item_id})" if error.item_id else f" (field {error.param})" if error.param else ""
    if error.count > 1:
        of = f" {error.count} more times" if not item else f" for {error.count} more items"
    text = f"the server reported {error.code}{of}: {error.message}".rstrip(": ")
    if item:
        which = f"{error.duration_ms} ms of audio from {error.start_ms} ms on"
        outcome = "is sent once more" if error.repairing else "will have no transcript"
        text += f"; {which}{', in all,' if error.count > 1 else ''} {outcome}"
    return text
