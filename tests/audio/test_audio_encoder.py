"""Wire bytes are at the wire's rate and in its format, whatever the stream's rate."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from ten_packages.extension.openai_asr_python.audio import g711
from ten_packages.extension.openai_asr_python.audio.encoder import WireEncoder
from ten_packages.extension.openai_asr_python.audio.resample import Resampler


def noise(count: int) -> npt.NDArray[np.int16]:
    return np.random.default_rng(9).integers(-12_000, 12_000, count).astype(np.int16)


@pytest.mark.parametrize("in_rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize(
    ("wire_format", "rate", "width"), [("pcm16", 24_000, 2), ("g711_ulaw", 8_000, 1), ("g711_alaw", 8_000, 1)]
)
def test_a_second_of_audio_is_a_second_on_the_wire(in_rate: int, wire_format: str, rate: int, width: int) -> None:
    encoder = WireEncoder(in_rate, wire_format)
    pcm = noise(in_rate).tobytes()
    frame = in_rate // 50 * 2
    sent = [len(encoder.encode(pcm[i : i + frame])) for i in range(0, len(pcm), frame)]
    assert sum(sent) == rate * width
    assert max(sent) - min(sent) <= width, "every frame goes out at once"
    assert (encoder.wire_rate, encoder.bytes_per_sample) == (rate, width)


def test_pcm_at_the_wires_rate_is_sent_as_it_is() -> None:
    pcm = noise(480).tobytes()
    encoder = WireEncoder(24_000, "pcm16")
    assert encoder.encode(pcm) == pcm and encoder.delay == 0


def test_g711_at_its_own_rate_is_companded_only() -> None:
    pcm = noise(160).tobytes()
    assert WireEncoder(8_000, "g711_ulaw").encode(pcm) == g711.encode_ulaw(pcm)
    assert WireEncoder(8_000, "g711_alaw").encode(pcm) == g711.encode_alaw(pcm)


def test_other_rates_are_resampled_first() -> None:
    samples = noise(4_410)
    resampled = Resampler(44_100, 8_000).process(samples).tobytes()
    assert WireEncoder(44_100, "g711_alaw").encode(samples.tobytes()) == g711.encode_alaw(resampled)
    assert WireEncoder(44_100, "pcm16", pcm_rate=16_000).encode(samples.tobytes()) == (
        Resampler(44_100, 16_000).process(samples).tobytes()
    )


@pytest.mark.parametrize("wire_format", ["pcm16", "g711_ulaw", "g711_alaw"])
def test_silence_is_part_of_the_stream(wire_format: str) -> None:
    """The sound before it rings out in it, and what follows continues at the right sample."""
    speech = noise(1_001).tobytes()
    zeros, padded = WireEncoder(16_000, wire_format), WireEncoder(16_000, wire_format)
    expected = zeros.encode(speech) + zeros.encode(bytes(2 * 6_401)) + zeros.encode(speech)
    assert padded.encode(speech) + padded.silence(6_401) + padded.encode(speech) == expected
    assert padded.silence(0) == b""


def test_long_silence_has_its_length_and_its_code() -> None:
    silence = WireEncoder(16_000, "g711_ulaw").silence(16_000 * 10 + 1)
    assert len(silence) == math.ceil(160_001 / 2) and set(silence) == {0xFF}


@pytest.mark.parametrize(("in_rate", "wire_format"), [(16_000, "pcm16"), (8_000, "pcm16"), (44_100, "g711_ulaw")])
def test_a_replay_on_a_new_connection_repeats_the_bytes(in_rate: int, wire_format: str) -> None:
    pcm = noise(in_rate * 2)
    first = WireEncoder(in_rate, wire_format)
    position = in_rate // first.period * first.period
    first.encode(pcm[:position].tobytes())
    expected = first.encode(pcm[position:].tobytes())
    replay = WireEncoder(in_rate, wire_format)
    begin = (position - replay.history) // replay.period * replay.period
    replay.prime(pcm[begin:position].tobytes())
    assert replay.encode(pcm[position:].tobytes()) == expected
    assert WireEncoder(in_rate, wire_format).encode(pcm[position:].tobytes()) != expected


def test_clipped_samples_are_counted() -> None:
    square = np.where(np.arange(16_000) // 18 % 2, -32_768, 32_767).astype(np.int16)
    encoder = WireEncoder(16_000, "pcm16")
    wire = np.frombuffer(encoder.encode(square.tobytes()), dtype="<i2")
    assert encoder.clips > 1_000 and wire.max() == 32_767 and wire.min() == -32_768


def test_bad_use_is_named() -> None:
    with pytest.raises(ValueError, match=r"wire_format: 'opus' given, must be one of pcm16, g711_ulaw, g711_alaw"):
        WireEncoder(16_000, "opus")
    with pytest.raises(ValueError, match=r"in_rate: 4000 given"):
        WireEncoder(4_000, "pcm16")
    with pytest.raises(ValueError, match=r"pcm: 1 bytes given"):
        WireEncoder(24_000, "pcm16").encode(b"\0")
    with pytest.raises(ValueError, match=r"pcm: 3 bytes given"):
        WireEncoder(16_000, "pcm16").prime(b"\0\0\0")
    with pytest.raises(ValueError, match=r"samples: -1 given"):
        WireEncoder(16_000, "pcm16").silence(-1)
