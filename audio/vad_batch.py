"""Windows of many streams judged in few calls: first by their level, then what is left by the model, together.

Nothing here knows of time. Streams with whole windows are added, and every `step` takes one window of each of up to
`MAX_TOGETHER` of them. What a stream makes of its windows does not depend on when, or with whom, they are judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

from .edges import BlockPowers, Powers
from .vad import MAX_TOGETHER, Samples, SpeechDetector

WINDOW = 512
"Samples of a window."


class Stream(Protocol):
    """A stream that is told about its windows, in order; `turns.TurnDetector` is one."""

    @property
    def detector(self) -> SpeechDetector:
        """The model, in this stream's state."""
        ...

    @property
    def waiting(self) -> int:
        """Whole windows that are not judged."""
        ...

    @property
    def asks(self) -> bool:
        """Whether the due window has been measured and the model must hear it."""
        ...

    def window(self, before: int) -> Samples:
        """The due window, with so many samples *before* it."""
        ...

    def measured(self, powers: Powers, loudest: float) -> None:
        """Take the powers of the due window's blocks, and that of the loudest."""
        ...

    def judged(self, probability: float) -> None:
        """Take the model's answer to the due window."""
        ...

    def failed(self, error: Exception) -> None:
        """The model raised *error* on the due window. It must not be asked again."""
        ...


class WindowBatch:
    """The streams of one thread that have windows to be judged."""

    def __init__(self, size: int | None = None) -> None:
        """A step takes up to *size* windows, `MAX_TOGETHER` unless it is less."""
        self._size = MAX_TOGETHER if size is None else min(size, MAX_TOGETHER)
        self._waiting: dict[Stream, None] = {}
        self._powers = BlockPowers(self._size, WINDOW)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, stream: Stream) -> None:
        """*stream* has windows to be judged; adding it twice is adding it once."""
        self._waiting[stream] = None

    def discard(self, stream: Stream) -> None:
        """*stream* has no more, or is no longer of interest."""
        self._waiting.pop(stream, None)

    def step(self) -> list[Stream]:
        """Judge one window of each that has waited longest; returns them. Who has more goes on waiting behind all."""
        streams = list(islice(self._waiting, self._size))
        for stream in streams:
            del self._waiting[stream]
        self.judge(streams)
        for stream in streams:
            if stream.waiting:
                self._waiting[stream] = None
        return streams

    def judge(self, streams: Sequence[Stream]) -> None:
        """Judge the due window of each of *streams*, which all have one, `size` of them at most."""
        self._measure([stream for stream in streams if not stream.asks])
        asking: dict[type[SpeechDetector], list[Stream]] = {}
        for stream in streams:
            if stream.asks:
                asking.setdefault(type(stream.detector), []).append(stream)
        for those in asking.values():
            _ask(those)

    def _measure(self, streams: Sequence[Stream]) -> None:
        if not streams:
            return
        rows = self._powers.rows
        for number, stream in enumerate(streams):
            rows[number] = stream.window(1)
        powers = self._powers.measure(len(streams))
        for stream, of_window, loudest in zip(streams, powers, powers[:, 0].max(axis=1).tolist(), strict=True):
            stream.measured(of_window, loudest)


def context_of(detector: SpeechDetector) -> int:
    """Samples that *detector* wants to hear again before each window."""
    return getattr(detector, "context", 0)


def probabilities(detectors: Sequence[SpeechDetector], windows: Sequence[Samples]) -> list[float]:
    """What detectors of one kind say of their next *windows*, each behind its context; together if they can."""
    together: Any = getattr(detectors[0], "together", None)
    if together is not None:
        return list(together(detectors, windows))
    return [detector.probability(window) for detector, window in zip(detectors, windows, strict=True)]


def _ask(streams: Sequence[Stream]) -> None:
    """Tell *streams*, whose detectors are of one kind, what the model says; who makes it fail fails alone."""
    context = context_of(streams[0].detector)
    try:
        answers = probabilities([one.detector for one in streams], [one.window(context) for one in streams])
    except Exception as error:  # a model may raise anything
        if len(streams) == 1:
            streams[0].failed(error)
        else:
            for stream in streams:
                _ask([stream])
        return
    for stream, probability in zip(streams, answers, strict=True):
        stream.judged(probability)
