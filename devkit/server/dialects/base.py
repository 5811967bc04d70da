"""What a dialect must say; see the package for how to add one."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..access import Access, key_of
from ..errors import INVALID_REQUEST, RequestRefused
from ..handshake import Refusal
from ..http_front import HttpAnswer, Post
from ..identifiers import Identifiers
from ..minting import is_mint_path, mint
from ..session_config import SessionConfig
from ..voice import Voice


class Dialect(abc.ABC):
    """One kind of server. The same object serves all connections; what one of them needs is in its voice."""

    name: str
    base_path = "/v1"
    session_seconds = 3600.0
    "`math.inf` for sessions without end."
    mints = False
    "Whether it has the endpoint for client secrets."

    def serves(self, target: str) -> bool:
        """Whether *target* (path and query) is its Realtime endpoint, below any prefix."""
        return urlsplit(target).path.rstrip("/").endswith(f"{self.base_path}/realtime")

    def nowhere(self) -> HttpAnswer:
        """The answer to an upgrade on another path."""
        return HttpAnswer(404, "not found\n")

    def answer_upgrade(self, target: str, headers: Mapping[str, str], access: Access) -> HttpAnswer | None:
        """What an upgrade is refused with before there is a socket, if it is."""
        return None

    def refuse(self, target: str, headers: Mapping[str, str], access: Access) -> Refusal | None:
        """What is said on the open socket instead of a session, if it gets none."""
        return None

    def config(self, target: str, headers: Mapping[str, str], access: Access) -> SessionConfig:
        """What the session begins with: what the client's secret was minted for, if it shows one."""
        secret = access.secret(key_of(headers)) if self.mints else None
        return secret.config if secret is not None else SessionConfig()

    @abc.abstractmethod
    def voice(self, target: str, epoch: float) -> Voice:
        """How a connection speaks that was opened at *epoch*, the wall clock's time."""

    # Client secrets -------------------------------------------------------------------------------------------

    def answer_post(self, post: Post, access: Access, identifiers: Identifiers) -> HttpAnswer:
        """The answer to a POST: a client secret, or why there is none."""
        if not self.mints or not is_mint_path(post.target):
            return self.nowhere()
        key = key_of(post.headers)
        if access.api_key is not None and not access.opens(key):
            return self.wrong_key(key)
        try:
            return HttpAnswer(200, mint(post.body, access, identifiers))
        except RequestRefused as refused:
            return self.http_error(400, refused.code, refused.message, refused.param)

    def wrong_key(self, key: str) -> HttpAnswer:
        """The answer to a plain HTTP request with a *key* that is not the server's; empty if it has none."""
        if not key:
            return self.http_error(401, None, "Missing bearer or basic authentication in header.")
        return self.http_error(401, "invalid_api_key", "Incorrect API key provided.")

    def http_error(self, status: int, code: str | None, message: str, param: str | None = None) -> HttpAnswer:
        """The body of an HTTP error."""
        error = {"message": message, "type": INVALID_REQUEST, "param": param, "code": code}
        return HttpAnswer(status, {"error": error})
