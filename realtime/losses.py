"""Lost audio, told in stretches: one report per cause and place, not one per sample, frame or word."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from .events import AudioLost, Event

GROWING = frozenset({"window_exceeded", "not_answered", "fatal"})
"Causes of loss that go on from frame to frame: reported in stretches of seconds."
FATAL = "fatal"
"After a fatal error everything is lost, and that was said: the first loss is told, the rest when it has an end."
STRETCH_MS = 5000
PAUSE_MS = 300
"Lost speech with pauses no longer than this in it is one loss."


class Losses:
    """Gathers what is lost, and tells it."""

    def __init__(self, ms: Callable[[int], int], emit: Callable[[Event], None]) -> None:
        """*ms*: milliseconds of the caller's audio before a position."""
        self._ms = ms
        self._emit = emit
        self._loss: AudioLost | None = None
        self._grew = False
        self._fatal_told = False
        self._samples = 0
        "Lost so far, told or not."

    def report_loss(self, start: int, end: int, cause: str, samples: int) -> None:
        """*samples* of the audio of [start, end) are lost; the rest of it are pauses."""
        start_ms, end_ms = self._ms(start), self._ms(end)
        before_ms = self._ms(self._samples)
        self._samples += samples
        lost_ms = self._ms(self._samples) - before_ms
        loss, self._grew = self._loss, True
        joins = loss is not None and 0 <= start_ms - loss.start_ms <= loss.duration_ms + PAUSE_MS
        if loss and loss.cause == cause and (joins or cause == FATAL):
            duration_ms = max(end_ms - loss.start_ms, loss.duration_ms)
            self._loss = replace(loss, duration_ms=duration_ms, lost_ms=loss.lost_ms + lost_ms)
            if duration_ms >= STRETCH_MS:
                self.flush()
            return
        if loss is not None:
            self.finish()
        self._loss = AudioLost(start_ms, max(1, end_ms - start_ms), cause, lost_ms)

    def grows_at(self, position: int) -> bool:
        """Whether audio lost from *position* on would go on with the stretch that is being gathered."""
        loss = self._loss
        return loss is not None and self._ms(position) - (loss.start_ms + loss.duration_ms) in (-1, 0, 1)

    def next_frame(self) -> None:
        """Called for every frame: tell the loss that was gathered unless it grew since the last call."""
        if not self._grew:
            self.flush()
        self._grew = False

    def flush(self, *, keep_growing: bool = False) -> None:
        """Tell what was gathered; *keep_growing* leaves a loss that grows frame by frame."""
        loss = self._loss
        if loss is None or (keep_growing and loss.cause in GROWING) or (loss.cause == FATAL and self._fatal_told):
            return
        self._fatal_told = loss.cause == FATAL
        self._emit(loss)
        self._loss = None

    def finish(self) -> None:
        """Tell what is left: the stream ends, or goes on after a fatal error."""
        self._fatal_told = False
        self.flush()
