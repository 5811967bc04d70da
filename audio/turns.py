"""Local turns: when somebody began to speak and when they finished, in positions of the caller's own stream.

The model (`vad.SpeechDetector`) decides whether there is speech, with the hysteresis its authors recommend:
speech from `threshold` on, no more below `threshold - 0.15`. `edges.EdgeFinder` finds where exactly. Time is
counted in audio, never by a clock. A turn is reported once it is certain, so none is ever withdrawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .edges import BLOCK, BlockPowers, EdgeFinder, Powers, decibels
from .resample import Resampler, check_rate
from .vad import SAMPLE_RATE, SpeechDetector
from .vad_batch import WINDOW, WindowBatch, context_of, probabilities

_HYSTERESIS = 0.15
# Speech too short to be believed is forgotten after this much silence.
_FORGET = SAMPLE_RATE * 160 // 1000
# The model goes on hearing speech for up to 128 ms; the silence may be that much longer than it says.
_HANGOVER = SAMPLE_RATE * 128 // 1000
_HISTORY = SAMPLE_RATE * 2
_ROOM = SAMPLE_RATE // 2
"Samples taken before old ones are moved out of the way."
_BEFORE = 64
"Samples of context a window may ask for."
_SIZE = _BEFORE + _HISTORY + _ROOM
# The model need not hear windows in which no block of 4 ms reaches -60 dBFS or comes within 40 dB of the loudest of
# the last turn (before the first turn -66 dBFS: the caller may be faint), once it has heard enough of them in a row to
# be at rest. When sound comes back, it first hears again what was just before. Found by comparing turns with those of
# every window heard, in noise of many kinds: bench/vad_turns.py.
_SILENT = 10 ** (30 / 10)
_SILENT_AT_FIRST = 10 ** (24 / 10)
_FAR_BELOW = 10 ** (-40 / 10)
_SILENT_WINDOWS = 30
_RUN_IN = 4
_PIECE = 2 * _ROOM
"Bytes taken at a time by who judges them at once."
_MAYBE = 10 ** (36 / 10)
"What counts as speech if the model fails (-54 dBFS, as in `level`): too much rather than too little."
_BREATH = 10 ** (-46 / 10)
"A window this far below the loudest of its turn is no speech, whatever the model says of such noise."


@dataclass(frozen=True)
class TurnStarted:
    """Speech is certain, and began at `position`."""

    position: int
    "True onset, without padding."
    audio_start: int
    "`position` less the prefix padding, but not before the end of the turn or the cut before it."


@dataclass(frozen=True)
class TurnEnded:
    """The turn is over: `silence_duration_ms` have passed since `position`, or it was cut."""

    position: int
    "True end of speech, without padding; the cut itself if speech went on."


TurnEvent = TurnStarted | TurnEnded


class TurnDetector:
    """Turns in one stream of s16le mono at `rate`. Positions count its samples."""

    def __init__(
        self,
        rate: int,
        detector: SpeechDetector,
        *,
        threshold: float = 0.5,
        silence_duration_ms: int = 800,
        min_speech_ms: int = 96,
        prefix_padding_ms: int = 300,
        position: int = 0,
    ) -> None:
        """*position* is that of the first sample to come. ValueError names a value that cannot work."""
        check_rate("rate", rate)
        if detector.window != WINDOW:
            raise ValueError(f"detector: takes windows of {detector.window} samples, must be {WINDOW}")
        self.rate = rate
        self.detector = detector
        "The model, in this stream's state."
        self.failure: Exception | None = None
        "What the model raised, if it did; from then on what is not plainly quiet counts as speech."
        self._edges = EdgeFinder(_HISTORY)
        self.tune(
            threshold=threshold,
            silence_duration_ms=silence_duration_ms,
            min_speech_ms=min_speech_ms,
            prefix_padding_ms=prefix_padding_ms,
        )
        self._start = position
        self._resampler = Resampler(rate, SAMPLE_RATE)
        self._taken = 0
        # End of the last turn, or the last cut: no turn begins before it. The filter's delay makes
        # `_barrier` vague.
        self._not_before = position
        # All below are samples at 16 kHz, counted from the first one taken.
        self._buffer: npt.NDArray[np.int16] = np.zeros(_SIZE, dtype=np.int16)
        self._alone: WindowBatch | None = None
        self._begin_at_zero()
        self._forget_speech()

    def _begin_at_zero(self) -> None:
        self._buffer[:_BEFORE] = 0
        self._oldest = -_BEFORE
        "The first sample of the buffer."
        self._newest = 0
        self._judged = 0
        self._barrier = 0
        self._model_at = 0
        "Up to where the model has heard; behind `_judged` if silence was not put to it."
        self._silent_windows = 0
        self._silent = _SILENT_AT_FIRST
        self._events: list[TurnEvent] = []
        self.asks = False
        "Whether the next window has been measured and the model must hear what `window` gives."
        self._loudest = 0.0

    def tune(self, *, threshold: float, silence_duration_ms: int, min_speech_ms: int, prefix_padding_ms: int) -> None:
        """Go by other numbers from the next sample on, in the middle of a turn too. ValueError names a bad one."""
        _check_range("threshold", threshold, 0.0, 1.0)
        _check_range("silence_duration_ms", silence_duration_ms, 0, 60_000)
        _check_range("min_speech_ms", min_speech_ms, 0, 10_000)
        _check_range("prefix_padding_ms", prefix_padding_ms, 0, 60_000)
        self._threshold = threshold
        self._low = max(threshold - _HYSTERESIS, 0.01)
        self._silence = SAMPLE_RATE * silence_duration_ms // 1000
        self._needed = max(1, -(-SAMPLE_RATE * min_speech_ms // 1000 // WINDOW))
        self._padding = self.rate * prefix_padding_ms // 1000
        longest = max(self._silence, SAMPLE_RATE * min_speech_ms // 1000)
        self._edges.remember(longest + _HANGOVER + _HISTORY)

    @property
    def open(self) -> bool:
        """Whether a turn has started and not ended."""
        return self._open

    @property
    def position(self) -> int:
        """Position of the next sample to come."""
        return self._start + self._taken

    def process(self, pcm: bytes) -> list[TurnEvent]:
        """Take the next samples (s16le, whole, else ValueError); returns what became certain with them."""
        for begin in range(0, len(pcm), _PIECE):
            self.take(pcm[begin : begin + _PIECE])
            self._judge_alone()
        return self.events()

    def take(self, pcm: bytes) -> None:
        """Take the next samples (s16le, whole, else ValueError) and judge them later: by `judge`, or in a batch."""
        if len(pcm) % 2:
            raise ValueError(f"pcm: {len(pcm)} bytes given, s16le needs an even number")
        samples = np.frombuffer(pcm, dtype="<i2")
        self._taken += len(samples)
        if self.rate != SAMPLE_RATE:
            samples = self._resampler.process(samples)
        begin = self._newest - self._oldest
        if begin + len(samples) > len(self._buffer):
            begin = self._make_room(len(samples))
        self._buffer[begin : begin + len(samples)] = samples
        self._newest += len(samples)

    def judge(self) -> list[TurnEvent]:
        """Judge every whole window that waits; returns what became certain, and nobody was told yet."""
        self._judge_alone()
        return self.events()

    def _judge_alone(self) -> None:
        while self.waiting:
            if self._alone is None:
                self._alone = WindowBatch(1)
            self._alone.judge((self,))

    @property
    def has_events(self) -> bool:
        """Whether `events` returns any."""
        return bool(self._events)

    def events(self) -> list[TurnEvent]:
        """What became certain since this was last asked."""
        events, self._events = self._events, []
        return events

    def close(self, position: int) -> list[TurnEvent]:
        """Cut the stream at *position*: no turn reaches across it.

        An open turn ends at the end of its speech, at the latest at the cut. Speech not yet confirmed is
        reported as started and ended. What follows the cut begins anew: if speech goes on, a new turn
        starts. Audio after the cut that was already taken (at most 2 s of it) is judged again, so the list
        may also hold that start. A turn that began after the cut stays as it is. What waits is judged first.
        """
        events = self.judge()
        position = min(max(position, self._not_before), self.position)
        cut = min(max(self._inward(position), self._barrier), self._newest)
        if self._open:
            after_cut = self._onset_position >= position
        else:
            after_cut = self._heard is not None and self._heard >= cut
        if not after_cut:
            self._hear_rest(cut)
        cuts_speech = self._heard is not None and not after_cut
        if cuts_speech and not self._open:
            events.append(self._begin_turn(position))
        if cuts_speech:
            events.append(self._end_turn(self._speech_end(cut), position))
        self._barrier, self._not_before = cut, position
        if not cuts_speech:
            return events
        self._judged = self._model_at = max(cut, self._newest - _HISTORY)
        self._edges.restart(self._judged)
        return events + self.judge()

    def reset(self) -> None:
        """Forget all that was heard, an open turn too (without an event). Positions go on counting."""
        self._start = self._not_before = self.position
        self._taken = 0
        self._resampler.clear()
        self.detector.reset()
        self._edges.restart(0)
        self._begin_at_zero()
        self._forget_speech()

    def _forget_speech(self) -> None:
        self._open = False
        # Start of the first window with speech, how many such windows, and where speech stopped, if it did.
        self._heard: int | None = None
        self._speech_windows = 0
        self._quiet_since: int | None = None
        self._peak = 0.0
        self._onset = 0
        self._onset_position = 0

    # What a batch of windows wants to know, and tells: see `vad_batch.Stream` -------------------------------

    @property
    def waiting(self) -> int:
        """Whole windows that are not judged."""
        return (self._newest - self._judged) // WINDOW

    def window(self, before: int) -> npt.NDArray[np.int16]:
        """The window to be measured or, if it `asks`, heard by the model, with so many samples *before* it."""
        begin = (self._model_at if self.asks else self._judged) - self._oldest
        return self._buffer[begin - before : begin + WINDOW]

    def measured(self, powers: Powers, loudest: float) -> None:
        """Take the block powers of the window; ask the model about it, or know without."""
        self._edges.add(powers)
        self._silent_windows = self._silent_windows + 1 if loudest < self._silent else 0
        self._loudest = loudest
        if self.failure is not None:
            self._note(float(loudest >= _MAYBE))
        elif self._silent_windows > _SILENT_WINDOWS and (self._heard is None or self._quiet_since is not None):
            self._note(0.0)
        else:
            self.asks = True
            self._model_at = max(self._model_at, self._judged - _RUN_IN * WINDOW)

    def judged(self, probability: float) -> None:
        """Take what the model says of the window it was given; only the newest counts."""
        self._model_at += WINDOW
        if self._model_at > self._judged:
            self.asks = False
            self._note(probability)

    def failed(self, error: Exception) -> None:
        """The model raised *error*; go by levels from now on."""
        self.failure = error
        self.asks = False
        self._note(float(self._loudest >= _MAYBE))

    def _note(self, probability: float) -> None:
        """Count the window that was measured last."""
        begin, level = self._judged, self._loudest
        self._judged += WINDOW
        breath = self._heard is not None and level < self._peak * _BREATH
        if probability >= self._threshold and not breath:
            if self._heard is None:
                self._heard = begin
            self._speech_windows += 1
            self._quiet_since = None
        elif self._heard is not None and (probability < self._low or breath) and self._quiet_since is None:
            self._quiet_since = begin
        if self._heard is None:
            return
        self._peak = max(self._peak, level)
        if self._open:
            self._silent = min(_SILENT, self._peak * _FAR_BELOW)
        if not self._open and self._speech_windows >= self._needed:
            self._events.append(self._begin_turn(self.position))
        if self._quiet_since is not None:
            self._after_speech(self._quiet_since)

    def _after_speech(self, quiet_since: int) -> None:
        """End the turn if its silence has lasted long enough; forget speech that came to nothing."""
        if not self._open:
            if self._judged - quiet_since >= _FORGET:
                self._forget_speech()
        elif self._judged - quiet_since >= max(self._silence - _HANGOVER, 2 * WINDOW):
            end = self._speech_end(self._judged)
            if self._judged - end >= self._silence:
                self._events.append(self._end_turn(end, self.position))

    def _hear_rest(self, cut: int) -> None:
        """Listen to what lies between the last whole window and *cut*."""
        rest = cut - self._judged
        if rest <= 0:
            return
        if self._heard is None:
            if rest < WINDOW // 4 or cut - WINDOW < max(self._newest - _HISTORY, 0):
                return
            # The model takes whole windows only; one that overlaps what it knows is better than zeros.
            if not self._is_speech(cut):
                return
            self._heard = self._judged
        if rest >= BLOCK:
            levels = BlockPowers(1, WINDOW)
            levels.rows[0, : 1 + rest] = self._audio(self._judged - 1, cut)
            powers = levels.measure(1)[0, :, : rest // BLOCK]
            self._edges.add(powers)
            self._peak = max(self._peak, float(powers[0].max()))

    def _is_speech(self, end: int) -> bool:
        """What the model says of the window up to *end*, out of turn."""
        if self.failure is None:
            try:
                window = self._audio(end - WINDOW - context_of(self.detector), end)
                return probabilities([self.detector], [window])[0] >= self._threshold
            except Exception as error:  # a model may raise anything
                self.failure = error
        return bool(np.abs(self._audio(end - WINDOW, end).astype(np.float32)).max() ** 2 >= _MAYBE)

    def _begin_turn(self, latest: int) -> TurnStarted:
        assert self._heard is not None
        self._open = True
        until = self._heard + 2 * WINDOW
        self._onset = self._edges.onset(self._heard, until, decibels(self._peak), self._barrier)
        self._onset_position = max(min(self._outward(self._onset), latest - 1), self._not_before)
        return TurnStarted(self._onset_position, max(self._onset_position - self._padding, self._not_before))

    def _speech_end(self, latest: int) -> int:
        """Where the speech of the turn ended, as far as is known at *latest*."""
        silent = latest if self._quiet_since is None else min(self._quiet_since, latest)
        return max(self._edges.end(silent, decibels(self._peak), latest), self._onset)

    def _end_turn(self, end: int, latest: int) -> TurnEnded:
        position = min(max(self._outward(end), self._onset_position + 1), latest)
        self._barrier, self._not_before = end, position
        self._forget_speech()
        return TurnEnded(position)

    def _audio(self, begin: int, end: int) -> npt.NDArray[np.int16]:
        return self._buffer[begin - self._oldest : end - self._oldest]

    def _make_room(self, more: int) -> int:
        """Let go of what nobody can ask for, so that there is room for *more* samples; returns where."""
        keep = max(min(self._newest - _HISTORY, self._judged - _RUN_IN * WINDOW) - _BEFORE, self._oldest)
        kept = self._buffer[keep - self._oldest : self._newest - self._oldest]
        room = max(_SIZE, len(kept) + more)  # larger only while much waits
        buffer = self._buffer if room == len(self._buffer) else np.empty(room, dtype=np.int16)
        buffer[: len(kept)] = kept
        self._buffer, self._oldest = buffer, keep
        return len(kept)

    def _inward(self, position: int) -> int:
        """Sample at 16 kHz that sounds like the stream's at *position*."""
        return round(((position - self._start) / self.rate + self._resampler.delay) * SAMPLE_RATE)

    def _outward(self, sample: int) -> int:
        """Position in the stream of a sample at 16 kHz; never outside of what was taken."""
        position = self._start + round((sample / SAMPLE_RATE - self._resampler.delay) * self.rate)
        return min(max(position, self._start), self.position)


def _check_range(field: str, value: float, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{field}: {value!r} given, must be a number from {least:g} to {most:g}")
