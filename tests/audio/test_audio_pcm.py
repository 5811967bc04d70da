"""Frames of any shape become one mono stream: nothing lost, nothing wrapped, nothing guessed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ten_packages.extension.openai_asr_python.audio import g711
from ten_packages.extension.openai_asr_python.audio.pcm import FrameDecoder
from ten_packages.extension.openai_asr_python.audio.resample import Resampler


def samples_of(data: bytes) -> list[int]:
    return np.frombuffer(data, dtype="<i2").tolist()


def bytes_of(*samples: int) -> bytes:
    return np.array(samples, dtype="<i2").tobytes()


def noise(count: int) -> npt.NDArray[np.int16]:
    return np.random.default_rng(5).integers(-32_768, 32_768, count).astype(np.int16)


def test_mono_pcm_passes_through_untouched() -> None:
    frame = noise(320).tobytes()
    assert FrameDecoder().decode(frame) == frame


def test_the_caller_may_reuse_its_buffer() -> None:
    buffer = bytearray(bytes_of(1, 2, 3))
    decoded = FrameDecoder().decode(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert samples_of(decoded) == [1, 2, 3]


@given(
    encoding=st.sampled_from(["pcm16", "g711_ulaw", "g711_alaw"]),
    channels=st.integers(1, 8),
    sizes=st.lists(st.integers(0, 50), min_size=1, max_size=20),
)
def test_bytes_cut_anywhere_give_the_same_samples(encoding: str, channels: int, sizes: list[int]) -> None:
    data = np.random.default_rng(0).integers(0, 256, sum(sizes), dtype=np.uint8).tobytes()
    at, pieces = 0, []
    decoder = FrameDecoder(encoding, channels)
    for size in sizes:
        pieces.append(decoder.decode(data[at : at + size]))
        at += size
        whole = at // (channels * (2 if encoding == "pcm16" else 1))
        assert sum(map(len, pieces)) == 2 * whole, "a complete sample frame comes out at once"
    assert b"".join(pieces) == FrameDecoder(encoding, channels).decode(data)


def test_channels_are_averaged_with_rounding_and_cannot_wrap() -> None:
    stereo = FrameDecoder("pcm16", 2)
    assert samples_of(stereo.decode(bytes_of(32_767, 32_767, -32_768, -32_768))) == [32_767, -32_768]
    assert samples_of(stereo.decode(bytes_of(32_767, -32_768, 1, 2, 3, 4, -1, -2))) == [0, 2, 4, -2]
    assert samples_of(FrameDecoder("pcm16", 3).decode(bytes_of(1, 1, 2, -1, -1, -2, 30_000, 30_000, 30_001))) == [
        1,
        -1,
        30_000,
    ]
    eight = FrameDecoder("pcm16", 8)
    assert samples_of(eight.decode(bytes_of(*[32_767] * 8, *[-32_768] * 7, 0))) == [32_767, -28_672]


def test_mixing_adds_no_offset() -> None:
    mixed = np.frombuffer(FrameDecoder("pcm16", 2).decode(noise(100_000).tobytes()), dtype="<i2")
    exact = noise(100_000).reshape(-1, 2).mean(axis=1)
    assert abs((mixed - exact).mean()) < 0.01 and np.abs(mixed - exact).max() == 0.5


@pytest.mark.parametrize(("encoding", "decode"), [("g711_ulaw", g711.decode_ulaw), ("g711_alaw", g711.decode_alaw)])
def test_g711_frames(encoding: str, decode: object) -> None:
    codes = bytes(range(256))
    assert FrameDecoder(encoding, 1, 8_000).decode(codes) == decode(codes)  # type: ignore[operator]
    left_right = np.frombuffer(decode(codes), dtype="<i2").reshape(-1, 2).astype(int)  # type: ignore[operator]
    mixed = samples_of(FrameDecoder(encoding, 2, 8_000).decode(codes))
    assert mixed == np.rint(left_right.mean(axis=1)).astype(int).tolist()


def test_the_first_frame_fixes_the_streams_rate() -> None:
    decoder = FrameDecoder(rate=16_000)
    assert decoder.set_format("pcm16", 1, 8_000)
    decoder.decode(b"")
    assert decoder.set_format("pcm16", 1, 48_000)
    assert decoder.rate == 48_000, "no byte yet: the stream has no rate of its own"
    decoder.decode(b"\0")
    assert decoder.set_format("pcm16", 1, 16_000)
    assert decoder.rate == 48_000 and decoder.input_rate == 16_000


def test_a_later_rate_is_converted_to_the_streams() -> None:
    audio = noise(3_200) // 2
    decoder = FrameDecoder(rate=16_000)
    first = decoder.decode(audio.tobytes())
    assert decoder.set_format("pcm16", 1, 48_000)
    converted = b"".join(decoder.decode(audio.tobytes()[i : i + 500]) for i in range(0, 6_400, 500))
    assert decoder.set_format("pcm16", 1, 16_000)
    last = decoder.decode(audio.tobytes())
    assert first == last == audio.tobytes()
    assert converted == Resampler(48_000, 16_000).process(audio).tobytes()
    assert decoder.rate == 16_000


def test_clips_of_conversions_add_up() -> None:
    square = np.where(np.arange(4_800) // 18 % 2, -32_768, 32_767).astype(np.int16).tobytes()
    decoder = FrameDecoder(rate=16_000)
    decoder.decode(b"\0\0")
    decoder.set_format("pcm16", 1, 24_000)
    decoder.decode(square)
    once = decoder.clips
    decoder.set_format("pcm16", 1, 16_000)
    decoder.set_format("pcm16", 1, 24_000)
    decoder.decode(square)
    assert decoder.clips == 2 * once > 0


def test_the_same_format_again_is_no_change() -> None:
    decoder = FrameDecoder("g711_ulaw", 2, 8_000)
    decoder.decode(b"\x00")
    assert not decoder.set_format("g711_ulaw", 2, 8_000)
    assert len(decoder.decode(b"\x00")) == 2 and decoder.dropped == 0


def test_a_change_of_layout_drops_only_the_unfinished_sample_frame() -> None:
    decoder = FrameDecoder("pcm16", 2, 16_000)
    assert samples_of(decoder.decode(bytes_of(2, 4) + b"\x01\x02\x03")) == [3]
    decoder.set_format("pcm16", 1, 16_000)
    assert decoder.dropped == 3
    assert samples_of(decoder.decode(bytes_of(7, 8) + b"\x09")) == [7, 8]
    decoder.set_format("g711_alaw", 1, 16_000)
    assert decoder.dropped == 4
    assert samples_of(decoder.decode(b"\xd5")) == [8]


def test_a_change_of_rate_keeps_the_half_sample() -> None:
    decoder = FrameDecoder(rate=16_000)
    assert decoder.decode(b"\x01\x00\x02") == b"\x01\x00"
    decoder.set_format("pcm16", 1, 48_000)
    decoder.set_format("pcm16", 1, 16_000)
    assert decoder.decode(b"\x00") == b"\x02\x00" and decoder.dropped == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mp3", 1, 16_000), r"encoding: 'mp3' given, must be one of pcm16, g711_ulaw, g711_alaw"),
        (("pcm16", 0, 16_000), r"channels: 0 given, must be a whole number from 1 to 8"),
        (("pcm16", 9, 16_000), r"channels: 9 given"),
        (("pcm16", True, 16_000), r"channels: True given"),
        (("pcm16", 1, 7_999), r"rate: 7999 given, must be a whole number of Hz from 8000 to 48000"),
        (("pcm16", 1, 96_000), r"rate: 96000 given"),
    ],
)
def test_a_format_that_cannot_work_is_named_and_changes_nothing(arguments: tuple[str, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrameDecoder(*arguments)
    decoder = FrameDecoder("pcm16", 2, 16_000)
    decoder.decode(b"\x01\x00\x03")
    with pytest.raises(ValueError, match=message):
        decoder.set_format(*arguments)
    assert decoder.decode(b"\x00") == b"\x02\x00"
