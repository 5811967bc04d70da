"""Calls in which minutes pass in a moment: the extension, its client, the tester and a local server on one clock.

    with fast_calls(), run_in_thread(recognizer="scripted") as server:
        call = run_call(node(server.url), scenario)

See `shared_time.py` for how time passes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

from shared_time import SharedClock, shared_time
from ten_packages.extension.openai_asr_python.connect_limit import SharedLimiter
from ten_packages.extension.openai_asr_python.devkit.server import app
from ten_packages.extension.openai_asr_python.extension import OpenAIASRExtension
from ten_packages.extension.openai_asr_python.openai_asr_client import OpenAIASRClient


@contextlib.contextmanager
def fast_calls() -> Iterator[SharedClock]:
    """Everything that is started in here goes by the clock, which stands still until the first extension starts."""
    with shared_time() as clock:
        clock.hold()
        start = OpenAIASRExtension.on_start

        def started(*args: Any) -> Any:
            clock.release()
            return start(*args)

        # A limiter of its own: the process's would find time going backwards afterwards.
        defaults = {"clock": clock.now, "limiter": SharedLimiter()}
        with (
            mock.patch.dict(OpenAIASRClient.__init__.__kwdefaults__, defaults),
            mock.patch.object(OpenAIASRExtension, "on_start", started),
            mock.patch.object(app, "time", SimpleNamespace(monotonic=clock.now, time=time.time)),
        ):
            yield clock
