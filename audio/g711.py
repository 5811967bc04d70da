"""G.711 companding (ITU-T G.711, 8 bits a sample) by lookup table.

`audioop` did this until Python 3.12; these tables give the same bits for every input. µ-law keeps the upper
14 bits of a sample and A-law the upper 13, as the reference coder of the telephone world does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

_UINT8 = np.dtype(np.uint8)
_UINT16 = np.dtype("<u2")
_BytesLike = bytes | bytearray | memoryview

# A-law inverts the even bits, so that a silent line still carries transitions (G.711, table 1a note 2).
_ALAW_TOGGLE = 0x55


def encode_ulaw(pcm: _BytesLike) -> bytes:
    """µ-law codes, one byte a sample, of s16le samples. Raises ValueError if *pcm* ends inside a sample."""
    return _encode(pcm, _ulaw_codes())


def encode_alaw(pcm: _BytesLike) -> bytes:
    """A-law codes, one byte a sample, of s16le samples. Raises ValueError if *pcm* ends inside a sample."""
    return _encode(pcm, _alaw_codes())


def decode_ulaw(data: _BytesLike) -> bytes:
    """s16le samples of µ-law codes: two bytes for each byte given."""
    return _decode(data, _ulaw_values())


def decode_alaw(data: _BytesLike) -> bytes:
    """s16le samples of A-law codes: two bytes for each byte given."""
    return _decode(data, _alaw_values())


def _encode(pcm: _BytesLike, codes: npt.NDArray[np.uint8]) -> bytes:
    if len(pcm) % 2:
        raise ValueError(f"pcm: {len(pcm)} bytes given, s16le needs an even number")
    # Indexing by the bit pattern (unsigned) spares the shift into 0..65535. np.take beats table[...] by a
    # third.
    return codes.take(np.frombuffer(pcm, _UINT16)).tobytes()


def _decode(data: _BytesLike, values: npt.NDArray[np.int16]) -> bytes:
    return values.take(np.frombuffer(data, _UINT8)).tobytes()


@cache
def _ulaw_values() -> npt.NDArray[np.int16]:
    """256 samples: sign, 3 bits of segment, 4 bits of step; all bits inverted on the line."""
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


@cache
def _alaw_values() -> npt.NDArray[np.int16]:
    """256 samples: as µ-law, but segment 0 is linear and the sign bit is set for positive values."""
    code = np.arange(256) ^ _ALAW_TOGGLE
    step, segment = (code & 0x0F) << 4, (code >> 4) & 7
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype("<i2")


@cache
def _ulaw_codes() -> npt.NDArray[np.uint8]:
    """65536 codes, indexed by the sample's bit pattern read as an unsigned number."""
    value = _all_samples() >> 2
    magnitude = np.minimum(np.abs(value), 8158) + 33
    segment = _top_bit(magnitude) - 5
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)
    codes: npt.NDArray[np.uint8] = (code ^ np.where(value < 0, 0x7F, 0xFF)).astype(np.uint8)
    return codes


@cache
def _alaw_codes() -> npt.NDArray[np.uint8]:
    """65536 codes, indexed by the sample's bit pattern read as an unsigned number."""
    value = _all_samples() >> 3
    magnitude = np.where(value < 0, ~value, value)
    segment = np.maximum(_top_bit(np.maximum(magnitude, 1)) - 4, 0)
    code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 0x0F)
    codes: npt.NDArray[np.uint8] = (code ^ np.where(value < 0, _ALAW_TOGGLE, _ALAW_TOGGLE | 0x80)).astype(np.uint8)
    return codes


def _all_samples() -> npt.NDArray[np.int64]:
    return np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64)


def _top_bit(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Index of the highest set bit of each positive value."""
    # frexp is exact for integers below 2**53, log2 is not at powers of two.
    return (np.frexp(values.astype(np.float64))[1] - 1).astype(np.int64)


Codec = Callable[[_BytesLike], bytes]
ENCODERS: dict[str, Codec] = {"g711_ulaw": encode_ulaw, "g711_alaw": encode_alaw}
DECODERS: dict[str, Codec] = {"g711_ulaw": decode_ulaw, "g711_alaw": decode_alaw}
