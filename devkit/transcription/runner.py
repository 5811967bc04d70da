"""Runs one recording through a graph on the embedded host and follows it to its end."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from ..host.app import Host
from .destination import encoding_of_frames
from .graphs import TranscriptionGraph
from .job import FinalizeSent, Happening, Job, Received, SourceFailed
from .nodes import SINK_ADDON, SOURCE_ADDON, FileSource, TranscriptSink
from .patience import Patience
from .transcript import Segment, Transcript

LOST_S = 30.0
"Time for a server that was reached and went away."
ANSWER_GRACE_S = 5.0
"The extension answers a finalize by its own deadline, which is --timeout; this much later nobody will."
_POLL_S = 0.2


class Watcher(Protocol):
    """Whoever shows how it is going."""

    def update(self, transcript: Transcript) -> None:
        """Something new is in *transcript*."""

    def setback(self, message: str) -> None:
        """The extension reported an error and goes on."""


class Follower:
    """Takes a job's happenings until it is over, or until nobody can be expected to finish it."""

    def __init__(self, job: Job, transcript: Transcript, timeout_s: float, watcher: Watcher) -> None:
        self._job = job
        self._transcript = transcript
        self._timeout_s = timeout_s
        self._watcher = watcher
        self._asked_at: float | None = None
        self._heard_at = time.monotonic()
        self._patience = Patience(transcript, LOST_S)
        self._source_problem: str | None = None

    def follow(self, graph_ended: threading.Event) -> str | None:
        """Return once the finalize is answered or will not be: what went wrong, as a sentence, or None."""
        while True:
            over = graph_ended.is_set()
            problem = self._drain(_POLL_S)
            if problem is not None:
                return problem
            if self._transcript.finalized:
                return self._source_problem
            if over:
                return "the graph ended before the audio was transcribed"
            problem = self._overdue(time.monotonic())
            if problem is not None:
                return problem

    def take_the_rest(self) -> None:
        """What came while the graph was stopped: last metrics, and complaints about being stopped."""
        with contextlib.suppress(queue.Empty):
            while True:
                happening = self._job.happenings.get_nowait()
                if isinstance(happening, Received):
                    self._transcript.take(happening)

    def _drain(self, wait_s: float) -> str | None:
        """Take what has happened, waiting up to *wait_s* for the first; return what makes going on useless."""
        problem = None
        with contextlib.suppress(queue.Empty):
            happening = self._job.happenings.get(timeout=wait_s)
            problem = self._take(happening)
            while problem is None and not self._transcript.finalized:
                problem = self._take(self._job.happenings.get_nowait())
        self._watcher.update(self._transcript)
        return problem

    def _take(self, happening: Happening) -> str | None:
        now = time.monotonic()
        if isinstance(happening, FinalizeSent):
            self._asked_at = now
        elif isinstance(happening, SourceFailed):
            self._source_problem = happening.message
        elif isinstance(happening, Received):
            self._heard_at = now
            self._transcript.take(happening)
            problem = self._patience.take(happening, now)
            if problem is None and happening.name == "error":
                self._watcher.setback(str(happening.payload.get("message", "")))
            return problem
        return None

    def _overdue(self, now: float) -> str | None:
        problem = self._patience.exhausted(now)
        if problem is not None:
            return problem
        if self._asked_at is not None:
            if now - max(self._asked_at, self._heard_at) > self._timeout_s + ANSWER_GRACE_S:
                return f"no answer for {self._timeout_s:g} s after the last audio: give it more with --timeout"
        elif now - self._heard_at > self._timeout_s:
            return f"no word from the recogniser for {self._timeout_s:g} s: give it more with --timeout"
        return None


def run_job(graph: TranscriptionGraph, job: Job, *, timeout_s: float, watcher: Watcher) -> tuple[Transcript, bool]:
    """Send *job*'s recording through *graph*; return what came out, and whether the user interrupted it.

    `Transcript.problem` says what went wrong, if anything did.
    """
    transcript = Transcript(job.audio.name, job.audio.duration_ms)
    follower = Follower(job, transcript, timeout_s, watcher)
    host = Host(
        graph.app_property(),
        addons={
            SOURCE_ADDON: functools.partial(FileSource.of_job, job, encoding_of_frames(graph)),
            SINK_ADDON: functools.partial(TranscriptSink.handing_to, job.happenings.put),
        },
    )
    interrupted = False
    unfinished: list[Segment] = []
    with running(host) as (ended, errors):
        try:
            transcript.problem = follower.follow(ended)
        except KeyboardInterrupt:
            interrupted = True
            # Now, because stopping withdraws what has no final.
            unfinished = list(transcript.partials.values())
    follower.take_the_rest()
    if errors:
        transcript.problem = f"the graph failed: {errors[0]}"
    elif not interrupted and transcript.problem is None:
        transcript.problem = transcript.shortfall()
    transcript.keep(unfinished)
    return transcript, interrupted


@contextlib.contextmanager
def running(host: Host) -> Iterator[tuple[threading.Event, list[Exception]]]:
    """*host* running in a thread: the event of its end, and a list that holds then what went wrong."""
    ended = threading.Event()
    errors: list[Exception] = []

    def run() -> None:
        try:
            host.run().raise_for_error()
        except Exception as error:
            errors.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="openai-asr-graph", daemon=True)
    thread.start()
    try:
        yield ended, errors
    finally:
        host.stop()
        thread.join()
