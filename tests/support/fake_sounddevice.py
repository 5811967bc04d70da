"""A `sounddevice` without PortAudio: devices a test names, and a stream that does what the test says.

    fake = FakeSoundDevice([microphone("USB Mic")])
    fake.hears = lambda stream: stream.give(pcm)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)

Only what the command line uses is there, with the names, arguments and errors of the real one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

BLOCK_MS = 20


class PortAudioError(Exception):
    """What the real one raises."""


def microphone(name: str, *, inputs: int = 1, rate: float = 16_000.0, hostapi: int = 0) -> dict[str, Any]:
    """An entry of `query_devices`."""
    return {"name": name, "hostapi": hostapi, "max_input_channels": inputs, "default_samplerate": rate}


class FakeStream:
    """A RawInputStream. A thread runs the test's function from `start` on."""

    def __init__(self, fake: FakeSoundDevice, **options: Any) -> None:
        self.options = options
        self.closing = threading.Event()
        self._active = False
        self._gone = False
        self._fake = fake
        self._thread: threading.Thread | None = None

    @property
    def active(self) -> bool:
        if self._gone:
            raise PortAudioError("Error checking stream [PaErrorCode -9986]")
        return self._active

    def start(self) -> None:
        if self._fake.start_error is not None:
            raise PortAudioError(self._fake.start_error)
        self._active = True
        self._thread = threading.Thread(target=self._fake.hears, args=(self,), name="fake-portaudio")
        self._thread.start()

    def close(self) -> None:
        self.closing.set()
        if self._thread is not None:
            self._thread.join()
        self._fake.closed += 1

    def give(self, pcm: bytes, *, overflow: bool = False) -> None:
        """Deliver *pcm* in blocks, at once; the first is flagged if sound was dropped before it."""
        size = self.options["blocksize"] * 2 * self.options["channels"]
        for begin in range(0, len(pcm) - size + 1, size):
            # A buffer of PortAudio's, which it uses again: whoever keeps it and not its content hears nonsense.
            buffer = bytearray(pcm[begin : begin + size])
            status = SimpleNamespace(input_overflow=overflow and not begin)
            self.options["callback"](memoryview(buffer), self.options["blocksize"], None, status)
            buffer[:] = b"\x55" * size

    def end(self) -> None:
        """Be inactive: what PortAudio makes of an error while it records."""
        self._active = False

    def vanish(self) -> None:
        """Be gone: every question is an error."""
        self._gone = True


class FakeSoundDevice(ModuleType):
    """The module."""

    PortAudioError = PortAudioError

    def __init__(self, devices: Sequence[dict[str, Any]], default: int = 0) -> None:
        super().__init__("sounddevice")
        self._devices = [{**device, "index": number} for number, device in enumerate(devices)]
        self.default = SimpleNamespace(device=[default, -1])
        self.hears: Callable[[FakeStream], object] = lambda stream: stream.closing.wait(30)
        self.open_error: dict[int, str] = {}
        "By number of channels."
        self.start_error: str | None = None
        self.streams: list[FakeStream] = []
        self.closed = 0

    def query_devices(self) -> list[dict[str, Any]]:
        return self._devices

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA"}, {"name": "JACK"}]

    def RawInputStream(self, **options: Any) -> FakeStream:
        if options["channels"] in self.open_error:
            raise PortAudioError(self.open_error[options["channels"]])
        self.streams.append(FakeStream(self, **options))
        return self.streams[-1]
