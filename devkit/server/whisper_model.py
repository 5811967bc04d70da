"""A Whisper model for faster-whisper: found in a folder, in the hub's cache or on the hub, and loaded."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .recognizers import RecognizerUnavailable

REMEDY = "install it with: pip install 'openai_asr_python[whisper]'"
_NEEDED = ("model.bin", "config.json", "tokenizer.json", "vocabulary.*")
"""What a model's folder must hold. Without tokenizer.json faster-whisper would ask the hub for another model's, and
without config.json words have no times."""
_HUB_SECONDS = 5.0

_log = logging.getLogger("openai_asr.server.whisper")


class WhisperModel(Protocol):
    """The part of `faster_whisper.WhisperModel` that is used here."""

    @property
    def supported_languages(self) -> list[str]:
        """ISO-639-1 codes, mostly."""
        ...

    def detect_language(self, audio: npt.NDArray[np.float32]) -> tuple[str, float, list[tuple[str, float]]]:
        """The most likely language, how likely it is, and the same for every language."""
        ...

    def transcribe(self, audio: npt.NDArray[np.float32], **options: Any) -> tuple[Iterable[Any], Any]:
        """Segments, which are decoded while they are asked for, and what is known of the whole."""
        ...


def load_model(model_path: str, *, decoders: int, threads: int) -> WhisperModel:
    """The model that *model_path* means: a folder, a name such as `small`, or one of the hub's, `owner/name`.

    Blocks for as long as fetching and loading take. *decoders*: decodes that may run at once; *threads*: cores each of
    them uses. Raises RecognizerUnavailable with what to do about it.
    """
    if importlib.util.find_spec("faster_whisper") is None:
        raise RecognizerUnavailable(f"recognizer: faster-whisper is not installed; {REMEDY}")
    import faster_whisper

    folder = Path(model_path).expanduser()
    if not folder.is_dir():
        folder = _fetched(model_path)
    missing = _missing(folder)
    if missing:
        raise RecognizerUnavailable(
            f"model_path: the folder {folder} has no {', no '.join(missing)}: give the folder of a Whisper model that "
            "was converted for CTranslate2"
        )
    try:
        model: WhisperModel = faster_whisper.WhisperModel(
            str(folder), device="auto", compute_type="auto", cpu_threads=threads, num_workers=decoders
        )
    except Exception as error:  # CTranslate2, tokenizers and the reader of JSON have no error in common
        raise RecognizerUnavailable(f"model_path: the model in {folder} cannot be loaded ({_reason(error)})") from None
    return model


def _missing(folder: Path) -> list[str]:
    return [name for name in _NEEDED if not any(folder.glob(name))]


def _fetched(name: str) -> Path:
    """The folder of the model called *name*, from the hub's cache if it is there, else from the hub."""
    from faster_whisper.utils import available_models, download_model
    from huggingface_hub import constants, get_session

    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1:
        raise RecognizerUnavailable(f"model_path: there is no folder {name}")
    if "/" not in name and name not in available_models():
        known = ", ".join(available_models())
        raise RecognizerUnavailable(f"model_path: {name} is no folder and no model's name, which would be: {known}")
    try:
        folder = Path(download_model(name, local_files_only=True))
        if not _missing(folder):
            return folder
    except OSError:
        pass  # not in the cache
    _log.info("fetching the model %s", name)
    try:
        # The hub's client waits for its first answer without a limit; whether there is a hub can be found out with one.
        get_session().head(constants.ENDPOINT, timeout=_HUB_SECONDS)
        return Path(download_model(name))
    except Exception as error:  # the hub's client and its HTTP library have no error in common
        raise RecognizerUnavailable(
            f"model_path: the model {name} is not on this disk and cannot be fetched ({_reason(error)}); fetch it "
            "where there is a network, and give its folder"
        ) from None


def _reason(error: Exception) -> str:
    """The first line of what *error* says."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return text.removeprefix("Got: ").rstrip(".") or type(error).__name__
