"""Graphs of an app's property.json, run by a program: what ends a run and what it reports.

One file because it is one class, use by use.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from ten_runtime import (
    App,
    AsyncExtension,
    AudioFrame,
    Cmd,
    Data,
    HostError,
    Loc,
    StartGraphCmd,
    StatusCode,
    StopGraphCmd,
)

host_app = importlib.import_module("ten_packages.extension.openai_asr_python.devkit.host.app")
Host, run_graph = host_app.Host, host_app.run_graph


def app_property(*graphs: dict[str, Any], **ten: Any) -> dict[str, Any]:
    return {"ten": {"predefined_graphs": list(graphs), **ten}}


def graph(
    name: str, nodes: dict[str, Any], connections: list[dict[str, Any]] | None = None, **options: Any
) -> dict[str, Any]:
    """*nodes*: node name → its property; the addon is called like the node."""
    entries = [
        {"type": "extension", "name": node, "addon": node, "property": properties} for node, properties in nodes.items()
    ]
    return {"name": name, "graph": {"nodes": entries, "connections": connections or []}, **options}


PIPE = [
    {"extension": "source", "audio_frame": [{"name": "pcm_frame", "dest": [{"extension": "middle"}]}]},
    {"extension": "middle", "data": [{"name": "heard", "dest": [{"extension": "sink"}]}]},
]


def close_app() -> Cmd:
    cmd = Cmd.create("ten:close_app")
    cmd.set_dests([Loc("")])
    return cmd


class Source(AsyncExtension):
    async def on_start(self, ten_env) -> None:
        for size in (1, 2, 3):
            frame = AudioFrame.create("pcm_frame")
            frame.alloc_buf(size)
            await ten_env.send_audio_frame(frame)


class Middle(AsyncExtension):
    async def on_init(self, ten_env) -> None:
        self.factor = (await ten_env.get_property_int("factor"))[0]

    async def on_audio_frame(self, ten_env, audio_frame) -> None:
        data = Data.create("heard")
        data.set_property_int("bytes", self.factor * len(audio_frame.get_buf()))
        await ten_env.send_data(data)


class Sink(AsyncExtension):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.heard: list[int] = []

    async def on_data(self, ten_env, data) -> None:
        self.heard.append(data.get_property_int("bytes")[0])
        if len(self.heard) == 3:
            await ten_env.send_cmd(close_app())


def test_a_graph_with_addons_of_the_program_runs_until_one_closes_the_app(register) -> None:
    sinks: list[Sink] = []

    def make_sink(name: str) -> Sink:
        sinks.append(Sink(name))
        return sinks[-1]

    prop = app_property(
        graph("other", {"absent": {}}),
        graph("wanted", {"source": {}, register("middle", Middle): {"factor": 10}, "sink": {}}, PIPE),
    )
    run = run_graph(prop, "wanted", timeout_s=60, addons={"source": Source, "sink": make_sink})
    assert (run.error, run.timed_out, run.stopped, run.dropped, run.dropped_count) == (None, False, False, (), 0)
    assert sinks[0].heard == [10, 20, 30]


def test_without_a_name_the_auto_start_graphs_run_or_the_only_one() -> None:
    started: list[str] = []

    class Closing(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            started.append((await ten_env.get_property_string("which"))[0])
            await ten_env.send_cmd(close_app())

    one = graph("one", {"closing": {"which": "one"}})
    two = graph("two", {"closing": {"which": "two"}}, auto_start=True)
    addons = {"closing": Closing}
    assert run_graph(app_property(one), addons=addons, timeout_s=60).error is None
    assert run_graph(app_property(one, two), addons=addons, timeout_s=60).error is None
    assert started == ["one", "two"]
    three = graph("three", {})
    error = run_graph(app_property(one, three), addons=addons, timeout_s=60).error
    assert "name one of: 'one', 'three'" in str(error)


@pytest.mark.parametrize(
    ("prop", "name", "words"),
    [
        (app_property(graph("a", {})), "b", "no predefined graph 'b'; the app has: 'a'"),
        ({}, None, "name one of: none"),
        (app_property(graph("a", {"absent_addon": {}})), "a", "addon 'absent_addon' not found"),
        (app_property({"name": "a", "graph": {"import_uri": "x.json"}}), "a", "import_uri"),
        (app_property(graph("a", {}), other="${env:HOST_TEST_UNSET}"), "a", "HOST_TEST_UNSET"),
        ({"ten": 1}, None, "'ten' must be an object"),
        ({"ten": {"predefined_graphs": {"a": 1}}}, None, "must be an array of objects"),
        (app_property({"name": "a", "graph": {"nodes": ["x"]}}), "a", "malformed graph"),
        (app_property({"name": "a", "graph": "x"}), "a", "malformed graph"),
    ],
)
def test_what_cannot_start_is_an_error_that_says_why(prop, name, words, monkeypatch) -> None:
    monkeypatch.delenv("HOST_TEST_UNSET", raising=False)
    run = run_graph(prop, name, timeout_s=60)
    assert isinstance(run.error, HostError) and words in str(run.error)
    with pytest.raises(HostError):
        run.raise_for_error()


def test_a_graph_that_is_not_started_needs_none_of_its_environment(monkeypatch) -> None:
    monkeypatch.delenv("HOST_TEST_UNSET", raising=False)

    class Closing(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_cmd(close_app())

    needy = graph("needy", {"closing": {"key": "${env:HOST_TEST_UNSET}"}})
    prop = app_property(graph("other", {"closing": {}}), needy)
    assert run_graph(prop, "other", addons={"closing": Closing}, timeout_s=60).error is None
    error = run_graph(prop, "needy", addons={"closing": Closing}, timeout_s=60).error
    assert "HOST_TEST_UNSET" in str(error)


def test_an_exception_in_a_hook_ends_the_run_with_its_traceback() -> None:
    stopped: list[str] = []

    class Failing(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            raise KeyError("gone")

    class Other(AsyncExtension):
        async def on_deinit(self, ten_env) -> None:
            stopped.append(self.name)

    prop = app_property(graph("g", {"failing": {}, "other": {}}))
    run = run_graph(prop, "g", timeout_s=60, addons={"failing": Failing, "other": Other})
    assert "extension 'failing' raised in on_start: KeyError" in str(run.error)
    assert run.error.__cause__.__traceback__ is not None
    assert stopped == ["other"]


def test_the_timeout_ends_a_run_and_stops_everything() -> None:
    hooks: list[str] = []

    class Idle(AsyncExtension):
        async def on_stop(self, ten_env) -> None:
            hooks.append("stop")

        async def on_deinit(self, ten_env) -> None:
            hooks.append("deinit")

    run = run_graph(app_property(graph("g", {"idle": {}})), timeout_s=0.05, addons={"idle": Idle})
    assert run.timed_out and run.error is None and hooks == ["stop", "deinit"]


def test_stop_from_another_thread_runs_every_stop_and_deinit() -> None:
    hooks: list[str] = []

    class Idle(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            threading.Thread(target=host.stop).start()

        async def on_stop(self, ten_env) -> None:
            hooks.append("stop")

        async def on_deinit(self, ten_env) -> None:
            hooks.append("deinit")

    host = Host(app_property(graph("g", {"idle": {}})), addons={"idle": Idle})
    run = host.run(timeout_s=60)
    assert run.stopped and not run.timed_out and run.error is None and hooks == ["stop", "deinit"]


def test_stop_before_run_starts_nothing_that_lasts() -> None:
    host = Host(app_property(graph("g", {"idle": {}})), addons={"idle": AsyncExtension})
    host.stop()
    assert host.run(timeout_s=60).stopped
    with pytest.raises(RuntimeError, match="runs once"):
        host.run()


def test_an_extension_that_does_not_stop_is_cancelled_and_named() -> None:
    class Stuck(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            host.stop()

        async def on_stop(self, ten_env) -> None:
            await asyncio.Event().wait()

    host = Host(app_property(graph("g", {"stuck": {}})), addons={"stuck": Stuck}, stop_timeout_s=0.5)
    run = host.run(timeout_s=30)
    assert "did not stop within 0.5 s" in str(run.error) and "stuck (in on_stop)" in str(run.error)


def test_a_handler_that_waits_for_ever_is_cancelled_with_its_extension() -> None:
    ends: list[str] = []

    class Stuck(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_data(Data.create("d"))

        async def on_data(self, ten_env, data) -> None:
            host.stop()
            try:
                await asyncio.Event().wait()
            finally:
                ends.append("on_data")

        async def on_stop(self, ten_env) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)  # the loop itself cancels what is left, but only after this
                ends.append("on_stop")

    connections = [{"extension": "stuck", "data": [{"name": "d", "dest": [{"extension": "stuck"}]}]}]
    host = Host(app_property(graph("g", {"stuck": {}}, connections)), addons={"stuck": Stuck}, stop_timeout_s=0.5)
    host.run(timeout_s=30)
    assert ends == ["on_data", "on_stop"]


def test_strict_runs_fail_on_names_the_graph_does_not_connect() -> None:
    class Loose(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_data(Data.create("nobody_wants_this"))
            await ten_env.send_cmd(close_app())

    prop = app_property(graph("g", {"loose": {}}))
    assert run_graph(prop, timeout_s=60, addons={"loose": Loose}).error is None
    run = run_graph(prop, timeout_s=60, addons={"loose": Loose}, strict=True)
    assert "nobody_wants_this" in str(run.error)
    assert [drop.name for drop in run.dropped] == ["nobody_wants_this"]


def test_sync_stop_lets_a_receiver_hear_what_others_say_while_stopping() -> None:
    heard: list[str] = []

    class Talker(AsyncExtension):
        async def on_stop(self, ten_env) -> None:
            if not sync:
                await listener_ends.wait()
            for _ in range(100):  # steps of the loop they share: whatever is ready to happen has happened
                await asyncio.sleep(0)
            await ten_env.send_data(Data.create("last_words"))

    class Listener(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            await ten_env.send_cmd(close_app())

        async def on_deinit(self, ten_env) -> None:
            listener_ends.set()

        async def on_data(self, ten_env, data) -> None:
            heard.append(data.get_name())

    connections = [{"extension": "talker", "data": [{"name": "last_words", "dest": [{"extension": "listener"}]}]}]
    addons = {"talker": Talker, "listener": Listener}
    for sync, expected in ((False, []), (True, ["last_words"])):
        listener_ends = asyncio.Event()
        prop = app_property(graph("g", {"talker": {}, "listener": {}}, connections, sync_stop_before_deinit=sync))
        run = run_graph(prop, timeout_s=60, addons=addons)
        assert run.error is None and heard == expected
        assert [drop.cause for drop in run.dropped] == ([] if sync else ["receiver closed"])


def test_graphs_are_started_and_stopped_by_command_and_addressed_by_id() -> None:
    log: list[Any] = []

    class Boss(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            start = StartGraphCmd.create()
            start.set_dests([Loc("")])
            start.set_predefined_graph_name("second")
            result, error = await ten_env.send_cmd(start)
            assert error is None
            graph_id, _ = result.get_property_string("graph_id")
            ask = Cmd.create("ask")
            ask.set_dests([Loc("", graph_id, "worker")])
            answer, _ = await ten_env.send_cmd(ask)
            log.append(answer.get_status_code())
            stop = StopGraphCmd.create()
            stop.set_graph_id(graph_id)
            stop.set_dests([Loc("")])
            result, _ = await ten_env.send_cmd(stop)
            log.append(result.get_status_code())
            again = StopGraphCmd.create()
            again.set_graph_id("nonsense")
            again.set_dests([Loc("")])
            result, _ = await ten_env.send_cmd(again)
            log.append((result.get_status_code(), result.get_property_string("detail")[0]))
            await ten_env.send_cmd(close_app())

    class Worker(AsyncExtension):
        async def on_cmd(self, ten_env, cmd) -> None:
            from ten_runtime import CmdResult

            await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

        async def on_deinit(self, ten_env) -> None:
            log.append("worker gone")

    prop = app_property(graph("first", {"boss": {}}, auto_start=True), graph("second", {"worker": {}}))
    run = run_graph(prop, timeout_s=60, addons={"boss": Boss, "worker": Worker})
    assert run.error is None
    assert log[0] == StatusCode.OK and StatusCode.OK in log[1:3] and "worker gone" in log
    assert (StatusCode.ERROR, "no graph 'nonsense' runs in this app") in log


def test_a_graph_given_as_json_is_started_by_command() -> None:
    started: list[str] = []

    class Boss(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            start = StartGraphCmd.create()
            start.set_dests([Loc("")])
            node = {"type": "extension", "name": "w", "addon": "worker"}
            start.set_graph_from_json(json.dumps({"nodes": [node]}))
            await ten_env.send_cmd(start)

    class Worker(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            started.append(self.name)
            await ten_env.send_cmd(close_app())

    prop = app_property(graph("first", {"boss": {}}))
    assert run_graph(prop, timeout_s=60, addons={"boss": Boss, "worker": Worker}).error is None
    assert started == ["w"]


def test_the_app_ends_with_its_last_graph() -> None:
    class Ending(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            stop = StopGraphCmd.create()
            stop.set_dests([Loc("")])
            await ten_env.send_cmd(stop)

    run = run_graph(app_property(graph("g", {"ending": {}})), timeout_s=60, addons={"ending": Ending})
    assert run.error is None and not run.timed_out


def test_extensions_read_the_apps_properties() -> None:
    seen: list[Any] = []

    class Reader(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            seen.append(await ten_env.get_property_string("app:greeting"))
            await ten_env.send_cmd(close_app())

    prop = {**app_property(graph("g", {"reader": {}})), "greeting": "${env:HOST_TEST_UNSET|hello}"}
    assert run_graph(prop, timeout_s=60, addons={"reader": Reader}).error is None
    assert seen == [("hello", None)]


def test_read_app_property_says_what_is_wrong_with_a_file(tmp_path) -> None:
    path = tmp_path / "property.json"
    for content, words in ((None, "cannot be read"), ("{", "is not JSON"), ("[]", "predefined_graphs")):
        if content is not None:
            path.write_text(content)
        with pytest.raises(HostError, match=words):
            host_app.read_app_property(path)
    path.write_text(json.dumps(app_property(graph("g", {}))))
    assert host_app.read_app_property(path)["ten"]["predefined_graphs"][0]["name"] == "g"


def test_an_app_object_runs_its_auto_start_graphs_in_the_background(register) -> None:
    seen: list[str] = []

    class Up(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            seen.append("up")
            await ten_env.send_cmd(close_app())

    prop = app_property(graph("g", {register("up", Up): {}}, auto_start=True))

    class MyApp(App):
        def on_configure(self, ten_env) -> None:
            assert ten_env.init_property_from_json(json.dumps(prop)) is None
            ten_env.on_configure_done()

        def on_init(self, ten_env) -> None:
            assert ten_env.init_property_from_json("{}") is not None
            seen.append(ten_env.get_property_string("ten.predefined_graphs[0].name")[0])
            ten_env.on_init_done()

        def on_deinit(self, ten_env) -> None:
            seen.append("deinit")
            ten_env.on_deinit_done()

    app = MyApp()
    app.run(True)
    app.wait()
    assert seen == ["g", "up", "deinit"]


def test_an_app_object_raises_where_ten_would_end_the_process(register) -> None:
    class Failing(AsyncExtension):
        async def on_init(self, ten_env) -> None:
            raise ValueError("no")

    prop = app_property(graph("g", {register("failing", Failing): {}}, auto_start=True))

    class MyApp(App):
        def on_configure(self, ten_env) -> None:
            ten_env.init_property_from_json(json.dumps(prop))
            ten_env.on_configure_done()

    with pytest.raises(HostError, match="raised in on_init"):
        MyApp().run(False)


INTERRUPTED = """
    import importlib.util, os, signal, sys, threading
    spec = importlib.util.spec_from_file_location("loader", {loader!r})
    loader = importlib.util.module_from_spec(spec); spec.loader.exec_module(loader)
    name = loader.load_extension().__name__
    app = importlib.import_module(name + ".devkit.host.app")
    from ten_runtime import AsyncExtension

    class Idle(AsyncExtension):
        async def on_start(self, ten_env):
            os.kill(os.getpid(), signal.SIGINT)
        async def on_stop(self, ten_env):
            print("stop", flush=True)
        async def on_deinit(self, ten_env):
            print("deinit", flush=True)

    node = {{"type": "extension", "name": "idle", "addon": "idle"}}
    graph = {{"name": "g", "graph": {{"nodes": [node]}}}}
    host = app.Host({{"ten": {{"predefined_graphs": [graph]}}}}, addons={{"idle": Idle}})
    {handler}
    try:
        run = host.run(timeout_s=20)
        print("stopped", run.stopped, run.error)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("handler", "last"),
    [("", "interrupted"), ("signal.signal(signal.SIGINT, lambda *_: host.stop())", "stopped True None")],
)
def test_an_interrupt_ends_the_run_cleanly(handler, last) -> None:
    loader = Path(host_app.__file__).parent / "loader.py"
    script = textwrap.dedent(INTERRUPTED.format(loader=str(loader), handler=handler))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["stop", "deinit", last], done.stderr
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert signal.getsignal(signal.SIGINT) is not None


class ClosesAtOnce(AsyncExtension):
    async def on_start(self, ten_env: Any) -> None:
        ten_env.log_info("closing")
        await ten_env.send_cmd(close_app())


@pytest.mark.parametrize("freeze", [False, True])
def test_only_a_host_that_has_the_process_to_itself_freezes_what_is_loaded(freeze: bool) -> None:
    before = gc.get_freeze_count()
    try:
        host = Host(app_property(graph("g", {"only": {}})), addons={"only": ClosesAtOnce}, freeze=freeze)
        assert host.run("g", timeout_s=10).error is None
        assert (gc.get_freeze_count() > before + 10_000) is freeze
    finally:
        gc.unfreeze()
