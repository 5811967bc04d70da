"""A Whisper model for faster-whisper: found in a folder, in the hub's cache or on the hub, and loaded."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .recognizers import RecognizerUnavailable
from .vad import RATE

REMEDY = "install it with: pip install 'openai_asr_python[whisper]'"
_NEEDED = ("model.bin", "config.json", "tokenizer.json", "vocabulary.*")
"""What a model's folder must hold. Without tokenizer.json faster-whisper would ask the hub for another model's, and
without config.json words have no times."""
_HUB_SECONDS = 5.0
_FETCHER = Path(__file__).with_name("whisper_fetch.py")

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


async def load_model(model_path: str, pool: Executor, *, decoders: int, threads: int) -> WhisperModel:
    """The model that *model_path* means: a folder, a name such as `small`, or one of the hub's, `owner/name`.

    *pool*: where what blocks is done. *decoders*: decodes that may run at once; *threads*: cores each of them uses.
    Raises RecognizerUnavailable with what to do about it. Cancelling it ends a download.
    """
    loop = asyncio.get_running_loop()
    folder = await loop.run_in_executor(pool, _at_hand, model_path)
    if folder is None:
        folder = await _fetched(model_path)
    return await loop.run_in_executor(pool, _loaded, folder, decoders, threads)


def _at_hand(model_path: str) -> Path | None:
    """The folder, or the model's folder in the hub's cache; None for a name that has to be fetched."""
    if importlib.util.find_spec("faster_whisper") is None:
        raise RecognizerUnavailable(f"recognizer: faster-whisper is not installed; {REMEDY}")
    try:
        from faster_whisper.utils import available_models, download_model
    except (ImportError, OSError) as error:  # what it is built on is not made for this machine
        raise RecognizerUnavailable(
            f"recognizer: faster-whisper does not work here ({_reason(error)}); {REMEDY}"
        ) from None

    folder = Path(model_path).expanduser()
    if folder.is_dir():
        return folder
    if model_path.startswith((".", "/", "~")) or "\\" in model_path or model_path.count("/") > 1:
        raise RecognizerUnavailable(f"model_path: there is no folder {model_path}")
    if "/" not in model_path and model_path not in available_models():
        known = ", ".join(available_models())
        raise RecognizerUnavailable(
            f"model_path: {model_path} is no folder and no model's name, which would be: {known}"
        )
    try:
        cached = Path(download_model(model_path, local_files_only=True))
    except OSError:
        return None
    except ValueError:  # the hub's client has rules for names
        raise RecognizerUnavailable(
            f"model_path: there is no folder {model_path}, and no model of the hub can have that name"
        ) from None
    return None if _missing(cached) else cached


async def _fetched(name: str) -> Path:
    """The folder of the model called *name*, from the hub."""
    _log.info("fetching the model %s", name)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_FETCHER),
        name,
        str(_HUB_SECONDS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # a terminal's Ctrl-C is for us
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    told = output.decode(errors="replace").strip().rpartition("\n")[2]
    if process.returncode != 0:
        raise RecognizerUnavailable(
            f"model_path: the model {name} is not on this disk and cannot be fetched ({told or 'it was ended'}); fetch "
            "it where there is a network, and give its folder"
        )
    return Path(told)


def _missing(folder: Path) -> list[str]:
    return [name for name in _NEEDED if not any(folder.glob(name))]


def _loaded(folder: Path, decoders: int, threads: int) -> WhisperModel:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as in audio/vad.py
    import faster_whisper

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
    try:
        # Half a second of silence. What a graphics card needs is looked for at the first decode, not before.
        segments, _ = model.transcribe(
            np.zeros(RATE // 2, np.float32), without_timestamps=True, temperature=0.0, max_new_tokens=1
        )
        list(segments)
    except Exception as error:
        raise RecognizerUnavailable(
            f"model_path: the model in {folder} loads but cannot decode ({_reason(error)}); a graphics card needs "
            "cuBLAS and cuDNN: install them, or set CUDA_VISIBLE_DEVICES=-1 to use the processor"
        ) from None
    return model


def _reason(error: Exception) -> str:
    """The first line of what *error* says."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
