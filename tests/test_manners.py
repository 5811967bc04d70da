"""Manners at scale: a thousand streams dropped at once come back spread, and no faster than their process may dial."""

from __future__ import annotations

import asyncio
import bisect
import heapq
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from client_peers import KEY, Recorder, at_wire_rate, scripted, tidy
from sessions import Driver, options, tone
from ten_packages.extension.openai_asr_python import connect_limit
from ten_packages.extension.openai_asr_python.openai_asr_client import Endpoint, OpenAIASRClient
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.limiter import ConnectLimiter, DialLimiter
from ten_packages.extension.openai_asr_python.realtime.session import SessionState
from wire_servers import FakeServer, Peer

STREAMS = 1_000


class Fleet:
    """Many sessions of one process on one fake clock; what the server does is said per test."""

    def __init__(self, *, limiter: DialLimiter | None = None, streams: int = STREAMS) -> None:
        rng = random.Random(20_261_120)
        self.drivers = [Driver(options(), rng=rng.random, limiter=limiter) for _ in range(streams)]

    def steps(self, until: float) -> Iterator[Driver]:
        """Let time pass for all of them together, in the order of their timers; yields each session that moved."""
        due = [(at, n) for n, d in enumerate(self.drivers) if (at := d.session.get_timer()) is not None]
        heapq.heapify(due)
        while due and due[0][0] <= until:
            at, n = heapq.heappop(due)
            driver = self.drivers[n].at(at)
            yield driver
            if (again := driver.session.get_timer()) is not None:
                heapq.heappush(due, (again, n))
        for driver in self.drivers:
            driver.at(until)

    def connect(self) -> None:
        for driver in self.drivers:
            driver.connect()

    def serve(self, until: float) -> None:
        """A server that takes everybody, at once."""
        for driver in self.steps(until):
            if driver.dialled and driver.dialled[-1][0] == driver.now and not driver.session.connected:
                driver.open().configure()

    def drop_at(self, now: float) -> None:
        for driver in self.drivers:
            driver.at(now).drop()


def fullest(times: list[float], width: float) -> float:
    """The share of *times* in the fullest bin of that width."""
    return max(Counter(int(t / width) for t in times).values()) / len(times)


def most_in(times: list[float], width: float) -> int:
    """The most of *times* (sorted) that any span of that width holds."""
    return max(bisect.bisect_left(times, t + width - 1e-6) - n for n, t in enumerate(times))


# In step


def test_a_thousand_streams_dropped_at_once_are_back_within_a_quarter_second_and_not_in_step() -> None:
    fleet = Fleet()
    fleet.connect()
    fleet.drop_at(5.0)
    for _ in fleet.steps(6.0):
        pass
    delays = [d.dialled[1][0] - 5.0 for d in fleet.drivers]
    assert 0 <= min(delays) and max(delays) <= 0.25
    assert fullest(delays, 0.010) <= 0.10


def test_a_thousand_streams_on_a_dead_server_spread_and_thin_out() -> None:
    fleet = Fleet()
    for driver in fleet.drivers:
        driver.start().drop()
    for driver in fleet.steps(60.0):
        if driver.session.state is SessionState.CONNECTING:
            driver.session.connection_refused(driver.conn, 503, {}, driver.now)
            driver.pump()
    for attempt, longest in enumerate((0.5, 1.0, 2.0, 4.0, 8.0, 8.0)):
        waits = [d.dialled[attempt + 1][0] - d.dialled[attempt][0] for d in fleet.drivers]
        assert max(waits) <= longest
        assert fullest(waits, longest / 25) <= 0.10, "full jitter: from nothing to the longest wait"
    dials = sorted(at for d in fleet.drivers for at, _ in d.dialled if at > 20.0)
    assert most_in(dials, 0.010) <= 0.02 * STREAMS
    assert len(dials) / 40 <= STREAMS / 3, "one dial in 4 s for each stream"


# The limit


def test_a_limit_holds_a_thousand_streams_to_its_rate_and_serves_them_in_order() -> None:
    fleet = Fleet(limiter=ConnectLimiter(50, burst=50))
    for driver in fleet.drivers:
        if driver.start().dialled:
            driver.open().configure()
    assert sum(d.session.connected for d in fleet.drivers) == 50, "the burst does not wait"
    fleet.serve(until=30.0)
    fleet.drop_at(30.0)
    fleet.serve(until=60.0)

    assert all(d.session.connected and len(d.dialled) == 2 for d in fleet.drivers), "all are back, with one dial each"
    order = sorted(fleet.drivers, key=lambda d: d.dialled[1][0])
    dials = [d.dialled[1][0] - 30.0 for d in order]
    assert most_in(dials, 1.0) <= 100, "the burst and a second's worth"
    assert most_in(dials[50:], 1.0) <= 50 and most_in(dials[50:], 0.1) <= 5, "and from then on an even stream"
    assert dials[-1] <= 0.25 + 950 / 50
    asked = [d.of(ev.Disconnected)[0].retry_in_ms for d in order]
    assert asked == sorted(asked), "first asked, first served"


@pytest.mark.parametrize(("per_second", "burst"), [(50, 50), (50, 1), (0.5, 3), (1_000, 7)])
def test_no_span_of_time_sees_more_than_the_burst_and_the_rate(per_second: float, burst: int) -> None:
    limiter = ConnectLimiter(per_second, burst)
    rng = random.Random(7)
    now, dials = 0.0, []
    for _ in range(2_000):
        now += rng.choice([0.0, 0.0, 0.0, rng.random() * 4 / per_second])
        dials.append(now + limiter.reserve(now))
    assert dials == sorted(dials)
    for seconds in (1 / per_second, 1.0, 10.0):
        assert most_in(dials, seconds) <= burst + per_second * seconds + 1e-6
    assert limiter.reserve(now + 1e6) == 0.0


def test_a_quiet_process_saves_no_more_than_a_burst() -> None:
    limiter = ConnectLimiter(10, burst=3)
    limiter.reserve(0.0)
    assert [limiter.reserve(1_000.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("per_second", "burst", "name"), [(0, 1, "per_second"), (-5, 1, "per_second"), (5, 0, "burst")]
)
def test_a_limit_that_would_let_nobody_through_is_refused(per_second: float, burst: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: {per_second if name == 'per_second' else burst}"):
        ConnectLimiter(per_second, burst)


def test_event_loops_of_several_threads_never_share_a_slot() -> None:
    limiter = connect_limit.SharedLimiter(per_second=1, burst=1)
    slots: list[float] = []

    def dial() -> None:
        slots.extend([limiter.reserve(0.0) for _ in range(5_000)])

    threads = [threading.Thread(target=dial) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(slots) == list(range(20_000))


# A session that waits for its turn


class Held:
    """Lets a dial begin after *wait* seconds."""

    def __init__(self, wait: float) -> None:
        self.wait = wait
        self.asked = 0

    def reserve(self, now: float) -> float:
        self.asked += 1
        return self.wait


def test_start_does_not_jump_the_queue() -> None:
    limiter = Held(4.0)
    d = Driver(options(), limiter=limiter).start()
    d.at(2.0).start()
    assert d.dialled == [] and limiter.asked == 1 and not d.of(ev.Connecting)
    d.at(5.0)
    assert d.dialled == [(4.0, 1)]
    assert [e.attempt for e in d.of(ev.Connecting)] == [1]


def test_the_connect_timeout_counts_from_the_dial() -> None:
    d = Driver(options(), limiter=Held(15.0)).start()
    d.at(24.9)
    assert d.dialled == [(15.0, 1)] and d.closed == []
    d.at(25.1)
    assert d.closed == [1]


def test_the_connect_delay_is_not_the_time_in_the_queue() -> None:
    d = Driver(options(), limiter=Held(15.0)).start()
    d.at(15.2).open().configure()
    assert d.of(ev.Connected)[0].connect_delay_ms == 200


def test_words_said_in_the_queue_are_not_lost() -> None:
    d = Driver(options(), limiter=Held(3.0)).start()
    d.push(tone(1_000))
    d.at(3.0).open().configure()
    assert len(d.audio[1]) == pytest.approx(1_000 * 48, abs=48)
    d.finalize().committed("i1").completed("i1", "first words")
    assert d.texts == ["first words"] and d.totals["lost"] == 0


def test_the_operator_is_told_once_when_the_wait_is_long() -> None:
    d = Driver(options(), limiter=Held(3.0)).start()
    d.at(3.0).drop().at(10.0)
    (warning,) = d.of(ev.Warned)
    assert warning.code == "connect_limit" and "3.0 s" in warning.message
    assert not Driver(options(), limiter=Held(0.5)).start().of(ev.Warned)


def test_a_session_stopped_in_the_queue_never_dials() -> None:
    d = Driver(options(), limiter=Held(3.0)).start()
    d.push(tone(100)).finalize("f1")
    d.session.stop(d.now)
    d.pump()
    d.at(60.0)
    assert d.dialled == [] and d.closed == []
    assert [done.outcome for done in d.of(ev.FinalizeDone)] == ["stopped"]


# Clients


async def test_clients_that_are_told_nothing_share_the_limit_of_their_process(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = Held(60.0)
    monkeypatch.setattr(connect_limit.PROCESS_LIMITER, "reserve", limiter.reserve)
    async with tidy(), scripted() as network:
        for asked in (1, 2):
            heard = Recorder()
            endpoint = Endpoint("ws://test.invalid/v1", api_key=KEY)
            client = OpenAIASRClient(at_wire_rate(), endpoint, heard, dial=network.dial)
            client.start()
            assert limiter.asked == asked
            await client.stop()
            assert not heard.of(ev.Connecting)


@pytest.mark.socket
async def test_a_hundred_clients_cut_off_at_once_come_back_no_faster_than_allowed() -> None:
    count, per_second, burst = 100, 100, 20
    limiter = ConnectLimiter(per_second, burst)
    rng = random.Random(3)
    arrivals: list[float] = []
    cut: list[float] = []
    configured: list[Peer] = []

    async def behaviour(peer: Peer) -> None:
        arrivals.append(time.monotonic())
        await peer.configure()
        configured.append(peer)
        if len(configured) == count:
            cut.append(time.monotonic())
            for other in configured:
                other.abort()

    with FakeServer(behaviour) as server:
        heard = [Recorder() for _ in range(count)]
        endpoint = Endpoint(server.url, api_key=KEY)
        clients = [OpenAIASRClient(options(), endpoint, each, rng=rng.random, limiter=limiter) for each in heard]
        for client in clients:
            client.start()
        await asyncio.gather(
            *(
                each.until(lambda each=each: any(up.connection > 1 for up in each.of(ev.Connected)), 30)
                for each in heard
            )
        )
        await asyncio.gather(*(client.stop() for client in clients))

    # However slow the machine is, a connection arrives after its dial, and no dial is before its turn.
    back = sorted(at - cut[0] for at in arrivals if at > cut[0])
    assert len(back) >= count
    early = [(n, at) for n, at in enumerate(back, 1) if n > burst + per_second * at + 1]
    assert not early, f"{len(early)} of {len(back)} came before their turn, first {early[0]}"
