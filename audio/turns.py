"""Local turns: when somebody began to speak and when they finished, in positions of the caller's own stream.

The model (`vad.SpeechDetector`) decides whether there is speech, with the hysteresis its authors recommend:
speech from `threshold` on, no more below `threshold - 0.15`. `edges.EdgeFinder` finds where exactly. Time is
counted in audio, never by a clock. A turn is reported once it is certain, so none is ever withdrawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .edges import BLOCK, EdgeFinder
from .resample import Resampler, check_rate
from .vad import SAMPLE_RATE, SpeechDetector

_HYSTERESIS = 0.15
# Speech too short to be believed is forgotten after this much silence.
_FORGET = SAMPLE_RATE * 160 // 1000
# The model goes on hearing speech for up to 128 ms; the silence may be that much longer than it says.
_HANGOVER = SAMPLE_RATE * 128 // 1000
_HISTORY = SAMPLE_RATE * 2
# The model need not be asked about windows in which no 4 ms block reaches this (-60 dBFS), once it has heard
# as many in a row as bring it to rest.
_SILENT_DB = 30.0
_BREATH_DB = 46.0
"A window this far below the loudest of its turn is no speech, whatever the model says of such noise."
_SILENT_WINDOWS = 10


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
        self.rate = rate
        self._detector = detector
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
        self._recent: npt.NDArray[np.int16] = np.zeros(0, dtype=np.int16)
        self._newest = 0
        self._judged = 0
        self._barrier = 0
        self._silent_windows = 0
        self._forget_speech()

    def tune(self, *, threshold: float, silence_duration_ms: int, min_speech_ms: int, prefix_padding_ms: int) -> None:
        """Go by other numbers from the next sample on, in the middle of a turn too. ValueError names a bad one."""
        _check_range("threshold", threshold, 0.0, 1.0)
        _check_range("silence_duration_ms", silence_duration_ms, 0, 60_000)
        _check_range("min_speech_ms", min_speech_ms, 0, 10_000)
        _check_range("prefix_padding_ms", prefix_padding_ms, 0, 60_000)
        self._threshold = threshold
        self._low = max(threshold - _HYSTERESIS, 0.01)
        self._silence = SAMPLE_RATE * silence_duration_ms // 1000
        self._needed = max(1, -(-SAMPLE_RATE * min_speech_ms // 1000 // self._detector.window))
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
        if len(pcm) % 2:
            raise ValueError(f"pcm: {len(pcm)} bytes given, s16le needs an even number")
        samples = np.frombuffer(pcm, dtype="<i2")
        self._taken += len(samples)
        samples = self._resampler.process(samples)
        self._newest += len(samples)
        self._recent = np.concatenate((self._recent, samples))
        events = self._judge()
        self._recent = self._recent[-_HISTORY:]
        return events

    def close(self, position: int) -> list[TurnEvent]:
        """Cut the stream at *position*: no turn reaches across it.

        An open turn ends at the end of its speech, at the latest at the cut. Speech not yet confirmed is
        reported as started and ended. What follows the cut begins anew: if speech goes on, a new turn
        starts. Audio after the cut that was already taken (at most 2 s of it) is judged again, so the list
        may also hold that start. A turn that began after the cut stays as it is.
        """
        position = min(max(position, self._not_before), self.position)
        cut = min(max(self._inward(position), self._barrier), self._newest)
        if self._open:
            after_cut = self._onset_position >= position
        else:
            after_cut = self._heard is not None and self._heard >= cut
        if not after_cut:
            self._hear_rest(cut)
        events: list[TurnEvent] = []
        cuts_speech = self._heard is not None and not after_cut
        if cuts_speech and not self._open:
            events.append(self._begin_turn(position))
        if cuts_speech:
            events.append(self._end_turn(self._speech_end(cut), position))
        self._barrier, self._not_before = cut, position
        if not cuts_speech:
            return []
        self._judged = max(cut, self._newest - len(self._recent))
        self._edges.restart(self._judged)
        return events + self._judge()

    def reset(self) -> None:
        """Forget all that was heard, an open turn too (without an event). Positions go on counting."""
        self._start = self._not_before = self.position
        self._taken = self._newest = self._judged = self._barrier = self._silent_windows = 0
        self._recent = self._recent[:0]
        self._resampler.clear()
        self._detector.reset()
        self._edges.restart(0)
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

    def _judge(self) -> list[TurnEvent]:
        """Put every whole window that was not yet judged to the model."""
        events: list[TurnEvent] = []
        size = self._detector.window
        while self._newest - self._judged >= size:
            window = self._audio(self._judged, self._judged + size)
            level = self._edges.add(window)
            self._silent_windows = self._silent_windows + 1 if level < _SILENT_DB else 0
            resting = self._heard is None and self._silent_windows > _SILENT_WINDOWS
            probability = 0.0 if resting else self._detector.probability(window)
            begin, self._judged = self._judged, self._judged + size
            self._note(probability, level, begin)
            if not self._open and self._speech_windows >= self._needed:
                events.append(self._begin_turn(self.position))
            if self._quiet_since is not None:
                events += self._after_speech(self._quiet_since)
        return events

    def _note(self, probability: float, level: float, begin: int) -> None:
        """Count one window that starts at *begin*."""
        breath = self._heard is not None and level < self._peak - _BREATH_DB
        if probability >= self._threshold and not breath:
            if self._heard is None:
                self._heard = begin
            self._speech_windows += 1
            self._quiet_since = None
        elif self._heard is not None and (probability < self._low or breath) and self._quiet_since is None:
            self._quiet_since = begin
        if self._heard is not None:
            self._peak = max(self._peak, level)

    def _after_speech(self, quiet_since: int) -> list[TurnEvent]:
        """End the turn if its silence has lasted long enough; forget speech that came to nothing."""
        if not self._open:
            if self._judged - quiet_since >= _FORGET:
                self._forget_speech()
            return []
        if self._judged - quiet_since < max(self._silence - _HANGOVER, 2 * self._detector.window):
            return []
        end = self._speech_end(self._judged)
        return [self._end_turn(end, self.position)] if self._judged - end >= self._silence else []

    def _hear_rest(self, cut: int) -> None:
        """Listen to what lies between the last whole window and *cut*."""
        rest = cut - self._judged
        size = self._detector.window
        if rest <= 0:
            return
        if self._heard is None:
            if rest < size // 4 or len(self._recent) - (self._newest - cut) < size:
                return
            # The model takes whole windows only; one that overlaps what it knows is better than zeros.
            if self._detector.probability(self._audio(cut - size, cut)) < self._threshold:
                return
            self._heard = self._judged
        whole = self._judged + rest // BLOCK * BLOCK
        if whole > self._judged:
            self._peak = max(self._peak, self._edges.add(self._audio(self._judged, whole)))

    def _begin_turn(self, latest: int) -> TurnStarted:
        assert self._heard is not None
        self._open = True
        until = self._heard + 2 * self._detector.window
        self._onset = self._edges.onset(self._heard, until, self._peak, self._barrier)
        self._onset_position = max(min(self._outward(self._onset), latest - 1), self._not_before)
        return TurnStarted(self._onset_position, max(self._onset_position - self._padding, self._not_before))

    def _speech_end(self, latest: int) -> int:
        """Where the speech of the turn ended, as far as is known at *latest*."""
        silent = latest if self._quiet_since is None else min(self._quiet_since, latest)
        return max(self._edges.end(silent, self._peak, latest), self._onset)

    def _end_turn(self, end: int, latest: int) -> TurnEnded:
        position = min(max(self._outward(end), self._onset_position + 1), latest)
        self._barrier, self._not_before = end, position
        self._forget_speech()
        return TurnEnded(position)

    def _audio(self, begin: int, end: int) -> npt.NDArray[np.int16]:
        oldest = self._newest - len(self._recent)
        return self._recent[begin - oldest : end - oldest]

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
