"""Who may use a playground: whoever sits at this machine, or has the token. No page of another origin may.

A page of any other site can make a browser send requests to 127.0.0.1, and a name that its owner points at 127.0.0.1
makes them look like its own. So Host and Origin are looked at, not only where a connection comes from.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..transcription.destination import is_loopback

TOKEN_CHARACTERS = 16
"A shorter token could be guessed by trying."


@dataclass(frozen=True)
class Access:
    """The rules for one playground. *token* is None where it can be reached from this machine alone."""

    token: str | None = field(repr=False)

    def knows_host(self, host: str) -> bool:
        """Whether a request for *host* (the header, with or without a port) is for us."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return self.token is not None or is_loopback(name)

    def is_own_origin(self, origin: str | None, host: str) -> bool:
        """Whether the page that opens a connection came from here; *host* is the header of the same request."""
        if not origin:
            return False
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()

    def admits(self, token: str | None) -> bool:
        """Whether *token*, as it came with a request, is the one."""
        if self.token is None:
            return True
        return token is not None and hmac.compare_digest(token.encode(), self.token.encode())
