"""From the vendor's clock, which counts what was sent, to the caller's, which counts what was said."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class AudioTimelineEventType(Enum):
    USER_AUDIO = 0
    SILENCE_AUDIO = 1
    DROPPED_AUDIO = 2


class AudioTimeline:
    """Spans of audio in the order they happened; all times are milliseconds.

    The vendor's time advances over user audio and inserted silence, the caller's over user audio and audio that was
    dropped before it was sent.
    """

    def __init__(self, error_cb: Callable[[str], None] | None = None) -> None:
        self._error_cb = error_cb
        self._events: list[tuple[AudioTimelineEventType, int]] = []
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._events = []
        self.total_user_audio_duration = 0
        self.total_silence_audio_duration = 0
        self.total_dropped_audio_duration = 0

    def add_user_audio(self, duration_ms: int) -> None:
        if self._add(AudioTimelineEventType.USER_AUDIO, duration_ms):
            self.total_user_audio_duration += duration_ms

    def add_silence_audio(self, duration_ms: int) -> None:
        if self._add(AudioTimelineEventType.SILENCE_AUDIO, duration_ms):
            self.total_silence_audio_duration += duration_ms

    def add_dropped_audio(self, duration_ms: int) -> None:
        if self._add(AudioTimelineEventType.DROPPED_AUDIO, duration_ms):
            self.total_dropped_audio_duration += duration_ms

    def get_total_user_audio_duration(self) -> int:
        """Return the caller's time: user plus dropped."""
        return self.total_user_audio_duration + self.total_dropped_audio_duration

    def get_audio_duration_before_time(self, time_ms: int) -> int:
        """Return the caller's time at the vendor's *time_ms*; a time outside the stream is reported and clamped."""
        sent = self.total_user_audio_duration + self.total_silence_audio_duration
        if time_ms < 0:
            self._report(f"requested time {time_ms} ms is negative")
            return 0
        if time_ms > sent:
            self._report(f"requested time {time_ms} ms is beyond the {sent} ms that were sent")
            return self.get_total_user_audio_duration()
        vendor = caller = 0
        for kind, duration in self._events:
            if kind is AudioTimelineEventType.DROPPED_AUDIO:
                # Checked before the span is counted, yet leading drops count even for time 0.
                if vendor >= time_ms and vendor > 0:
                    break
                caller += duration
                continue
            if vendor >= time_ms:
                break
            part = min(duration, time_ms - vendor)
            vendor += part
            if kind is AudioTimelineEventType.USER_AUDIO:
                caller += part
        return caller

    def _add(self, kind: AudioTimelineEventType, duration_ms: int) -> bool:
        if duration_ms <= 0:
            return False
        if self._events and self._events[-1][0] is kind:
            self._events[-1] = (kind, self._events[-1][1] + duration_ms)
        else:
            self._events.append((kind, duration_ms))
        return True

    def _report(self, message: str) -> None:
        if self._error_cb is not None:
            self._error_cb(message)
