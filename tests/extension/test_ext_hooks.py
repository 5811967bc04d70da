"""No exception leaves a hook: in TEN one that does ends the process, and every other extension in it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asr_tester import node, poll
from ten_packages.extension.openai_asr_python.extension import OpenAIASRExtension
from ten_runtime import Cmd, Data
from wire_servers import dead_port


class BrokenError(Exception):
    """What broken things raise."""


class Env:
    """An environment of the host in which single methods may be broken."""

    def __init__(self, properties: str, broken: set[str]) -> None:
        self.properties = properties
        self.broken = broken
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("log_"):
            return self._log if name not in self.broken else self._raise
        if name in ("send_data", "return_result"):
            return self._send
        if name.startswith("get_property"):
            return self._get_property
        raise AttributeError(name)

    def _raise(self, *args: Any, **kwargs: Any) -> None:
        raise BrokenError

    def _log(self, *args: Any, **kwargs: Any) -> None:
        return None

    async def _send(self, message: Any, *args: Any, **kwargs: Any) -> None:
        if "send" in self.broken:
            raise BrokenError
        text, _ = message.get_property_to_json(None)
        self.sent.append((message.get_name(), json.loads(text or "{}")))

    async def _get_property(self, path: str = "") -> tuple[Any, Any]:
        if "properties" in self.broken:
            raise BrokenError
        return (self.properties, None) if not path else (True, None)


class BrokenFrame:
    """A frame of which one method raises, or answers something absurd."""

    def __init__(self, broken: str, answer: Any = None) -> None:
        self.broken = broken
        self.answer = answer

    def __getattr__(self, name: str) -> Any:
        answers: dict[str, Any] = {"get_buf": bytearray(320), "get_property_to_json": ('{"session_id": "x"}', None)}
        answer = self.answer if name == self.broken else answers.get(name, 0)

        def method(*args: Any) -> Any:
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return method


@pytest.fixture
def env() -> Iterator[Any]:
    with dead_port() as url:
        yield Env(json.dumps(node(url)), set())


@pytest.fixture
async def extension(env: Any) -> AsyncIterator[OpenAIASRExtension]:
    made = OpenAIASRExtension("stt")
    await made.on_init(env)
    await made.on_start(env)
    yield made
    await made.on_stop(env)
    await made.on_deinit(env)


async def test_numbers_of_a_call_that_never_comes_do_not_pile_up(extension: OpenAIASRExtension, env: Any) -> None:
    def counts() -> list[tuple[Any, Any]]:
        numbers = [(p["metrics"].get("vendor_metrics", {}), p["metadata"]) for name, p in env.sent if name == "metrics"]
        return [one for one in numbers if "count" in one[0]]

    for count in range(500):
        await extension.send_vendor_metrics({"count": count})
    assert not counts(), "nobody knows yet whose they are"
    await extension.on_audio_frame(env, BrokenFrame("nothing"))  # type: ignore[arg-type]
    await poll("the newest numbers", counts)
    ((numbers, metadata),) = counts()
    assert numbers == {"count": 499} and metadata["session_id"] == "x"


FRAME_METHODS = [
    "get_buf", "get_property_to_json", "get_sample_rate", "get_number_of_channels", "get_bytes_per_sample",
]  # fmt: skip


@pytest.mark.parametrize("method", FRAME_METHODS)
@pytest.mark.parametrize(
    "answer", [BrokenError(), None, "text", -(10**30), (None, None), ("[]", None), ("{no json", None)]
)
async def test_a_frame_that_is_broken_costs_itself(extension: OpenAIASRExtension, method: str, answer: Any) -> None:
    before = extension.sent_buffer_length
    await extension.on_audio_frame(extension.ten_env, BrokenFrame(method, answer))  # type: ignore[arg-type]
    await extension.on_audio_frame(extension.ten_env, BrokenFrame("nothing"))  # type: ignore[arg-type]
    assert extension.sent_buffer_length - before in (320, 640), "the good frame was taken"
    assert extension.session_id == "x"


@pytest.mark.parametrize("properties", ["", "{}", "[]", "null", "7", "{no json", '{"params": {"params": {}}}'])
async def test_properties_of_any_kind_end_nothing(properties: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "ws://127.0.0.1:9/v1")
    env = Env(properties, set())
    await live(env)
    fatal = [payload for name, payload in env.sent if name == "error" and payload["code"] == -1000]
    assert len(fatal) == (properties not in ("", "{}", '{"params": {"params": {}}}')), "told once, if it is no object"
    assert [payload["finalize_id"] for name, payload in env.sent if name == "asr_finalize_end"] == ["f1"]


@pytest.mark.parametrize("broken", ["properties", "send", "log_info", "log_warn", "log_error", "log_debug"])
async def test_a_host_whose_calls_fail_ends_nothing(broken: str) -> None:
    with dead_port() as url:
        await live(Env(json.dumps(node(url)), {broken}))


async def live(env: Any) -> None:
    """A whole life, with one of everything."""
    extension = OpenAIASRExtension("stt")
    await extension.on_configure(env)
    await extension.on_init(env)
    await extension.on_start(env)
    await extension.on_audio_frame(env, BrokenFrame("nothing"))  # type: ignore[arg-type]
    finalize = Data.create("asr_finalize")
    finalize.set_property_string("finalize_id", "f1")
    await extension.on_data(env, finalize)
    await extension.on_data(env, Data.create("asr_finalize"))
    await extension.on_data(env, Data.create("trigger_connect"))
    await extension.on_cmd(env, Cmd.create("update_configs"))
    await extension.on_stop(env)
    await extension.on_deinit(env)


async def test_hooks_out_of_order_and_twice_end_nothing() -> None:
    with dead_port() as url:
        env: Any = Env(json.dumps(node(url)), set())
        extension = OpenAIASRExtension("stt")
        frame: Any = BrokenFrame("nothing")
        for hook in (extension.on_stop, extension.on_deinit, extension.on_start):
            await hook(env)
        await extension.on_audio_frame(env, frame)
        for hook in (extension.on_init, extension.on_start, extension.on_stop, extension.on_stop, extension.on_start):
            await hook(env)
            await extension.on_audio_frame(env, frame)
        for hook in (extension.on_deinit, extension.on_deinit, extension.on_stop):
            await hook(env)
