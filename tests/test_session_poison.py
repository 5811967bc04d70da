"""Audio that ends every connection: found, cut out, and told."""

from __future__ import annotations

from collections.abc import Callable

from sessions import Driver, options, silence, tone
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.session import SessionState


def killer(d: Driver, poison: Callable[[int], bool], until: float) -> list[int]:
    """A server that ends the connection 0.3 s behind a commit whose number *poison* names; others get their text.
    Returns how much audio each commit held, in ms."""
    sizes: list[int] = []
    while d.now < until and d.session.state is not SessionState.STOPPED:
        if not d.session.connected:
            d.at(d.session.get_timer() or until)
            if d.session.state is SessionState.CONNECTING:
                d.open().configure()
            continue
        done = len([m for m in d.wire[d.conn] if m["type"] == "committed!"])
        if len(d.commits()) > done:
            d.wire[d.conn].append({"type": "committed!"})
            wire = d.wire[d.conn]
            marks = [i for i, m in enumerate(wire) if m["type"].endswith("commit")]
            begin = marks[done - 1] if done else 0
            sizes.append(sum(m["audio"] for m in wire[begin : marks[done]] if m["type"].endswith("append")) // 48)
            d.committed(f"i{len(sizes)}")
            if poison(sizes[-1]):
                d.at(d.now + 0.3).drop(1011)
            else:
                d.completed(f"i{len(sizes)}", f"text {sizes[-1]}")
        else:
            d.at(d.now + 0.05)
    return sizes


def test_audio_that_ends_every_connection_is_cut_into_pieces_and_only_the_poisonous_one_is_lost() -> None:
    d = Driver(options("none", finalize_timeout_ms=60_000, order_hold_ms=600_000)).connect()
    d.push((tone(1_800) + silence(200)) * 6).finalize()
    sizes = killer(d, lambda ms: ms in (12_000, 4_000), until=90.0)  # the whole, and the second of its three pieces
    (loss,) = d.of(ev.AudioLost)
    assert (loss.cause, loss.start_ms, loss.duration_ms) == ("poison", 4_000, 3_800)
    assert [(f.start_ms, f.duration_ms) for f in d.finals] == [(0, 3_800), (8_000, 3_800)], "all the rest has its text"
    assert sizes.count(12_000) == 2 and sizes.count(4_000) >= 5, "pieces after the second loss, given up after five"
    gone = [now for now, _ in d.dialled]
    assert gone[-1] - gone[2] >= 20.0, "a service that only restarts is given time"
    assert [e.outcome for e in d.of(ev.FinalizeDone)] == ["final"]


def test_poison_is_found_though_short_turns_wait_behind_it() -> None:
    d = Driver(options("none", finalize_timeout_ms=60_000, order_hold_ms=600_000)).connect()
    for number, ms in enumerate((300, 400, 500, 600)):
        d.push(tone(ms) + silence(100)).finalize(f"f{number}")
    killer(d, lambda ms: ms == 500, until=90.0)
    (loss,) = d.of(ev.AudioLost)
    assert (loss.cause, loss.start_ms, loss.duration_ms) == ("poison", 400, 400)
    assert [f.start_ms for f in d.finals] == [0, 900, 1_500], "all the rest has its text"


def test_losses_at_other_moments_never_count_against_audio() -> None:
    d = Driver(options("none", finalize_timeout_ms=60_000)).connect().push(tone(2_000)).finalize()
    for _ in range(12):
        d.at(d.now + 1.5).drop(1011)  # the commit is older than a second
        while not d.session.connected:
            d.at(d.session.get_timer() or 0.0)
            if d.session.state is SessionState.CONNECTING:
                d.open().configure()
    d.committed("a").completed("a", "text")
    assert d.texts == ["text"] and d.of(ev.AudioLost) == []
