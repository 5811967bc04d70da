"""Microphones, by PortAudio: which there are, which is meant, and one that delivers what it hears."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from typing import Any

from ..transcription.audio_input import MAX_RATE, MIN_RATE
from ..transcription.failure import CommandError, wrong_use
from .device import BLOCK_MS, Deliver

STALLED_S = 3.0
"A running device that delivers nothing for so long is gone: not every system says so when one is unplugged."
_NOT_LOOKED_S = 1.0
"Whoever looks more seldom than this was suspended itself, with its devices."


def sounddevice() -> Any:
    """The module of that name. Raises CommandError with what to install if it or PortAudio is missing."""
    try:
        return importlib.import_module("sounddevice")
    except ImportError:
        raise CommandError(
            "the Python package 'sounddevice' is not installed, and a microphone needs it: "
            "pip install 'openai_asr_python[mic]'"
        ) from None
    except OSError as error:  # what it says when its library is not there
        raise CommandError(
            f"the library PortAudio cannot be loaded ({str(error).rstrip('.')}): install it with "
            "apt-get install libportaudio2 (Debian, Ubuntu), dnf install portaudio (Fedora) or "
            "brew install portaudio (macOS)."
        ) from None


@dataclass(frozen=True)
class InputInfo:
    """A device that can record."""

    number: int
    name: str
    system: str
    "PortAudio's host API: ALSA, Core Audio, Windows WASAPI."
    channels: int
    sample_rate: float
    "Its default."
    is_default: bool

    def __str__(self) -> str:
        kind = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        mark = "*" if self.is_default else " "
        return f"{mark} {self.number:3d}  {self.name} ({self.system}), {kind}, {self.sample_rate:g} Hz"


def input_devices() -> list[InputInfo]:
    """Every device that can record. Raises CommandError when there is none."""
    sd = sounddevice()
    try:
        systems = [api["name"] for api in sd.query_hostapis()]
        found = [device for device in sd.query_devices() if device["max_input_channels"] > 0]
        default = sd.default.device[0]
    except sd.PortAudioError as error:
        raise CommandError(f"PortAudio cannot list the devices: {error}.") from None
    if not found:
        raise CommandError(
            "there is no input device: plug a microphone in, or play a recording in its place with --file-as-mic FILE."
        )
    return [
        InputInfo(
            number=device["index"],
            name=device["name"],
            system=systems[device["hostapi"]],
            channels=device["max_input_channels"],
            sample_rate=device["default_samplerate"],
            is_default=device["index"] == default,
        )
        for device in found
    ]


def choose(wanted: str | None) -> InputInfo:
    """The device with that number, or with those words in its name in that order; None is the default one.

    Raises CommandError naming the devices there are when it is none of them or more than one.
    """
    devices = input_devices()
    if wanted is None:
        chosen = [device for device in devices if device.is_default]
        why = "none of the input devices is the default: choose one with --device"
    elif wanted.isdecimal():
        chosen = [device for device in devices if device.number == int(wanted)]
        why = f"--device {wanted}: no input device has that number; there are"
    else:
        matching = [device for device in devices if _matches(wanted, f"{device.name}, {device.system}")]
        exact = [device for device in matching if device.name.casefold() == wanted.casefold()]
        chosen = exact if len(exact) == 1 else matching
        how_many = "several input devices have" if chosen else "no input device has"
        why = f"--device {wanted}: {how_many} that in the name; there are"
    if len(chosen) != 1:
        raise wrong_use(f"{why}:\n" + "\n".join(map(str, devices)))
    return chosen[0]


def _matches(wanted: str, name: str) -> bool:
    """Whether the words of *wanted* are parts of *name*, one behind the other: as sounddevice has it."""
    name, at = name.casefold(), 0
    for word in wanted.casefold().split():
        at = name.find(word, at)
        if at < 0:
            return False
        at += len(word)
    return True


class Microphone:
    """An open input device: 20 ms blocks at its own rate, mono unless it only does stereo."""

    over = False

    def __init__(self, info: InputInfo) -> None:
        """Open it. Raises CommandError when that is not possible."""
        self.name = info.name
        self.sample_rate = round(min(max(info.sample_rate, MIN_RATE), MAX_RATE))
        self.channels = 1
        self.overflows = 0
        self._deliver: Deliver | None = None
        self._mistake: Exception | None = None
        "What went wrong with the sound, when it was not the device."
        self._blocks = 0
        self._seen = 0
        self._looked_at = self._delivered_at = 0.0
        self._error: type[Exception] = sounddevice().PortAudioError
        self._stream: Any = self._open(info)

    def _open(self, info: InputInfo) -> Any:
        problem: Exception | None = None
        for self.channels in range(1, min(info.channels, 2) + 1):
            try:
                return sounddevice().RawInputStream(
                    samplerate=self.sample_rate,
                    blocksize=self.sample_rate * BLOCK_MS // 1000,
                    device=info.number,
                    channels=self.channels,
                    dtype="int16",
                    callback=self._hear,
                )
            except self._error as error:
                problem = problem or error
        raise CommandError(
            f"{self.name} cannot be opened: {problem}. If another program is using it, end that, or choose another "
            "device with --device; --list-devices shows them."
        ) from None

    def start(self, deliver: Deliver) -> None:
        """See `Device`."""
        self._deliver = deliver
        self._looked_at = self._delivered_at = time.monotonic()
        try:
            self._stream.start()
        except self._error as error:
            raise CommandError(f"{self.name} does not start: {error}.") from None

    def stop(self) -> None:
        """See `Device`."""
        # `Pa_StopStream` may wait for ever for a device that was unplugged; closing aborts what still runs.
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self._deliver = None

    def trouble(self, now: float) -> str | None:
        """See `Device`."""
        if self._stream is None:
            return None
        if self._mistake is not None:
            return f"the sound of {self.name} cannot be taken: {type(self._mistake).__name__}: {self._mistake}."
        if self._blocks != self._seen or now - self._looked_at > _NOT_LOOKED_S:
            self._seen, self._delivered_at = self._blocks, now
        self._looked_at = now
        try:
            gone = not self._stream.active
        except self._error:
            gone = True
        if gone:
            return f"{self.name} has gone away: was it unplugged?"
        if now - self._delivered_at > STALLED_S:
            return f"{self.name} has given no sound at all for {STALLED_S:g} s: was it unplugged?"
        return None

    def _hear(self, block: Any, _frames: int, _time: Any, status: Any) -> None:
        """In PortAudio's thread, which must not be kept: hand over and return."""
        self._blocks += 1
        if status.input_overflow:
            self.overflows += 1
        if self._deliver is not None:
            try:
                self._deliver(bytes(block))
            except Exception as error:  # PortAudio would only end the stream, as if the device had gone
                self._mistake = error
                raise
