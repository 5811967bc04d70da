"""Messages that TEN's interface does not know are found, whichever way they are wrong."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest
from asr_tester import Call, node, run_call
from ten_runtime import Data
from ten_watch import MessageWatch, declared_messages, message_problems
from tone_script import ToneScript
from wire_servers import dead_port

SCRIPT = ToneScript().pause(100).say(5, ms=300).pause(100)

RESULT: dict[str, Any] = {
    "id": "i",
    "text": "a word",
    "final": True,
    "start_ms": 0,
    "duration_ms": 10,
    "language": "en-US",
    "words": [{"word": "a", "start_ms": 0, "duration_ms": 5, "stable": True}],
    "metadata": {"session_id": "s", "asr_info": {"vendor": "openai", "confidence": 0.5}, "more": [1.5]},
}


async def one_turn(call: Call) -> None:
    await call.send(SCRIPT.pcm)
    await call.finalize("f1")
    await call.answer("f1")


def test_a_right_message_passes() -> None:
    assert message_problems(declared_messages(), "data", "asr_result", RESULT) == []
    assert message_problems(declared_messages(), "result", "update_configs", {"code": 0, "message": "ok"}) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"start_ms": 1.0}, "start_ms is 1.0 and must be int64"),
        ({"start_ms": True}, "start_ms is True and must be int64"),
        ({"duration_ms": 1 << 63}, "duration_ms is 9223372036854775808 and must be int64"),
        ({"language": None}, "language is None and must be string"),
        ({"words": None}, "words is None and must be array"),
        ({"words": [{"word": "a", "start_ms": "0"}]}, "words[0].start_ms is '0' and must be int64"),
        ({"metadata": {"session_id": 7}}, "metadata.session_id is 7 and must be string"),
        ({"metadata": {"asr_info": {"speaker": None}}}, "metadata.asr_info.speaker is null"),
        ({"surprise": 1}, "surprise is not in the interface"),
        ({"text": ...}, "text is required and missing"),
    ],
)
def test_a_wrong_message_is_named(change: dict[str, Any], problem: str) -> None:
    payload = {name: value for name, value in {**RESULT, **change}.items() if value is not ...}
    assert message_problems(declared_messages(), "data", "asr_result", payload) == [f"asr_result: {problem}"]


def test_a_message_of_an_unknown_name_is_named() -> None:
    (found,) = message_problems(declared_messages(), "data", "asr_surprise", {})
    assert found == "data 'asr_surprise' is not in the interface"


def test_every_test_of_the_extension_is_watched(ten_watch: MessageWatch, serve) -> None:
    before = ten_watch.messages
    call = run_call(node(serve().url), one_turn)
    assert ten_watch.messages - before >= len(call.messages) >= 4


def test_a_planted_wrong_type_is_found_by_the_watch_of_every_test(ten_watch: MessageWatch, serve, monkeypatch) -> None:
    """The host drops it and the extension never hears of that: the fixture would fail this test, were it not asked."""
    module = importlib.import_module("ten_packages.extension.openai_asr_python.extension")
    monkeypatch.setattr(module, "asr_info", lambda *about: "openai")
    with pytest.raises(AssertionError, match="dropped for their types"):
        run_call(node(serve().url), one_turn)
    found = ten_watch.take()
    assert any(one.startswith("asr_result: metadata.asr_info is 'openai' and must be object") for one in found)
    assert any(one.startswith("dropped: asr_result: metadata.asr_info must be object") for one in found)


def test_a_planted_missing_field_is_found_though_no_runtime_minds(ten_watch: MessageWatch, monkeypatch) -> None:
    module = importlib.import_module("ten_packages.extension.openai_asr_python.extension")

    async def without_module(self: Any, error: Any, info: Any) -> None:
        data = Data.create("error")
        data.set_property_from_json(None, json.dumps({"id": "e", "code": error.code, "message": error.message}))
        await self.ten_env.send_data(data)

    monkeypatch.setattr(module.OpenAIASRExtension, "send_asr_error", without_module)

    async def scenario(call: Call) -> None:
        await call.until("an error", lambda: call.errors)

    with dead_port() as url, pytest.raises(KeyError, match="module"):
        run_call(node(url), scenario)
    assert set(ten_watch.take()) == {"error: module is required and missing"}
