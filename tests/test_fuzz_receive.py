"""Whatever a server sends: nothing raises, no sample and no answer goes missing, and what the user is told makes sense.

The raw material are the golden traces. Their events are dropped, doubled, swapped and put into other conversations,
their fields changed to other types, other items' ids and numbers no clock ever showed, their text cut off; and there
are bytes that never were a message. Audio, drops, local turns and finalizes go on in between.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from golden_client import GOLDEN, trace
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sessions import COMMITTING, LEEWAY, RATE, STREAMING, TRANSCRIPTION, Driver, options, silence, tone
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.ledger import State
from ten_packages.extension.openai_asr_python.realtime.session import SessionState

Json = dict[str, Any]

pytestmark = pytest.mark.histories

DETECTIONS = ("server_vad", "semantic_vad", "local_vad", "none")
TRACES: dict[str, list[Json]] = {
    path.stem: [step["m"] for step in trace(path.stem) if step["d"] == "s>c"] for path in sorted(GOLDEN.glob("*.json"))
}
EVENTS = [event for events in TRACES.values() for event in events]
LIVE = [event for event in EVENTS if not event["type"].startswith(("session.", "transcription_session."))]
"What a configured session hears."
AUDIO = [tone(ms) for ms in (0.0625, 20, 250, 1_000)] + [silence(ms) for ms in (20, 500, 2_000)]
DEEP = 100
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 0.5, -0.0, 2**31, 2**63, 2**64, -(2**63), 10**400, 1e308, -1e308, 1e-320, 3.0e17,
    math.nan, math.inf, -math.inf, "", " ", "0", "-5", "nan", "inf", "1e400", "null", "x" * 3_000, "\x00", "\ud800",
    "\udfff\ud800", "é\u2028\U0001f600", {}, [], [[]], [None], [{}], {"": None}, {"type": "error"}, ["a", 1, None],
]  # fmt: skip
NUMBERS: list[Any] = [-1e6, -1, 0, 0.25, 7, 1e6, 9e9, 1e13, 1e308, -1e308, 10**400, "nan", "inf", "12", True]
POINTED: dict[str, list[Any]] = {
    "logprobs": [[{"logprob": n}] for n in [*NUMBERS, None, {}]] + [[{"logprob": 1e308}, {"logprob": -1e308}], [{}]],
    "usage": [{key: n} for n in NUMBERS for key in ("seconds", "total_tokens")] + [{"seconds": {}}, {"x": None}],
    "languages": [[{"code": code}] for code in ("fr", "", 7, None, "\ud800", {}, "x" * 600)] + [[None], [{}]],
    "audio_start_ms": NUMBERS, "audio_end_ms": NUMBERS, "start": NUMBERS, "end": NUMBERS, "content_index": NUMBERS,
    "delta": ["", " ", "more", "\x00"], "transcript": ["", " ", "\n", "said", "\x00"], "speaker": ["", "A", None],
    "previous_item_id": ["item_1", "x" * 600], "item_id": ["x" * 512, "x" * 513],
}  # fmt: skip
"Values of the right kind that may still do harm."
RAW: list[bytes | str] = [
    b"", "", b"\x00", b"\xff\xfe{}", b"{", b"}", b"null", b"[]", b"0", b'"x"', b"NaN", b"1e999", b"{}",
    b'{"type":null}', b'{"type":""}', b'{"type":[]}', b'{"type":{"type":"error"}}', b"[" * 100_000, b'{"a":' * 50_000,
    '{"type":"error","error":{"message":"\ud800"}}', b'{"type":"error","error":{"message":"\xed\xa0\x80"}}',
    b'{"type":"error","error":null}', b'{"type":"error","type":"session.created"}', b"\xef\xbb\xbf{}",
    b'{"type":"' + b"x" * 50_000 + b'"}', b'{"type":"error"}{"type":"error"}', b'{"type":"session.updated"}',
]  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything inside *value*."""
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        found += paths(child, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


class Fuzz:
    """One session, and somebody who makes everything of the server's part that can be made of it."""

    def __init__(self, detection: str, model: str, seed: int) -> None:
        self.rng = random.Random(seed)
        self.d = Driver(options(detection, model, replay_window_ms=4_000, max_turn_ms=2_000, stop_drain_ms=100))
        self.d.auto_pong = False
        self.detection = detection
        self.pushed = 0
        self.asked: list[tuple[str, float]] = []
        self.names = itertools.count(1)
        self.script: list[Json] = []
        self.seen = 0
        self.d.connect()

    # The server ---------------------------------------------------------------------------------------------

    def item(self) -> str:
        """An item's id: mostly one that means something here."""
        known = [turn.item_id for turn in self.d.session.stream.book.turns if turn.item_id]
        return self.rng.choice([*known, *known, "item_1", "item_2", f"item_{next(self.names)}", ""])

    def commit_id(self) -> str | None:
        ids = [m["event_id"] for sent in self.d.wire.values() for m in sent if m.get("event_id")]
        return self.rng.choice([*ids, None])

    def mutate(self, event: Json, *, keep_item: bool = False) -> Json:
        """*event* with a few things in it changed."""
        event = json.loads(json.dumps(event))
        rng = self.rng
        if "item_id" in event and not keep_item and rng.random() < 0.8:
            event["item_id"] = self.item()
        if event["type"] == "error" and isinstance(event.get("error"), dict) and rng.random() < 0.7:
            event["error"]["event_id"] = self.commit_id()
        for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
            places = paths(event)
            if not places:
                break
            place = rng.choice(places)
            what = rng.randrange(10)
            if what == 0 and isinstance(place[-1], str):
                holder: Any = event
                for key in place[:-1]:
                    holder = holder[key]
                del holder[place[-1]]
            elif what == 1:
                deep: Any = copy.deepcopy(rng.choice(ODD))
                for _ in range(rng.choice([3, DEEP])):
                    deep = [deep] if rng.random() < 0.5 else {"x": deep}
                put(event, place, deep)
            elif what == 2:
                put(event, place, rng.choice(EVENTS).get("type"))
            elif what == 3:
                put(event, place, self.item())
            elif what in (4, 5):
                field = rng.choice(list(POINTED))
                event[field] = copy.deepcopy(rng.choice(POINTED[field]))
            elif what == 6:
                put(event, place, rng.randrange(-(10**6), 10**7) / rng.choice([1, 7]))
            else:
                put(event, place, copy.deepcopy(rng.choice(ODD)))
        return event

    def say(self, event: Json) -> None:
        text = json.dumps(event, ensure_ascii=self.rng.random() < 0.7)
        if self.rng.random() < 0.05:
            text = text[: self.rng.randrange(len(text))]
        if self.rng.random() < 0.05:
            text = text.replace(self.rng.choice('{}[]",:'), self.rng.choice(["", "{", "\x00", '"']), 1)
        data: bytes | str = text if self.rng.random() < 0.2 else text.encode("utf-8", "surrogatepass")
        self.hear(data)

    def hear(self, data: bytes | str) -> None:
        conns = [*self.d.wire, 0, 99]
        conn = self.d.conn if self.rng.random() < 0.97 else self.rng.choice(conns)
        self.d.session.receive_message(conn, data, self.d.now)
        self.d.pump()

    def server_says(self) -> None:
        self.say(self.mutate(self.rng.choice(LIVE)))

    def server_says_anything(self) -> None:
        self.say(self.mutate(self.rng.choice(EVENTS)))

    def server_plays(self) -> None:
        """The next events of a trace, or of a turn told as it should be; some of them lost, doubled or too early."""
        if not self.script:
            self.script = list(self.rng.choice(list(TRACES.values()))) if self.rng.random() < 0.4 else self.turn()
            for _ in range(self.rng.choice([0, 0, 1, 3])):
                i, j = self.rng.randrange(len(self.script)), self.rng.randrange(len(self.script))
                what = self.rng.randrange(3)
                if what == 0 and len(self.script) > 1:
                    del self.script[i]
                elif what == 1:
                    self.script.insert(i, self.script[j])
                else:
                    self.script[i], self.script[j] = self.script[j], self.script[i]
        for _ in range(min(len(self.script), self.rng.choice([1, 3, 8]))):
            event = self.script.pop(0)
            self.say(event if self.rng.random() < 0.7 else self.mutate(event, keep_item=True))

    def turn(self) -> list[Json]:
        """All events of one turn, of what was written last."""
        item, written = f"item_{next(self.names)}", len(self.d.audio[self.d.conn]) // 48
        buffer = [
            {"type": "input_audio_buffer.speech_started", "item_id": item, "audio_start_ms": max(0, written - 250)},
            {"type": "input_audio_buffer.speech_stopped", "item_id": item, "audio_end_ms": written},
        ]
        text = [
            {"type": TRANSCRIPTION + "delta", "item_id": item, "delta": "so "},
            {"type": TRANSCRIPTION + "segment", "item_id": item, "id": "s", "text": "so", "start": 0.0, "end": 0.1},
            {"type": TRANSCRIPTION + "delta", "item_id": item, "delta": "said"},
            {"type": TRANSCRIPTION + "completed", "item_id": item, "transcript": "so said", "usage": {"seconds": 1}},
        ]
        committed = {"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": None}
        return [*(buffer if "vad" in self.detection else []), committed, *text]

    def server_behaves(self) -> None:
        """Something true: an item for what is open, and its text."""
        item = self.item() or "item"
        written = len(self.d.audio[self.d.conn]) // 48
        kinds: list[Callable[[], Any]] = [
            lambda: self.say({"type": "input_audio_buffer.speech_started", "item_id": item, "audio_start_ms": written}),
            lambda: self.say({"type": "input_audio_buffer.speech_stopped", "item_id": item, "audio_end_ms": written}),
            lambda: self.d.committed(item),
            lambda: self.d.delta(item, "word "),
            lambda: self.d.completed(item, self.rng.choice(["words", ""])),
        ]
        self.rng.choice(kinds)()

    def noise_on_the_line(self) -> None:
        data = self.rng.choice([*RAW, self.rng.randbytes(self.rng.choice([1, 40, 3_000]))])
        self.hear(data)

    # The others ---------------------------------------------------------------------------------------------

    def speak(self) -> None:
        pcm = self.rng.choice(AUDIO)
        self.pushed += len(pcm) // 2
        self.d.session.push_audio(pcm, self.d.now)
        self.d.pump()

    def local_turn(self) -> None:
        if self.detection == "local_vad":
            position = max(0, self.pushed - self.rng.choice([0, 160, 1_600]))
            (self.d.session.turn_started if self.rng.random() < 0.6 else self.d.session.turn_ended)(
                position, self.d.now
            )
            self.d.pump()

    def finalize(self) -> None:
        self.asked.append((f"f{len(self.asked)}", self.d.now))
        self.d.finalize(self.asked[-1][0])

    def time_passes(self) -> None:
        self.d.at(self.d.now + self.rng.choice([0.001, 0.02, 0.3, 1.0, 3.0]))

    def pong(self) -> None:
        self.d.session.pong_received(self.d.conn, self.d.now)
        self.d.pump()

    def network(self) -> None:
        d, session = self.d, self.d.session
        if session.state is SessionState.CONNECTING:
            d.open()
            if session.state is SessionState.CONNECTING and any(m["type"] == "session.update" for m in d.wire[d.conn]):
                d.configure()
        elif self.rng.random() < 0.4:
            d.drop(self.rng.choice([1000, 1006, 1013, 3000]))
        elif session.state in (SessionState.FAILED, SessionState.BACKOFF):
            d.start()

    # What must be true --------------------------------------------------------------------------------------

    def check(self) -> None:
        ledger = self.d.session.stream.ledger
        assert ledger.accepted == self.pushed == sum(ledger.totals.values())
        assert ledger.kept_bytes <= 2 * (4 * RATE + 2 * RATE + LEEWAY)
        answers = [e for e in self.d.events if isinstance(e, ev.FinalizeDone)]
        assert [a.finalize_id for a in answers] == [name for name, _ in self.asked[: len(answers)]]
        assert all(self.d.now <= asked + 2.0 + 1e-6 for _, asked in self.asked[len(answers) :]), "answered in time"
        for event in self.d.events[self.seen :]:
            check_event(event)
        self.seen = len(self.d.events)

    def finish(self) -> None:
        self.d.session.stop(self.d.now)
        self.d.pump()
        self.d.at(self.d.now + 0.2)
        self.check()
        totals = self.d.session.stream.ledger.totals
        assert self.d.session.state is SessionState.STOPPED and self.d.session.get_timer() is None
        assert totals[State.FINAL] + totals[State.GATED] + totals[State.LOST] == self.pushed
        assert len(self.d.of(ev.FinalizeDone)) == len(self.asked)
        assert math.isfinite(self.d.session.stats.billed_seconds) and self.d.session.stats.billed_tokens < 2**63
        assert (totals[State.LOST] > 0) == bool(self.d.of(ev.AudioLost))


def numbers_in(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [n for child in inner for n in numbers_in(child)] + ([value] if isinstance(value, (int, float)) else [])


def check_event(event: ev.Event) -> None:
    """Times are whole milliseconds that can be; text can be written down; numbers are numbers."""
    if isinstance(event, ev.Transcript):
        assert type(event.start_ms) is int and type(event.duration_ms) is int
        assert event.start_ms >= 0 and event.duration_ms >= 1 and event.start_ms + event.duration_ms < 10**7
        assert bool(event.text.strip()) != event.retracted
        event.text.encode()
        assert event.confidence is None or 0 <= event.confidence <= 1
        json.dumps(event.usage, allow_nan=False)
        assert all(abs(n) < 2**63 for n in numbers_in(event.usage)), "a TEN property holds 64 bits"
        for word in event.words:
            assert 0 <= word["start_ms"] < 10**7 and 1 <= word["duration_ms"] < 10**7
    elif isinstance(event, (ev.AudioLost, ev.Committed)):
        assert event.start_ms >= 0 and 1 <= event.duration_ms < 10**7
    elif isinstance(event, ev.ServerError):
        f"{event.code}{event.message}{event.param}".encode()
    elif isinstance(event, ev.AudioSent):
        assert event.user_ms >= 0 and event.silence_ms >= 0


WEIGHTS: dict[Callable[[Fuzz], None], int] = {
    Fuzz.server_says: 7,
    Fuzz.server_says_anything: 3,
    Fuzz.server_plays: 9,
    Fuzz.server_behaves: 6,
    Fuzz.noise_on_the_line: 2,
    Fuzz.speak: 8,
    Fuzz.local_turn: 3,
    Fuzz.finalize: 2,
    Fuzz.time_passes: 3,
    Fuzz.pong: 2,
    Fuzz.network: 3,
}
STEPS = [step for step, weight in WEIGHTS.items() for _ in range(weight)]


@pytest.mark.parametrize("model", [COMMITTING, STREAMING])
@pytest.mark.parametrize("detection", DETECTIONS)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.sampled_from(STEPS), min_size=20, max_size=60), seed=st.integers(0, 2**32))
def test_nothing_a_server_says_does_harm(
    detection: str, model: str, steps: list[Callable[[Fuzz], None]], seed: int
) -> None:
    fuzz = Fuzz(detection, model, seed)
    for step in steps:
        step(fuzz)
        fuzz.check()
    fuzz.finish()


# What it found, one by one --------------------------------------------------------------------------------------


def spoken() -> Driver:
    """A connected session with a committed item `i` of 300 ms."""
    return Driver(options("none")).connect().push(tone(300)).finalize().committed("i")


def test_text_that_utf8_cannot_hold_is_a_malformed_message() -> None:
    d = spoken().say('{"type":"error","error":{"message":"\ud800"}}').completed("i", "said")
    assert d.session.stats.malformed_events == 1 and d.texts == ["said"]


@pytest.mark.parametrize("number", ["1e308", "-1e308", "1" + "0" * 400, '"nan"', '"inf"'])
def test_a_time_no_clock_shows_is_a_malformed_message(number: str) -> None:
    d = Driver(options("server_vad")).connect().push(tone(300))
    d.say(f'{{"type":"input_audio_buffer.speech_started","item_id":"i","audio_start_ms":{number}}}')
    assert d.of(ev.SpeechStarted) == [] and d.session.stats.malformed_events == 1
    assert d.committed("i").completed("i", "said").texts == ["said"], "the item counts without its announcement"


@pytest.mark.parametrize(("logprob", "confidence"), [(1e308, 1.0), (10**400, 1.0), (-1e308, 0.0)])
def test_impossible_log_probabilities_harm_no_text(logprob: float, confidence: float) -> None:
    d = spoken().completed("i", "said", logprobs=[{"logprob": logprob}] * 2)
    assert [(f.text, f.confidence) for f in d.finals] == [("said", confidence)]


def test_usage_that_no_property_can_hold_is_left_out() -> None:
    deep: Json = {"a": {"b": {"c": {"d": 1}}}}
    usage = {
        "seconds": 1e308,
        "total_tokens": 10**400,
        "type": "x" * 9_999,
        "input_tokens": 4,
        "deep": deep,
        "list": [],
    }
    d = spoken().completed("i", "said", usage=usage)
    assert d.finals[0].usage == {"input_tokens": 4, "deep": {"a": {"b": {}}}}
    assert (d.session.stats.billed_seconds, d.session.stats.billed_tokens) == (0, 0)


@pytest.mark.parametrize(("start", "end"), [(-5, 0.1), (0.1, -5), (9e9, 9e9), (0, 9e9)])
def test_a_segment_lies_within_what_was_spoken_and_padded(start: float, end: float) -> None:
    d = spoken().say({"type": TRANSCRIPTION + "segment", "item_id": "i", "text": "so", "start": start, "end": end})
    (word,) = d.completed("i", "so").finals[0].words
    assert 0 <= word["start_ms"] <= 1_300 and 1 <= word["duration_ms"] <= 1_300


def test_an_id_too_long_to_be_remembered_is_a_malformed_message() -> None:
    d = spoken().completed("x" * 513, "nothing of ours").completed("i", "said")
    assert d.session.stats.malformed_events == 1 and d.texts == ["said"]
