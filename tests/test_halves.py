"""Our two halves joined without socket or clock: an hour of calls, sessions that expire, items that overtake.

What was said and when comes from how the audio was built: labelled tones at chosen times.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from halves import Halves
from sessions import COMMITTING, STREAMING, options
from ten_packages.extension.openai_asr_python.devkit.server.tones import GUARD_MS, make_block
from ten_packages.extension.openai_asr_python.realtime import events as ev

TOLERANCE_MS = 20
PREFIX_MS, SERVER_SILENCE_MS = 300, 500


class Utterance(NamedTuple):
    """Two labelled blocks in a row."""

    text: str
    start_ms: int
    "Of its sound, in the caller's audio."
    end_ms: int
    spoken_at: float
    "When its last sample was spoken, on the clock."


class Conversation:
    """Speaks utterances of 1.6 s. All lengths are multiples of 32 ms, the server's VAD window."""

    def __init__(self, call: Halves, rate: int) -> None:
        self.call = call
        self.rate = rate
        self.ms = 0
        self.said: list[Utterance] = []

    def pause(self, ms: int) -> None:
        assert ms % 32 == 0
        self.ms += ms
        self.call.push(bytes(2 * self.rate * ms // 1000))

    def speak(self) -> None:
        number = len(self.said)
        labels = (number % 1_000, (number + 400) % 1_000)
        start = self.ms
        self.ms += 1_600
        self.call.push(b"".join(make_block(label, 800, self.rate) for label in labels))
        text = " ".join(f"b{label}" for label in labels)
        self.said.append(Utterance(text, start + GUARD_MS, self.ms - GUARD_MS, self.call.now))


def expected_span(said: Utterance, detection: str) -> tuple[int, int]:
    """Where a final of *said* begins and ends: a server's turn has its padding in front and its silence behind."""
    if detection == "server_vad":
        return said.start_ms - GUARD_MS - PREFIX_MS, said.end_ms + GUARD_MS + SERVER_SILENCE_MS
    return said.start_ms, said.end_ms


def check(halves: Halves, conversation: Conversation, detection: str, spared: list[Utterance]) -> None:
    """Every utterance but the *spared* ones came out once, in order, with its times; nothing else did."""
    finals = {final.text: final for final in halves.finals}
    assert len(finals) == len(halves.finals), "nothing twice"
    wanted = [said for said in conversation.said if said not in spared]
    missing = [said for said in wanted if said.text not in finals]
    assert not missing
    spared_texts = {said.text for said in spared}
    others = [f.text for f in halves.finals if f.text not in {said.text for said in wanted}]
    assert all(any(text in whole for whole in spared_texts) for text in others)
    assert [f.text for f in halves.finals if f.text in {s.text for s in wanted}] == [said.text for said in wanted]
    for said in wanted:
        start, end = expected_span(said, detection)
        final = finals[said.text]
        assert abs(final.start_ms - start) <= TOLERANCE_MS, (said, final)
        assert abs(final.start_ms + final.duration_ms - end) <= TOLERANCE_MS, (said, final)
    texts = {final.result_id: final.text for final in halves.finals}
    shown = [t for t in halves.of(ev.Transcript) if not t.final and t.result_id in texts]
    assert all(texts[partial.result_id].startswith(partial.text) for partial in shown), "partials of two turns mixed"
    ends = [(f.start_ms, f.start_ms + f.duration_ms) for f in halves.finals]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends)), "finals never overlap"


HOUR_S = 3_600
CYCLE_S = 120
# Utterances begin 0.96, 3.52 and 6.08 s after every second full minute. The first session ends in the middle of
# one, the second in a pause.
SESSION_SECONDS = 12 * CYCLE_S + 4.3
DELAYS_S = (3.5, 0.2, 0.3)
"How long the recogniser takes for each: the second of three utterances is always done before the first."


def an_hour(detection: str, model: str, wire: str, rate: int, *, dated: bool) -> tuple[Halves, Conversation]:
    delays = itertools.cycle(DELAYS_S)
    opts = options(detection, model, sample_rate=rate, input_audio_format=wire, finalize_timeout_ms=5_000)
    call = Halves(opts, session_seconds=SESSION_SECONDS, recognise_s=lambda: next(delays), dated=dated).start()
    talk = Conversation(call, rate)
    for cycle in range(HOUR_S // CYCLE_S):
        call.run_until(float(cycle * CYCLE_S))  # the line is muted meanwhile: no frames at all
        talk.pause(960)
        for _ in range(3):
            talk.speak()
            if detection == "none":
                call.finalize(f"f{len(talk.said)}")
            talk.pause(960)
    call.run_until(float(HOUR_S))
    check(call, talk, detection, [])
    assert call.of(ev.AudioLost) == []
    if model == COMMITTING:
        assert call.overtaken > 10, "answers did come out of order"
    if detection == "none":
        assert [e.finalize_id for e in call.of(ev.FinalizeDone)] == [f"f{i + 1}" for i in range(len(talk.said))]
    return call, talk


KINDS = pytest.mark.parametrize(
    ("detection", "model", "wire", "rate"),
    [
        ("server_vad", COMMITTING, "pcm16", 16_000),
        ("server_vad", COMMITTING, "g711_ulaw", 8_000),
        ("local_vad", STREAMING, "g711_ulaw", 8_000),
        ("none", COMMITTING, "g711_alaw", 8_000),
    ],
)


@KINDS
def test_nobody_notices_the_end_of_a_session(detection: str, model: str, wire: str, rate: int) -> None:
    call, _ = an_hour(detection, model, wire, rate, dated=True)
    assert call.client.stats.rollovers == 2 and call.dials == 3 and call.expired_at == []
    assert call.of(ev.ClientError) == call.of(ev.ServerError) == call.of(ev.Disconnected) == []
    assert len(call.of(ev.Connecting)) == len(call.of(ev.Connected)) == 1


@pytest.mark.parametrize(
    ("detection", "model", "recognise_s"),
    [
        ("server_vad", COMMITTING, 0.2),
        ("server_vad", COMMITTING, 0.9),
        ("local_vad", COMMITTING, 0.2),
        ("local_vad", COMMITTING, 0.9),
        ("local_vad", STREAMING, 0.2),
        ("none", COMMITTING, 0.2),
        ("none", COMMITTING, 0.9),
        ("none", STREAMING, 0.2),
    ],
)
def test_a_minute_of_talk_on_sessions_of_five_seconds(detection: str, model: str, recognise_s: float) -> None:
    opts = options(detection, model, finalize_timeout_ms=8_000)
    call = Halves(opts, session_seconds=5.0, recognise_s=lambda: recognise_s).start()
    spoken: list[str] = []
    position = 960
    call.push(bytes(2 * 16 * 960), frame_ms=20)
    random = np.random.default_rng(3)
    while call.now < 60.0:
        length, pause = int(random.choice([150, 200, 250, 300])), int(random.integers(14, 24)) * 10
        spoken.append(f"b{len(spoken)}")
        call.push(make_block(len(spoken) - 1, length, 16_000) + bytes(2 * 16 * pause), frame_ms=20)
        position += length + pause
        if len(spoken) % 25 == 0:
            call.push(bytes(2 * 16 * 1_500), frame_ms=20)
            if detection == "none":
                call.finalize(f"f{len(spoken)}")
    call.push(bytes(2 * 16 * 2_000), frame_ms=20).finalize("last").run_until(call.now + 12.0)
    assert " ".join(f.text for f in call.finals).split() == spoken
    assert call.of(ev.AudioLost) == call.of(ev.ClientError) == call.of(ev.ServerError) == call.of(ev.Disconnected) == []
    assert call.client.stats.rollovers >= 11 and call.client.stats.reconnects == 0


@KINDS
def test_the_end_of_a_session_that_nobody_announced_is_a_drop_and_no_error(
    detection: str, model: str, wire: str, rate: int
) -> None:
    call, talk = an_hour(detection, model, wire, rate, dated=False)
    assert len(call.expired_at) == 2 and call.dials == 3
    cut = [s for s in talk.said if any(end - 5 < s.spoken_at < end + 2 for end in call.expired_at)]
    assert 1 <= len(cut) <= 5, "sessions end in mid speech"
    assert call.of(ev.ClientError) == call.of(ev.ServerError) == []
    assert {(down.code, down.retry_in_ms) for down in call.of(ev.Disconnected)} == {("1001", 125)}


def test_a_streaming_model_shows_words_before_the_turn_is_over() -> None:
    call = Halves(options("local_vad", STREAMING)).start()
    talk = Conversation(call, 16_000)
    talk.pause(960)
    talk.speak()
    shown = [event.text for event in call.of(ev.Transcript)]
    assert shown == ["b0"], "while the second word is spoken"
    talk.pause(1_920)
    call.stop()
    check(call, talk, "local_vad", [])
    assert [event.text for event in call.of(ev.Transcript)][-1] == "b0 b400"


def test_the_check_can_fail() -> None:
    call = Halves(options("none")).start()
    talk = Conversation(call, 16_000)
    talk.pause(320)
    talk.speak()
    call.stop()
    check(call, talk, "none", [])
    (said,) = talk.said
    for wrong in (said._replace(start_ms=said.start_ms + 40), said._replace(text="b0 b1")):
        talk.said = [wrong]
        with pytest.raises(AssertionError):
            check(call, talk, "none", [])
    talk.said = []
    with pytest.raises(AssertionError):
        check(call, talk, "none", [])
