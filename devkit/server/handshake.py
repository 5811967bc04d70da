"""What becomes of a connection, judged from its upgrade request.

The live service upgrades first and judges afterwards: a refusal is an `error` event and a CLOSE frame on an open
socket, never an HTTP status. So a successful upgrade says nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from ...realtime.messages import ErrorDetails
from .errors import CLOSE_BAD_REQUEST, CLOSE_UNAUTHORIZED, invalid_request, quoted_list

_KEY_PROTOCOL = "openai-insecure-api-key."
_BETA_PROTOCOL = "openai-beta.realtime-v1"


class Refusal(NamedTuple):
    """The last words of a connection that does not become a session."""

    error: ErrorDetails
    close_code: int


def is_realtime_path(target: str) -> bool:
    """Whether *target* (path and query of the request) is the Realtime endpoint, below any prefix."""
    return urlsplit(target).path.rstrip("/").endswith("/realtime")


def judge(target: str, headers: Mapping[str, str], api_key: str | None) -> Refusal | None:
    """None if the request gets a transcription session.

    *headers* looks names up without regard to case. With *api_key* None any key is taken, also none.
    """
    protocols = [entry.strip() for entry in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    refusal = None if api_key is None else _judge_key(_key(headers, protocols), api_key)
    return refusal or _judge_shape(target, headers, protocols)


def _key(headers: Mapping[str, str], protocols: list[str]) -> str:
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for protocol in protocols:
        if protocol.startswith(_KEY_PROTOCOL):
            return protocol[len(_KEY_PROTOCOL) :]
    return headers.get("api-key", "").strip()


def _judge_key(key: str, expected: str) -> Refusal | None:
    if not key:
        message = "Missing bearer or basic authentication in header."
        return Refusal(invalid_request(None, message), CLOSE_UNAUTHORIZED)
    if hmac.compare_digest(key.encode(errors="surrogateescape"), expected.encode()):
        return None
    # As the live service does, the message shows the beginning of the key: clients must keep it out of logs.
    shown = key[:4] if len(key) >= 8 else ""
    message = f"Incorrect API key provided: {shown}***."
    return Refusal(invalid_request("invalid_api_key", message), CLOSE_UNAUTHORIZED)


def _judge_shape(target: str, headers: Mapping[str, str], protocols: list[str]) -> Refusal | None:
    def refuse(code: str, message: str) -> Refusal:
        return Refusal(invalid_request(code, message), CLOSE_BAD_REQUEST)

    if "realtime=v1" in headers.get("OpenAI-Beta", "") or _BETA_PROTOCOL in protocols:
        return refuse(
            "beta_api_shape_disabled",
            "The Realtime beta API is no longer supported. Use the GA API without the beta header.",
        )
    query = parse_qs(urlsplit(target).query)
    model, intent = query.get("model", [""])[-1], query.get("intent", [""])[-1]
    if intent and model:
        return refuse("invalid_model", "You must not provide a model parameter for transcription sessions.")
    if model:
        return refuse("invalid_model", f"Model '{model}' is not supported in realtime mode.")
    if not intent:
        return refuse("missing_model", "You must provide a model parameter.")
    if intent != "transcription":
        return refuse(
            "invalid_value",
            f"Invalid value: '{intent}'. Supported values are: {quoted_list(('transcription',))}.",
        )
    return None
