"""`POST …/realtime/client_secrets`: what it takes and what it answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

from ...realtime.messages import Json
from .access import Access
from .errors import RequestRefused
from .identifiers import Identifiers
from .session_config import SessionConfig, apply_update

DEFAULT_SECONDS, LEAST_SECONDS, MOST_SECONDS = 600, 10, 7200


def is_mint_path(target: str) -> bool:
    """Whether *target* is the endpoint, below any prefix."""
    return urlsplit(target).path.rstrip("/").endswith("/realtime/client_secrets")


def mint(body: bytes, access: Access, identifiers: Identifiers) -> Json:
    """A new secret, as the answer has it. Raises RequestRefused for a *body* that is not right."""
    request = _request(body)
    for name in request:
        if name not in ("expires_after", "session"):
            raise RequestRefused("unknown_parameter", f"Unknown parameter: '{name}'.", name)
    seconds = _seconds(request.get("expires_after"))
    session = request.get("session")
    config = SessionConfig()
    if session is not None:
        config = apply_update(config, _object(session, "session"))
    secret = access.mint(seconds, config)
    return {
        "value": secret.value,
        "expires_at": secret.expires_at,
        "session": config.to_wire(identifiers.new("sess"), 0),
    }


def _request(body: bytes) -> Json:
    try:
        return _object(msgspec.json.decode(body) if body.strip() else {}, "body")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RequestRefused("invalid_json", "The body could not be parsed as JSON.") from None


def _seconds(expires_after: Any) -> int:
    if expires_after is None:
        return DEFAULT_SECONDS
    given = _object(expires_after, "expires_after")
    for name in given:
        if name not in ("anchor", "seconds"):
            raise RequestRefused(
                "unknown_parameter", f"Unknown parameter: 'expires_after.{name}'.", f"expires_after.{name}"
            )
    if given.get("anchor", "created_at") != "created_at":
        raise RequestRefused(
            "invalid_value",
            f"Invalid value: '{given['anchor']}'. Supported values are: 'created_at'.",
            "expires_after.anchor",
        )
    seconds = given.get("seconds", DEFAULT_SECONDS)
    param = "expires_after.seconds"
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise RequestRefused("invalid_type", f"Invalid type for '{param}': expected an integer.", param)
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise RequestRefused(
            "invalid_value",
            f"Invalid '{param}': expected a value from {LEAST_SECONDS} to {MOST_SECONDS}, but got {seconds} instead.",
            param,
        )
    return seconds


def _object(value: Any, param: str) -> Json:
    if not isinstance(value, dict):
        raise RequestRefused("invalid_type", f"Invalid type for '{param}': expected an object.", param)
    return value
