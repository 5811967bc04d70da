"""G.711 codes are those of the standard, for every sample and every code."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ten_packages.extension.openai_asr_python.audio import g711

ALL_SAMPLES = np.arange(-32768, 32768).astype("<i2").tobytes()
ALL_CODES = bytes(range(256))


def ulaw_by_hand(sample: int) -> int:
    """14-bit magnitude, bias 33, the segment is the position of the top bit; written from the text of G.711."""
    value = sample >> 2
    sign = 0x80 if value >= 0 else 0x00
    magnitude = min(abs(value), 8158) + 33
    segment = 0
    while magnitude > (0x3F << segment) + (1 << segment) - 1:
        segment += 1
    step = (magnitude >> (segment + 1)) & 0x0F
    return sign | (~(segment << 4 | step) & 0x7F)


def alaw_by_hand(sample: int) -> int:
    """13-bit ones' complement; segments 0 and 1 share the smallest step; even bits inverted."""
    value = sample >> 3
    sign = 0x80 if value >= 0 else 0x00
    magnitude = value if value >= 0 else -value - 1
    segment = 0
    while magnitude > (0x20 << segment) - 1:
        segment += 1
    step = (magnitude >> max(segment, 1)) & 0x0F
    return (sign | segment << 4 | step) ^ 0x55


def ulaw_value_by_hand(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((code & 0x0F) * 2 + 33) * 2 ** ((code >> 4) & 7) - 33
    return (-magnitude if code & 0x80 else magnitude) * 4


def alaw_value_by_hand(code: int) -> int:
    code ^= 0x55
    segment, step = (code >> 4) & 7, code & 0x0F
    magnitude = 2 * step + 1 if segment == 0 else (2 * step + 33) * 2 ** (segment - 1)
    return (magnitude if code & 0x80 else -magnitude) * 8


def audioop() -> Any:
    """The standard library's own coder, until Python 3.12."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module("audioop")
        except ImportError:
            return None


@pytest.mark.parametrize(
    ("encode", "by_hand"), [(g711.encode_ulaw, ulaw_by_hand), (g711.encode_alaw, alaw_by_hand)], ids=["ulaw", "alaw"]
)
def test_every_sample_has_the_code_of_the_standard(
    encode: Callable[[bytes], bytes], by_hand: Callable[[int], int]
) -> None:
    assert encode(ALL_SAMPLES) == bytes(by_hand(sample) for sample in range(-32768, 32768))


@pytest.mark.parametrize(
    ("decode", "by_hand"),
    [(g711.decode_ulaw, ulaw_value_by_hand), (g711.decode_alaw, alaw_value_by_hand)],
    ids=["ulaw", "alaw"],
)
def test_every_code_has_the_value_of_the_standard(
    decode: Callable[[bytes], bytes], by_hand: Callable[[int], int]
) -> None:
    assert np.frombuffer(decode(ALL_CODES), dtype="<i2").tolist() == [by_hand(code) for code in range(256)]


def test_values_printed_in_the_standard() -> None:
    """Largest and smallest output of tables 1 and 2, in 16 bits."""
    assert np.frombuffer(g711.decode_ulaw(b"\x00\x80\x7f\xff"), dtype="<i2").tolist() == [-32124, 32124, 0, 0]
    assert np.frombuffer(g711.decode_alaw(b"\x2a\xaa\x55\xd5"), dtype="<i2").tolist() == [-32256, 32256, -8, 8]


if sys.version_info < (3, 13):  # the module is gone from then on; the formulas above are the reference there

    def test_same_bits_as_audioop() -> None:
        reference = audioop()
        assert reference is not None
        assert g711.encode_ulaw(ALL_SAMPLES) == reference.lin2ulaw(ALL_SAMPLES, 2)
        assert g711.encode_alaw(ALL_SAMPLES) == reference.lin2alaw(ALL_SAMPLES, 2)
        assert g711.decode_ulaw(ALL_CODES) == reference.ulaw2lin(ALL_CODES, 2)
        assert g711.decode_alaw(ALL_CODES) == reference.alaw2lin(ALL_CODES, 2)


@pytest.mark.parametrize(
    ("encode", "decode"),
    [(g711.encode_ulaw, g711.decode_ulaw), (g711.encode_alaw, g711.decode_alaw)],
    ids=["ulaw", "alaw"],
)
def test_a_decoded_sample_is_near_and_encodes_to_itself(
    encode: Callable[[bytes], bytes], decode: Callable[[bytes], bytes]
) -> None:
    samples = np.arange(-32768, 32768)
    decoded = decode(encode(ALL_SAMPLES))
    error = np.abs(np.frombuffer(decoded, dtype="<i2") - samples)
    # A segment's step is at most 1/16 of its values, so half a step is 1/32 of them; 8 for what the 14 bits cut.
    assert np.all(error <= np.maximum(np.abs(samples) / 32 + 8, 16))
    assert decode(encode(decoded)) == decoded


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pcm: 3 bytes given, s16le needs an even number"):
        g711.encode_ulaw(b"\0\0\0")


def test_any_buffer_will_do() -> None:
    data = bytearray(ALL_SAMPLES)
    assert g711.encode_alaw(memoryview(data)) == g711.encode_alaw(data) == g711.encode_alaw(ALL_SAMPLES)
    assert g711.decode_ulaw(bytearray(b"")) == b""
