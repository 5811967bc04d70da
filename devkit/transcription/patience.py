"""Whether the server can be expected to answer, from what the extension reports."""

from __future__ import annotations

from typing import Any

from .job import Received
from .transcript import Transcript, vendor_code

NEVER_REACHED_S = 10.0
"Time for a server that was never reached, from the first error on."

REFUSALS = frozenset(
    (
        "400 401 403 404 405 3000 4000 1008 "
        "invalid_api_key invalid_model invalid_value missing_model insufficient_quota"
    ).split()
)
"Vendor codes that mean the server does not want us: trying again does not help."


class Patience:
    """Follows a graph's messages; each must be in *transcript* already. Times are arguments, in seconds.

    *lost_s* is the time for a server that was reached and went away; None waits for it as long as it takes.
    """

    def __init__(self, transcript: Transcript, lost_s: float | None) -> None:
        self._transcript = transcript
        self._lost_s = lost_s
        self._offline_since: float | None = None
        self._last_error = ""

    def take(self, message: Received, now: float) -> str | None:
        """What *message* says that makes going on useless, as a sentence; else None."""
        if message.name == "error":
            return self._take_error(message.payload, now)
        if message.name == "connection_status_changed":
            connected = message.payload.get("current") == "connected"
            self._offline_since = None if connected else self._offline_since or now
            # An error need not say that it is a refusal; then the code of the end does.
            if self._last_error and not self._transcript.connected and vendor_code(message.payload) in REFUSALS:
                return self._refused()
        elif "connect_delay" in message.payload.get("metrics", {}):
            self._offline_since = None
        return None

    def _take_error(self, error: dict[str, Any], now: float) -> str | None:
        if self._transcript.fatal_error is not None:
            return str(error.get("message", ""))
        self._last_error = _cause(error)
        if not self._transcript.connected:
            if vendor_code(error) in REFUSALS:
                return self._refused()
            self._offline_since = self._offline_since or now
        return None

    def _refused(self) -> str:
        return f"the server refuses the session: {self._last_error}"

    def offline_s(self, now: float) -> float | None:
        """For how long there has been no connection; None while there is one."""
        return None if self._offline_since is None else now - self._offline_since

    def exhausted(self, now: float) -> str | None:
        """Why nobody should wait for the server any more, as a sentence; else None."""
        patience_s = self._lost_s if self._transcript.connected else NEVER_REACHED_S
        offline_s = self.offline_s(now)
        if patience_s is None or offline_s is None or not self._last_error or offline_s <= patience_s:
            return None
        return f"the server cannot be reached, is it running and the URL right? ({self._last_error})"


def _cause(error: dict[str, Any]) -> str:
    """What happened, in the vendor's or the network's own words where there are any."""
    info = error.get("vendor_info")
    message = str(info.get("message", "")) if isinstance(info, dict) else ""
    return message or str(error.get("message", ""))
