"""Saying things once: one error per cause, one warning per kind of oddity."""

from __future__ import annotations

from .connection import Connection
from .events import ClientError, ServerError, Warned
from .stream import Stream

LONG_WAIT_S = 1.0
"A dial that is held back longer than this is worth a word."
MAX_NOTED = 1000
"Kinds of oddity remembered; a server that makes up new ones for ever must not fill the memory."


class Reports:
    """What was already told. A cause is forgotten when a connection proves useful."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._told: set[str] = set()
        self._noted: set[str] = set()

    def forget(self) -> None:
        """A connection was useful: what happens now is news again."""
        self._told.clear()

    def note_once(self, kind: str, detail: str, message: str) -> None:
        """Warn the first time this *kind* of oddity shows this *detail*."""
        key = f"{kind}:{detail}"
        if key not in self._noted and len(self._noted) < MAX_NOTED:
            self._noted.add(key)
            self._stream.emit(Warned(kind, message))

    def server_error(self, error: ServerError, *, live: bool) -> None:
        """On a *live* stream each error is one report; while connecting, errors of one cause are one."""
        key = f"server:{error.code}"
        if not live:
            if key in self._told:
                return
            self._told.add(key)
        self._stream.emit(error)

    def drop(self, conn: Connection, code: str, reason: str, delay: float) -> None:
        """A connection ended, or did not come about; *delay*: seconds to the next attempt."""
        what = "dropped" if conn.was_ready else "connect_failed"
        cause = f"{what}:{code}:{conn.refusal or reason}"
        if cause in self._told or (conn.refusal and f"server:{conn.refusal}" in self._told):
            return
        self._told.add(cause)
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

    def waits_to_dial(self, wait: float) -> None:
        """The process's limit on connects holds a dial back for *wait* seconds."""
        if wait > LONG_WAIT_S:
            self.note_once(
                "connect_limit",
                "",
                f"this process connects as fast as its limit allows; the dial waits {wait:.1f} s and audio is kept",
            )

    def refused_for_good(self, conn: Connection, code: str, reason: str) -> None:
        """The one fatal error of a key, model or quota that stays refused."""
        what = conn.refusal or reason or code
        self._stream.emit(
            ClientError(
                "refused",
                f"the service refuses the session ({what}) and was asked often enough; the extension is inactive until "
                "trigger_connect. Check params.api_key, the model, the account's quota and params.base_url",
                fatal=True,
                vendor_code=conn.refusal or code,
                vendor_message=reason,
            )
        )
