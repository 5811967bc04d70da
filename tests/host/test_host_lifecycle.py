"""Stages and messages of one extension: what waits for what, on which thread, and what an exception does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import Any

import pytest
from ten_runtime import AsyncExtension, AsyncExtensionTester, Data, Extension, HostError, Loc


class Burst(AsyncExtensionTester):
    """Sends ten numbered messages at once and stops when the extension says ``done``."""

    async def on_start(self, ten_env) -> None:
        for number in range(10):
            data = Data.create("number")
            data.set_property_int("n", number)
            await ten_env.send_data(data)

    async def on_data(self, ten_env, data) -> None:
        ten_env.stop_test()


def test_contract_messages_queue_until_init_is_done_and_not_until_start(register, run_single) -> None:
    events: list[Any] = []

    class Slow(AsyncExtension):
        async def on_init(self, ten_env) -> None:
            self.all_here = asyncio.Event()
            assert sent.wait(30)
            await asyncio.sleep(0.01)
            events.append("init over")

        async def on_start(self, ten_env) -> None:
            await self.all_here.wait()
            events.append("start over")
            await ten_env.send_data(Data.create("done"))

        async def on_data(self, ten_env, data) -> None:
            events.append(data.get_property_int("n")[0])
            if len(events) == 11:
                self.all_here.set()

    sent = threading.Event()

    class Tester(Burst):
        async def on_start(self, ten_env) -> None:
            await super().on_start(ten_env)
            sent.set()

    run_single(Tester, register("slow", Slow))
    assert events == ["init over", *range(10), "start over"]


def test_contract_what_waited_for_init_is_handed_over_before_start_runs(register, run_single) -> None:
    events: list[str] = []
    sent = threading.Event()

    class Slow(AsyncExtension):
        async def on_init(self, ten_env) -> None:
            assert sent.wait(30)
            await asyncio.sleep(0.01)

        async def on_start(self, ten_env) -> None:
            events.append("start")
            await ten_env.send_data(Data.create("done"))

        async def on_data(self, ten_env, data) -> None:
            events.append("data")

    class Tester(Burst):
        async def on_start(self, ten_env) -> None:
            await super().on_start(ten_env)
            sent.set()

    run_single(Tester, register("slow", Slow))
    assert events == ["data"] * 10 + ["start"]


def test_contract_each_message_is_a_coroutine_and_they_start_in_arrival_order(register, run_single) -> None:
    started: list[int] = []
    finished: list[int] = []

    class Interleaving(AsyncExtension):
        async def on_data(self, ten_env, data) -> None:
            number = data.get_property_int("n")[0]
            started.append(number)
            # The last of them lets the one before it go on, and so on: only interleaved handlers can finish like this.
            while len(started) < 10 or len(finished) < 9 - number:
                await asyncio.sleep(0.001)
            finished.append(number)
            if len(finished) == 10:
                await ten_env.send_data(Data.create("done"))

    run_single(Burst, register("interleaving", Interleaving))
    assert started == list(range(10))
    assert finished == started[::-1]


def test_contract_one_loop_for_all_async_extensions(register) -> None:
    places: dict[str, Any] = {}

    class Where(AsyncExtension):
        async def on_init(self, ten_env) -> None:
            places[self.name] = (threading.get_ident(), asyncio.get_running_loop())

        async def on_start(self, ten_env) -> None:
            await ten_env.send_data(Data.create("up"))

    class Tester(AsyncExtensionTester):
        async def on_data(self, ten_env, data) -> None:
            places["tester"] = (threading.get_ident(), asyncio.get_running_loop())
            if len(places) == 3:
                ten_env.stop_test()

    name = register("where", Where)
    tester = Tester()
    nodes = {"ten:test_extension": "ten:test_extension", "a": name, "b": name}
    sources = [{"extension": "a"}, {"extension": "b"}]
    graph = {
        "nodes": [{"type": "extension", "name": node, "addon": addon} for node, addon in nodes.items()],
        "connections": [{"extension": "ten:test_extension", "data": [{"name": "up", "source": sources}]}],
    }
    tester.set_test_mode_graph(json.dumps(graph))
    assert tester.run() is None
    assert places["a"] == places["b"]
    assert places["tester"][0] != places["a"][0] != threading.get_ident()
    assert places["tester"][1] is not places["a"][1]
    assert not [thread for thread in threading.enumerate() if thread.ident == places["a"][0]], "the loop lives on"


def test_stages_run_in_order_and_one_after_the_other(register, run_single) -> None:
    stages: list[str] = []

    class Staged(AsyncExtension):
        async def on_configure(self, ten_env) -> None:
            await self.note("configure")

        async def on_init(self, ten_env) -> None:
            await self.note("init")

        async def on_start(self, ten_env) -> None:
            await self.note("start")
            await ten_env.send_data(Data.create("up"))

        async def on_stop(self, ten_env) -> None:
            await self.note("stop")

        async def on_deinit(self, ten_env) -> None:
            await self.note("deinit")

        async def note(self, stage: str) -> None:
            stages.append(f"{stage} begins")
            await asyncio.sleep(0.01)
            stages.append(f"{stage} ends")

    run_single(Burst, register("staged", Staged))
    names = ("configure", "init", "start", "stop", "deinit")
    assert stages == [f"{name} {edge}" for name in names for edge in ("begins", "ends")]


def test_stop_waits_for_a_start_that_still_runs(register, run_single) -> None:
    stages: list[str] = []

    class Starting(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_data(Data.create("up"))
            await asyncio.sleep(0.05)
            stages.append("started")

        async def on_stop(self, ten_env) -> None:
            stages.append("stopped")

    run_single(Burst, register("starting", Starting))
    assert stages == ["started", "stopped"]


def test_an_early_close_skips_later_stages_but_not_stop_and_deinit(register) -> None:
    stages: list[str] = []

    class Early(AsyncExtension):
        async def on_init(self, ten_env) -> None:
            stages.append("init")
            assert stopping.wait(30)
            await asyncio.sleep(0)  # what was queued for this loop meanwhile has its turn

        async def on_start(self, ten_env) -> None:
            stages.append("start")

        async def on_stop(self, ten_env) -> None:
            stages.append("stop")

        async def on_deinit(self, ten_env) -> None:
            stages.append("deinit")

    stopping = threading.Event()

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            while "init" not in stages:
                await asyncio.sleep(0.001)
            ten_env.stop_test()

        async def on_stop(self, ten_env) -> None:
            stopping.set()

    tester = Tester()
    # Nodes are told to stop in their order: once the tester is, the one before it has been.
    nodes = {"early": register("early", Early), "ten:test_extension": "ten:test_extension"}
    graph = {"nodes": [{"type": "extension", "name": name, "addon": addon} for name, addon in nodes.items()]}
    tester.set_test_mode_graph(json.dumps(graph))
    assert tester.run() is None
    assert stages == ["init", "stop", "deinit"]


def test_messages_can_be_sent_during_stop(register, run_single) -> None:
    class Farewell(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_data(Data.create("up"))

        async def on_stop(self, ten_env) -> None:
            await ten_env.send_data(Data.create("farewell"))

    class Tester(AsyncExtensionTester):
        def __init__(self) -> None:
            super().__init__()
            self.names: list[str] = []
            self.farewell = asyncio.Event()

        async def on_data(self, ten_env, data) -> None:
            self.names.append(data.get_name())
            ten_env.stop_test()
            if data.get_name() == "farewell":
                self.farewell.set()

        async def on_stop(self, ten_env) -> None:
            await self.farewell.wait()

    assert run_single(Tester, register("farewell", Farewell)).names == ["up", "farewell"]


def test_messages_after_deinit_are_dropped_and_said_to_be(register, run_single) -> None:
    class Late(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_data(Data.create("up"))

        async def on_deinit(self, ten_env) -> None:
            while "too_late" not in [drop.name for drop in testers[0].dropped_messages]:
                await ten_env.send_data(Data.create("too_late"))
                await asyncio.sleep(0.001)

    testers: list[AsyncExtensionTester] = []

    class Tester(Burst):
        def __init__(self) -> None:
            super().__init__()
            testers.append(self)

    tester = run_single(Tester, register("late", Late))
    drops = {(drop.name, drop.cause) for drop in tester.dropped_messages if drop.name == "too_late"}
    assert drops == {("too_late", "receiver closed")}


@pytest.mark.parametrize("hook", ["on_configure", "on_init", "on_start", "on_stop", "on_deinit", "on_data"])
def test_an_exception_in_any_hook_ends_the_run_with_the_extension_named(register, hook, caplog) -> None:
    class Failing(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_data(Data.create("up"))

    async def fail(self: Any, *arguments: Any) -> None:
        raise ValueError("the reason")

    class Patient(Burst):
        async def on_data(self, ten_env, data) -> None:
            if hook in ("on_stop", "on_deinit"):
                ten_env.stop_test()

    setattr(Failing, hook, fail)
    tester = Patient()
    tester.set_test_mode_single(register("failing", Failing))
    tester.set_timeout(60_000_000)
    with pytest.raises(HostError, match=f"'failing' raised in {hook}: ValueError: the reason") as caught:
        tester.run()
    assert isinstance(caught.value.__cause__, ValueError)
    assert any(record.levelname == "ERROR" and "the reason" in record.message for record in caplog.records)


def test_after_a_failure_everything_is_still_stopped(register) -> None:
    stages: list[str] = []

    class Failing(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            raise RuntimeError("no")

        async def on_stop(self, ten_env) -> None:
            stages.append("stop")

        async def on_deinit(self, ten_env) -> None:
            stages.append("deinit")

    class Tester(AsyncExtensionTester):
        async def on_deinit(self, ten_env) -> None:
            stages.append("tester deinit")

    tester = Tester()
    tester.set_test_mode_single(register("failing", Failing))
    with pytest.raises(HostError):
        tester.run()
    assert sorted(stages) == ["deinit", "stop", "tester deinit"]


def test_tasks_an_extension_leaves_behind_are_cancelled(register, run_single) -> None:
    ends: list[str] = []

    class Leaving(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            self.task = asyncio.create_task(self.forever())
            await ten_env.send_data(Data.create("up"))

        async def forever(self) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            ends.append("cancelled")

    run_single(Burst, register("leaving", Leaving))
    assert ends == ["cancelled"]


def test_addons_hand_over_their_instance_outside_the_extension_loop(register, run_single) -> None:
    threads: list[int] = []

    class Made(AsyncExtension):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            threads.append(threading.get_ident())

        async def on_start(self, ten_env) -> None:
            threads.append(threading.get_ident())
            assert self.name == "made"
            await ten_env.send_data(Data.create("up"))

    run_single(Burst, register("made", Made))
    assert threads[0] == threading.get_ident() != threads[1]


def test_a_synchronous_extension_has_its_own_thread_and_says_when_a_stage_is_over(register, run_single) -> None:
    events: list[Any] = []

    class Plain(Extension):
        def on_init(self, ten_env) -> None:
            events.append(("init", ten_env.get_property_int("a")))
            self.thread = threading.get_ident()
            threading.Timer(0.02, ten_env.on_init_done).start()

        def on_start(self, ten_env) -> None:
            events.append("start")
            ten_env.on_start_done()
            self.say_done(ten_env)

        def on_data(self, ten_env, data) -> None:
            assert self.thread == threading.get_ident() != test_thread
            events.append(data.get_property_int("n")[0])
            self.say_done(ten_env)

        def say_done(self, ten_env) -> None:
            if 9 in events and "start" in events:
                ten_env.send_data(Data.create("done"), lambda _, error: events.append(("sent", error)))

    test_thread = threading.get_ident()
    run_single(Burst, register("plain", Plain), {"a": 5})
    assert events[0] == ("init", (5, None))
    assert [event for event in events if isinstance(event, int)] == list(range(10))
    assert ("sent", None) in events


def test_a_synchronous_extension_is_not_entered_again_while_it_handles_a_message(register, run_single) -> None:
    events: list[str] = []

    class Chain(Extension):
        def on_data(self, ten_env, data) -> None:
            number = data.get_property_int("n")[0]
            events.append(f"{number} begins")
            if number == 0:
                again = Data.create("number")
                again.set_property_int("n", 100)
                again.set_dests([Loc("", None, self.name)])
                ten_env.send_data(again)
            if number == 100:
                ten_env.send_data(Data.create("done"))
            events.append(f"{number} ends")

    run_single(Burst, register("chain", Chain))
    assert events.index("0 ends") < events.index("100 begins")
    assert [event.split()[1] for event in events] == ["begins", "ends"] * (len(events) // 2)
