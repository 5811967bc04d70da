"""What a session that did not come about, or not as asked, says about key, account, path and configuration."""

from __future__ import annotations

import re

from ...realtime.endpoint import display_url, host_of
from ...realtime.errors import OTHER, TABLE, Outcome, Where, row_of, row_of_ending
from .probe import UPGRADED, Seen
from .report import Finding
from .troubles import trouble

_TROUBLE_OF_CODE = {
    "invalid_api_key": "key_refused",
    "insufficient_quota": "no_credit",
    "billing_hard_limit_reached": "no_credit",
    "mismatched_project": "wrong_account",
    "mismatched_organization": "wrong_account",
    "invalid_organization": "wrong_account",
    "rate_limit_exceeded": "overloaded",
    "server_error": "service_down",
    "unsupported_country_region_territory": "region",
}
_CONFIGURED = frozenset(code for row in TABLE if row.where in (Where.SETUP, Where.UPDATE) for code in row.codes) - {
    OTHER
}
"Codes of `realtime.errors` that are about the configuration, unless they are above."
# What a service says that names no code we know. Links are left out before.
_LINK = re.compile(r"https?://\S+")
_REGION = re.compile(r"\bcountry\b|\bterritory\b", re.IGNORECASE)
_ACCOUNT = re.compile(r"organi[sz]ation|project", re.IGNORECASE)
_CREDIT = re.compile(r"quota|billing|credit\b|credits\b", re.IGNORECASE)
_KEY = re.compile(
    r"api.?key|authenticat|credentials?\b|unauthor"
    r"|\b(?:invalid|expired|missing|bad|wrong|unknown|no)\W+(?:\w+\W+){0,2}token\b"
    r"|\btoken\b.{0,30}\b(?:invalid|expired|missing|rejected|refused)",
    re.IGNORECASE,
)
_PATH = "Check the path in params.base_url; it usually ends in /v1."
_BY_STATUS = {403: "forbidden", 404: "path_wrong", 429: "overloaded"}
_UNAUTHORIZED = (401, 407)
_LIMITED = 429
_HALF_MASKED = re.compile(r"\S{0,200}(?:\*{3,}|\w-?\.{3,}\w|…)\S{0,200}")
"How services quote a key: its ends are still in it."
_ACCOUNT_ID = re.compile(r"\b(?:org|proj)[-_]\w{4,}")
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
        if "redirects" in seen.reason:
            return trouble("redirected", seen.reason, advice=_PATH)
        return trouble("no_http", seen.reason or ended.reason)
    return _refused_behind_the_upgrade(seen, key_place)


def _refused_by_http(seen: Seen, key_place: str) -> Finding:
    error = seen.body_error
    code = str(error.get("code") or error.get("type") or "")
    said = quoted(": ".join(str(error[name]) for name in ("code", "message") if error.get(name)))
    detail = f"HTTP {seen.status}" + (f", {said}" if said else "")
    if found := named(code, seen, detail, key_place):
        return found
    words = _LINK.sub("", said)
    if seen.status in (*_UNAUTHORIZED, 403, _LIMITED) and (found := _by_words(words, detail, seen.status)):
        return found
    if seen.status in _UNAUTHORIZED or (seen.status == 403 and _KEY.search(words)):
        return _of_key(seen, detail, key_place)
    if seen.status in _BY_STATUS:
        return trouble(_BY_STATUS[seen.status], detail)
    if seen.status >= 500:
        return trouble("service_down", detail)
    if 300 <= seen.status < 400:
        location = next((value for name, value in seen.headers.items() if name.lower() == "location"), "")
        if not host_of(location):
            return trouble("redirected", f"{detail}, and it names no address to go to", advice=_PATH)
        target = display_url(location)
        return trouble(
            "redirected", f"{detail}, to {target}", advice=f"If you trust it, use {target} in params.base_url."
        )
    return trouble("no_websocket", detail, advice=row_of(Where.HTTP, str(seen.status)).remedy.replace("`", ""))


def _refused_behind_the_upgrade(seen: Seen, key_place: str) -> Finding:
    for complaint in seen.complaints:
        if complaint.code == "echo_mismatch":
            return trouble("echo_other", quoted(complaint.message))
        if complaint.code == "config_refused":
            said = ": ".join(part for part in (complaint.vendor_code, complaint.vendor_message) if part)
            return trouble("config_refused", quoted(said))
        if complaint.code == "dialect_unfit":
            return trouble("unfit", complaint.message, problems="Change the property that is named, or the server.")
    code, detail = "", ""
    if seen.errors:
        last = seen.errors[-1]
        code, detail = last.code, quoted(f"{last.code}: {last.message}".rstrip(": "))
    ended = seen.ended
    closed, reason = (ended.code, quoted(ended.reason)) if ended else ("", "")
    detail = detail or " ".join(part for part in (f"closed with {closed}" if closed.isdigit() else "", reason) if part)
    for name in (code, reason.rpartition(".")[2]):
        if found := named(name, seen, detail, key_place):
            return found
    words = _LINK.sub("", f"{code} {detail}")
    if found := _by_words(words, detail):
        return found
    if closed in _KEY_CLOSES or _KEY.search(words):
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
    code, reason = (ended.code, quoted(ended.reason)) if ended else ("", "")
    last = seen.errors[-1].code if seen.errors else ""
    remedy = row_of_ending(code, last, reason).remedy.replace("`", "")
    if remedy == "Nothing.":
        remedy = "Ask again; if it lasts, see the server's own log."
    return trouble("thrown_out", detail or f"closed with {code} {reason}".strip(), advice=remedy)


def quoted(text: str) -> str:
    """A server's words, without parts of keys, and organizations and projects, which it may know from the key."""
    return _ACCOUNT_ID.sub("***", _HALF_MASKED.sub("***", text))


def named(code: str, seen: Seen, detail: str, key_place: str) -> Finding | None:
    """What *code* says by itself: what else stands in a message may be about anything."""
    name = _TROUBLE_OF_CODE.get(code, "config_refused" if code in _CONFIGURED else "")
    if name == "key_refused":
        return _of_key(seen, detail, key_place)
    return trouble(name, detail) if name else None


def _by_words(words: str, detail: str, status: int = 0) -> Finding | None:
    """What a refusal without a code we know seems to be about; limits (429) name an organization, too."""
    if _REGION.search(words):
        return trouble("region", detail)
    if _CREDIT.search(words):
        return trouble("no_credit", detail)
    return trouble("wrong_account", detail) if _ACCOUNT.search(words) and status != _LIMITED else None


def _of_key(seen: Seen, detail: str, key_place: str) -> Finding:
    return trouble("key_refused", detail, source=key_place) if seen.key_sent else trouble("key_missing", detail)
