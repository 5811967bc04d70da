"""Local turns on event loops: judged together, within moments, in order; the model loaded beside the loop, once."""

from __future__ import annotations

import asyncio
import gc
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from client_peers import WIRE_RATE, at_wire_rate, make_client, scripted, tidy
from halves import ToneDetector
from scripted import NeverConnects, committed, completed, configured, expect, expect_close, hear, say
from sessions import options, silence, tone
from ten_packages.extension.openai_asr_python import local_turns, openai_asr_client, vad_loading
from ten_packages.extension.openai_asr_python.audio import vad
from ten_packages.extension.openai_asr_python.audio.turns import TurnDetector, TurnEnded, TurnEvent, TurnStarted
from ten_packages.extension.openai_asr_python.local_turns import LocalTurns
from ten_packages.extension.openai_asr_python.realtime import events as ev
from virtual_time import virtual_time

RATE = 16_000
CALL = tone(700) + silence(1_500)
"One turn of 700 ms."

Samples = npt.NDArray[np.int16]


class Loud(vad.SileroDetector):
    """Takes what is loud for speech, in batches; `calls` are how many windows each had, for all streams."""

    calls: list[int]

    @classmethod
    def together(cls, detectors: Sequence[Any], windows: Sequence[Samples]) -> list[float]:
        vad.load()
        cls.calls.append(len(detectors))
        return [1.0 if np.abs(window).max() > 500 else 0.0 for window in windows]


class Caller:
    """A stream, and what was told of it."""

    def __init__(self, model: vad.SileroDetector | None = None, **numbers: Any) -> None:
        self.told: list[TurnEvent] = []
        self.failures: list[Exception] = []
        self.threads: set[threading.Thread] = set()
        detector = TurnDetector(RATE, model or Loud(), **numbers)
        self.turns = LocalTurns(detector, self._tell, self.failures.append)

    def _tell(self, events: list[TurnEvent]) -> None:
        self.told += events
        self.threads.add(threading.current_thread())

    @property
    def kinds(self) -> str:
        return "".join("S" if isinstance(event, TurnStarted) else "E" for event in self.told)

    async def say(self, pcm: bytes, pace_s: float = 0.02, after_s: float = 0) -> None:
        await asyncio.sleep(after_s)
        for begin in range(0, len(pcm), 640):
            self.turns.push(pcm[begin : begin + 640])
            await asyncio.sleep(pace_s)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loud, "calls", [], raising=False)
    vad.load()


@pytest.fixture
def slow_loading(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A process that has not loaded the model, and will not before the event is set."""
    go, load = threading.Event(), vad._new_session

    def loading() -> Any:
        assert threading.current_thread() is not threading.main_thread(), "loaded in a call to the event loop"
        go.wait(10)
        return load()

    new_process(monkeypatch)
    monkeypatch.setattr(vad, "_new_session", loading)
    return go


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been loaded."""
    monkeypatch.setattr(vad, "_loaded", None)
    monkeypatch.setattr(vad, "_failed", None)
    monkeypatch.setattr(vad_loading, "_loading", None)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never came to that")


async def test_windows_of_all_callers_are_judged_together() -> None:
    with virtual_time():
        callers = [Caller() for _ in range(16)]
        await asyncio.gather(*(caller.say(CALL, after_s=number / 1_600) for number, caller in enumerate(callers)))
        await asyncio.sleep(local_turns.DELAY_S)
    assert {caller.kinds for caller in callers} == {"SE"}
    marks = {tuple(event.position for event in caller.told) for caller in callers}
    assert len(marks) == 1 and abs(next(iter(marks))[1] - 700 * 16) <= 64
    assert sum(Loud.calls) / len(Loud.calls) >= 14, Loud.calls


async def test_a_turn_is_known_in_20_ms_of_its_window_and_at_once_if_there_is_nobody_else() -> None:
    with virtual_time():
        clock = asyncio.get_running_loop().time
        alone = Caller()
        for begin in range(0, 4 * 1_024, 1_024):
            alone.turns.push(tone(200)[begin : begin + 1_024])
            assert alone.turns.detector.waiting == 0, "nothing to wait for"
        assert alone.kinds == "S"
        late = []
        callers = [Caller() for _ in range(3)]
        for begin in range(0, 40 * 1_024, 1_024):
            for caller in callers:
                caller.turns.push(tone(2_000)[begin : begin + 1_024])
                pushed = clock()
                while caller.turns.detector.waiting:
                    await asyncio.sleep(0.001)
                late.append(clock() - pushed)
        assert 0 < max(late) <= 0.020 and [caller.kinds for caller in callers] == ["S"] * 3


async def test_a_cut_judges_what_waits_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalize asks for everything said so far; windows that wait for others are part of it."""
    monkeypatch.setattr(local_turns, "_LATE", 64)
    troubles: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
    one, other = Caller(), Caller()
    for caller in (one, other):
        caller.turns.push(tone(20))
        caller.turns.push(tone(380))
    assert other.turns.detector.waiting and other.told == []
    events = other.turns.close(400 * 16)
    assert [type(event) for event in events] == [TurnStarted, TurnEnded]
    assert events[0].position <= 64 and 400 * 16 - 64 <= events[1].position <= 400 * 16
    await asyncio.sleep(2 * local_turns.DELAY_S)
    assert other.told == [], "what a cut returned is not told again"
    assert troubles == []


async def test_a_turn_is_known_before_more_than_64_ms_of_the_next_audio_came_however_fast_it_comes() -> None:
    """What leaves between the end of a turn and the word of it goes with the turn."""
    one, other = Caller(), Caller()
    other.turns.push(tone(20))
    for _ in range(30):
        one.turns.push(tone(20))  # without a turn of the loop in between
        assert one.turns.detector.waiting < 2
    assert one.kinds == "S"


async def test_who_leaves_is_forgotten_and_may_come_back() -> None:
    one, other = Caller(), Caller()
    one.turns.push(tone(40))
    other.turns.push(tone(500))
    judge = local_turns._judges[asyncio.get_running_loop()]
    assert set(judge.streams) == {one.turns, other.turns}
    other.turns.leave()
    assert set(judge.streams) == {one.turns} and not judge._batch and judge._timer is None, "nothing left to do"
    one.turns.push(tone(500))
    assert one.kinds == "S", "nobody else is there to wait for"
    other.turns.push(tone(20))
    await asyncio.sleep(3 * local_turns.DELAY_S)
    assert other.kinds == "S" and other.told[0].position <= 64, "what waited when it left was not lost"
    del one, other
    gc.collect()
    assert not judge.streams, "a client that nobody stopped takes no place either"


async def test_no_call_to_the_loop_judges_or_tells_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """All callers of a big process at once, and each with as much as may wait: the loop gets a word in between.

    So it is when the model has just been loaded. The clock shows 0.6 ms more whenever one looks at it.
    """
    monkeypatch.setattr(local_turns, "_LATE", 64)
    clock = (number * 0.0006 for number in itertools.count())
    monkeypatch.setattr(local_turns, "_clock", lambda: next(clock))
    callers = [Caller() for _ in range(100)]
    for caller in callers:
        caller.turns.push(tone(1_900))
    turns_of_loop, before, told = [], sum(Loud.calls), []
    while any(caller.turns.detector.waiting for caller in callers):
        await asyncio.sleep(0)
        turns_of_loop.append(sum(Loud.calls) - before)
        before = sum(Loud.calls)
        told.append(sum(len(caller.told) for caller in callers))
    assert max(b - a for a, b in itertools.pairwise(told)) <= 2 and told[-1] == 100
    assert sum(Loud.calls) == 100 * 59 and max(turns_of_loop) <= 2 * vad.MAX_TOGETHER
    assert {caller.kinds for caller in callers} == {"S"}


async def test_what_may_wait_is_bounded() -> None:
    callers = [Caller(), Caller()]
    for caller in callers:
        caller.turns.push(tone(20))
    for _ in range(100):
        for caller in callers:
            caller.turns.push(tone(1_000))
            assert caller.turns.detector.waiting < 100
    assert [caller.turns.detector._buffer.nbytes < 250_000 for caller in callers] == [True, True]


async def test_a_client_that_fails_on_its_turns_takes_no_other_along(caplog: pytest.LogCaptureFixture) -> None:
    callers = [Caller() for _ in range(5)]

    def fail(events: list[TurnEvent]) -> None:
        raise RuntimeError("sk-secret")

    callers[2].turns._tell = fail
    with virtual_time():
        await asyncio.gather(*(caller.say(CALL) for caller in callers))
        await asyncio.sleep(1)
    assert [caller.kinds for caller in callers] == ["SE", "SE", "", "SE", "SE"]
    assert "RuntimeError" in caplog.text and "sk-secret" not in caplog.text


async def test_the_model_is_loaded_beside_the_loop_and_what_was_said_meanwhile_is_judged(
    slow_loading: threading.Event,
) -> None:
    callers = [Caller(), Caller()]
    for caller in callers:
        await caller.say(CALL[: 2 * 16 * 1_500], pace_s=0)
    assert not vad.settled() and Loud.calls == [] and callers[0].told == []
    slow_loading.set()
    await until(lambda: all(caller.kinds == "S" for caller in callers))
    for caller in callers:
        await caller.say(CALL[2 * 16 * 1_500 :], pace_s=0)
    await until(lambda: all(caller.kinds == "SE" for caller in callers))
    assert {caller.told[0].position <= 64 for caller in callers} == {True}
    assert {thread for caller in callers for thread in caller.threads} == {threading.main_thread()}


def test_however_many_ask_at_once_the_model_is_loaded_once(
    slow_loading: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, load = [], vad._new_session

    def counted() -> Any:
        loads.append(threading.current_thread())
        return load()

    monkeypatch.setattr(vad, "_new_session", counted)
    futures = {vad_loading.load_in_background() for _ in range(3)}
    assert len(futures) == 1 and not vad.settled(), "nobody waited"
    slow_loading.set()
    futures.pop().result(10)
    assert vad_loading.load_in_background().done() and len(loads) == 1 and vad.settled()


def test_a_process_that_ends_meanwhile_ends_in_good_order() -> None:
    """The runtime's own threads abort a process that ends under them: the load comes to its end first."""
    program = """
import loader; loader.load_extension()
from ten_packages.extension.openai_asr_python import vad_loading
def load(again):
    started.set(); time.sleep(0.2); print("loaded")
import threading, time
started = threading.Event()
vad_loading.vad.load, vad_loading.vad.warm_up = load, lambda: None
# A host's loop may run in a daemon thread, and threads inherit that.
threading.Thread(target=vad_loading.load_in_background, daemon=True).start(); started.wait(10)
"""
    host = Path(__file__).resolve().parent.parent / "devkit" / "host"
    done = subprocess.run([sys.executable, "-c", program], cwd=host, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "loaded\n"), done.stderr


async def test_a_finalize_while_the_model_loads_waits_for_it(slow_loading: threading.Event) -> None:
    caller = Caller()
    caller.turns.push(tone(400))
    threading.Timer(0.05, slow_loading.set).start()
    assert len(caller.turns.close(400 * 16)) == 2 and caller.failures == []


async def test_the_model_begins_to_load_when_a_client_is_made(slow_loading: threading.Event) -> None:
    Caller()
    slow_loading.set()
    await until(vad.settled)


async def test_a_model_that_cannot_be_loaded_is_told_once_a_stream_and_turns_go_by_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    def broken() -> Any:
        tries.append(threading.current_thread())
        raise vad.VadUnavailable("the file is broken")

    new_process(monkeypatch)
    mended = vad._new_session
    monkeypatch.setattr(vad, "_new_session", broken)
    callers = [Caller(), Caller()]
    await asyncio.gather(*(caller.say(CALL, pace_s=0) for caller in callers))
    await until(lambda: all(caller.kinds == "SE" for caller in callers))
    assert [str(error) for caller in callers for error in caller.failures] == ["the file is broken"] * 2
    assert len(tries) <= 2 and threading.main_thread() not in tries, "no call to the loop tries again and again"
    await until(lambda: not local_turns.is_loading())  # whoever comes while it fails shares that
    monkeypatch.setattr(vad, "_new_session", mended)
    third = Caller()
    await third.say(CALL, pace_s=0)
    await until(lambda: third.kinds == "SE")
    assert not third.failures, "the next stream tries again"


async def test_who_comes_while_it_is_loaded_again_waits_for_it_though_others_have_windows_due(
    slow_loading: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vad, "_failed", vad.VadUnavailable("the file was broken"))
    stopped: Future[None] = Future()
    stopped.set_result(None)
    monkeypatch.setattr(vad_loading, "_loading", stopped)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(vad, "loaded", lambda: True)  # these two begin no loading
        early = [Caller(), Caller()]
    early[0].turns.push(tone(40))
    early[1].turns.push(tone(40))  # with two streams a window waits for others: a timer runs
    late = Caller()
    late.turns.push(tone(40))
    await asyncio.sleep(local_turns.DELAY_S * 2)
    assert not late.failures, "it was judged while the model was being loaded"
    slow_loading.set()
    await late.say(CALL, pace_s=0)
    await until(lambda: late.kinds == "SE")
    assert not late.failures


def test_loops_of_several_threads_do_not_meet() -> None:
    callers = [[Caller() for _ in range(6)] for _ in range(3)]

    async def calls(mine: list[Caller]) -> None:
        await asyncio.gather(*(caller.say(CALL, pace_s=0) for caller in mine))
        await until(lambda: all(caller.kinds == "SE" for caller in mine))

    threads = [threading.Thread(target=asyncio.run, args=(calls(mine),)) for mine in callers]
    for thread in threads:
        thread.start()
    for thread, mine in zip(threads, callers, strict=True):
        thread.join(20)
        assert [caller.kinds for caller in mine] == ["SE"] * 6
        assert {one for caller in mine for one in caller.threads} == {thread}
    asyncio.run(calls([Caller()]))
    assert len(local_turns._judges) == 1, "loops that have ended take no place"


async def test_a_model_that_fails_is_told_by_the_client_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(cls: type, detectors: Any, windows: Any) -> list[float]:
        raise MemoryError("sk-secret")

    monkeypatch.setattr(vad.SileroDetector, "together", classmethod(broken))
    with virtual_time():
        async with tidy(), scripted(NeverConnects()) as network:
            client, heard = make_client(network, options("local_vad"))
            client.start()
            for _ in range(20):
                client.push_audio(tone(100))
                await asyncio.sleep(0.1)
            await client.stop()
    told = [event for event in heard.of(ev.ClientError) if event.code == "detector_failed"]
    assert len(told) == 1 and not told[0].fatal
    assert "MemoryError" in told[0].message and "sk-secret" not in told[0].message


def one_turn() -> Any:
    """A server that hears a turn, and gives it its text when it is committed."""
    commit = expect("input_audio_buffer.commit")
    return configured(hear(), commit, say(committed("i1"), completed("i1", "yes")), expect_close())


async def test_a_turn_goes_out_when_it_is_judged_and_not_with_the_next_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clients of a loop: neither's turn waits for more of its own audio. Stopped, they leave nothing behind."""
    monkeypatch.setattr(openai_asr_client, "SileroDetector", ToneDetector)
    with virtual_time():
        async with tidy(), scripted(*(one_turn() for _ in range(2))) as network:
            clients = [make_client(network, at_wire_rate("local_vad", stop_drain_ms=20)) for _ in range(2)]
            for client, heard in clients:
                client.start()
                await heard.first(ev.Connected)
            for client, _ in clients:
                client.push_audio(tone(500, rate=WIRE_RATE))
            assert len(clients[1][1].of(ev.SpeechStarted)) == 0, "it waits for the others' windows"
            await asyncio.sleep(0.1)
            assert [len(connection.audio) > 0 for connection in network.connections] == [True, True]
            judge = local_turns._judges[asyncio.get_running_loop()]
            assert len(judge.streams) == 2
            for client, _ in clients:
                await client.stop()
            assert not judge.streams
