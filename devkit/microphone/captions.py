"""Sound from a device through a graph with our extension, and its words to the screen and to files as they come."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from typing import Protocol

from ..transcription.graphs import TranscriptionGraph
from ..transcription.job import Received
from ..transcription.last_words import FINALIZE_MS, QUIET_S, LastWords
from ..transcription.live import LiveGraph
from ..transcription.nodes import METRICS
from ..transcription.patience import Patience
from ..transcription.transcript import Transcript
from .device import Device
from .feed import Feed
from .output import OutputFile
from .screen import Screen

SILENCE_MS = 5_000
"Of nothing but zeros, before it is told."
OVERFLOWS_EVERY_S = 10.0
"Dropped sound is told at most so often."
POLL_S = 0.1
"How often device, files and the changing line are looked after."


class Teller(Protocol):
    """Whoever tells the user what is no caption."""

    def notice(self, message: str) -> None:
        """Something worth knowing."""

    def setback(self, message: str) -> None:
        """Something went wrong, and it goes on."""


class Captions:
    """One recording, from its beginning to its last words. All but `stop` is for one thread."""

    def __init__(self, device: Device, screen: Screen, outputs: Sequence[OutputFile], teller: Teller) -> None:
        self.transcript = Transcript(device.name, 1)
        self.feed: Feed | None = None
        "Of the device, once it has started."
        self._device = device
        self._screen = screen
        self._outputs = outputs
        self._teller = teller
        # None: something else has happened, look for it.
        self._arrivals: queue.SimpleQueue[Received | None] = queue.SimpleQueue()
        self._stop = False
        self._patience = Patience(self.transcript, None)
        self._last_words = LastWords()
        self._draining = False
        self._broke_off = False
        self._silence_told = False
        self._overflows_told, self._overflows_told_at = 0, float("-inf")

    def stop(self) -> None:
        """End the recording; `run` returns when its last words are there. From any thread or signal handler."""
        self._stop = True
        self._arrivals.put(None)

    def run(self, graph: TranscriptionGraph, *, seconds: float | None = None) -> str | None:
        """Record until `stop`, the device's end, or *seconds* of audio: why the captions are not complete, or None.

        Raises CommandError when the device does not start.
        """
        graph.set_param("finalize_timeout_ms", FINALIZE_MS)
        try:
            for output in self._outputs:
                self._warn(output.update(self.transcript, time.monotonic()))
            problem = self._run(graph, seconds)
        finally:  # also a second Ctrl-C's, whatever it fell into
            self._keep_what_was_shown()
            self._screen.close()
            for output in self._outputs:
                self._warn(output.update(self.transcript, time.monotonic(), last=True))
        return problem or self._shortfall()

    def _run(self, graph: TranscriptionGraph, seconds: float | None) -> str | None:
        device = self._device
        live = LiveGraph(graph, take=self._arrivals.put, sample_rate=device.sample_rate, channels=device.channels)
        with live:
            self.feed = feed = Feed(live.push, device.sample_rate, device.channels, seconds=seconds)
            problem = live.problem
            if problem is None:
                try:
                    device.start(feed.take)
                    problem = self._record(live, feed)
                finally:
                    device.stop()
                    self.transcript.duration_ms = max(1, round(feed.audio_ms))
            if problem is None:
                problem = self._drain(live, feed)
        self._take_the_last_numbers()
        return problem

    def _record(self, live: LiveGraph, feed: Feed) -> str | None:
        while not self._stop and not self._device.over and not feed.full:
            problem = self._step(live, feed)
            if problem is not None:
                return problem
            trouble = self._device.trouble(time.monotonic())
            if trouble is not None:
                # Told at once; what was said before is worth waiting for.
                self._setback(trouble)
                self._broke_off = True
                break
        return None

    def _drain(self, live: LiveGraph, feed: Feed) -> str | None:
        """Wait for the words of all audio so far: what went wrong, or None."""
        self._notice("Waiting for the last words; Ctrl-C ends it at once.")
        self._draining = True
        self._last_words.ask(live.finalize(), time.monotonic(), quiet_s=QUIET_S)
        problem = None
        while not problem and self._last_words.awaited(time.monotonic()):
            problem = self._step(live, feed)
        return problem

    def _keep_what_was_shown(self) -> None:
        """Words that nobody will finish are not taken back."""
        if self.feed is not None and not self._last_words.all_here:
            shown = len(self.transcript.finals)
            self.transcript.keep(self.transcript.partials.values())
            self.transcript.partials.clear()
            self._print_finals(shown, self.feed, time.monotonic())

    def _step(self, live: LiveGraph, feed: Feed) -> str | None:
        """Take what has come, waiting a moment for the first; return what makes going on useless."""
        problem = None
        message = None
        try:
            message = self._arrivals.get(timeout=POLL_S)
            while problem is None:
                if message is not None:
                    problem = self._take(message, feed)
                if self._last_words.all_here:
                    break
                message = self._arrivals.get_nowait()
        except queue.Empty:
            pass
        now = time.monotonic()
        self._look_around(feed, now)
        self._screen.show(self._line(now))
        return problem or live.problem or self._patience.exhausted(now)

    def _take(self, message: Received, feed: Feed) -> str | None:
        now = time.monotonic()
        finals = len(self.transcript.finals)
        offline_s, reached = self._patience.offline_s(now), self.transcript.connected
        self.transcript.take(message)
        self._last_words.take(message, now)
        problem = self._patience.take(message, now)
        if message.name == "error" and problem is None:
            self._setback(str(message.payload.get("message", "")))
        if reached and offline_s is not None and self._patience.offline_s(now) is None:
            self._notice(f"Connected again after {offline_s:.1f} s.")
        self._print_finals(finals, feed, now)
        return problem

    def _print_finals(self, first: int, feed: Feed, now: float) -> None:
        """Print the finals from number *first* on and write them to the files."""
        for final in self.transcript.finals[first:]:
            if "partial" not in final.asr_info:
                feed.final(final.end_ms, now)
            self._screen.final(final.start_ms, final.text)
        if len(self.transcript.finals) > first:
            self.transcript.duration_ms = max(1, round(feed.audio_ms))
            for output in self._outputs:
                self._warn(output.update(self.transcript, now))

    def _look_around(self, feed: Feed, now: float) -> None:
        for output in self._outputs:
            self._warn(output.tick(self.transcript, now))
        if feed.silent_ms >= SILENCE_MS and not self._silence_told:
            self._silence_told = True
            self._setback(
                f"nothing but silence from {self._device.name}: is it muted, or is the terminal not allowed to use "
                "the microphone?"
            )
        overflows = self._device.overflows
        if overflows > self._overflows_told and now - self._overflows_told_at >= OVERFLOWS_EVERY_S:
            self._overflows_told, self._overflows_told_at = overflows, now
            self._setback(
                f"{self._device.name} dropped sound, as this machine was too busy to take it ({overflows} x)."
            )

    def _line(self, now: float) -> str:
        """What the changing line says: the state if it is not as it should be, and the text of all open turns."""
        heard = " ".join(partial.text for partial in self.transcript.partials.values() if partial.text)
        if not self.transcript.connected:
            return f"[connecting] {heard}"
        if self._patience.offline_s(now) is None:
            return heard or ("" if self._draining else "listening")
        kept_ms = int(self.transcript.vendor_metrics.get("unsettled_ms", 0))
        return f"[reconnecting, {kept_ms / 1000:.1f} s kept] {heard}"

    def _take_the_last_numbers(self) -> None:
        """The metrics that come while the graph stops; not its complaints about being stopped."""
        while not self._arrivals.empty():
            message = self._arrivals.get()
            if message is not None and message.name == METRICS:
                self.transcript.take(message)

    def _shortfall(self) -> str | None:
        """Why the captions are not complete though nothing else went wrong; None when they are."""
        transcript = self.transcript
        if self._broke_off:
            return f"the captions end at {transcript.duration_ms / 1000:.1f} s, where {self._device.name} failed."
        if not self._last_words.all_here:
            return f"the last words did not come within {QUIET_S:g} s."
        lost_ms = int(transcript.vendor_metrics.get("lost_ms", 0))
        if lost_ms:
            return f"{lost_ms / 1000:.1f} s of the audio could not be transcribed."
        return next((output.problem for output in self._outputs if output.problem), None)

    def _notice(self, message: str) -> None:
        with self._screen.above():
            self._teller.notice(message)

    def _setback(self, message: str) -> None:
        with self._screen.above():
            self._teller.setback(message)

    def _warn(self, problem: str | None) -> None:
        if problem is not None:
            self._setback(f"{problem} The captions go on.")
