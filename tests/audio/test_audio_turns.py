"""Local turns, with speech at places the test knows: onset and end within 40 ms, whatever the rate and the noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from ten_packages.extension.openai_asr_python.audio.turns import TurnDetector, TurnEnded, TurnEvent, TurnStarted
from ten_packages.extension.openai_asr_python.audio.vad import SileroDetector

RATE = 16_000
TOLERANCE = 0.040

SENTENCES = [
    ("kal16", "the quick brown fox jumps over the lazy dog"),
    ("slt", "the quick brown fox jumps over the lazy dog"),
    ("kal16", "Peter picked a pepper"),
    ("slt", "put it back"),
    ("slt", "could you help"),
    ("kal16", "take the second left and then stop"),
    ("slt", "five fish swim past"),
    ("kal16", "hello how are you doing today"),
    ("slt", "yes"),
    ("kal16", "no"),
    ("slt", "think of a number"),
    ("kal16", "my name is Anna"),
]


@dataclass
class Scene:
    """Speech at known seconds in a noisy or silent room."""

    samples: npt.NDArray[np.int16]
    rate: int
    spoken: list[tuple[float, float]]


def scene(
    *parts: float | npt.NDArray[np.float64], noise_db: float | None = None, rate: int = RATE, gain_db: float = 0.0
) -> Scene:
    """Pauses (seconds) and speech, in order; then noise over all of it, then conversion to *rate*."""
    pieces: list[npt.NDArray[np.float64]] = []
    spoken = []
    at = 0
    for part in parts:
        piece = np.zeros(round(part * RATE)) if isinstance(part, float) else part * 10 ** (gain_db / 20)
        if not isinstance(part, float):
            spoken.append((at / RATE, (at + len(piece)) / RATE))
        pieces.append(piece)
        at += len(piece)
    sound = np.concatenate(pieces)
    if noise_db is not None:
        sound = sound + np.random.default_rng(11).normal(0, 32_768 * 10 ** (noise_db / 20), len(sound))
    if rate != RATE:
        sound = soxr.resample(sound, RATE, rate, quality="VHQ")
    return Scene(np.rint(sound).clip(-32_768, 32_767).astype(np.int16), rate, spoken)


def detector(rate: int = RATE, **settings: Any) -> TurnDetector:
    return TurnDetector(rate, SileroDetector(), **settings)


def listen(turns: TurnDetector, samples: npt.NDArray[np.int16], frame_ms: int = 20) -> list[TurnEvent]:
    events: list[TurnEvent] = []
    size = turns.rate * frame_ms // 1_000
    for at in range(0, len(samples), size):
        events += turns.process(samples[at : at + size].tobytes())
    return events


def seconds(events: list[TurnEvent], rate: int) -> list[tuple[float, float]]:
    """Turns as (start, end); fails unless starts and ends alternate, end in an end and go forward."""
    assert [type(event) for event in events] == [TurnStarted, TurnEnded] * (len(events) // 2)
    positions = [event.position for event in events]
    assert positions == sorted(positions)
    return [(a / rate, b / rate) for a, b in zip(positions[::2], positions[1::2], strict=True)]


def assert_near(found: list[tuple[float, float]], truth: list[tuple[float, float]]) -> None:
    assert len(found) == len(truth), f"found {found}, spoken {truth}"
    for turn, spoken in zip(found, truth, strict=True):
        late = [round(1_000 * (a - b)) for a, b in zip(turn, spoken, strict=True)]
        assert max(map(abs, late)) <= 1_000 * TOLERANCE, f"onset, end off by {late} ms"


@pytest.mark.parametrize(("voice", "text"), SENTENCES)
@pytest.mark.parametrize("noise_db", [None, -60.0])
def test_a_sentence_is_one_turn_within_40_ms(voice: str, text: str, noise_db: float | None, say: Any) -> None:
    heard = scene(1.0137, say(voice, text), 1.3, noise_db=noise_db)
    assert_near(seconds(listen(detector(), heard.samples), RATE), heard.spoken)


@pytest.mark.parametrize(("voice", "text"), SENTENCES)
def test_within_40_ms_in_noise_at_minus_45_dbfs(voice: str, text: str, say: Any) -> None:
    """Audible here is what stands out of the noise: -27 dB of a voice at -12 dBFS is 6 dB above it."""
    heard = scene(0.9071, say(voice, text, audible_db=-27.0), 1.3, noise_db=-45.0)
    assert_near(seconds(listen(detector(), heard.samples), RATE), heard.spoken)


@pytest.mark.parametrize("rate", [8_000, 11_025, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("noise_db", [None, -55.0])
def test_positions_count_the_callers_own_samples(rate: int, noise_db: float | None, say: Any) -> None:
    speech = say("kal16", "hello how are you doing today", audible_db=-36.0)
    heard = scene(1.21, speech, 1.3, rate=rate, noise_db=noise_db)
    assert_near(seconds(listen(detector(rate), heard.samples), rate), heard.spoken)


@pytest.mark.parametrize("gain_db", [-15.0, -30.0])
def test_a_soft_voice_is_heard(gain_db: float, say: Any) -> None:
    speech = say("slt", "put it back", audible_db=-32.0)
    heard = scene(1.0, speech, 1.3, gain_db=gain_db, noise_db=-78.0)
    assert_near(seconds(listen(detector(), heard.samples), RATE), heard.spoken)


def test_a_pause_shorter_than_the_silence_does_not_end_the_turn(say: Any) -> None:
    first, second = say("slt", "take the second left"), say("slt", "and then stop")
    heard = scene(0.7, first, 0.5, second, 1.4)
    whole = [(heard.spoken[0][0], heard.spoken[1][1])]
    assert_near(seconds(listen(detector(silence_duration_ms=800), heard.samples), RATE), whole)


def test_a_pause_longer_than_the_silence_makes_two_turns(say: Any) -> None:
    first, second = say("slt", "take the second left"), say("kal16", "and then stop")
    heard = scene(0.7, first, 0.9, second, 1.0, noise_db=-60.0)
    assert_near(seconds(listen(detector(silence_duration_ms=500), heard.samples), RATE), heard.spoken)


def test_speech_in_the_first_samples_starts_at_the_first_sample(say: Any) -> None:
    heard = scene(say("slt", "could you help"), 1.3)
    events = listen(detector(), heard.samples)
    assert_near(seconds(events, RATE), heard.spoken)
    assert isinstance(events[0], TurnStarted) and events[0].audio_start == 0


def test_start_is_known_soon_and_end_when_the_silence_has_lasted(say: Any) -> None:
    heard = scene(1.0, say("slt", "five fish swim past"), 2.0)
    turns = detector(silence_duration_ms=600)
    known = []
    for at in range(0, len(heard.samples), 320):
        known += [turns.position / RATE] * len(turns.process(heard.samples[at : at + 320].tobytes()))
    assert known[0] - heard.spoken[0][0] < 0.35
    assert 0.56 <= known[1] - heard.spoken[0][1] < 0.72


def test_the_turn_of_a_sentence_between_breaths_does_not_hold_the_breaths(say: Any) -> None:
    """Breath: soft noise, 50 dB below the voice, right before and after."""
    breath = np.random.default_rng(3).normal(0, 32_768 * 10 ** (-62 / 20), int(0.25 * RATE))
    breath *= np.hanning(len(breath))
    speech = say("slt", "take the second left and then stop")
    heard = scene(1.0, breath, 0.03, speech, 0.03, breath, 1.3)
    truth = [heard.spoken[1]]
    assert_near(seconds(listen(detector(), heard.samples), RATE), truth)


@pytest.mark.parametrize(("voice", "text"), SENTENCES)
def test_within_40_ms_in_the_rumble_of_a_car(voice: str, text: str, say: Any) -> None:
    """Noise that falls by 6 dB an octave is rough: its soft and loud moments differ by more than white noise's."""
    heard = scene(1.2, say(voice, text, audible_db=-27.0), 1.3)
    noise = np.cumsum(np.random.default_rng(12).normal(size=len(heard.samples) + RATE))
    noise = (noise - np.convolve(noise, np.ones(RATE // 40) / (RATE // 40), mode="same"))[RATE // 2 : -RATE // 2]
    noise *= 32_768 * 10 ** (-44 / 20) / noise.std()
    noisy = np.rint(heard.samples + noise).clip(-32_768, 32_767).astype(np.int16)
    assert_near(seconds(listen(detector(), noisy), RATE), heard.spoken)


def test_a_hum_does_not_hide_a_hiss(say: Any) -> None:
    """The s of "stop" and "yes" is softer than the mains hum, but not in its own band."""
    for text in ("stop", "yes", "six"):
        heard = scene(1.2, say("slt", text, audible_db=-30.0), 1.3)
        hum = 32_768 * 10 ** (-24 / 20) * np.sin(2 * np.pi * 100 * np.arange(len(heard.samples)) / RATE)
        noisy = np.rint(heard.samples + hum).clip(-32_768, 32_767).astype(np.int16)
        assert_near(seconds(listen(detector(), noisy), RATE), heard.spoken)


@pytest.mark.parametrize("noise_db", [None, -60.0, -45.0, -30.0])
def test_noise_alone_is_no_turn(noise_db: float | None) -> None:
    assert listen(detector(), scene(8.0, noise_db=noise_db).samples) == []


def test_how_audio_is_cut_changes_nothing(say: Any) -> None:
    heard = scene(0.8, say("kal16", "Peter picked a pepper"), 1.2, noise_db=-60.0, rate=8_000)
    by_20 = listen(detector(8_000), heard.samples)
    assert len(by_20) == 2
    assert listen(detector(8_000), heard.samples, frame_ms=7) == by_20
    assert listen(detector(8_000), heard.samples, frame_ms=100_000) == by_20


def test_a_finalize_in_mid_sentence_loses_and_doubles_nothing(say: Any) -> None:
    """Cut at every 700 ms: each turn but the last ends at its cut, the next begins there."""
    heard = scene(0.5, say("slt", "the quick brown fox jumps over the lazy dog"), 1.3)
    turns = detector()
    events: list[TurnEvent] = []
    cuts = []
    for at in range(0, len(heard.samples), 320):
        events += turns.process(heard.samples[at : at + 320].tobytes())
        if turns.open and at % 11_200 == 0 and turns.position / RATE < heard.spoken[0][1]:
            cuts.append(turns.position / RATE)
            events += turns.close(turns.position)
    found = seconds(events, RATE)
    assert len(cuts) >= 3 and len(found) == len(cuts) + 1
    assert_near([(found[0][0], found[-1][1])], heard.spoken)
    for cut, before, after in zip(cuts, found, found[1:], strict=False):
        # A stop's closure may lie at the cut: silence of up to a tenth of a second belongs to nobody.
        assert cut - 0.1 <= before[1] <= cut <= after[0] <= cut + 0.1


def test_a_finalize_right_behind_a_short_word_reports_it(say: Any) -> None:
    """Push to talk: the key is released before the detector is sure."""
    speech = say("slt", "yes")
    heard = scene(0.6, speech, 1.0)
    position = round((heard.spoken[0][0] + 0.09) * RATE)
    turns = detector(min_speech_ms=500)
    assert turns.process(heard.samples[:position].tobytes()) == []
    events = turns.close(position)
    found = seconds(events, RATE)
    assert len(found) == 1 and abs(found[0][0] - heard.spoken[0][0]) <= TOLERANCE
    assert found[0][1] <= position / RATE
