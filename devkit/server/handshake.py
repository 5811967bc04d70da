"""What becomes of a connection, judged from its upgrade request.

The live service upgrades first and judges afterwards: a refusal is an `error` event and a CLOSE frame on an open
socket, never an HTTP status. So a successful upgrade says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from ...realtime.messages import ErrorDetails
from .access import Access, key_of
from .errors import CLOSE_BAD_REQUEST, CLOSE_UNAUTHORIZED, invalid_request, quoted_list

_BETA_PROTOCOL = "openai-beta.realtime-v1"


class Refusal(NamedTuple):
    """The last words of a connection that does not become a session."""

    error: ErrorDetails
    close_code: int


def is_realtime_path(target: str) -> bool:
    """Whether *target* (path and query of the request) is the Realtime endpoint, below any prefix."""
    return urlsplit(target).path.rstrip("/").endswith("/realtime")


def judge(target: str, headers: Mapping[str, str], access: Access) -> Refusal | None:
    """None if the request gets a transcription session.

    *headers* looks names up without regard to case.
    """
    key = key_of(headers)
    if access.secret(key) is not None:
        # The secret says what kind of session it is for: the URL need not.
        return _judge_beta(headers)
    return judge_key(key, access) or _judge_beta(headers) or _judge_shape(target)


def judge_key(key: str, access: Access) -> Refusal | None:
    """None if *key* is the server's, or it takes any."""
    if access.api_key is None:
        return None
    if not key:
        message = "Missing bearer or basic authentication in header."
        return Refusal(invalid_request(None, message), CLOSE_UNAUTHORIZED)
    if access.opens(key):
        return None
    # As the live service does, the message shows the beginning of the key: clients must keep it out of logs.
    shown = key[:4] if len(key) >= 8 else ""
    message = f"Incorrect API key provided: {shown}***."
    return Refusal(invalid_request("invalid_api_key", message), CLOSE_UNAUTHORIZED)


def asks_for_beta(headers: Mapping[str, str]) -> bool:
    """Whether the request is one of the retired beta."""
    protocols = [entry.strip() for entry in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    return "realtime=v1" in headers.get("OpenAI-Beta", "") or _BETA_PROTOCOL in protocols


def bad_request(code: str, message: str) -> Refusal:
    """A refusal of what the request asks for."""
    return Refusal(invalid_request(code, message), CLOSE_BAD_REQUEST)


def _judge_beta(headers: Mapping[str, str]) -> Refusal | None:
    if not asks_for_beta(headers):
        return None
    return bad_request(
        "beta_api_shape_disabled",
        "The Realtime beta API is no longer supported. Use the GA API without the beta header.",
    )


def _judge_shape(target: str) -> Refusal | None:
    query = query_of(target)
    model, intent = query.get("model", ""), query.get("intent", "")
    if intent and model:
        return bad_request("invalid_model", "You must not provide a model parameter for transcription sessions.")
    if model:
        return bad_request("invalid_model", f"Model '{model}' is not supported in realtime mode.")
    if not intent:
        return bad_request("missing_model", "You must provide a model parameter.")
    if intent != "transcription":
        return bad_request(
            "invalid_value",
            f"Invalid value: '{intent}'. Supported values are: {quoted_list(('transcription',))}.",
        )
    return None


def query_of(target: str) -> dict[str, str]:
    """The query of a request's target; of a name that comes more than once, the last."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(target).query).items()}
