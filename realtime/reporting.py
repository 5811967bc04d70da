"""Saying things once: one error per cause, one warning per kind of oddity."""

from __future__ import annotations

from .connection import Connection
from .events import ClientError, ServerError, Warned
from .limits import MAX_NOTED
from .stream import Stream

_KEY_LENGTH = 200
"Characters by which a cause is known again: a server that makes up new ones for ever must not fill the memory."


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
        key = f"{kind}:{detail}"[:_KEY_LENGTH]
        if key not in self._noted and len(self._noted) < MAX_NOTED:
            self._noted.add(key)
            self._stream.emit(Warned(kind, message))

    def server_error(self, error: ServerError, *, live: bool) -> None:
        """On a *live* stream each error is one report; while connecting, errors of one cause are one."""
        key = f"server:{error.code}"[:_KEY_LENGTH]
        if not live:
            if key in self._told:
                return
            self._tell(key)
        self._stream.emit(error)

    def _tell(self, cause: str) -> None:
        if len(self._told) >= MAX_NOTED:
            self._told.clear()
        self._told.add(cause)

    def drop(self, conn: Connection, code: str, reason: str, delay: float) -> None:
        """A connection ended, or did not come about; *delay*: seconds to the next attempt."""
        what = "dropped" if conn.was_ready else "connect_failed"
        cause = f"{what}:{code}:{conn.refusal or reason}"[:_KEY_LENGTH]
        if cause in self._told or (conn.refusal and f"server:{conn.refusal}"[:_KEY_LENGTH] in self._told):
            return
        self._tell(cause)
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
