"""Loads the local detector's model in a thread: some 70 ms that no event loop should spend."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future

from .audio import vad

log = logging.getLogger(__name__)

_lock = threading.Lock()
_loading: Future[None] | None = None


def load_in_background(*, again: bool = False) -> Future[None]:
    """Load the model, once for the process, unless that is under way; done when it is there or cannot be loaded.

    *again*: also when it could not be loaded before.
    No daemon thread: a process that ends under the runtime's feet is aborted by it.
    """
    global _loading
    with _lock:
        if _loading is None or (_loading.done() and (again or not vad.settled())):
            _loading = Future()
            threading.Thread(target=_load, args=(_loading,), name="openai-asr-vad", daemon=False).start()
        return _loading


def is_loading() -> bool:
    """Whether that is under way."""
    return _loading is not None and not _loading.done()


def _load(done: Future[None]) -> None:
    try:
        vad.load(again=True)
        vad.warm_up()
    except Exception as error:  # the first window to be judged meets it again, and tells
        log.debug("the model could not be loaded: %s", type(error).__name__)
    finally:
        done.set_result(None)
