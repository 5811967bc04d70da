"""The session: handshake, key, account, configuration taken, round trip, clock. One connection serves them all."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timezone
from statistics import median

from ...key_command import key_from_command
from ...realtime.rollover import date_of
from ...telemetry import key_fingerprint
from ...transport import Endpoint
from .case import Case
from .network import wants_certificate
from .probe import UPGRADED, Seen, look
from .report import Finding, not_needed, ok, skipped
from .route import route_of
from .troubles import TROUBLES, trouble
from .verdicts import quoted, verdict

FAR_MS = 300
SKEW_S = 5.0
"An answer's `Date` counts whole seconds, and travels."


def check_handshake(case: Case) -> Finding:
    """The upgrade, and that a session begins behind it."""
    key = _key(case)
    if case.key_trouble is not None:
        return skipped("there is no key to ask with, see Key")
    settings = case.settings.connection
    endpoint = Endpoint(
        base_url=settings.base_url,
        api_key=key,
        organization=settings.organization,
        project=settings.project,
        headers=settings.headers,
        proxy=settings.proxy,
        ca_file=settings.ca_file,
        dialect=settings.dialect,
    )
    assert case.options is not None
    seen = case.seen = asyncio.run(look(case.options, endpoint, case.wait_s, case.world.now))
    found = _found(case, "handshake")
    if found is not None:
        return _broken_off(case, found) if found.trouble == "no_http" else found
    if seen.status not in (0, UPGRADED):
        return ok(f"answered with HTTP {seen.status}: there is a service, and it refuses us")
    if seen.connect_ms is None:
        return ok("upgraded; what the server says then is below")
    needed, limit = round(case.key_ms + seen.connect_ms), case.settings.connect_timeout_ms
    if needed > limit:
        detail = f"session configured in {needed} ms, and params.connect_timeout_ms is {limit}"
        return trouble("connect_short", detail, needed=needed)
    return ok(f"session configured in {seen.connect_ms:.0f} ms", ms=seen.connect_ms)


def _broken_off(case: Case, found: Finding) -> Finding:
    """*found*, or why a server that speaks TLS did not answer the request within."""
    said = wants_certificate(case) if route_of(case).secure else ""
    return trouble("client_certificate", f"the server broke TLS off: {said}") if said else found


def _key(case: Case) -> str | None:
    settings = case.settings.connection
    if settings.api_key_command is None:
        return settings.api_key
    begun = time.perf_counter()
    try:
        key = asyncio.run(asyncio.wait_for(key_from_command(settings.api_key_command), case.wait_s))
    except asyncio.TimeoutError:
        case.key_trouble = trouble("key_command", f"the command did not end in {case.wait_s:g} s")
    except (RuntimeError, OSError, UnicodeDecodeError) as error:
        why = str(error) if type(error) is RuntimeError else type(error).__name__
        case.key_trouble = trouble("key_command", f"the command failed: {why}")
    else:
        case.key_ms = (time.perf_counter() - begun) * 1000
        case.redact.add(key)
        if key:
            return key
        case.key_trouble = trouble("key_command", "the command printed nothing")
    return None


def _found(case: Case, check: str) -> Finding | None:
    """What is wrong with the session, if that is for *check* to tell."""
    seen = case.seen
    found = verdict(seen, key_place(case)) if seen is not None else None
    return found if found is not None and TROUBLES[found.trouble].check == check else None


def key_place(case: Case) -> str:
    """Where the key that is sent was written."""
    if case.settings.api_key_command is not None:
        return "params.api_key_command"
    if case.settings.api_key is None:
        return "params.headers"
    assert case.spelling is not None
    return "OPENAI_API_KEY" if ("api_key",) in case.spelling.shipped else case.spelling.place(("api_key",))


def check_key(case: Case) -> Finding:
    """Whether the server takes the key."""
    if case.key_trouble is not None:
        return case.key_trouble
    found = _found(case, "key")
    if found is not None:
        return found
    seen = _seen(case)
    if not seen.key_sent:
        return not_needed("none was sent, and none was asked for")
    key = case.settings.connection.api_key
    mark = f" ({key_fingerprint(key)})" if key else ""
    return ok(f"the one of {key_place(case)}{mark} is taken")


def check_account(case: Case) -> Finding:
    """Organization, project and credit."""
    found = _found(case, "account")
    if found is not None:
        return found
    settings = case.settings.connection
    named = [name for name in ("organization", "project") if getattr(settings, name)]
    return ok(f"{' and '.join(named)} taken") if named else not_needed("no organization or project is named")


def check_echo(case: Case) -> Finding:
    """What the server says it has been configured with."""
    found = _found(case, "echo")
    if found is not None:
        return found
    seen = _seen(case)
    differing = [warning.message for warning in seen.warned if warning.code == "echo"]
    if differing:
        return trouble("echo_differs", quoted("; ".join(differing)))
    if not seen.confirmed:
        return not_needed("servers of this kind confirm nothing")
    return ok("model, format and turn detection are as asked")


def check_round_trip(case: Case) -> Finding:
    """WebSocket pings, as the extension sends them."""
    seen = _seen(case)
    if not seen.pongs_ms:
        return trouble("no_pong", f"no answer to a ping in {case.wait_s:g} s")
    limit, slowest = case.settings.ping_timeout_ms, max(seen.pongs_ms)
    if slowest > limit:
        return trouble("no_pong", f"{slowest:.1f} ms, and params.ping_timeout_ms is {limit}")
    middle = median(seen.pongs_ms)
    detail = f"{middle:.1f} ms, in the middle of {len(seen.pongs_ms)}"
    return trouble("far_away", detail) if middle > FAR_MS else ok(detail, ms=middle)


def check_clock(case: Case) -> Finding:
    """Our clock beside the server's."""
    seen = case.seen
    if seen is None or not seen.answered:
        return skipped("no answer to read the time from")
    theirs = date_of(seen.headers)
    if theirs is not None:
        ahead = seen.answered_at - (theirs + 0.5)
        detail = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the server's"
        if abs(ahead) <= SKEW_S:
            return ok(f"within {SKEW_S:g} s of the server's")
        return trouble("clock_wrong", detail)
    expires = (seen.created or {}).get("expires_at")
    if isinstance(expires, (int, float)) and expires > 0:
        if expires <= seen.answered_at:
            ended = datetime.fromtimestamp(expires, timezone.utc)
            return trouble("clock_wrong", f"by our clock the new session has ended at {ended:%Y-%m-%d %H:%M:%S} UTC")
        return ok("the new session's end lies ahead")
    return not_needed("the server does not tell its time")


def _seen(case: Case) -> Seen:
    assert case.seen is not None, "the handshake was not checked"
    return case.seen
