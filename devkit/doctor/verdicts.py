"""What a session that did not come about, or not as asked, says about key, account, path and configuration."""

from __future__ import annotations

import re

from ...realtime.endpoint import display_url
from ...realtime.errors import Outcome, Where, row_of, row_of_ending
from .probe import UPGRADED, Seen
from .report import Finding
from .troubles import trouble

_ACCOUNT = re.compile(r"organi[sz]ation|project", re.IGNORECASE)
_CREDIT = re.compile(r"quota|billing|credit", re.IGNORECASE)
_KEY = re.compile(r"api.?key|authentication|credential|token|unauthor", re.IGNORECASE)
_BY_STATUS = {403: "forbidden", 404: "path_wrong", 429: "overloaded"}
_UNAUTHORIZED = (401, 407)
_HALF_MASKED = re.compile(r"\S*\*{3,}\S*")
"How services quote a key: its ends are still in it."
_KEY_CLOSES = ("3000", "1008")
"Close codes by which services refuse a key."


def verdict(seen: Seen, key_place: str) -> Finding | None:
    """What keeps the session from being used as it was asked for; None if nothing does."""
    if seen.connect_ms is not None:
        return _thrown_out(seen) if seen.ended is not None else None
    if seen.status not in (0, UPGRADED):
        return _refused_by_http(seen, key_place)
    ended = seen.ended
    if seen.status == 0:
        if ended is None or ended.code == "timeout":
            return trouble("handshake_late", "the handshake has no answer")
        return trouble("no_http", seen.reason or ended.reason)
    return _refused_behind_the_upgrade(seen, key_place)


def _refused_by_http(seen: Seen, key_place: str) -> Finding:
    error = seen.body_error
    said = _quoted(": ".join(str(error[name]) for name in ("code", "message") if error.get(name)))
    detail = f"HTTP {seen.status}" + (f", {said}" if said else "")
    if seen.status in (*_UNAUTHORIZED, 403, 429) and (found := _of_account(said, detail)):
        return found
    if seen.status in _UNAUTHORIZED or (seen.status == 403 and _KEY.search(said)):
        return _of_key(seen, detail, key_place)
    if seen.status in _BY_STATUS:
        return trouble(_BY_STATUS[seen.status], detail)
    if seen.status >= 500:
        return trouble("service_down", detail)
    if 300 <= seen.status < 400:
        location = next((value for name, value in seen.headers.items() if name.lower() == "location"), "")
        target = display_url(location)
        return trouble("redirected", f"{detail}, to {target}", location=target)
    return trouble("no_websocket", detail, advice=row_of(Where.HTTP, str(seen.status)).remedy.replace("`", ""))


def _refused_behind_the_upgrade(seen: Seen, key_place: str) -> Finding:
    for complaint in seen.complaints:
        if complaint.code == "echo_mismatch":
            return trouble("echo_other", complaint.message)
        if complaint.code == "config_refused":
            said = ": ".join(part for part in (complaint.vendor_code, complaint.vendor_message) if part)
            return trouble("config_refused", _quoted(said))
        if complaint.code == "dialect_unfit":
            return trouble("unfit", complaint.message, problems="Change the property that is named, or the server.")
    code, detail = "", ""
    if seen.errors:
        last = seen.errors[-1]
        code, detail = last.code, _quoted(f"{last.code}: {last.message}".rstrip(": "))
    ended = seen.ended
    closed, reason = (ended.code, ended.reason) if ended else ("", "")
    detail = detail or " ".join(part for part in (f"closed with {closed}" if closed.isdigit() else "", reason) if part)
    if found := _of_account(f"{code} {detail}", detail):
        return found
    if code == "invalid_api_key" or closed in _KEY_CLOSES or _KEY.search(detail):
        return _of_key(seen, detail, key_place)
    if seen.created is None and (ended is None or closed == "timeout"):
        return trouble("mute", f"upgraded, and then nothing{': ' + detail if seen.errors else ''}")
    if seen.created is not None and (ended is None or closed == "timeout"):
        return trouble("echo_missing", "no session.updated came")
    row = row_of_ending(closed, code, reason)
    if code and row.outcome is Outcome.REFUSED:
        return trouble("config_refused", detail)
    return _thrown_out(seen, detail)


def _thrown_out(seen: Seen, detail: str = "") -> Finding:
    ended = seen.ended
    code, reason = (ended.code, ended.reason) if ended else ("", "")
    last = seen.errors[-1].code if seen.errors else ""
    remedy = row_of_ending(code, last, reason).remedy.replace("`", "")
    if remedy == "Nothing.":
        remedy = "Ask again; if it lasts, see the server's own log."
    return trouble("thrown_out", detail or f"closed with {code} {reason}".strip(), advice=remedy)


def _quoted(text: str) -> str:
    return _HALF_MASKED.sub("***", text)


def _of_account(said: str, detail: str) -> Finding | None:
    if _CREDIT.search(said):
        return trouble("no_credit", detail)
    return trouble("wrong_account", detail) if _ACCOUNT.search(said) else None


def _of_key(seen: Seen, detail: str, key_place: str) -> Finding:
    return trouble("key_refused", detail, source=key_place) if seen.key_sent else trouble("key_missing", detail)
