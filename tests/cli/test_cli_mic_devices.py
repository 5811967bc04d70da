"""`openai-asr mic` and its device: which is meant, what is missing, and what goes wrong with it in mid-call."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_sounddevice import FakeSoundDevice, FakeStream, microphone
from ten_packages.extension.openai_asr_python.devkit.microphone import captions, feed, portaudio
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread
from tone_script import ToneScript

TWO = [microphone("Built-in Audio", inputs=2, rate=44_100.0), microphone("USB Mic", rate=192_000.0, hostapi=1)]
OUTPUT_ONLY = microphone("Speakers", inputs=0)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with run_in_thread(recognizer="scripted") as running:
        yield running


@pytest.fixture
def mic(cli: Callable[..., Any], server: LocalServer) -> Callable[..., Any]:
    """Run `openai-asr mic` on tones: the server finds the turns, Silero takes tones for no speech."""

    def run(*arguments: object) -> Any:
        return cli("mic", "--url", server.url, "--model", "gpt-4o-transcribe", *arguments)

    return run


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeSoundDevice]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    def install(*devices: dict[str, Any], default: int = 0) -> FakeSoundDevice:
        module = FakeSoundDevice(devices, default)
        monkeypatch.setitem(sys.modules, "sounddevice", module)
        return module

    return install


def tones(*labels: int, rate: int = 16_000) -> bytes:
    return ToneScript(rate).pause(100).say(*labels).pause(900).pcm


def stereo(mono: bytes) -> bytes:
    return b"".join(mono[at : at + 2] * 2 for at in range(0, len(mono), 2))


def test_without_the_package_it_says_what_to_install(mic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    for arguments in ([], ["--list-devices"], ["--device", "1"]):
        ran = mic(*arguments)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == (
            "openai-asr: the Python package 'sounddevice' is not installed, and a microphone needs it: "
            "pip install 'openai_asr_python[mic]'\n"
        )


def test_without_portaudio_it_says_what_to_install(mic: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The real package does this on a Linux without the library.
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    ran = mic()
    assert (ran.code, ran.out) == (1, "")
    assert "PortAudio library not found" in ran.err and "apt-get install libportaudio2" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_without_an_input_device_it_says_so(mic: Any, fake: Any) -> None:
    for devices in ([], [OUTPUT_ONLY]):
        fake(*devices)
        for arguments in ([], ["--list-devices"]):
            ran = mic(*arguments)
            assert (ran.code, ran.out) == (1, "")
            assert ran.err.startswith("openai-asr: there is no input device: plug a microphone in")


def test_devices_are_listed_by_number(mic: Any, fake: Any) -> None:
    fake(OUTPUT_ONLY, *TWO, default=2)
    ran = mic("--list-devices")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "    1  Built-in Audio (ALSA), 2 channels, 44100 Hz",
        "*   2  USB Mic (JACK), 1 channel, 192000 Hz",
    ]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [(None, 2), ("1", 1), ("usb", 2), ("USB MIC", 2), ("mic jack", 2), ("Built-in Audio", 1), ("built", None)],
)
def test_a_device_is_chosen_by_number_or_words(fake: Any, wanted: str | None, number: int | None) -> None:
    fake(OUTPUT_ONLY, *TWO, microphone("Built-in Audio 2"), default=2)
    if number is not None:
        assert portaudio.choose(wanted).number == number
    else:
        with pytest.raises(Exception, match="several input devices have that in the name"):
            portaudio.choose(wanted)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("0", "--device 0: no input device has that number"),
        ("7", "--device 7: no input device has that number"),
        ("radio", "--device radio: no input device has that in the name"),
        ("audio usb", "no input device has that in the name"),
        ("i", "several input devices have that in the name"),
    ],
)
def test_a_device_that_is_not_there_names_those_that_are(mic: Any, fake: Any, wanted: str, says: str) -> None:
    module = fake(OUTPUT_ONLY, *TWO, default=2)
    ran = mic("--device", wanted)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert "1  Built-in Audio (ALSA)" in ran.err and "2  USB Mic" in ran.err and "Speakers" not in ran.err
    assert not module.streams


def test_without_a_default_one_must_be_chosen(mic: Any, fake: Any) -> None:
    fake(*TWO, default=-1)
    ran = mic()
    assert ran.code == 2 and "choose one with --device" in ran.err and "USB Mic" in ran.err


@pytest.mark.parametrize(
    ("device", "rate", "channels"),
    [("Built", 44_100, 1), ("USB", 48_000, 1), ("Old", 8_000, 1), ("Stereo", 32_000, 2)],
)
def test_what_a_device_hears_becomes_words(mic: Any, fake: Any, device: str, rate: int, channels: int) -> None:
    module = fake(*TWO, microphone("Old", rate=4_000.0), microphone("Stereo only", inputs=4, rate=32_000.0))
    if channels == 2:
        module.open_error = {1: "Invalid number of channels"}
    pcm = tones(11, 12, 13, rate=rate)

    def hears(stream: FakeStream) -> None:
        stream.give(pcm if channels == 1 else stereo(pcm))
        stream.closing.wait(30)

    module.hears = hears
    ran = mic("--device", device, "--seconds", "1.6")
    assert (ran.code, ran.out.split()) == (0, ["b11", "b12", "b13"]), ran.err
    (stream,) = module.streams
    options = stream.options
    assert (options["samplerate"], options["blocksize"], options["channels"]) == (rate, rate // 50, channels)
    assert options["dtype"] == "int16"
    assert module.closed == 1


def test_what_portaudio_says_comes_before_what_may_be_the_reason(mic: Any, fake: Any) -> None:
    fake(*TWO).open_error = {1: "Invalid sample rate [PaErrorCode -9997]", 2: "also"}
    ran = mic()
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1].startswith(
        "openai-asr: Built-in Audio cannot be opened: Invalid sample rate [PaErrorCode -9997]. If another program"
    )


def test_a_mistake_of_ours_is_not_blamed_on_the_plug(mic: Any, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = fake(*TWO)

    def wrong(*_: object) -> None:
        raise ValueError("no such thing")

    def hears(stream: FakeStream) -> None:
        with contextlib.suppress(ValueError):  # PortAudio prints it and ends the stream
            stream.give(bytes(44_100))
        stream.end()

    monkeypatch.setattr(feed.Feed, "take", wrong)
    module.hears = hears
    ran = mic()
    assert (ran.code, ran.out) == (1, "")
    assert "openai-asr: the sound of Built-in Audio cannot be taken: ValueError: no such thing." in ran.err
    assert "unplugged" not in ran.err


@pytest.mark.parametrize("when", ["open", "start"])
def test_a_device_that_cannot_be_had_is_a_sentence(mic: Any, fake: Any, when: str) -> None:
    module = fake(*TWO)
    if when == "open":
        module.open_error = {1: "Device unavailable [PaErrorCode -9985]", 2: "also"}
    else:
        module.start_error = "Device unavailable [PaErrorCode -9985]"
    ran = mic()
    assert (ran.code, ran.out) == (1, "")
    assert "Built-in Audio" in ran.err.splitlines()[-1] and "-9985" in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err


def test_dropped_sound_is_told_and_counted(mic: Any, fake: Any) -> None:
    module = fake(*TWO)

    def hears(stream: FakeStream) -> None:
        stream.give(tones(11, rate=44_100))
        for _ in range(3):
            stream.give(bytes(44_100 // 50 * 2), overflow=True)
            stream.closing.wait(2 * captions.POLL_S)
        stream.give(bytes(44_100))
        stream.closing.wait(30)

    module.hears = hears
    ran = mic("--seconds", "1.5")
    assert (ran.code, ran.out) == (0, "b11\n")
    assert ran.err.count("Built-in Audio dropped sound") == 1  # not once for each
    assert ran.err.rstrip().endswith("3 overflows")


@pytest.mark.parametrize("how", ["end", "vanish", "stall"])
def test_a_device_that_goes_away_leaves_the_words_so_far(
    mic: Any, fake: Any, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "stall":
        monkeypatch.setattr(portaudio, "STALLED_S", 0.3)
    module = fake(*TWO)

    def hears(stream: FakeStream) -> None:
        stream.give(tones(11, 12, rate=44_100)[: 44_100 // 2 * 2])  # in the middle of a turn
        if how == "stall":
            stream.closing.wait(30)
        else:
            getattr(stream, how)()

    module.hears = hears
    ran = mic("--output", tmp_path / "x.json")
    assert (ran.code, ran.out) == (1, "b11 b12\n"), ran.err
    told = "has given no sound at all for 0.3 s" if how == "stall" else "has gone away"
    assert f"openai-asr: Built-in Audio {told}: was it unplugged?" in ran.err
    assert "the captions end at 0.5 s, where Built-in Audio failed" in ran.err.splitlines()[-1]
    assert "1 final, 2 words" in ran.err
    assert json.loads((tmp_path / "x.json").read_text())["text"] == "b11 b12"


@pytest.mark.parametrize(("level", "told"), [(b"\0\0", 1), (b"\1\0", 0)])
def test_a_muted_microphone_is_told_once(
    mic: Any, fake: Any, monkeypatch: pytest.MonkeyPatch, level: bytes, told: int
) -> None:
    monkeypatch.setattr(captions, "SILENCE_MS", 1_000)  # the extension is fed as fast as it will go
    module = fake(*TWO)

    def hears(stream: FakeStream) -> None:
        for _ in range(3):
            stream.give(level * 44_100)
            stream.closing.wait(0.25)

    module.hears = hears
    ran = mic("--seconds", "3")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.count("nothing but silence from Built-in Audio: is it muted") == told
