"""Long calls with a server that is healthy, slow or silent: nobody is dialled again without need, or in a hurry."""

from __future__ import annotations

from itertools import pairwise

import pytest
from sessions import COMMITTING, STREAMING, TRANSCRIPTION, Driver, options, silence, tone
from ten_packages.extension.openai_asr_python.realtime import events as ev

pytestmark = pytest.mark.histories

HOUR_S = 3_600
KINDS = pytest.mark.parametrize(
    ("detection", "model"),
    [("none", COMMITTING), ("local_vad", COMMITTING), ("local_vad", STREAMING), ("server_vad", COMMITTING)],
)
SPOKEN = tone(800) + silence(1_200)


class Hour:
    """A call with a word in it every *every_s* seconds. *ack_s*, *answer_s*: how long `committed` and the text take."""

    def __init__(
        self,
        detection: str,
        model: str,
        answer_s: float | None,
        *,
        ack_s: float = 0.1,
        seconds: int = HOUR_S,
        every_s: int = 20,
    ) -> None:
        self.ack_s, self.seconds, self.every_s = ack_s, seconds, every_s
        self.d = Driver(options(detection, model)).start()
        self.answer_s = answer_s
        self.said = 0
        self.up: set[int] = set()
        self.due: list[tuple[float, int, dict[str, object]]] = []
        self.heard: dict[int, int] = {}

    def play(self) -> Driver:
        for second in range(self.seconds):
            if second % self.every_s == 0:
                self.say_something()
            elif second % self.every_s != 1:
                self.d.push(silence(1_000), frame_ms=1_000)
            for tenth in range(10):
                self.serve(second + tenth / 10)
        return self.d

    def say_something(self) -> None:
        d, before = self.d, self.d.session.stream.ledger.accepted
        d.push(SPOKEN, frame_ms=100)
        self.said += 1
        if d.session.stream.detection == "local_vad":
            d.turn(before / 16, before / 16 + 800)
        elif d.session.stream.detection == "none":
            d.finalize(f"f{self.said}")
        elif self.answer_s is not None:
            end_ms = len(d.audio[d.conn]) // 48 + self.heard.get(d.conn, 0)
            started = {"type": "input_audio_buffer.speech_started", "item_id": f"i{self.said}"}
            stopped = {"type": "input_audio_buffer.speech_stopped", "item_id": f"i{self.said}"}
            d.say({**started, "audio_start_ms": end_ms - 2_000}, {**stopped, "audio_end_ms": end_ms - 1_200})
            self.owe(d.conn, f"i{self.said}")

    def owe(self, conn: int, item: str) -> None:
        assert self.answer_s is not None
        committed = {"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": None}
        self.due.append((self.d.now + self.ack_s, conn, committed))
        completed = {"type": TRANSCRIPTION + "completed", "item_id": item, "transcript": "word"}
        self.due.append((self.d.now + self.answer_s, conn, completed))

    def serve(self, now: float) -> None:
        d = self.d.at(now)
        for _, conn in [*d.dialled, *d.repairs]:
            if conn not in self.up and conn not in d.closed:
                self.up.add(conn)
                d.open(conn).configure(conn)
        for conn in self.up.difference(d.closed):
            if self.answer_s is not None:
                for number, _ in enumerate(d.commits(conn)):
                    self.owe(conn, f"{conn}-{now}-{number}")
            self.heard[conn] = self.heard.get(conn, 0) + len(d.audio[conn]) // 48
            d.audio[conn].clear()  # an hour of it is no use to anybody
            d.wire[conn] = [m for m in d.wire[conn] if m["type"] == "session.update"]
        ready = sorted((entry for entry in self.due if entry[0] <= now), key=lambda entry: entry[0])
        self.due = [entry for entry in self.due if entry[0] > now]
        for _, conn, message in ready:
            d.say(message, conn=conn)


@KINDS
@pytest.mark.parametrize("answer_s", [0.3, 5.0], ids=["healthy", "slow"])
def test_a_server_that_answers_is_left_alone(detection: str, model: str, answer_s: float) -> None:
    hour = Hour(detection, model, answer_s)
    d = hour.play()
    assert len(d.dialled) <= 2 and not d.repairs, "one session, and the one that follows it"
    assert d.of(ev.Disconnected) == d.of(ev.AudioLost) == []
    assert len(d.finals) >= hour.said - 1


@KINDS
@pytest.mark.parametrize(
    ("every_s", "ack_s", "answer_s"), [(20, 0.1, 8), (20, 0.1, 18), (20, 8, 8.5), (4, 0.1, 8), (4, 0.1, 18)]
)
def test_a_server_slower_than_its_time_is_waited_for_and_nothing_is_lost(
    detection: str, model: str, every_s: int, ack_s: float, answer_s: float
) -> None:
    hour = Hour(detection, model, answer_s, ack_s=ack_s, seconds=400, every_s=every_s)
    d = hour.play()
    assert len(d.dialled) + len(d.repairs) <= 4, "twice the time each time it was too short"
    assert d.of(ev.AudioLost) == []
    under_way = 1 + answer_s // every_s
    assert len(d.finals) >= hour.said - under_way - (2 if detection == "server_vad" else 0)  # the peer hears no replay


def test_a_server_that_is_fast_again_has_its_usual_time_again() -> None:
    d = Driver(options("none")).connect()
    for number, took_s in enumerate([None, 12.0, 1.0, 1.0]):
        d.push(tone(800)).finalize(f"f{number}")
        d.committed(f"i{number}")
        if took_s is None:  # overdue
            d.at(d.now + 7.0).connect().committed(f"i{number}")
            took_s = 12.0
        d.at(d.now + took_s).completed(f"i{number}", "word")
    assert len(d.finals) == 4 and len(d.dialled) == 2
    d.push(tone(800)).finalize("f4").committed("i4")
    asked = d.now
    d.at(d.now + 20)
    assert d.dialled[2][0] - asked == pytest.approx(6.4, abs=0.5)


@KINDS
def test_a_server_that_says_nothing_is_not_dialled_in_a_hurry(detection: str, model: str) -> None:
    d = Hour(detection, model, None).play()
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(d.dialled)]
    assert len(d.dialled) <= HOUR_S / 7, "what is overdue, and a pause that has grown"
    assert all(gap >= 3.0 for gap in gaps)
    if detection == "server_vad":
        assert len(d.dialled) <= 2, "a server that has never heard speech may have nothing to say"
