"""One recording of a page: a graph with our extension, its way to the server, and what came out so far."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

from ..transcription.formats import FORMATS
from ..transcription.graphs import TranscriptionGraph
from ..transcription.job import Received
from ..transcription.last_words import FINALIZE_MS, QUIET_S
from ..transcription.live import LiveGraph, Update
from ..transcription.transcript import Transcript
from .relay import Relay

SETTINGS: Mapping[str, frozenset[str]] = {
    "input_audio_transcription": frozenset({"model", "language", "prompt", "keywords", "delay"}),
    "turn_detection": frozenset(
        {"type", "threshold", "prefix_padding_ms", "silence_duration_ms", "min_speech_ms", "eagerness"}
    ),
    "input_audio_noise_reduction": frozenset({"type"}),
}
"""What a page may set: the fields of its form. The rest is where audio and keys go, and that is the business of whoever
started the playground."""
MIN_RATE, MAX_RATE = 8_000, 48_000
"What the extension takes (its property sample_rate)."
MAX_SETTING = 64 * 1024
"Characters of one setting: of a prompt, or of all keywords."
AHEAD_MS = 10_000
"Audio that a page may send before the graph has taken it; then the page waits."
# Starts and stops block: two at a time for each page that may be open.
_THREADS = concurrent.futures.ThreadPoolExecutor(16, thread_name_prefix="playground")

EXPORTS = {
    "txt": ("text", "text/plain"),
    "srt": ("srt", "application/x-subrip"),
    "vtt": ("vtt", "text/vtt"),
    "json": ("verbose_json", "application/json"),
}
"By a file's ending: the format and the media type."


class WrongRequest(ValueError):
    """What the page asks makes no sense; the message says what would."""


class TooLarge(WrongRequest):
    """A setting of a size that nobody means; a server may end its connection for it."""


def check_settings(settings: Any, name: str) -> dict[str, Any]:
    """*settings* if a page may set that. Raises WrongRequest; whether the values can work is the extension's to say."""
    if not isinstance(settings, dict):
        raise WrongRequest(f"{name}: an object is needed, such as {{'turn_detection': {{'type': 'auto'}}}}")
    for section, values in settings.items():
        if section not in SETTINGS:
            raise WrongRequest(f"{name}.{section}: a page may set {', '.join(SETTINGS)}")
        if not isinstance(values, dict):
            raise WrongRequest(f"{name}.{section}: an object is needed")
        for key, value in values.items():
            if key not in SETTINGS[section]:
                raise WrongRequest(f"{name}.{section}.{key}: a page may set {', '.join(sorted(SETTINGS[section]))}")
            _check_value(value, f"{name}.{section}.{key}")
    return settings


def _check_value(value: Any, name: str) -> None:
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, (list, dict)) for item in items):
        raise WrongRequest(f"{name}: a text, a number or a list of texts is needed")
    size = sum(len(str(item)) for item in items)
    if size > MAX_SETTING:
        raise TooLarge(f"{name}: {size} characters given, at most {MAX_SETTING} are taken")


class Recording:
    """From the start of a microphone or file to its stop. Belongs to the event loop that makes it.

    *take* is called in that loop with it and each message of the extension, *relay* is None if there is no way to cut.
    """

    def __init__(
        self,
        graph: TranscriptionGraph,
        relay: Relay | None,
        *,
        sample_rate: Any,
        settings: dict[str, Any],
        take: Callable[[Recording, Received], None],
    ) -> None:
        if not isinstance(sample_rate, int) or isinstance(sample_rate, bool) or not MIN_RATE <= sample_rate <= MAX_RATE:
            raise WrongRequest(f"sample_rate: {sample_rate!r} given, must be {MIN_RATE} to {MAX_RATE} Hz")
        self.transcript = Transcript("live", 0)
        self.shortfall: str | None = None
        "Once stopped: what went wrong, if the graph ended by itself or its transcript has a gap, in sentences."
        self._graph = copy.deepcopy(graph)
        self._graph.set_param("finalize_timeout_ms", FINALIZE_MS)
        for section, values in settings.items():
            for key, value in values.items():
                self._graph.set_param(f"{section}.{key}", value)
        self._relay = relay
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._sample_rate = sample_rate
        self._samples = 0
        self._accepted_ms = 0
        self._closing: asyncio.Future[None] | None = None
        self._hurried = False
        self._live: LiveGraph | None = None

    async def start(self) -> str:
        """Start the graph; returns the session id in the metadata of its results."""
        if self._relay is not None:
            await self._relay.start()
            self._graph.set_param("proxy", self._relay.url)
        self._live = LiveGraph(self._graph, take=self._heard, sample_rate=self._sample_rate)
        await self._loop.run_in_executor(_THREADS, self._live.start)
        return self._live.session_id

    async def stop(self, *, last_words: bool) -> None:
        """End it all; with *last_words* what was said last gets its text before, as long as that comes.

        It goes on to its end when whoever waits for it is cancelled, and a second call without *last_words* hurries it.
        """
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(last_words))
        elif not last_words and self._live is not None:
            self._hurried = True
            self._live.hurry()
        await asyncio.shield(self._closing)

    async def _close(self, last_words: bool) -> None:
        try:
            if self._live is not None:
                came = last_words and await self._wait_for_last_words(self._live)
                waited = last_words and not self._hurried
                failed, lost_ms = self.problem or self._given_up, self._lost_ms
                await self._loop.run_in_executor(_THREADS, self._live.stop)
                # What the stop itself gives up is no news to whoever did not want to wait for it.
                self._sum_up(failed, missing=waited and not came, lost_ms=self._lost_ms if waited else lost_ms)
                if not (came or self.shortfall):
                    self.transcript.problem = "The last words were not waited for."
        finally:
            if self._relay is not None:
                await self._relay.stop()

    async def _wait_for_last_words(self, live: LiveGraph) -> bool:
        # No word comes through a cut that somebody has made: the wait for the first begins behind it.
        deaf_s = self._relay.out_s if self._relay is not None else 0.0
        return await self._loop.run_in_executor(_THREADS, functools.partial(live.finish, QUIET_S, deaf_s=deaf_s))

    def _sum_up(self, failed: str | None, *, missing: bool, lost_ms: int) -> None:
        gaps = [f"The last words did not come within {QUIET_S:g} s."] if missing else []
        if lost_ms:
            gaps.append(f"{lost_ms / 1000:.1f} s of the audio could not be transcribed.")
        self.shortfall = self.transcript.problem = failed or " ".join(gaps) or None

    @property
    def _given_up(self) -> str | None:
        """What the recogniser said when it gave up."""
        error = self.transcript.fatal_error
        return None if error is None else str(error.get("message", ""))

    @property
    def _lost_ms(self) -> int:
        return int(self.transcript.vendor_metrics.get("lost_ms", 0))

    @property
    def problem(self) -> str | None:
        """Why the graph has ended by itself."""
        return self._live.problem if self._live is not None else None

    async def push(self, pcm: bytes) -> None:
        """Send s16le mono; waits while the graph has not taken `AHEAD_MS`. Raises WrongRequest for half samples."""
        if self._live is None or self._closing is not None:
            return
        try:
            self._live.push(pcm)
        except ValueError as error:
            raise WrongRequest(str(error)) from None
        self._samples += len(pcm) // 2
        self.transcript.duration_ms = 1000 * self._samples // self._sample_rate
        while self.transcript.duration_ms - self._accepted_ms > AHEAD_MS and not (self.problem or self._closing):
            await asyncio.sleep(0.02)

    def finalize(self) -> None:
        """Ask for all text so far."""
        if self._live is not None:
            self._live.finalize()

    def cut(self, seconds: float) -> int:
        """Cut the connection, for *seconds*; how many there were."""
        return 0 if self._relay is None else self._relay.cut(seconds)

    async def update(self, params: dict[str, Any]) -> Update:
        """Change settings while it runs."""
        assert self._live is not None
        return await asyncio.shield(asyncio.wrap_future(self._live.update(params)))

    def export(self, ending: Any) -> dict[str, str]:
        """The transcript so far as a file. Raises WrongRequest for a format that there is not."""
        if not isinstance(ending, str) or ending not in EXPORTS:
            raise WrongRequest(f"format: {ending!r} given, must be one of {', '.join(EXPORTS)}")
        name, media_type = EXPORTS[ending]
        content = FORMATS[name](self.transcript)
        return {"format": ending, "name": f"transcript.{ending}", "media_type": media_type, "content": content}

    def _heard(self, message: Received) -> None:
        """In a thread of the graph."""
        with contextlib.suppress(RuntimeError):  # the loop has ended: so has everybody who would listen
            self._loop.call_soon_threadsafe(self._heard_here, message)

    def _heard_here(self, message: Received) -> None:
        self.transcript.take(message)
        self._accepted_ms = self.transcript.vendor_metrics.get("accepted_ms", 0)
        self._take(self, message)
