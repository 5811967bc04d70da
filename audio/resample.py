"""Streaming resampler that holds nothing back: a polyphase windowed-sinc filter between integer rates.

Output *t* lies at input time ``t * in_rate / out_rate`` and is given out as soon as the input sample at or
just before that time has come. So after *n* input samples in total, exactly ``ceil(n * out_rate / in_rate)``
output samples are out, however the input was cut. The price is a constant shift (`Resampler.delay`, 1.5 ms
with both rates at 16 kHz or above, 3 ms if one is 8 kHz): the filter looks at the past only.

Cutting the input differently gives the same bits, not just nearly: coefficients lie on a grid of 2**-24, so
every product and every partial sum is an integer times 2**-24 below 2**53 and float64 holds it exactly, in
whatever order the linear algebra library adds.

The rates' ratio is reduced to ``up / down``. `down` input samples make `up` output samples, and then the
pattern repeats; a number of such periods make a block, and a block of outputs is one row times one matrix.
Every call lays its blocks from the last beginning of a period on, so frames of whole blocks compute nothing twice.

A frame of 20 ms is 30,000 multiplications, which take a microsecond: what numpy does around them must not take
ten. So between calls a stream keeps bytes, its windows are one strided view of the bytes given, and everything
else is work space that the streams of the process share, with the views of each size made once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
_Floats = npt.NDArray[np.float64]


MIN_RATE = 8_000
MAX_RATE = 48_000

# Filter length in samples of the lower rate. With the Kaiser window below, the transition reaches from 7/16
# to 9/16 of that rate (7 to 9 kHz for 16 kHz): flat to 0.01 dB below it, more than 90 dB down above it.
_TAPS = 48
_KAISER_BETA = 9.4
_GRID = 1 << 24
# Inputs or outputs of a block, whichever are more, at most (if one period is not longer): long rows copy less,
# short ones compute less that is not wanted.
_BLOCK = 32
# Above this many coefficients in the block matrix (only rates with next to no common divisor), look
# coefficients up for each output instead.
_MAX_MATRIX = 1 << 17
_MAX_PRODUCT = 1 << 18
"More multiplications than this make OpenBLAS start threads, which cost a hundred times what they save here."
_MAX_ROWS = 168
"Of a work space: longer calls are worked off in pieces, and memory stays bounded."
_LOOK_UP_PIECE = 1600
_MAX_PLANS = 128
_INT16 = np.dtype("<i2")


@dataclass(frozen=True)
class _Tables:
    """Everything about a pair of rates that does not change; shared by all streams of the process."""

    up: int
    down: int
    taps: int
    "Input samples each output looks at."
    block: int
    "Inputs of a block, a multiple of `down`."
    phases: _Floats
    "(up, taps): coefficients of each phase, oldest sample first. Empty if `matrix` is used."
    matrix: _Floats
    "(taps - 1 + block, outputs of a block). Empty if `phases` is used."
    strides: tuple[int, int] | None
    "Bytes from block to block and from sample to sample in s16le. None if `phases` is used."
    piece: int
    "Inputs of a call that are worked off at once."
    spare: list[_WorkSpace]
    "Work spaces not in use: as many as threads were ever here at once."

    def keep(self, held: int) -> int:
        """Bytes of input to keep with *held* inputs of the period under way, as an index from the end."""
        # A look-up needs nothing of the period's beginning, and its periods are long.
        return -2 * (self.taps - 1 + (held if self.strides else 0))

    def outputs(self, inputs: int) -> int:
        """Outputs that are out after *inputs* from a beginning of a period on."""
        return -(-inputs * self.up // self.down)


class _Plan(NamedTuple):
    """How a work space is used for a call."""

    held: int
    "Inputs of the period under way afterwards."
    keep: int
    "Bytes of input to keep for the next call, as an index from the end."
    padding: bytes
    "Completes the last block: what is not there yet only enters outputs that are not due yet."
    windows: _Floats
    "What the outputs of each block look at, block by block."
    outputs: _Floats
    flat: _Floats
    "`outputs` in one dimension."
    samples: Samples
    first: int
    "The first of the outputs that is not out yet."
    last: int
    "The first of the outputs that is not due yet."


class _WorkSpace(dict[tuple[int, int], _Plan]):
    """Arrays for one call at a time, and how to use them.

    The key is the inputs of the period under way that are there already and the inputs that come. A plan is made
    when it is first asked for.
    """

    def __init__(self, tables: _Tables) -> None:
        super().__init__()
        width, outputs = tables.matrix.shape
        rows = tables.piece // tables.block + 1
        self._tables = tables
        self._windows: _Floats = np.zeros((rows, width))
        self._outputs: _Floats = np.zeros((rows, outputs))
        self._samples = np.zeros(rows * outputs, dtype=_INT16)

    def __missing__(self, key: tuple[int, int]) -> _Plan:
        tables = self._tables
        begin, total = key[0], sum(key)
        held = total % tables.down
        rows = -(-total // tables.block)
        outputs = self._outputs[:rows]
        flat = outputs.reshape(-1)
        if len(self) >= _MAX_PLANS:
            self.clear()
        plan = self[key] = _Plan(
            held,
            tables.keep(held),
            bytes(2 * (rows * tables.block - total)),
            self._windows[:rows],
            outputs,
            flat,
            self._samples[: len(flat)],
            tables.outputs(begin),
            tables.outputs(total),
        )
        return plan


class Resampler:
    """One stream of mono int16 samples from `in_rate` to `out_rate` (whole numbers, 8,000 to 48,000 Hz)."""

    def __init__(self, in_rate: int, out_rate: int) -> None:
        """Raise ValueError for a rate outside 8,000 to 48,000 Hz."""
        check_rate("in_rate", in_rate)
        check_rate("out_rate", out_rate)
        self.in_rate = in_rate
        self.out_rate = out_rate
        self.clips = 0
        "Output samples so far that had to be clipped to 16 bits."
        self._same = in_rate == out_rate
        self._tables = _tables(in_rate, out_rate)
        # s16le: what the next output may look at, and before that what begins the period under way.
        self._tail = b""
        self._held = 0
        "Samples of the period under way."
        self.clear()

    @property
    def delay(self) -> float:
        """Seconds by which the output lags behind the input: half the filter; 0 when the rates are equal."""
        return self._tables.taps / 2 / self.in_rate if not self._same else 0.0

    @property
    def history(self) -> int:
        """Input samples that can still influence the next output: what `prime` needs at least."""
        return max(0, self._tables.taps - 1)

    @property
    def period(self) -> int:
        """Input samples after which input and output grids coincide again (2 for 16 to 24 kHz)."""
        return self._tables.down

    def clear(self) -> None:
        """Forget the past, as if new; `clips` goes on counting."""
        self._tail = bytes(2 * self.history)
        self._held = 0

    def prime(self, samples: Samples) -> None:
        """Take *samples* as the past: like `process`, but nothing is computed and nothing comes out.

        To get the bits of an earlier run from a stream position on, give at least `history` samples before
        it (or all there are), beginning at a multiple of `period`.
        """
        if not self._same:
            self._known(samples.astype(_INT16).tobytes())

    def process(self, samples: Samples) -> Samples:
        """Convert *samples* (1-d int16, any length). Returns all outputs due, rounded and clipped."""
        return np.frombuffer(self.convert(samples.astype(_INT16).tobytes()), dtype=_INT16).astype(np.int16)

    def convert(self, pcm: bytes) -> bytes:
        """Like `process`, from and to s16le (whole samples, else ValueError)."""
        size = len(pcm)
        if size % 2:
            raise ValueError(f"pcm: {size} bytes given, s16le needs an even number")
        if self._same or not size:
            return pcm
        piece = 2 * self._tables.piece
        if size <= piece:
            return self._piece(pcm, size // 2)
        return b"".join([self.convert(pcm[i : i + piece]) for i in range(0, size, piece)])

    def _piece(self, pcm: bytes, count: int) -> bytes:
        tables = self._tables
        if not tables.strides:
            return self._looked_up(pcm, count)
        try:
            space = tables.spare.pop()
        except IndexError:
            space = _WorkSpace(tables)
        begin = self._held
        self._held, keep, padding, windows, outputs, flat, samples, first, last = space[begin, count]
        data = self._tail + pcm
        self._tail = data[keep:]
        if padding:
            data += padding
        # numpy checks that the view lies in the data. as_strided costs ten times as much.
        windows[...] = np.ndarray(windows.shape, _INT16, data, 0, tables.strides)
        windows.dot(tables.matrix, outputs)
        np.rint(flat, flat)
        # Methods, item by item: reduce would cost four times as much.
        if flat.item(flat.argmax()) > 32767 or flat.item(flat.argmin()) < -32768:
            self._clip(flat, first, last)
        samples[...] = flat
        wire = samples.tobytes()[2 * first : 2 * last]
        tables.spare.append(space)
        return wire

    def _looked_up(self, pcm: bytes, count: int) -> bytes:
        """Outputs due, each by its own window and phase."""
        tables, begin = self._tables, self._held
        times = np.arange(tables.outputs(begin), tables.outputs(begin + count)) * tables.down
        known = np.frombuffer(self._known(pcm), _INT16).astype(np.float64)
        shape = (len(known) - tables.taps + 1, tables.taps)
        windows: _Floats = np.ndarray(shape, known.dtype, known, 0, (known.itemsize, known.itemsize))
        result: _Floats = np.einsum("ij,ij->i", windows[times // tables.up - begin], tables.phases[times % tables.up])
        np.rint(result, result)
        self._clip(result, 0, len(result))
        return result.astype(_INT16).tobytes()

    def _known(self, pcm: bytes) -> bytes:
        """What was kept and *pcm*; from now on *pcm* is past."""
        data = self._tail + pcm
        self._held = (self._held + len(pcm) // 2) % self._tables.down
        self._tail = data[self._tables.keep(self._held) :]
        return data

    def _clip(self, values: _Floats, first: int, last: int) -> None:
        """Clip *values*; those from *first* to *last* go out and count."""
        due = values[first:last]
        self.clips += int(np.count_nonzero((due > 32767) | (due < -32768)))
        np.clip(values, -32768, 32767, out=values)


def check_rate(field: str, rate: int) -> None:
    """Raise ValueError, naming *field*, unless *rate* is an integer from 8,000 to 48,000 Hz."""
    if isinstance(rate, bool) or not isinstance(rate, int) or not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"{field}: {rate!r} given, must be a whole number of Hz from {MIN_RATE} to {MAX_RATE}")


@lru_cache(maxsize=32)
def _tables(in_rate: int, out_rate: int) -> _Tables:
    divisor = math.gcd(in_rate, out_rate)
    up, down = out_rate // divisor, in_rate // divisor
    none = np.zeros((0, 0))
    if up == down:
        return _Tables(1, 1, 1, 1, none, none, None, 0, [])
    taps = -(-_TAPS * max(in_rate, out_rate) // out_rate) if in_rate > out_rate else _TAPS
    phases = _phases(up, down, taps, min(1.0, out_rate / in_rate))
    # A power of two: the products of the linear algebra library are fastest with columns by the four or eight.
    periods = 1 << max(0, (_BLOCK // max(up, down)).bit_length() - 1)
    block, outputs = periods * down, periods * up
    coefficients = (taps - 1 + block) * outputs
    if coefficients > _MAX_MATRIX:
        return _Tables(up, down, taps, block, phases, none, None, _LOOK_UP_PIECE, [])
    matrix = np.zeros((taps - 1 + block, outputs))
    for output in range(outputs):
        newest, phase = divmod(output * down, up)
        matrix[newest : newest + taps, output] = phases[phase]
    matrix.setflags(write=False)
    # The samples held make one row more.
    rows = min(_MAX_ROWS, _MAX_PRODUCT // coefficients)
    return _Tables(up, down, taps, block, none, matrix, (2 * block, 2), (rows - 1) * block, [])


def _phases(up: int, down: int, taps: int, cutoff: float) -> _Floats:
    """(up, taps) windowed-sinc coefficients, oldest first; *cutoff* is relative to half the input rate."""
    # Phase p lies p / up behind the newest sample; the filter's centre lies taps / 2 before the output's
    # time.
    age = np.arange(taps - 1, -1, -1) + np.arange(up)[:, None] / up
    offset = age - taps / 2
    # Rates without a common divisor have millions of coefficients: the Bessel function is looked up, not
    # computed.
    grid = np.linspace(0, 1, 1 << 15)
    kaiser = np.i0(_KAISER_BETA * np.sqrt(1 - grid**2))
    phases = np.sinc(cutoff * offset) * np.interp(np.abs(2 * offset / taps), grid, kaiser)
    # Each phase passes a constant unchanged: without this the phases would differ by a hum at in_rate / up.
    phases /= phases.sum(axis=1, keepdims=True)
    phases = np.rint(phases * _GRID) / _GRID
    result: _Floats = phases
    result.setflags(write=False)
    return result
