"""The golden traces from the server's side: what the client says brings forth what the trace has the server say."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from server_peers import EPOCH, GOLDEN, append, silence, speech
from ten_packages.extension.openai_asr_python.devkit.server.access import Access
from ten_packages.extension.openai_asr_python.devkit.server.errors import close_reason
from ten_packages.extension.openai_asr_python.devkit.server.handshake import Refusal, judge
from ten_packages.extension.openai_asr_python.devkit.server.identifiers import Identifiers
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import Recognition
from ten_packages.extension.openai_asr_python.devkit.server.server_session import ServerSession
from ten_packages.extension.openai_asr_python.devkit.server.work import UtteranceStarted
from ten_packages.extension.openai_asr_python.realtime.messages import ErrorDetails

KEY = "sk-right-key"
ACCESS = Access(KEY, seed=0, clock=lambda: EPOCH)
OTHER_DIALECTS = {"g11_beta_dialect", "g12_vllm_dialect"}
AUDIO = {"$SPEECH_100MS": speech(100), "$SILENCE_100MS": silence(100)}
TRANSCRIPTION = "conversation.item.input_audio_transcription."

Step = dict[str, Any]


def traces() -> dict[str, list[Step]]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8"))["steps"] for path in sorted(GOLDEN.glob("*.json"))}


class Replay:
    """Plays the client's part, tells the session what a recogniser would, and compares what it says."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.session: ServerSession | None = None
        self.heard: list[Any] = []
        self.names: dict[str, str] = {}
        self.said: dict[str, str] = {}
        self.sockets = 0
        self.compared = 0

    def run(self) -> Replay:
        for index, step in enumerate(self.steps):
            message, now = step["m"], step["t"] / 1000
            if step["d"] == "c>s":
                self.send(message, step.get("n", 1), now)
            elif step["d"] == "s>c":
                self.expect(message, now)
            elif message["ws"] == "open":
                self.open(message, self.refusal_in(index), now)
            elif message["ws"] == "close":
                self.close(message)
        self.nothing_left()
        return self

    def refusal_in(self, index: int) -> Refusal | None:
        """An account without credit is nothing a server can see in a request: the trace tells it."""
        error, close = (step["m"] for step in self.steps[index + 1 : index + 3])
        if error.get("type") == "error" and error["error"]["code"] == "insufficient_quota":
            return Refusal(ErrorDetails(**error["error"]), close["code"])
        return None

    def open(self, message: Step, refusal: Refusal | None, now: float) -> None:
        headers = {name.title(): value.replace("$KEY", KEY) for name, value in message["headers"].items()}
        refusal = refusal or judge(message["url"], headers, ACCESS)
        self.sockets += 1
        self.session = ServerSession(Identifiers(self.sockets), now=now, epoch=EPOCH, refusal=refusal)

    def send(self, message: Step, count: int, now: float) -> None:
        assert self.session is not None
        if message.get("audio") in AUDIO:
            message = append(AUDIO[message["audio"]])
        for _ in range(count):
            self.session.receive_message(json.dumps(message), now)

    def expect(self, expected: Step, now: float) -> None:
        assert self.session is not None
        timer = self.session.get_timer()
        if timer is not None and timer <= now:
            self.session.handle_timer(now)
        self.take()
        if not self.heard:
            self.recognise(expected, now)
        assert self.heard, f"the server says nothing instead of {expected}"
        actual = self.heard.pop(0)
        self.match(expected, actual, expected["type"])
        assert list(actual)[:2] == ["type", "event_id"]
        self.compared += 1

    def recognise(self, expected: Step, now: float) -> None:
        """The recogniser's cue."""
        assert self.session is not None
        kind = expected["type"].removeprefix(TRANSCRIPTION)
        if kind not in ("delta", "completed", "failed"):
            return
        started = [work.item_id for work in self.session.work() if isinstance(work, UtteranceStarted)]
        item_id = self.names.get(expected["item_id"]) or started[-1]
        self.names[expected["item_id"]] = item_id
        if kind == "delta":
            self.said[item_id] = self.said.get(item_id, "") + expected["delta"]
            self.session.partial(item_id, self.said[item_id], now)
        elif kind == "completed":
            languages = expected.get("languages") or [{"code": None}]
            self.session.completed(item_id, Recognition(expected["transcript"], language=languages[0]["code"]), now)
        else:
            own = "failed for item" in expected["error"]["message"]
            self.session.failed(item_id, now, None if own else ErrorDetails(**expected["error"]))
        self.take()

    def close(self, message: Step) -> None:
        assert self.session is not None
        if message["by"] == "server":
            assert self.session.close == (message["code"], message["reason"])
        else:
            assert self.session.close is None
        self.nothing_left()
        self.session = None
        self.names = {}

    def take(self) -> None:
        assert self.session is not None
        self.heard += [json.loads(frame) for frame in self.session.messages()]

    def nothing_left(self) -> None:
        if self.session is not None:
            self.take()
        assert self.heard == []

    def match(self, expected: Any, actual: Any, where: str) -> None:
        """Equal, aside from ids (the same name is the same id), placeholders and padding."""
        if isinstance(expected, dict):
            assert isinstance(actual, dict) and list(sorted(expected)) == list(sorted(actual)), where
            for name, value in expected.items():
                self.match(value, actual[name], f"{where}.{name}")
        elif isinstance(expected, list):
            assert isinstance(actual, list) and len(expected) == len(actual), where
            for one, other in zip(expected, actual, strict=True):
                self.match(one, other, where)
        elif isinstance(expected, str) and expected.startswith("$"):
            assert actual, where
        elif isinstance(expected, str) and re.fullmatch(r"(event|sess|item)_\d+", expected):
            assert self.names.setdefault(expected, actual) == actual, where
        elif isinstance(expected, str):
            for name, value in self.names.items():
                expected = expected.replace(f"'{name}'", f"'{value}'")
            assert actual == expected, where
        else:
            assert actual == expected and type(actual) is type(expected), where


@pytest.mark.parametrize("name", sorted(traces().keys() - OTHER_DIALECTS))
def test_the_server_speaks_as_in_the_trace(name: str) -> None:
    steps = traces()[name]
    replay = Replay(steps).run()
    assert replay.compared == sum(step["d"] == "s>c" for step in steps) > 0


def test_ids_of_different_sessions_differ() -> None:
    replay = Replay(traces()["g10_reconnect"])
    replay.run()
    assert replay.sockets == 2


def test_there_are_thirteen_traces() -> None:
    assert len(traces()) == 13


def test_the_retired_dialect_is_refused() -> None:
    opened = traces()["g11_beta_dialect"][0]["m"]
    headers = {name.title().replace("Openai", "OpenAI"): value for name, value in opened["headers"].items()}
    refusal = judge(opened["url"], {**headers, "Authorization": f"Bearer {KEY}"}, ACCESS)
    assert refusal is not None
    assert (refusal.error.code, refusal.close_code) == ("beta_api_shape_disabled", 4000)
    assert close_reason(refusal.error) == "invalid_request_error.beta_api_shape_disabled"


def test_a_wrong_word_in_a_trace_is_noticed() -> None:
    """The comparison itself must be able to fail."""
    steps = traces()["g03_empty_commit"]
    steps[5]["m"]["error"]["message"] += "!"
    with pytest.raises(AssertionError):
        Replay(steps).run()
