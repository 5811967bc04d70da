"""The rules of turns, with a detector that says what the test wants: hysteresis, confirmation, cuts, positions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ten_packages.extension.openai_asr_python.audio.turns import TurnDetector, TurnEnded, TurnEvent, TurnStarted

RATE = 16_000
WINDOW = 512


class Loudness:
    """Speech is what is loud: certain of each window, and as late as Silero is."""

    window = WINDOW

    def __init__(self) -> None:
        self.asked = 0
        self.resets = 0

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        assert window.shape == (WINDOW,)
        self.asked += 1
        return 0.95 if np.mean(np.abs(window.astype(float)) > 1_000) > 0.2 else 0.05

    def reset(self) -> None:
        self.resets += 1


class Scripted(Loudness):
    """One probability a window, then silence for ever."""

    def __init__(self, probabilities: Sequence[float]) -> None:
        super().__init__()
        self.probabilities = iter(probabilities)

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        return next(self.probabilities, 0.0)


def hiss(seconds: float) -> npt.NDArray[np.float64]:
    """A room at -58 dBFS: never so silent that the detector is not asked."""
    return np.random.default_rng(6).normal(0, 40, round(seconds * RATE))


def voice(seconds: float) -> npt.NDArray[np.float64]:
    return np.random.default_rng(7).normal(0, 6_000, round(seconds * RATE))


def pcm(*parts: npt.NDArray[np.float64]) -> bytes:
    return np.rint(np.concatenate(parts)).clip(-32_768, 32_767).astype("<i2").tobytes()


def scripted(probabilities: Sequence[float], **settings: float) -> list[TurnEvent]:
    turns = TurnDetector(RATE, Scripted(probabilities), **settings)  # type: ignore[arg-type]
    return turns.process(pcm(hiss(len(probabilities) * WINDOW / RATE + 3)))


def test_a_breath_far_below_the_speech_is_no_more_of_it() -> None:
    """The model is sure of some windows of plain room noise; they must not carry the end of a turn away with them."""
    faint = np.random.default_rng(8).normal(0, 10, 2 * RATE)  # 55 dB below the voice
    turns = TurnDetector(RATE, Scripted([0.95] * 32 + [0.05] * 8 + [0.9] * 3))
    events = turns.process(pcm(hiss(0.0), voice(32 * WINDOW / RATE), faint[: RATE // 2]))
    events += turns.close(32 * WINDOW + RATE // 2)
    assert kinds(events) == "SE" and near(events[1].position, 32 * WINDOW / RATE)


def positions(events: list[TurnEvent]) -> list[int]:
    return [event.position for event in events]


def kinds(events: list[TurnEvent]) -> str:
    return "".join("S" if isinstance(event, TurnStarted) else "E" for event in events)


def near(position: int, seconds: float) -> bool:
    return abs(position / RATE - seconds) <= 0.008


def test_speech_counts_from_the_threshold_and_silence_from_well_below_it() -> None:
    """0.5 starts; 0.36 is no silence yet, 0.34 is; while silence is counted 0.45 does not take it back, 0.5 does."""
    idle, speech = [0.0] * 20, [0.5] * 3
    assert kinds(scripted([*idle, *[0.49] * 40])) == ""
    assert kinds(scripted([*idle, *speech, *[0.36] * 60], silence_duration_ms=300)) == "SE"
    still_open = TurnDetector(RATE, Scripted([*idle, *speech, *[0.36] * 500]), silence_duration_ms=300)
    assert kinds(still_open.process(pcm(hiss(10)))) == "S" and still_open.open
    ends = scripted([*idle, *speech, *[0.34, 0.45] * 30], silence_duration_ms=300)
    assert kinds(ends) == "SE" and ends[1].position / RATE < 24 * WINDOW / RATE
    speaks_on = scripted([*idle, *speech, *[0.34, 0.34, 0.5] * 30], silence_duration_ms=300)
    assert kinds(speaks_on) == "SE" and speaks_on[1].position / RATE > 110 * WINDOW / RATE


def test_the_threshold_is_the_users() -> None:
    windows = [0.0] * 20 + [0.7] * 10
    assert kinds(scripted(windows, threshold=0.8)) == ""
    assert kinds(scripted(windows, threshold=0.7)) == "SE"


@pytest.mark.parametrize(("min_speech_ms", "needed"), [(0, 1), (32, 1), (33, 2), (96, 3), (250, 8)])
def test_a_turn_needs_so_much_speech(min_speech_ms: int, needed: int) -> None:
    idle = [0.0] * 20
    assert kinds(scripted([*idle, *[0.9] * (needed - 1)], min_speech_ms=min_speech_ms)) == ""
    assert kinds(scripted([*idle, *[0.9] * needed], min_speech_ms=min_speech_ms)) == "SE"


def test_clicks_far_apart_do_not_add_up_to_speech() -> None:
    assert kinds(scripted([0.0] * 20 + ([0.9] + [0.0] * 5) * 20)) == ""
    assert kinds(scripted([0.0] * 20 + ([0.9] + [0.0] * 2) * 20, silence_duration_ms=200)) == "SE"


def test_onset_and_end_are_found_between_the_windows() -> None:
    turns = TurnDetector(RATE, Loudness(), silence_duration_ms=500)
    events = turns.process(pcm(hiss(1.013), voice(0.7), hiss(1.5)))
    assert kinds(events) == "SE" and not turns.open
    assert near(events[0].position, 1.013) and near(events[1].position, 1.713)


def test_the_closure_before_a_plosive_is_bridged_but_a_click_before_is_not_speech() -> None:
    """p, t and k: a burst, up to 60 ms of nothing, the voice; and at the end the same the other way round."""
    burst, closure = voice(0.005), hiss(0.06)
    sound = pcm(hiss(1.0), burst, closure, voice(0.5), closure, burst, hiss(1.5))
    events = TurnDetector(RATE, Loudness(), silence_duration_ms=500).process(sound)
    assert kinds(events) == "SE" and near(events[0].position, 1.0) and near(events[1].position, 1.63)
    sound = pcm(hiss(1.0), burst, hiss(0.12), voice(0.5), hiss(0.12), burst, hiss(1.5))
    events = TurnDetector(RATE, Loudness(), silence_duration_ms=500).process(sound)
    assert kinds(events) == "SE" and near(events[0].position, 1.125) and near(events[1].position, 1.625)


def test_what_adjoins_the_voice_may_be_softer_than_what_stands_alone() -> None:
    """An s over a telephone is 52 dB below the vowel before it; as soft a breath a moment later is no speech."""
    soft, pause = voice(0.15) / 400, np.zeros(800)
    sound = pcm(np.zeros(RATE), soft, voice(0.5), soft, np.zeros(2 * RATE))
    events = TurnDetector(RATE, Loudness(), silence_duration_ms=500).process(sound)
    assert kinds(events) == "SE" and near(events[0].position, 1.0) and near(events[1].position, 1.8)
    sound = pcm(np.zeros(RATE), soft, pause, voice(0.5), pause, soft, np.zeros(2 * RATE))
    events = TurnDetector(RATE, Loudness(), silence_duration_ms=500).process(sound)
    assert kinds(events) == "SE" and near(events[0].position, 1.2) and near(events[1].position, 1.7)


def test_audio_start_is_padded_but_reaches_into_no_other_turn() -> None:
    sound = pcm(hiss(0.2), voice(0.5), hiss(0.4), voice(0.5), hiss(1.0))
    events = TurnDetector(RATE, Loudness(), silence_duration_ms=200, prefix_padding_ms=300).process(sound)
    assert kinds(events) == "SESE"
    first, ended, second = events[0], events[1], events[2]
    assert isinstance(first, TurnStarted) and isinstance(second, TurnStarted)
    assert first.audio_start == 0
    assert second.audio_start == second.position - 4_800
    close = TurnDetector(RATE, Loudness(), silence_duration_ms=200, prefix_padding_ms=700).process(sound)
    assert isinstance(close[2], TurnStarted) and close[2].audio_start == ended.position


def test_positions_begin_where_the_caller_says() -> None:
    sound = pcm(hiss(0.5), voice(0.5), hiss(1.5))
    from_zero = TurnDetector(RATE, Loudness()).process(sound)
    later = TurnDetector(RATE, Loudness(), position=1_000_000)
    assert positions(later.process(sound)) == [1_000_000 + position for position in positions(from_zero)]
    assert later.position == 1_000_000 + len(sound) // 2


def test_a_cut_in_speech_ends_the_turn_there_and_the_next_begins_there() -> None:
    turns = TurnDetector(RATE, Loudness())
    first = turns.process(pcm(hiss(0.5), voice(1.0001)))
    cut = turns.position
    events = turns.close(cut)
    assert kinds(first + events) == "SE" and not turns.open
    assert cut - 64 <= events[0].position <= cut
    rest = turns.process(pcm(voice(0.5), hiss(1.5)))
    assert kinds(rest) == "SE"
    assert cut <= rest[0].position <= cut + 64 and near(rest[1].position, 2.0001)
    assert isinstance(rest[0], TurnStarted) and rest[0].audio_start == cut, "no padding across a cut"


def test_a_cut_after_the_speech_ends_the_turn_where_the_speech_ended() -> None:
    turns = TurnDetector(RATE, Loudness())
    turns.process(pcm(hiss(0.5), voice(0.6), hiss(0.41)))
    assert turns.open
    events = turns.close(turns.position)
    assert kinds(events) == "E" and near(events[0].position, 1.1)
    assert turns.process(pcm(hiss(3))) == []


def test_a_cut_reports_speech_that_was_not_confirmed_yet() -> None:
    turns = TurnDetector(RATE, Loudness(), min_speech_ms=300)
    assert turns.process(pcm(hiss(1.0), voice(0.15))) == []
    events = turns.close(turns.position)
    assert kinds(events) == "SE" and near(events[0].position, 1.0) and near(events[1].position, 1.15)


def test_a_cut_hears_the_samples_that_do_not_fill_a_window() -> None:
    """20 ms of speech behind the last whole window: not a sample of it may be left to nobody."""
    turns = TurnDetector(RATE, Loudness())
    assert turns.process(pcm(hiss(WINDOW * 40 / RATE), voice(0.02))) == []
    assert kinds(turns.close(turns.position)) == "SE"


def test_a_cut_in_silence_is_not_told() -> None:
    turns = TurnDetector(RATE, Loudness())
    turns.process(pcm(hiss(1.01)))
    assert turns.close(turns.position) == []
    events = turns.process(pcm(voice(0.5), hiss(1.5)))
    assert kinds(events) == "SE" and near(events[0].position, 1.01) and near(events[1].position, 1.51)


def test_two_cuts_at_one_place_are_one() -> None:
    turns = TurnDetector(RATE, Loudness())
    turns.process(pcm(hiss(0.5), voice(1.0)))
    assert kinds(turns.close(turns.position)) == "E"
    assert turns.close(turns.position) == []


def test_a_cut_in_the_past_judges_again_what_follows_it() -> None:
    """Speech from 0.5 to 1.5 s, known to 1.4 s, cut at 1.0 s: the rest is a turn that begins there."""
    turns = TurnDetector(RATE, Loudness())
    turns.process(pcm(hiss(0.5), voice(0.9)))
    events = turns.close(RATE)
    assert kinds(events) == "ES" and near(events[0].position, 1.0) and near(events[1].position, 1.0)
    assert events[0].position <= RATE <= events[1].position
    rest = turns.process(pcm(voice(0.1), hiss(1.5)))
    assert kinds(rest) == "E" and near(rest[0].position, 1.5)


def test_a_cut_before_the_turn_leaves_it_alone() -> None:
    turns = TurnDetector(RATE, Loudness())
    turns.process(pcm(hiss(1.0), voice(0.5)))
    assert turns.close(RATE // 2) == [] and turns.open
    assert near(positions(turns.process(pcm(hiss(1.5))))[0], 1.5)
    unconfirmed = TurnDetector(RATE, Loudness(), min_speech_ms=400)
    unconfirmed.process(pcm(hiss(1.0), voice(0.3)))
    assert unconfirmed.close(RATE // 2) == []
    assert kinds(unconfirmed.process(pcm(voice(0.3), hiss(1.5)))) == "SE"


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_no_event_crosses_a_cut_at_any_rate(rate: int) -> None:
    """The filter before the detector delays by up to 3 ms; that must not leak over a finalize."""
    turns = TurnDetector(rate, Loudness())
    sound = np.random.default_rng(8).normal(0, 6_000, rate)
    turns.process(pcm(np.zeros(rate // 2), sound))
    cut = turns.position
    ended = turns.close(cut)
    started = turns.process(pcm(sound))
    assert ended[-1].position <= cut <= started[0].position
    assert isinstance(started[0], TurnStarted) and started[0].audio_start >= cut


def test_reset_forgets_the_turn_but_not_the_position() -> None:
    detector = Loudness()
    turns = TurnDetector(RATE, detector)
    turns.process(pcm(hiss(0.5), voice(1.0)))
    turns.reset()
    assert not turns.open and turns.position == 24_000 and detector.resets == 1
    events = turns.process(pcm(hiss(0.5), voice(0.5), hiss(1.5)))
    assert kinds(events) == "SE" and near(events[0].position, 2.0) and near(events[1].position, 2.5)


def test_plain_silence_costs_nothing() -> None:
    """Half of a call is silence: once at rest, the model is not asked until something stirs."""
    detector = Loudness()
    turns = TurnDetector(RATE, detector)
    turns.process(bytes(2 * 60 * RATE))
    assert detector.asked <= 40
    events = turns.process(pcm(voice(0.5), hiss(1.5)))
    assert kinds(events) == "SE" and near(events[0].position, 60.0)


def test_a_turn_of_minutes_keeps_little_memory() -> None:
    turns = TurnDetector(RATE, Loudness())
    minute = pcm(voice(60))
    assert kinds([event for _ in range(3) for event in turns.process(minute)]) == "S"
    held = turns._buffer.nbytes + turns._edges._powers.nbytes
    assert held < 100_000


@settings(max_examples=60, deadline=None)
@given(
    pauses=st.lists(st.integers(300, 1_500), min_size=1, max_size=4),
    words=st.lists(st.integers(150, 1_500), min_size=4, max_size=4),
    cuts=st.lists(st.integers(0, 7_000), max_size=3),
    frame=st.integers(37, 3_000),
)
def test_turns_are_true_disjoint_and_in_order_whatever_happens(
    pauses: list[int], words: list[int], cuts: list[int], frame: int
) -> None:
    """Random words and pauses, random frames, random finalizes: every turn is speech, all speech is in a turn."""
    parts, spoken, at = [], np.zeros(0, dtype=bool), 0
    for pause, word in zip(pauses, words, strict=False):
        parts += [hiss(pause / 1_000), voice(word / 1_000)]
        spoken = np.concatenate((spoken, np.zeros(len(parts[-2]), bool), np.ones(len(parts[-1]), bool)))
    sound = pcm(*parts, hiss(1.2))
    spoken = np.concatenate((spoken, np.zeros(len(sound) // 2 - len(spoken), bool)))
    turns = TurnDetector(RATE, Loudness(), silence_duration_ms=250)
    events: list[TurnEvent] = []
    pending = sorted(cut * RATE // 1_000 for cut in cuts)
    done: list[int] = []
    for at in range(0, len(spoken), frame):
        events += turns.process(sound[2 * at : 2 * (at + frame)])
        while pending and pending[0] <= turns.position:
            pending.pop(0)
            done.append(turns.position)
            events += turns.close(turns.position)
    assert kinds(events) == "SE" * (len(events) // 2) and not turns.open
    marks = positions(events)
    assert all(a <= b for a, b in itertools.pairwise(marks)) and all(
        a < b for a, b in zip(marks[::2], marks[1::2], strict=True)
    )
    covered = np.zeros(len(spoken), dtype=bool)
    for start, end in zip(marks[::2], marks[1::2], strict=True):
        covered[start:end] = True
        assert not any(start < cut < end for cut in done), "a turn reaches across a finalize"
    slack = 160 * len(marks) + 640 * (len(done) + 1)
    assert np.count_nonzero(spoken & ~covered) <= slack, "speech in no turn"
    assert np.count_nonzero(covered & ~spoken) <= slack + 4_000 * len(pauses), "silence in turns"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"threshold": 1.5}, r"threshold: 1.5 given, must be a number from 0 to 1"),
        ({"silence_duration_ms": -1}, r"silence_duration_ms: -1 given, must be a number from 0 to 60000"),
        ({"min_speech_ms": "96"}, r"min_speech_ms: '96' given"),
        ({"prefix_padding_ms": True}, r"prefix_padding_ms: True given"),
    ],
)
def test_a_setting_that_cannot_work_is_named(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TurnDetector(RATE, Loudness(), **setting)  # type: ignore[arg-type]


def test_bad_audio_is_named() -> None:
    with pytest.raises(ValueError, match=r"rate: 4000 given"):
        TurnDetector(4_000, Loudness())
    with pytest.raises(ValueError, match=r"pcm: 3 bytes given"):
        TurnDetector(RATE, Loudness()).process(b"\0\0\0")


def test_events_say_what_they_are() -> None:
    assert TurnEnded(5) == TurnEnded(5) != TurnStarted(5, 0)
