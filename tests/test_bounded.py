"""Whatever goes on for however long: what a stream keeps stays below the numbers of docs/memory.md."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sessions import LEEWAY, RATE, Driver, options, silence, tone
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime import limits, stream, transcript
from ten_packages.extension.openai_asr_python.realtime.actions import Send
from ten_packages.extension.openai_asr_python.realtime.ledger import State
from ten_packages.extension.openai_asr_python.realtime.session import SessionState
from ten_packages.extension.openai_asr_python.realtime.wire_map import WireMap

pytestmark = pytest.mark.histories

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "ten_packages.extension.openai_asr_python."
DOCUMENT = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
HOUR_S = 3_600
DETECTIONS = ("server_vad", "semantic_vad", "local_vad", "none")
NOISE, QUIET = tone(1_000), silence(1_000)
FLICKER = b"".join(tone(10) + silence(10) for _ in range(50))


def documented(what: str) -> int:
    """The first number in the row of docs/memory.md that begins with *what*."""
    row = re.search(rf"^\| {re.escape(what)} \| ([\d,]+)", DOCUMENT, re.MULTILINE)
    assert row is not None, what
    return int(row[1].replace(",", ""))


def test_the_document_has_the_numbers_of_the_code() -> None:
    rows = re.findall(r"^\| [^|]+ \| ([\d,]+)[^|]* \| `([\w.]+)\.(\w+)` \|", DOCUMENT, re.MULTILINE)
    assert len(rows) >= 18
    for number, module, name in rows:
        assert getattr(importlib.import_module(PACKAGE + module), name) == int(number.replace(",", "")), name
    told = {name for _, _, name in rows}
    assert {name for name in vars(limits) if name.isupper()} <= told, "every limit is documented"


class Endless(Driver):
    """A driver that keeps nothing of what passes, and notes the most that was ever held."""

    def __init__(self, detection: str, **changes: Any) -> None:
        super().__init__(options(detection, **changes))
        self.most: dict[str, int] = {}
        self.lost_ms = self.reports = 0
        self.told: list[ev.Event] = []
        self.items = 0
        self.answers: list[str] = []

    def _sent(self, action: Send) -> None:
        if not action.data.startswith(b'{"type":"input_audio_buffer.append"'):
            self.wire[action.conn].append(json.loads(action.data))
            del self.wire[action.conn][:-2]
        if self.take:
            self.session.sent(action.conn, 1, self.now)

    def pump(self) -> None:
        super().pump()
        losses = [e.duration_ms for e in self.events if isinstance(e, ev.AudioLost)]
        self.lost_ms += sum(losses)
        self.reports += len(losses)
        self.answers += [e.finalize_id for e in self.events if isinstance(e, ev.FinalizeDone)]
        self.told = self.events[-100:]
        self.events.clear()
        for wire in list(self.wire)[:-1]:
            del self.wire[wire], self.audio[wire]
        del self.dialled[:-1], self.closed[:-1], self.pings[:-1]
        self._measure()

    def _measure(self) -> None:
        session, book, ledger = self.session, self.session.stream.book, self.session.stream.ledger
        conn = session._conn
        held = {
            "bytes": ledger.kept_bytes,
            "runs": ledger.run_count,
            "unsettled": ledger.accepted - ledger.settled_until,
            "turns": len(book.turns),
            "text": max((len(t.partial) for t in book.turns), default=0),
            "requests": len(session._finalizer._requests),
            "stretches": len(conn.map) if conn else 0,
            "early": len(conn.early) if conn else 0,
            "waiting": len(conn.outbox) + conn.in_flight + len(conn.on_pong) if conn else 0,
        }
        for name, number in held.items():
            self.most[name] = max(self.most.get(name, 0), number)

    def second(self, pcm: bytes) -> None:
        """A second of the call: its audio in one frame; where turns are local, most of it is one."""
        self.session.push_audio(pcm, self.now)
        if self.session.stream.detection == "local_vad" and any(pcm):
            end = self.session.stream.ledger.accepted
            self.session.turn_started(end - RATE * 3 // 4, self.now)
            self.session.turn_ended(end - RATE // 4, self.now)
        self.pump()
        self.at(self.now + 1)

    def recover(self) -> None:
        """The network is back."""
        while self.session.state is not SessionState.CONNECTING:
            self.at(self.now + 0.1)
        self.open().configure()
        self.answer_commits(1.0)

    def answer_commits(self, seconds: float) -> None:
        """Time passes, and the server answers each commit."""
        for _ in range(round(seconds * 10)):
            while self.session._conn.unanswered:
                self.items += 1
                self.committed(f"item_{self.items}").completed(f"item_{self.items}", "words")
            self.at(self.now + 0.1)

    def check(self, frame: int = RATE) -> None:
        """Hold what was noted to the document; *frame*: samples pushed at a time."""
        opts = self.session.options
        window = RATE * opts.replay_window_ms // 1000
        assert self.most["bytes"] <= 2 * (window + frame + LEEWAY)
        assert self.most["unsettled"] <= window + frame + RATE * documented("audio whose text is due")
        assert self.most["runs"] <= documented("runs of states and marks in the ledger")
        assert self.most["turns"] <= documented("turns without a text")
        assert self.most["text"] <= documented("characters of a turn's partial, of one delta or final")
        assert self.most["requests"] <= documented("open finalize requests")
        assert self.most["stretches"] <= documented("stretches in a connection's map")
        assert self.most["early"] <= documented("text for items not announced yet")
        assert self.most["waiting"] <= 8
        totals = self.session.stream.ledger.totals
        assert sum(totals.values()) == self.session.stream.ledger.accepted, "every sample is somewhere"
        self.session.stream.book.losses.flush()
        self.pump()
        assert self.lost_ms >= totals[State.LOST] * 1000 // RATE - 2 * self.reports, "what is lost is told"


# Hours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detection", DETECTIONS)
def test_an_outage_of_an_hour_keeps_one_window_and_reports_the_rest_as_it_goes(detection: str) -> None:
    d = Endless(detection, replay_window_ms=10_000, commit_timeout_ms=10**9).start()
    reported = []
    for _ in range(HOUR_S):
        d.second(NOISE)
        reported.append(d.lost_ms)
    d.check()
    gone = [1000 * max(0, second - 10) for second in range(1, HOUR_S + 1)]
    assert max(abs(told - lost) for told, lost in zip(reported, gone, strict=True)) <= 6_000, "told while it happens"
    assert d.session.stream.lag_ms >= 4_000
    assert d.most["turns"] <= 12, "turns go with their audio"
    d.recover()
    d.answer_commits(9.0)
    assert d.session.stream.lag_ms == 0, "what was kept goes out, at its pace"


@pytest.mark.parametrize("detection", ["server_vad", "local_vad"])
def test_an_hour_of_silence_on_a_live_connection_keeps_seconds(detection: str) -> None:
    d = Endless(detection).connect()
    for _ in range(HOUR_S):
        d.second(QUIET)
    d.check()
    assert d.most["bytes"] <= 2 * (3 * RATE + LEEWAY) and d.most["runs"] <= 4 and d.lost_ms == 0


@pytest.mark.parametrize("detection", DETECTIONS)
@pytest.mark.parametrize("live", [True, False], ids=["live", "outage"])
def test_noise_and_silence_that_alternate_every_ten_milliseconds(detection: str, live: bool) -> None:
    """The worst there is for a book of runs. Nobody answers either."""
    d = Endless(detection, replay_window_ms=5_000)
    d.connect() if live else d.start()
    for _ in range(90 if live else HOUR_S if detection == "server_vad" else 300):
        d.second(FLICKER)
    d.check()
    assert d.reports <= d.now / 4, "pauses in lost speech do not make reports of their own"


# Servers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detection", DETECTIONS)
def test_a_server_that_takes_one_message_a_second_or_none(detection: str) -> None:
    d = Endless(detection).connect()
    d.take = False
    for second in range(300):
        d.second(NOISE)
        if second < 150:
            d.session.sent(d.conn, 1, d.now)
            d.pump()
        if d.session.state is SessionState.CONNECTING:
            d.open()
            d.session.sent(d.conn, 1, d.now)
            d.configure()
    d.check()


@pytest.mark.parametrize("detection", DETECTIONS)
def test_a_server_that_never_answers(detection: str) -> None:
    d = Endless(detection).connect()
    for _ in range(600):
        d.second(NOISE)
    d.check()
    # Where turns are local there is one a second.
    assert d.most["turns"] <= 60 + documented("audio whose text is due") + 2


CHATTER: dict[str, Callable[[Endless, int], Any]] = {
    "speech without end": lambda d, n: d.say(
        {"type": "input_audio_buffer.speech_started", "item_id": f"s{n}", "audio_start_ms": n * 10}
    ),
    "items without text": lambda d, n: d.committed(f"c{n}"),
    "one item without end": lambda d, n: d.delta("d", "word " * 20),
    "an item a word": lambda d, n: d.delta(f"d{n}", "word "),
    "segments": lambda d, n: d.say(
        {
            "type": "conversation.item.input_audio_transcription.segment",
            "item_id": "g",
            "text": "x",
            "start": 0,
            "end": 1,
        }
    ),
    "new types": lambda d, n: d.say({"type": f"x{n}" * 100}),
    "new errors": lambda d, n: d.error(f"e{n}" * 100),
}


@pytest.mark.parametrize("what", CHATTER)
@pytest.mark.parametrize("detection", DETECTIONS)
def test_a_server_that_goes_on_for_ever(detection: str, what: str) -> None:
    """Fifty messages a second, and no final."""
    d = Endless(detection, replay_window_ms=5_000).connect()
    for second in range(45):
        d.second(NOISE)
        for number in range(50):
            CHATTER[what](d, 50 * second + number)
    d.check()
    book, reports = d.session.stream.book, d.session._reports
    assert all(len(turn.segments) <= documented("segments of a turn") for turn in book.turns)
    assert len(reports._noted) <= documented("causes remembered as told") >= len(reports._told)
    assert len(book._settled_items) <= documented("ids of settled items")


def test_errors_while_connecting_are_remembered_up_to_a_number() -> None:
    d = Endless("none").start()
    d.session.connection_opened(d.conn, {}, d.now)
    for number in range(5_000):
        d.error(f"{number}" * 100)
    told = d.session._reports._told
    assert len(told) <= documented("causes remembered as told") and max(map(len, told)) <= 200


# Callers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detection", DETECTIONS)
@pytest.mark.parametrize("live", [True, False], ids=["live", "outage"])
def test_a_torrent_of_frames(detection: str, live: bool) -> None:
    """Ten windows in one frame, then ten windows in frames of one sample."""
    d = Endless(detection, replay_window_ms=200)
    d.connect() if live else d.start()
    d.session.push_audio(NOISE * 2, d.now)
    d.pump()
    d.check(frame=0)
    for at in range(0, 2 * RATE, 2):
        d.session.push_audio(NOISE[at : at + 2], d.now)
        d.pump()
    d.check(frame=0)


@pytest.mark.parametrize(
    ("detection", "count"), [("none", 10_000), ("local_vad", 2_000), ("server_vad", 2_000), ("semantic_vad", 1_000)]
)
@pytest.mark.parametrize("pcm", [b"", NOISE[:640]], ids=["nothing said", "something said"])
def test_thousands_of_finalizes_that_nobody_answers(detection: str, count: int, pcm: bytes) -> None:
    d = Endless(detection).connect()
    asked = [f"f{number}" for number in range(count)]
    for number, finalize_id in enumerate(asked):
        if pcm or number == 0:
            d.session.push_audio(pcm or NOISE, d.now)
        d.session.finalize(finalize_id, d.now)
        d.pump()
        if number % 100 == 99:
            d.at(d.now + 0.1)
    d.check()
    d.at(d.now + 3)
    assert d.answers == asked, "each has one answer, in order"


def test_a_map_keeps_its_newest_stretches_and_reads_older_times_as_the_oldest_it_has() -> None:
    wire = WireMap(RATE)
    for number in range(10_000):
        wire.add(16, number * 32)
        wire.forget_before(0)
    assert len(wire) == documented("stretches in a connection's map")
    assert wire.start_position(9_999) == 9_999 * 32
    assert wire.start_position(1) == wire.stretches[0].position


# The bounds bite ------------------------------------------------------------------------------------------------


def test_without_its_bounds_a_mute_server_makes_a_session_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "UNANSWERED_S", 1e9)
    monkeypatch.setattr(transcript, "MAX_TURNS", 10**9)
    d = Endless("local_vad", commit_timeout_ms=10**9).connect()
    for _ in range(700):
        d.second(NOISE)
    with pytest.raises(AssertionError):
        d.check()


def test_what_is_given_up_is_told_and_what_comes_later_is_heard() -> None:
    d = Endless("local_vad", replay_window_ms=10_000, commit_timeout_ms=10**9).connect()
    for _ in range(400):
        d.second(NOISE)
    assert [e.cause for e in d.told if isinstance(e, ev.AudioLost)] in ([], ["not_answered"])
    assert d.lost_ms >= 80 * 500
    d.say({"type": "input_audio_buffer.committed", "item_id": "i"})
    d.completed("i", "heard")
    assert [e.text for e in d.told if isinstance(e, ev.Transcript)] == ["heard"]
