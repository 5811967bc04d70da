"""All faults of one connection."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from ...realtime.messages import Json
from .faults_layer import Decoding, Layer, Link
from .faults_moments import Moment, Phase
from .vad import Samples, SpeechDetector
from .work import Abort, Outgoing


class Kill:
    """A cut that was ordered for the next moment of a kind, on whatever connection it comes."""

    def __init__(self, phase: Phase, number: int) -> None:
        self.phase = phase
        self.number = number
        "Of the cuts ordered from this server, from 1."
        self.connection: int | None = None
        "Which connection was cut, counted from 1."
        self.when: float | None = None
        "When, on the clock of `time.monotonic`."
        self._taken = False
        self._lock = threading.Lock()
        self._done = threading.Event()

    @property
    def happened(self) -> bool:
        """Whether it has been done."""
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Until it has been done, at most *timeout* seconds. Returns whether it has. Blocks the thread."""
        return self._done.wait(timeout)

    def cancel(self) -> bool:
        """Do not do it any more. Returns False if it is too late."""
        return self._take()

    @property
    def pending(self) -> bool:
        """Whether its moment is still awaited."""
        return not self._taken

    def strike(self, connection: int) -> bool:
        """Its moment has come on *connection*. Returns False if it has already been on another."""
        if not self._take():
            return False
        self.connection, self.when = connection, time.monotonic()
        self._done.set()
        return True

    def _take(self) -> bool:
        with self._lock:
            taken, self._taken = self._taken, True
        return not taken


class FaultStack:
    """The middleware that makes the faults of one connection; also its detector of speech, which may be deaf.

    Layers and kills may be added from any thread while it works.
    """

    def __init__(self, link: Link, layers: Iterable[Layer], kills: Callable[[], Iterable[Kill]] = tuple) -> None:
        """*kills*: those that are pending now."""
        self.link = link
        self._layers = tuple(layers)
        self._kills = kills
        self._moments: dict[Kill, Moment] = {}
        self._cut_at: float | None = None
        self._now = link.opened

    def add(self, layer: Layer) -> None:
        """One fault more, from now on."""
        self._layers = (*self._layers, layer)

    def calm(self) -> None:
        """No fault any more. What is held back goes out at its time."""
        for layer in self._layers:
            layer.ends = -math.inf

    # Middleware -----------------------------------------------------------------------------------------------

    def incoming(self, frame: bytes | str, now: float) -> Iterable[bytes | str]:
        """See `Middleware`."""
        self._now = now
        for kill, moment in self._pending():
            if moment.incoming(frame) and kill.strike(self.link.number):
                self._cut_at = now
                return ()
        frames: list[bytes | str] = [frame]
        for layer in self._layers:
            frames = [passed for given in frames for passed in layer.incoming(given, now)]
        return frames

    def outgoing(self, event: Json, now: float) -> Iterable[Outgoing]:
        """See `Middleware`."""
        if event["type"] in ("session.created", "session.updated"):
            self.link.audio_format = event["session"]["audio"]["input"]["format"]
        return self._pass_on(event, self._layers, now)

    def get_timer(self) -> float | None:
        """See `Middleware`."""
        timers = [layer.get_timer() for layer in self._layers]
        return min((timer for timer in (self._cut_at, *timers) if timer is not None), default=None)

    def handle_timer(self, now: float) -> Iterator[Outgoing]:
        """See `Middleware`."""
        if self._cut_at is not None:
            self._cut_at = None
            yield Abort()
        layers = self._layers
        for index, layer in enumerate(layers):
            when = layer.get_timer()
            if when is not None and when <= now:
                for entry in layer.handle_timer(now):
                    yield from self._pass_on(entry, layers[index + 1 :], now)

    def _pass_on(self, entry: Outgoing, layers: tuple[Layer, ...], now: float) -> Iterator[Outgoing]:
        if not isinstance(entry, dict):
            yield entry
        elif layers:
            for passed in layers[0].outgoing(entry, now):
                yield from self._pass_on(passed, layers[1:], now)
        else:
            yield from self._killed(entry) or (entry,)

    def _killed(self, event: Json) -> Iterable[Outgoing]:
        """What goes out instead of *event* if this is the moment of a kill."""
        for kill, moment in self._pending():
            instead = moment.outgoing(event)
            if instead is not None and kill.strike(self.link.number):
                return instead
        return ()

    def _pending(self) -> list[tuple[Kill, Moment]]:
        known = self._moments
        self._moments = {
            kill: known.get(kill) or Moment(kill.phase, self.link, self.link.random(("kill", kill.number)))
            for kill in self._kills()
            if kill.pending
        }
        return list(self._moments.items())

    # Hearing --------------------------------------------------------------------------------------------------

    def detector(self, detector: SpeechDetector) -> SpeechDetector:
        """*detector*, but deaf while a fault says so."""
        return _Detector(detector, self._deaf)

    def decoding(self, now: float) -> Decoding | None:
        """How fast a recogniser may hear; None: as fast as it can."""
        limits = [limit for limit in (layer.decoding(now) for layer in self._layers) if limit is not None]
        if not limits:
            return None
        return Decoding(min(limit.speed for limit in limits), any(limit.commit_loses_undecoded for limit in limits))

    def _deaf(self) -> bool:
        return any(layer.deaf(self._now) for layer in self._layers)


class _Detector:
    def __init__(self, detector: SpeechDetector, deaf: Callable[[], bool]) -> None:
        self._detector = detector
        self._deaf = deaf

    def probability(self, window: Samples) -> float:
        """See `SpeechDetector`."""
        return 0.0 if self._deaf() else self._detector.probability(window)
