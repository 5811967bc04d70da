"""The soak in short: nothing grows, nothing is left, and the run sees it when something does.

`make soak` is the long form; see docs/soak.md. How long anything takes is not judged here.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

_BENCH = str(Path(__file__).resolve().parent.parent / "bench")
sys.path.insert(0, _BENCH)
try:
    import soak
    import soak_real
    from soak_call import Kind, MeteredSession, SoakCall
    from soak_hours import KINDS, Hours, play
    from soak_meter import Series, Verdict, paired, reachable, slope
    from soak_real import Clients, Extensions, Real, measure, one_call, serving
    from soak_truth import Said, Truth
finally:
    sys.path.remove(_BENCH)

from ten_packages.extension.openai_asr_python import openai_asr_client, transport  # noqa: E402
from ten_packages.extension.openai_asr_python.realtime import events as ev  # noqa: E402
from ten_packages.extension.openai_asr_python.realtime import ledger  # noqa: E402

ROUGH = [soak.quick(kind) for kind in KINDS if kind.drops]
CALM = next(soak.quick(kind) for kind in KINDS if not kind.drops)


def broken(row: Hours | Real) -> list[str]:
    """The verdicts that do not hold, by the first words of their names."""
    return [verdict.what for verdict in row.verdicts if verdict.kept and not verdict.holds]


# Simulated calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ROUGH, ids=lambda kind: kind.name)
def test_minutes_full_of_trouble_leave_a_session_as_it_was(kind: Kind) -> None:
    row = play(kind, minutes=2)
    assert broken(row) == [], (row.notes, row.wrong)
    assert row.said >= 100 and row.fates["final"] >= row.said / 3 and row.dials >= 20
    assert min(row.happened[what] for what in ("drop", "outage", "mute", "error", "update", "failed item")) >= 5


def test_a_call_is_the_same_for_the_same_seed() -> None:
    def told(seed: int) -> tuple[Any, ...]:
        call = SoakCall(ROUGH[0], 1, seed).start()
        call.minute()
        return call.client.stats, call.happened, call.truth._open

    assert told(3) == told(3) != told(4)


def growing(minutes: Callable[[SoakCall], None] = lambda call: None) -> list[str]:
    return broken(play(CALM, minutes=1, after_minute=minutes))


def test_what_grows_with_every_turn_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[list[list[str]]] = []
    receive = MeteredSession.receive_message

    def keep(self: Any, conn: int, data: Any, now: float) -> None:
        if b"committed" in data:
            vars(self).setdefault("kept", kept).append([[str(now)]] * 5)
        receive(self, conn, data, now)

    monkeypatch.setattr(MeteredSession, "receive_message", keep)
    assert {"session's objects", "live objects of the process"} <= set(growing())


def test_a_ledger_that_forgets_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger.Ledger, "_forget_settled", lambda self: None)
    assert "runs in the ledger" in growing()


def test_text_without_objects_that_grows_outside_of_the_session_is_seen() -> None:
    texts: list[str] = []

    def keep(call: SoakCall) -> None:
        texts.extend(f"{call.now} {number}" for number in range(200))

    assert growing(keep) == ["allocated blocks of the process"]


def test_speech_that_comes_to_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SoakCall, "_accept", lambda self, conn: None)  # nobody is there,
    monkeypatch.setattr(Truth, "_lost", lambda self, start_ms, end_ms: None)  # and nobody tells
    row = play(CALM, minutes=1)
    assert "blocks of speech unaccounted for, or twice" in broken(row) and row.fates["missing"] > row.said / 2


def final(text: str, **more: Any) -> ev.Transcript:
    return ev.Transcript("r", "i", text, True, 0, 1, 0, **more)


def lost(start_ms: int, end_ms: int) -> ev.AudioLost:
    return ev.AudioLost(start_ms, end_ms - start_ms, "dropped", end_ms - start_ms)


@pytest.mark.parametrize(
    ("told", "fate"),
    [
        ([final("b7")], "final"),
        ([], "missing"),
        ([final("b7"), final("b6 b7")], "doubled"),
        ([lost(0, 400)], "lost"),
        ([final("b7"), lost(0, 100)], "final"),
        ([final("b7"), lost(0, 400)], "both"),
        ([lost(0, 400), final("b7")], "late"),
        ([final("b7", promoted=True), lost(0, 400)], "promoted"),
        ([lost(400, 800)], "missing"),
    ],
)
def test_every_block_has_one_fate(told: list[ev.Event], fate: str) -> None:
    truth = Truth(60.0)
    truth.say(Said(7, 5.0, 395.0, said_at=0.0))
    truth.say(Said(6, 400.0, 401.0, said_at=1e9))
    truth.hear(told)
    truth.settle(59.0)
    assert not truth.fates
    truth.settle(60.0)
    assert truth.fates == {fate: 1} and truth.wrong == (fate in ("missing", "doubled", "both"))
    truth.hear([final("b7")])
    assert truth.fates["invented"] == 1


# Real calls -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


def batch(url: str, call: Any = one_call, calls: int = 8) -> Real:
    clients = Clients(url, calls=calls, call=call)
    try:
        return measure("client", clients, 0, batches=1, warm=1)
    finally:
        clients.close()


def test_nothing_is_left_of_calls_over_sockets(url: str) -> None:
    row = batch(url, calls=24)
    assert broken(row) == [], row.notes
    assert row.calls == 24


def test_nothing_is_left_of_calls_of_the_extension(url: str) -> None:
    row = measure("extension", Extensions(url, calls=2, side=2), 0, batches=1, warm=1)
    assert broken(row) == [], row.notes


@pytest.mark.parametrize("what", ["tasks", "timers", "objects", "descriptors", "threads"])
def test_what_a_call_leaves_behind_is_seen(url: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak_real, "PATIENCE_S", 0.2)
    left: list[Any] = []
    clean_up: list[Callable[[], Any]] = []

    async def leaves(url: str, chance: random.Random) -> int:
        loop = asyncio.get_running_loop()
        if what == "tasks":
            left.append(loop.create_task(asyncio.sleep(3600)))
        elif what == "timers":
            left.append(loop.call_later(3600, print))
        elif what == "threads":
            await loop.run_in_executor(None, int)
        return await one_call(url, chance)

    class Keeping(openai_asr_client.OpenAIASRClient):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            left.append(self)

    async def forget(self: Any, code: int, reason: str) -> None:
        self._connection.transport.pause_reading()
        left.append(self._connection.transport)
        clean_up.append(self._connection.transport.abort)

    if what == "objects":
        monkeypatch.setattr(soak_real, "OpenAIASRClient", Keeping)
    if what == "descriptors":
        monkeypatch.setattr(transport.WebSocketTransport, "close", forget)
    clients = Clients(url, calls=8, call=leaves)
    try:
        row = measure("client", clients, 0, batches=1, warm=1)
    finally:
        for task in left if what == "tasks" else ():
            task.cancel()
        for close in clean_up:
            close()
        clients._loop.run_until_complete(asyncio.sleep(0.01))
        clients._loop.run_until_complete(clients._loop.shutdown_default_executor())
        clients.close()
    assert any(name.startswith(what) for name in broken(row)), row.verdicts


# The table ------------------------------------------------------------------------------------------------------


def test_a_minute_is_compared_with_the_same_minute() -> None:
    assert paired([1.0, 10.0, 2.0], [1.1, 11.0, 2.2]) == pytest.approx(1.1)
    series = Series()
    for number in range(10):
        series.add(cpu=number)
    assert list(series.part("cpu", 4, 5)) == [8.0, 9.0]


def test_a_step_is_no_slope_and_a_slope_is() -> None:
    calls = [float(number) for number in range(20)]
    assert slope(calls, [1.0] * 15 + [9.0] * 5) == 0.0
    assert slope(calls, [3 * number for number in calls]) == pytest.approx(3.0)
    assert slope([1.0], [5.0]) == 0.0


def test_what_hangs_on_a_thing_is_counted_once_and_what_is_shared_is_not() -> None:
    text = "x" * 1_000
    count, size = reachable([text, text, [text], json_like := {"a": ["b"]}, asyncio, Path])
    assert count == 7 and 1_000 < size < 2_000
    assert reachable([json_like, text], but=[json_like])[0] == 2


def test_the_table_tells_what_failed_and_what_was_not_judged() -> None:
    verdicts = [
        Verdict("a", 1.0, 2.5, "+0", False),
        Verdict("b", 1.0, 1.0, "+0", True),
        Verdict("c", 1234567.8, 1.0, "x 1.15", False, kept=False),
    ]
    row = {**Real("client", 3, 1.0, verdicts, ["grew: Leak +3"], {}).to_json(), "title": "real calls"}
    lines = soak.table([row])
    assert [line.split("|")[-2].strip() for line in lines[2:]] == ["DOES NOT HOLD", "holds", "not judged"]
    assert "1,234,568" in lines[4] and "2.50" in lines[2]
    assert soak.failed(row) and "Leak +3" in soak.story(row)
    row["verdicts"] = row["verdicts"][1:]
    assert not soak.failed(row) and "Leak" not in soak.story(row)
    assert replace(ROUGH[0], name="x").options == ROUGH[0].options


def test_an_unknown_call_is_named_with_those_there_are() -> None:
    with pytest.raises(SystemExit, match=r"no-such.*server turns, rough.*extension"):
        soak.main(["--only", "no-such"])
