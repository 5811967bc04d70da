"""Finalize answers and stop returns, whatever the state, and nothing is left running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from client_peers import WIRE_RATE, Recorder, at_wire_rate, make_client, scripted, tidy
from scripted import (
    CREATED,
    Connection,
    Gate,
    NeverConnects,
    Refuse,
    block,
    close,
    committed,
    completed,
    configured,
    delta,
    expect,
    expect_close,
    hear,
    say,
    wait,
)
from sessions import silence, tone
from ten_packages.extension.openai_asr_python.openai_asr_client import OpenAIASRClient
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.transport import TransportRefused
from virtual_time import virtual_time

COMMIT = "input_audio_buffer.commit"
BOUND_S = 0.01
"How long a stop may take beyond its drain: nothing but the drain is waited for."


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    with virtual_time():
        async with tidy():
            yield


def sound(ms: float) -> bytes:
    return tone(ms, rate=WIRE_RATE)


async def some_audio_sent(network: Any) -> None:
    while not (network.connections and network.connections[-1].audio):
        await asyncio.sleep(0.001)


# Finalize -----------------------------------------------------------------------------------------------------


async def test_the_answer_follows_the_last_text_and_knows_its_fence() -> None:
    told: list[str] = []

    class Slow(Recorder):
        async def on_asr_completed(self, event: ev.Transcript) -> None:
            await asyncio.sleep(0.01)
            told.append(event.text)

    script = configured(hear(ms=200), expect(COMMIT), say(committed("i1"), completed("i1", "hello")))
    async with scripted(script) as network:
        client, _ = make_client(network, listener=Slow())
        client.start()
        client.push_audio(sound(200))
        done = await client.finalize("f1")
        assert told == ["hello"], "the listener has had the text when the answer comes"
        await client.stop()
    assert (done.finalize_id, done.fence_ms, done.outcome) == ("f1", 200, "final")


async def test_requests_are_answered_each_with_its_own_id_and_in_their_order() -> None:
    hold = Gate()
    script = configured(
        hear(ms=200),
        expect(COMMIT),
        wait(hold),
        say(committed("i1"), completed("i1", "hello")),
    )
    order: list[str] = []
    async with scripted(script) as network:
        client, _ = make_client(network)
        client.start()
        client.push_audio(sound(200))
        futures = {name: client.finalize(name) for name in ("a", "b", "same")}
        again, unnamed = client.finalize("same"), client.finalize()
        for name, future in futures.items():
            future.add_done_callback(lambda _, name=name: order.append(name))  # type: ignore[misc]
        await some_audio_sent(network)
        hold.open()
        answers = await asyncio.gather(*futures.values(), again, unnamed)
        await client.stop()
    assert order == ["a", "b", "same"]
    assert [answer.finalize_id for answer in answers[:4]] == ["a", "b", "same", "same"]
    assert answers[4].finalize_id not in ("", "a", "b", "same")


async def test_a_mute_server_does_not_keep_an_answer_past_its_deadline() -> None:
    opts = at_wire_rate(finalize_timeout_ms=80, stop_drain_ms=20)
    async with scripted(configured(hear(ms=200), expect(COMMIT), say(committed("i1"), delta("i1", "hel")))) as network:
        client, heard = make_client(network, opts)
        client.start()
        client.push_audio(sound(200))
        await heard.first(ev.Connected)
        asked = asyncio.get_running_loop().time()
        done = await client.finalize("f1")
        took = asyncio.get_running_loop().time() - asked
        await client.stop()
    assert done.outcome == "timeout" and took == pytest.approx(0.08, abs=BOUND_S)
    (report,) = heard.of(ev.ClientError)
    assert report.code == "finalize_timeout" and "params.finalize_timeout_ms" in report.message


async def test_nothing_but_silence_is_answered_without_a_commit() -> None:
    async with scripted(configured(hear(ms=200))) as network:
        client, heard = make_client(network)
        client.start()
        client.push_audio(silence(200, WIRE_RATE))
        await heard.first(ev.Connected)
        done = await client.finalize()
        await some_audio_sent(network)
        await client.stop()
    assert done.outcome == "empty" and heard.finals == []


async def test_finalize_before_the_start_and_after_the_stop_is_answered_at_once() -> None:
    async with scripted() as network:
        client, _ = make_client(network)
        client.push_audio(sound(100))
        assert (await client.finalize("early")).outcome == "inactive"
        await client.stop()
        late = client.finalize("late")
        await client.stop()
        assert late.done() and late.result().outcome == "stopped"


async def test_an_answer_nobody_waits_for_any_more_hurts_nobody() -> None:
    hold = Gate()
    script = configured(hear(ms=200), expect(COMMIT), wait(hold), say(committed("i1"), completed("i1", "hello")))
    async with scripted(script) as network:
        client, heard = make_client(network)
        client.start()
        client.push_audio(sound(200))
        given_up = client.finalize("f1")
        await some_audio_sent(network)
        given_up.cancel()
        second = client.finalize("f1")
        hold.open()
        assert (await second).finalize_id == "f1"
        assert len(heard.of(ev.FinalizeDone)) == 2
        await client.stop()


# Stop ---------------------------------------------------------------------------------------------------------

Prepare = Callable[[OpenAIASRClient, Recorder, Any], Any]


async def started(client: OpenAIASRClient, heard: Recorder, network: Any) -> None:
    client.start()
    client.push_audio(sound(100))
    await asyncio.sleep(0.01)


async def waiting_for_a_dial(client: OpenAIASRClient, heard: Recorder, network: Any) -> None:
    client.start()
    await heard.first(ev.Disconnected)


async def connected(client: OpenAIASRClient, heard: Recorder, network: Any) -> None:
    client.start()
    await heard.first(ev.Connected)


async def speaking(client: OpenAIASRClient, heard: Recorder, network: Any) -> None:
    await connected(client, heard, network)
    client.push_audio(sound(100))
    await some_audio_sent(network)


async def asking(client: OpenAIASRClient, heard: Recorder, network: Any) -> None:
    await speaking(client, heard, network)
    client.finalize("open")
    await asyncio.sleep(0.01)


async def never_started(client: OpenAIASRClient, heard: Recorder, network: Any) -> None:
    client.push_audio(sound(100))


SITUATIONS: dict[str, tuple[Prepare, Callable[[], list[Any]]]] = {
    "never started": (never_started, lambda: []),
    "dialling never ends": (started, lambda: [NeverConnects()]),
    "nothing said behind the upgrade": (started, lambda: [Connection(expect_close(1000))]),
    "the configuration is not confirmed": (
        started,
        lambda: [Connection(say(CREATED), expect("session.update"), expect_close(1000))],
    ),
    "waiting to dial again": (waiting_for_a_dial, lambda: [Refuse(503, headers={"Retry-After": "60"})]),
    "connected and silent": (connected, lambda: [configured(expect_close(1000))]),
    "a turn is open": (speaking, lambda: [configured(hear(ms=100), hear(), expect(COMMIT), expect_close(1000))]),
    "a send is blocked": (speaking, lambda: [configured(hear(ms=100), block(Gate()), expect_close(1000))]),
    "a finalize is open": (asking, lambda: [configured(hear(ms=100), hear(), expect(COMMIT), expect_close(1000))]),
}


@pytest.mark.parametrize("name", SITUATIONS)
async def test_stop_returns_within_its_bound(name: str) -> None:
    prepare, scripts = SITUATIONS[name]
    opts = at_wire_rate(stop_drain_ms=50)
    async with scripted(*scripts()) as network:
        client, heard = make_client(network, opts)
        await prepare(client, heard, network)
        began = asyncio.get_running_loop().time()
        await client.stop()
        took = asyncio.get_running_loop().time() - began
        assert took < 0.05 + BOUND_S
        assert not client.connected
        before = len(heard.events)
        await client.stop()  # again: nothing to do
        client.push_audio(sound(100))
        client.start()
        await asyncio.sleep(0.01)
    assert len(heard.events) == before, "nothing is told after the stop has returned"
    asked = 1 if prepare is asking else 0
    assert [(e.finalize_id, e.outcome) for e in heard.of(ev.FinalizeDone)] == [("open", "stopped")] * asked
    assert len(network.dials) <= 1


async def test_stop_waits_for_the_last_words() -> None:
    answer = Gate()
    script = configured(
        hear(ms=200),
        expect(COMMIT),
        wait(answer),
        say(committed("i1"), delta("i1", "last"), completed("i1", "last words")),
        expect_close(1000),
    )
    async with scripted(script) as network:
        client, heard = make_client(network, at_wire_rate(stop_drain_ms=5_000))
        await connected(client, heard, network)
        client.push_audio(sound(200))
        stopping = asyncio.ensure_future(client.stop())
        while COMMIT not in network.connections[0].log:
            await asyncio.sleep(0.001)
        assert not stopping.done()
        answer.open()
        await asyncio.wait_for(stopping, BOUND_S)
    assert heard.texts == ["last words"], "and the listener has them when stop returns"


async def test_stopping_twice_at_once_is_one_stop() -> None:
    async with scripted(configured(hear(ms=200), expect(COMMIT), expect_close(1000))) as network:
        client, heard = make_client(network, at_wire_rate(stop_drain_ms=30))
        await speaking_for(client, heard, network, 200)
        await asyncio.gather(client.stop(), client.stop(), client.stop())


async def speaking_for(client: OpenAIASRClient, heard: Recorder, network: Any, ms: int) -> None:
    await connected(client, heard, network)
    client.push_audio(sound(ms))
    await some_audio_sent(network)


async def test_a_callback_may_stop_the_client() -> None:
    class Quitter(Recorder):
        client: OpenAIASRClient
        stopped = False

        async def on_asr_completed(self, event: ev.Transcript) -> None:
            await self.client.stop()
            self.stopped = True

    listener = Quitter()
    script = configured(
        hear(ms=200), expect(COMMIT), say(committed("i1"), completed("i1", "goodbye")), expect_close(1000)
    )
    async with scripted(script) as network:
        listener.client, _ = make_client(network, listener=listener)
        listener.client.start()
        listener.client.push_audio(sound(200))
        answer = listener.client.finalize("f1")
        assert (await answer).finalize_id == "f1"
        await listener.client.stop()
    assert listener.stopped


async def test_a_connection_that_comes_about_while_stopping_is_closed() -> None:
    """A dialler that cannot be interrupted returns its socket after the stop began: it must not stay open."""
    through = Gate()
    async with scripted(Connection(expect_close(1000))) as network:

        async def dial(*args: Any) -> Any:
            try:
                await through.wait()
            except asyncio.CancelledError:
                pass
            return await network.dial(*args)

        client, _ = make_client(network, dial=dial)
        client.start()
        await asyncio.sleep(0.001)
        await client.stop()
        assert network.connections[0].close_code == 1000


async def test_a_drop_while_stopping_ends_it_at_once() -> None:
    drop = Gate()
    async with scripted(configured(hear(ms=200), expect(COMMIT), wait(drop), close(1006))) as network:
        client, heard = make_client(network, at_wire_rate(stop_drain_ms=5_000))
        await speaking_for(client, heard, network, 200)
        stopping = asyncio.ensure_future(client.stop())
        await asyncio.sleep(0.01)
        drop.open()
        await asyncio.wait_for(stopping, BOUND_S)
    assert len(network.dials) == 1
    assert [(e.start_ms, e.duration_ms) for e in heard.of(ev.AudioLost)] == [(0, 200)]


async def test_a_refusal_that_comes_while_stopping_is_told_to_nobody() -> None:
    async def dial(*args: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            raise TransportRefused(503, "too late")

    async with scripted() as network:
        client, heard = make_client(network, dial=dial)
        client.start()
        await asyncio.sleep(0.001)
        await client.stop()
    assert heard.of(ev.ClientError) == [] and heard.of(ev.Disconnected) == []
