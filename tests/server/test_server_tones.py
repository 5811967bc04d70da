"""Test tones are read back whole, in order and once, after whatever a call does to them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from ten_packages.extension.openai_asr_python.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from ten_packages.extension.openai_asr_python.audio.resample import Resampler
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import RecognitionRequest
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.server.tones import LABELS, LENGTHS_MS, decode, make_block

LABELS_SAID = [0, 7, 42, 42, 999, 123, 321, 550, 55, 5, 808, 90]


def labels(pcm: bytes, rate: int = 16000) -> list[int]:
    return [block.label for block in decode(pcm, rate)]


def blocks(names: list[int], ms: int = 200, rate: int = 16000) -> bytes:
    return b"".join(make_block(name, ms, rate) for name in names)


def convert(pcm: bytes, rate: int, to: int) -> bytes:
    return Resampler(rate, to).process(np.frombuffer(pcm, "<i2").astype(np.int16)).tobytes()


@pytest.mark.parametrize("ms", LENGTHS_MS)
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_blocks_of_every_length_and_rate_are_read(ms: int, rate: int) -> None:
    assert labels(blocks(LABELS_SAID, ms, rate), rate) == LABELS_SAID


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("coding", ["pcm", "ulaw", "alaw"])
def test_blocks_survive_resampling_and_g711(rate: int, coding: str) -> None:
    pcm = blocks(LABELS_SAID, 150, rate)
    if coding != "pcm":
        pcm = convert(pcm, rate, 8000)
        pcm = decode_ulaw(encode_ulaw(pcm)) if coding == "ulaw" else decode_alaw(encode_alaw(pcm))
        rate = 8000
    assert labels(convert(convert(pcm, rate, 24000), 24000, 16000)) == LABELS_SAID


def test_every_label_can_be_told_from_every_other() -> None:
    assert labels(blocks(list(range(LABELS)), 100, 8000), 8000) == list(range(LABELS))


def test_times_are_those_of_the_blocks() -> None:
    pcm = bytes(2 * 16000 // 10) + blocks([1, 2], 250) + bytes(2 * 16000 // 2) + blocks([3], 400)
    read = decode(pcm, 16000)
    assert [block.start_ms for block in read] == pytest.approx([100, 350, 1100], abs=3)
    assert [block.duration_ms for block in read] == pytest.approx([250, 250, 400], abs=5)


def test_noise_and_silence_have_no_labels() -> None:
    noise = np.random.default_rng(1).normal(0, 30, 16000).astype("<i2").tobytes()
    assert labels(bytes(32000)) == [] and labels(noise) == [] and labels(b"") == []


def test_faint_noise_under_the_blocks_does_no_harm() -> None:
    noise = np.random.default_rng(1).normal(0, 100, len(blocks(LABELS_SAID)) // 2)
    noisy = np.frombuffer(blocks(LABELS_SAID), "<i2") + noise
    assert labels(noisy.astype("<i2").tobytes()) == LABELS_SAID


@pytest.mark.parametrize("seed", range(5))
def test_a_block_cut_in_two_is_read_in_one_half_only(seed: int) -> None:
    chance = random.Random(seed)
    pcm = blocks([10, 20, 30], 200)
    for _ in range(100):
        # Anywhere in the middle block but within 1 ms of its own middle.
        cut = chance.choice([chance.randrange(3200, 4784), chance.randrange(4816, 6400)])
        front, back = labels(pcm[: 2 * cut]), labels(pcm[2 * cut :])
        assert front + back == [10, 20, 30], cut


def test_less_than_half_a_block_is_not_read() -> None:
    block = make_block(77, 200, 16000)
    assert labels(block[: int(len(block) * 0.45)]) == []
    assert labels(block[: int(len(block) * 0.3) // 2 * 2] + bytes(3200)) == []
    assert labels(block[: int(len(block) * 0.6) // 2 * 2]) == [77]


def test_a_hole_in_the_audio_is_noticed() -> None:
    """The second block and most of its neighbours are missing, and what is left of those touches."""
    pcm = blocks([1, 2, 3, 4], 200)
    ms = 32
    assert labels(pcm[: 290 * ms] + pcm[510 * ms :]) == [1, 4]
    assert labels(pcm[: 150 * ms] + pcm[420 * ms :]) == [1, 3, 4]


def test_a_block_played_twice_is_read_twice() -> None:
    pcm = blocks([1, 2, 3])
    assert labels(pcm[:12800] + pcm[6400:12800] + pcm[12800:]) == [1, 2, 2, 3]


@pytest.mark.parametrize(("label", "ms", "field"), [(1000, 200, "label"), (-1, 200, "label"), (1, 99, "ms")])
def test_what_cannot_be_made_is_refused(label: int, ms: int, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        make_block(label, ms, 16000)


@pytest.mark.parametrize("chunk_ms", [20, 130, 500, 5000])
async def test_the_recogniser_reads_blocks_as_they_come(chunk_ms: int) -> None:
    session = ScriptedRecognizer().session(RecognitionRequest("any", partials=True))
    pcm = bytes(9600) + blocks(LABELS_SAID)
    said: list[str] = []
    for at in range(0, len(pcm), chunk_ms * 32):
        text = await session.accept(pcm[at : at + chunk_ms * 32])
        said += [text] if text is not None else []
    result = await session.finish()
    assert result.text == " ".join(f"b{label}" for label in LABELS_SAID)
    assert all(result.text.startswith(text) for text in said)
    assert [word.start_ms for word in result.words] == pytest.approx(
        [300 + 200 * i for i in range(len(LABELS_SAID))], abs=4
    )
    if chunk_ms < 1000:
        assert len(said) >= 3
