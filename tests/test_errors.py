"""Every row of the table of errors, met by a session: what becomes of the stream, and what its user is told."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sessions import TRANSCRIPTION, Driver, options, tone
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.backoff import CAP_S, USEFUL_MAX_S, is_refusal
from ten_packages.extension.openai_asr_python.realtime.errors import (
    OTHER,
    TABLE,
    Outcome,
    Row,
    Where,
    is_expiry,
    row_of,
    row_of_ending,
)
from ten_packages.extension.openai_asr_python.realtime.reporting import server_error_text
from ten_packages.extension.openai_asr_python.realtime.session import SessionState

STANDS_FOR = {"5xx": ["500", "502", "503", "520"], "none": ["0"]}
UNKNOWN = {Where.HTTP: "418", Where.CLOSE: "4321", Where.OURS: "1001"}
EXPIRED = "Your session hit the maximum duration of 60 minutes."

# What the protocol is known to do, and what must become of it; the table may know more, and nothing else.
KNOWN: dict[Where, dict[Outcome, str]] = {
    Where.HTTP: {Outcome.REFUSED: "400 401 403 404 405", Outcome.RETRY: "429 500 502 503 520 529 none 301 418"},
    Where.SETUP: {
        Outcome.REFUSED: "invalid_api_key invalid_model missing_model beta_api_shape_disabled insufficient_quota",
        Outcome.RETRY: "rate_limit_exceeded server_error unknown invalid_request_error",
    },
    Where.UPDATE: {
        Outcome.RETRY: "invalid_value unknown_parameter integer_below_min_value string_above_max_length "
        "invalid_parameter new"
    },
    Where.LIVE: {
        Outcome.IGNORE: "input_audio_buffer_commit_empty",
        Outcome.RETRY: "session_expired",
        Outcome.REPORT: "invalid_value unknown_parameter invalid_json invalid_event server_error rate_limit_exceeded "
        "unknown_event processing_error new",
    },
    Where.ITEM: {Outcome.REPAIR: "server_error rate_limit_exceeded audio_unintelligible new"},
    Where.CLOSE: {
        Outcome.REFUSED: "1008 3000 4000",
        Outcome.RETRY: "1000 1001 1005 1006 1009 1011 1012 1013 1015 4321",
    },
    Where.OURS: {Outcome.IGNORE: "1000 1006"},
}


def situations(*wheres: Where) -> list[Any]:
    """(row, code) for every code of every row of these places, made-up codes for the rows of all others."""
    found = []
    for row in TABLE:
        for code in row.codes if row.where in wheres else ():
            standing = [UNKNOWN.get(row.where, "tomorrows_code")] if code == OTHER else STANDS_FOR.get(code, [code])
            found += [pytest.param(row, each, id=f"{row.where.name}-{each}") for each in standing]
    return found


# The table ------------------------------------------------------------------------------------------------------


def test_what_the_protocol_is_known_to_do_has_the_outcome_it_must_have() -> None:
    for where, outcomes in KNOWN.items():
        for outcome, codes in outcomes.items():
            for code in codes.split():
                assert row_of(where, code).outcome is outcome, (where, code)


def test_each_code_of_a_place_has_one_row_and_every_place_one_for_all_others() -> None:
    keys = [(row.where, code) for row in TABLE for code in row.codes]
    assert len(set(keys)) == len(keys)
    assert {where for where, code in keys if code == OTHER} == set(Where)


@pytest.mark.parametrize(
    ("code", "error_code", "reason", "refused"),
    [
        ("1013", "", "", False),
        ("1013", "", "try again later", False),
        ("1013", "insufficient_quota", "", True),
        ("1013", "", "insufficient_quota.insufficient_quota", True),
        ("1006", "invalid_api_key", "", True),
        ("4000", "server_error", "", True),
        ("1011", "server_error", "3000", False),
        ("429", "", "HTTP 429", False),
        ("404", "", "HTTP 404", True),
        ("timeout", "", "session.created did not come in time", False),
        ("", "unknown_parameter", "", False),
    ],
)
def test_an_ending_is_judged_by_what_the_service_names_then_by_its_number(
    code: str, error_code: str, reason: str, refused: bool
) -> None:
    assert is_refusal(code, error_code, reason) is refused
    assert (row_of_ending(code, error_code, reason).outcome is Outcome.REFUSED) is refused


def test_an_expired_session_is_known_by_its_error_or_its_close() -> None:
    assert is_expiry("", "1001", EXPIRED) and is_expiry("session_expired", "1006", "")
    assert is_expiry("", "1001", "invalid_request_error.session_expired")
    assert not is_expiry("", "1001", "going away") and not is_expiry("", "1011", EXPIRED)
    assert row_of_ending("1001", "", EXPIRED).silent and not row_of_ending("1001", "", "going away").silent


# What a user sees -----------------------------------------------------------------------------------------------


def told(d: Driver) -> list[Any]:
    """Everything that is told as an error."""
    return [e for e in d.events if isinstance(e, (ev.ServerError, ev.ClientError, ev.AudioLost))]


def say_error(d: Driver, code: str, **fields: Any) -> None:
    # A service that gives no code is known by its type: both ways round mean the same.
    d.error(None if code == "server_error" else code, type="server_error", message="words of the service", **fields)


def transcribe(d: Driver, text: str, conn: int, number: int = 1) -> None:
    """One turn of the caller's, answered on connection *conn*."""
    item = f"item_{conn}_{number}"
    d.push(tone(300)).finalize(f"f{conn}_{number}")
    d.say({"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": None}, conn=conn)
    d.say({"type": TRANSCRIPTION + "completed", "item_id": item, "transcript": text}, conn=conn)


def refuse_until_inert(d: Driver, attempt: Any) -> list[float]:
    """Refuse every attempt; the times of them until the session gives up."""
    times = []
    while d.session.state is not SessionState.FAILED:
        times.append(d.now)
        assert len(times) <= 6, "not hammered"
        attempt()
        d.pump()
        if d.session.state is not SessionState.FAILED:
            assert [e.fatal for e in told(d)] == [False], "told once while it tries"
            d.at(d.session.get_timer() or d.now)
    return times


def check_refused(d: Driver, attempt: Any, code: str) -> None:
    times = refuse_until_inert(d, attempt)
    assert len(times) == 6 and times[-1] - times[0] >= 30.0
    first, last = told(d)
    assert (first.fatal, last.fatal) == (False, True)
    assert code in (getattr(first, "vendor_code", ""), getattr(first, "code", "")) and last.vendor_code == code
    d.at(d.now + 3_600)
    assert len(d.dialled) == 6 and len(told(d)) == 2, "inert until somebody starts it"
    d.start()
    attempt()
    d.pump()
    assert [e.fatal for e in told(d)] == [False, True, False], "whoever starts it again is told again"


def check_retried(d: Driver, attempt: Any, code: str) -> None:
    """Five useless attempts are one report; each is followed by another in time, and the sixth is healthy."""
    for number in range(1, 6):
        attempt()
        d.pump()
        assert d.session.state is SessionState.BACKOFF and not any(e.fatal for e in told(d))
        d.at(d.now + CAP_S)
        assert len(d.dialled) == number + 1, "the next attempt came within the back-off"
    (error,) = told(d)
    assert code in (error.code, getattr(error, "vendor_code", ""), "0")
    d.open().configure()
    transcribe(d, "heard", d.conn)
    assert d.texts == ["heard"]


@pytest.mark.parametrize(("row", "code"), situations(Where.HTTP))
def test_an_answer_to_the_handshake(row: Row, code: str) -> None:
    d = Driver(options(), rng=0.999).start()

    def attempt() -> None:
        d.session.connection_refused(d.conn, int(code), {}, d.now)

    (check_refused if row.outcome is Outcome.REFUSED else check_retried)(d, attempt, code)


@pytest.mark.parametrize(("row", "code"), situations(Where.SETUP))
@pytest.mark.parametrize("close", [1013, 1006])
def test_an_error_before_the_session_is_configured(row: Row, code: str, close: int) -> None:
    d = Driver(options(), rng=0.999).start()

    def attempt() -> None:
        d.session.connection_opened(d.conn, {}, d.now)
        say_error(d, code)
        d.drop(close, f"invalid_request_error.{code}" if close > 1006 else "")

    (check_refused if row.outcome is Outcome.REFUSED else check_retried)(d, attempt, code)


@pytest.mark.parametrize(("row", "code"), situations(Where.UPDATE))
def test_an_error_that_answers_our_configuration(row: Row, code: str) -> None:
    assert row.outcome is Outcome.RETRY
    d = Driver(options(), rng=0.999).start()

    def attempt() -> None:
        d.open()
        say_error(d, code, event_id=d.wire[d.conn][-1]["event_id"], param="session.audio")

    check_retried(d, attempt, code)
    assert "session.audio" in told(d)[0].message, "names the field"


def test_a_session_that_stays_otherwise_than_asked_is_one_report() -> None:
    d = Driver(options(), rng=0.999).start()

    def attempt() -> None:
        d.open()
        for _ in range(2):
            d.say({"type": "session.updated", "session": {"audio": {"input": {"transcription": {"model": "other"}}}}})

    check_retried(d, attempt, "echo_mismatch")


@pytest.mark.parametrize(("row", "code"), situations(Where.LIVE))
def test_an_error_on_a_live_stream(row: Row, code: str) -> None:
    d = Driver(options()).connect()
    transcribe(d, "before", 1)
    d.push(tone(300))
    say_error(d, code)
    if row.outcome is Outcome.RETRY:  # the close that belongs to it follows
        d.at(3.0).drop(1001, EXPIRED)
        d.at(3.0 + USEFUL_MAX_S)
        assert len(d.dialled) == 2
        d.open().configure()
    transcribe(d, "after", d.conn, 2)
    assert d.texts == ["before", "after"]
    d.session.stop(d.now)
    d.pump()
    assert len(d.dialled) == (2 if row.outcome is Outcome.RETRY else 1), "an error by itself ends nothing"
    assert [e.code for e in told(d)] == ([code] if row.outcome is Outcome.REPORT else [])
    assert row.silent or row.outcome is not Outcome.RETRY


@pytest.mark.parametrize(("row", "code"), situations(Where.ITEM))
@pytest.mark.parametrize("how", ["failed", "error"])
def test_a_failed_item(row: Row, code: str, how: str) -> None:
    assert row.outcome is Outcome.REPAIR
    d = Driver(options()).connect()
    d.push(tone(300)).finalize()
    details = {"code": code, "type": "server_error", "message": "words of the service"}
    if how == "failed":
        d.committed("item")
        d.say({"type": TRANSCRIPTION + "failed", "item_id": "item", "error": details})
    else:
        d.say({"type": "error", "error": {**details, "event_id": d.commits()[0]["event_id"]}})
    (error,) = d.of(ev.ServerError)
    assert (error.code, error.start_ms, error.duration_ms, error.fatal) == (code, 0, 300, False)
    transcribe(d, "after", 1, 2)
    d.at(d.now + 60)
    assert d.texts == ["after"] and 1 not in d.closed, "the stream goes on where it was"
    assert d.of(ev.ServerError) == [error], "reported once"


@pytest.mark.parametrize(("row", "code"), situations(Where.CLOSE))
def test_the_end_of_a_connection_that_was_never_configured(row: Row, code: str) -> None:
    d = Driver(options(), rng=0.999).start()

    def attempt() -> None:
        d.session.connection_opened(d.conn, {}, d.now)
        d.drop(int(code))

    (check_refused if row.outcome is Outcome.REFUSED else check_retried)(d, attempt, code)


@pytest.mark.parametrize(("row", "code"), situations(Where.CLOSE))
def test_the_end_of_a_connection_that_served(row: Row, code: str) -> None:
    """Whatever it says, what served once is dialled again at once: refusals count when the new session is refused."""
    d = Driver(options(), rng=0.999).connect()
    d.at(3.0).push(tone(300)).finalize().drop(int(code), "why")
    (error,) = told(d)
    assert (error.code, error.vendor_code, error.fatal) == ("dropped", code, False)
    assert d.of(ev.Disconnected)[0].retry_in_ms <= 1000 * USEFUL_MAX_S
    d.at(3.0 + USEFUL_MAX_S).open().configure()
    d.committed("again").completed("again", "what was said")
    assert d.texts == ["what was said"]


def test_a_session_that_expires_on_every_dial_is_no_healthy_service() -> None:
    d = Driver(options(), rng=0.999).start()
    check_retried(d, lambda: d.drop(1001, EXPIRED), "1001")


@pytest.mark.parametrize(("row", "code"), situations(Where.OURS))
def test_the_answer_to_our_own_close(row: Row, code: str) -> None:
    assert row.outcome is Outcome.IGNORE
    d = Driver(options()).connect()
    transcribe(d, "all", 1)
    d.session.stop(d.now)
    d.pump()
    seen = len(d.events)
    d.drop(int(code), "bye")
    d.at(60.0)
    assert d.closed == [1] and len(d.events) == seen and len(d.dialled) == 1


# Folding --------------------------------------------------------------------------------------------------------


def harmless(d: Driver, code: str, seconds: float, *, every: float = 0.5) -> None:
    for _ in range(round(seconds / every)):
        d.error(code, message=f"at {d.now:g}")
        d.at(d.now + every)


def reports(d: Driver) -> list[tuple[str, int]]:
    return [(e.code, e.count) for e in d.of(ev.ServerError)]


def test_the_same_error_twice_a_second_is_one_report_in_ten_seconds_and_none_is_swallowed() -> None:
    d = Driver(options()).connect()
    harmless(d, "odd", 33.0)
    assert reports(d) == [("odd", 1), ("odd", 19), ("odd", 20), ("odd", 20)]
    d.session.stop(d.now)
    d.pump()
    assert sum(count for _, count in reports(d)) == 66, "the rest is told when the stream stops"
    assert d.of(ev.ServerError)[1].message == "at 9.5", "the newest speaks for them"


def test_a_count_is_told_when_its_time_is_over_though_nothing_else_happens() -> None:
    d = Driver(options()).connect()
    d.at(1.0).error("odd").error("odd").error("odd")
    d.at(10.9)
    assert reports(d) == [("odd", 1)]
    d.at(11.1)  # nothing else is due then: pings go out every 5 s
    assert reports(d) == [("odd", 1), ("odd", 2)]
    d.at(30.0).error("odd")
    assert reports(d)[2:] == [("odd", 1)], "what stopped for a while is news again"


def test_another_error_is_told_at_once_while_one_is_folded() -> None:
    d = Driver(options()).connect()
    harmless(d, "odd", 2.0)
    d.error("other")
    assert reports(d) == [("odd", 1), ("other", 1)]


def test_a_server_that_makes_up_codes_is_counted_without_end_of_memory() -> None:
    d = Driver(options()).connect()
    for number in range(5_000):
        d.error(f"code_{number}")
    d.session.stop(d.now)
    d.pump()
    assert len(reports(d)) < 40 and sum(count for _, count in reports(d)) == 5_000


def fail_items(d: Driver, count: int, *, every: float = 0.4) -> None:
    for number in range(count):
        d.push(tone(200)).finalize(f"f{number}").committed(f"i{number}")
        details = {"code": "server_error", "message": "no luck"}
        d.say({"type": TRANSCRIPTION + "failed", "item_id": f"i{number}", "error": details}, conn=1)
        d.at(d.now + every)


def test_failed_items_are_told_one_by_one_and_a_row_of_them_with_their_number_and_milliseconds() -> None:
    d = Driver(options()).connect()
    fail_items(d, 2)
    assert [(e.item_id, e.start_ms, e.duration_ms) for e in d.of(ev.ServerError)] == [("i0", 0, 200), ("i1", 200, 200)]
    d = Driver(options()).connect()
    fail_items(d, 10)
    d.at(60.0)
    assert reports(d) == [("server_error", 1)] * 3 + [("server_error", 7)]
    last = d.of(ev.ServerError)[-1]
    assert (last.start_ms, last.duration_ms, last.item_id) == (600, 1_400, "")
    assert server_error_text(last) == (
        "the server reported server_error for 7 more items: no luck; "
        "1400 ms of audio from 600 ms on, in all, is sent once more"
    )
    assert sum(e.duration_ms for e in d.of(ev.ServerError)) == 2_000


def test_a_row_of_failed_items_says_nothing_about_other_errors_of_that_code() -> None:
    d = Driver(options()).connect()
    fail_items(d, 4)
    d.error("server_error", message="something else")
    assert [e.message for e in d.of(ev.ServerError)] == ["no luck"] * 3 + ["something else"]


def test_the_counts_are_told_before_the_stream_is_over_and_the_timer_rests() -> None:
    d = Driver(options()).connect()
    harmless(d, "odd", 1.5)
    d.session.stop(d.now)
    d.pump()
    kinds = list(itertools.takewhile(lambda e: not isinstance(e, ev.Disconnected), d.events))
    assert isinstance(kinds[-1], ev.ServerError) and d.session.get_timer() is None
