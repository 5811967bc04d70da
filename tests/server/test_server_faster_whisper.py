"""The recogniser faster-whisper: the library's own loading and decoding, on a model that the test makes.

`tiny_whisper` says what that model is. What a trained one makes of speech is not tested here.
"""

from __future__ import annotations

import asyncio
import gc
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faster_whisper
import pytest
import pytest_asyncio
import soundfile
import tiny_whisper
from huggingface_hub import constants as hub_constants
from server_peers import Peer
from ten_packages.extension.openai_asr_python.devkit.server import whisper_model
from ten_packages.extension.openai_asr_python.devkit.server.faster_whisper_recognizer import FasterWhisperRecognizer
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import (
    Recognition,
    RecognitionFailed,
    RecognitionRequest,
    RecognizerUnavailable,
    make_recognizer,
)
from ten_packages.extension.openai_asr_python.devkit.server.session_config import SessionConfig
from ten_packages.extension.openai_asr_python.devkit.server.whisper_model import load_model

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "devkit" / "samples" / "weather.flac"
SAID = " ".join(tiny_whisper.WORDS)
FRAME = 3200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper.make_model(tmp_path_factory.mktemp("whisper"), multilingual=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer(folder: Path) -> AsyncIterator[FasterWhisperRecognizer]:
    made = make_recognizer("faster-whisper", str(folder))
    assert isinstance(made, FasterWhisperRecognizer)
    await made.start()
    yield made
    await made.stop()


def speech(seconds: float = 3.0) -> bytes:
    """The beginning of a sample, 16 kHz s16le."""
    samples, rate = soundfile.read(SAMPLE, frames=int(seconds * 16000), dtype="int16")
    assert rate == 16000
    return bytes(samples.tobytes())


async def recognise(
    recognizer: FasterWhisperRecognizer, pcm: bytes | None = None, **request: Any
) -> tuple[Recognition, list[str]]:
    """The final and the partials of *pcm*, in frames of 100 ms; waits for each decode that a frame begins."""
    pcm = speech() if pcm is None else pcm
    session = recognizer.session(RecognitionRequest("any", **request))
    partials = []
    for at in range(0, len(pcm), FRAME):
        text = await session.accept(pcm[at : at + FRAME])
        partials += [text] if text else []
        while recognizer.busy:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)  # the thread's answer is handed to the loop
    return await session.finish(), partials


# A model on disk ----------------------------------------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="module")
async def test_words_with_their_times_confidence_and_language_come_out(recognizer: FasterWhisperRecognizer) -> None:
    result, partials = await recognise(recognizer, bytes(96000) + speech(), languages=("en",))
    assert result.text == SAID and partials == []
    assert [word.text for word in result.words] == list(tiny_whisper.WORDS)
    starts = [word.start_ms for word in result.words]
    # Three seconds before the speech, of which half a second was shown to the model.
    assert 2500 <= starts[0] <= 3500 and starts == sorted(starts)
    assert result.words[-1].start_ms + result.words[-1].duration_ms <= 6000
    assert result.confidence == pytest.approx(1.0, abs=0.01)
    assert result.language == "en"


@pytest.mark.asyncio(loop_scope="module")
async def test_no_text_is_made_of_silence(recognizer: FasterWhisperRecognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(FasterWhisperRecognizer, "decode")
    # The model would say its words to this, too, as trained ones thank for watching.
    result, partials = await recognise(recognizer, bytes(96000), partials=True)
    assert (result, partials) == (Recognition(""), [])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("told", "heard"),
    [
        (("de-DE",), "de"),
        (("de", "xx"), "de"),
        (("de", "en"), "en"),
        ((), "en"),
        (("no",), "no"),
        # Whisper has these languages under another code; the client hears its own.
        (("nb-NO",), "nb"),
        (("fil-PH",), "fil"),
        (("iw_IL",), "iw"),
        (("in-ID",), "in"),
        (("ji",), "ji"),
        (("jv",), "jv"),
        (("mo",), "mo"),
        (("cmn-Hant-TW",), "cmn"),
        (("zh",), "zh"),
    ],
)
async def test_languages_are_told_to_the_model(
    recognizer: FasterWhisperRecognizer, told: tuple[str, ...], heard: str
) -> None:
    assert (await recognise(recognizer, languages=told))[0].language == heard


@pytest.mark.asyncio(loop_scope="module")
async def test_a_language_that_no_model_knows_fails_the_item(recognizer: FasterWhisperRecognizer) -> None:
    with pytest.raises(RecognitionFailed, match="The language 'xx' is not known to this model"):
        await recognise(recognizer, languages=("xx",))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_session_is_told_at_once_that_the_model_does_not_know_its_language(
    recognizer: FasterWhisperRecognizer,
) -> None:
    def knows(language: object) -> bool:
        peer = Peer(config=SessionConfig(knows_language=recognizer.knows_language))
        (answer,) = peer.update(transcription={"model": "gpt-4o-transcribe", "language": language})
        return bool(answer["type"] == "session.updated")

    known = ("de", "de-DE", "nb", "jv", "he", "iw", "EN", "haw", None, "")
    assert [language for language in (*known, "xx", "tlh-AQ") if knows(language)] == list(known)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("request_", [{"prompt": "the sea"}, {"keywords": ("the", "sea")}])
async def test_prompt_and_keywords_reach_the_model(
    recognizer: FasterWhisperRecognizer, request_: dict[str, Any]
) -> None:
    # The model reads its script by the position: what goes before moves it on.
    text = (await recognise(recognizer, languages=("en",), **request_))[0].text
    assert text and text != SAID and SAID.endswith(text)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("delay", "at_least"), [("minimal", 1), ("medium", 2), ("xhigh", 3)])
async def test_partials_are_what_decodes_agree_on(
    recognizer: FasterWhisperRecognizer, delay: str, at_least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decodes = []
    decode = recognizer.decode
    monkeypatch.setattr(recognizer, "decode", lambda *a, **b: decodes.append(b["final"]) or decode(*a, **b))
    result, partials = await recognise(recognizer, speech(6), partials=True, delay=delay, languages=("en",))
    # The last word of a hypothesis may still be half a word. This model says the same each time.
    assert partials == [" ".join(tiny_whisper.WORDS[:-1])] and result.text == SAID
    assert decodes.count(False) >= at_least and decodes[-1] is True


# Who waits for whom -------------------------------------------------------------------------------------------


class SlowModel:
    """Decodes when it is let; keeps what it was asked for."""

    supported_languages = ("en",)

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[str] = []
        self.thread: threading.Thread | None = None

    def transcribe(self, audio: Any, **options: Any) -> tuple[Any, Any]:
        self.asked.append("final" if options.get("word_timestamps") else "partial")
        self.thread = threading.current_thread()
        assert self.go.wait(10)
        word = SimpleNamespace(word=" hello", start=0.1, end=0.5, probability=0.5)
        segment = SimpleNamespace(text=" hello", words=[word])
        return iter([segment]), SimpleNamespace(language="en")


@pytest_asyncio.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FasterWhisperRecognizer, SlowModel]]:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    model = SlowModel()

    async def load(path: str, pool: Executor, *, decoders: int, threads: int) -> SlowModel:
        return model

    recognizer = FasterWhisperRecognizer("any", load=load)
    await recognizer.start()
    yield recognizer, model
    model.go.set()
    await recognizer.stop()


async def until(condition: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    await asyncio.wait_for(wait(), 10)


async def heard(recognizer: FasterWhisperRecognizer, **request: Any) -> Any:
    session = recognizer.session(RecognitionRequest("any", **request))
    await session.accept(speech())
    return session


async def test_a_decode_leaves_the_event_loop_free(slow: tuple[FasterWhisperRecognizer, SlowModel]) -> None:
    recognizer, model = slow
    final = asyncio.create_task((await heard(recognizer)).finish())
    await until(lambda: model.asked == ["final"])
    streaming = await heard(recognizer, partials=True)  # the loop goes on, and so do other utterances
    assert not final.done()
    model.go.set()
    assert (await final).text == "hello"
    assert (await streaming.finish()).words[0].start_ms >= 100
    # The one decoder was taken: a partial does not make a final wait.
    assert model.asked == ["final", "final"]


async def test_what_is_given_up_is_not_decoded(slow: tuple[FasterWhisperRecognizer, SlowModel]) -> None:
    recognizer, model = slow
    first = asyncio.create_task((await heard(recognizer)).finish())
    await until(lambda: model.asked == ["final"])
    second = asyncio.create_task((await heard(recognizer)).finish())
    await asyncio.sleep(0)
    second.cancel()  # as when its connection goes
    await asyncio.wait([second])
    third = asyncio.create_task((await heard(recognizer)).finish())
    model.go.set()
    await asyncio.gather(first, third)
    assert second.cancelled() and model.asked == ["final", "final"]


async def test_an_utterance_that_is_abandoned_lets_go(slow: tuple[FasterWhisperRecognizer, SlowModel]) -> None:
    recognizer, model = slow
    session = await heard(recognizer, partials=True)
    await until(lambda: model.asked == ["partial"])
    await session.abandon()
    model.go.set()
    await until(lambda: not recognizer.busy)
    assert (await (await heard(recognizer)).finish()).text == "hello"


async def test_what_was_decoded_is_not_kept(slow: tuple[FasterWhisperRecognizer, SlowModel]) -> None:
    """No model that answers after the turn ever asks whether decoders are busy."""
    recognizer, model = slow
    model.go.set()
    for _ in range(100):
        assert (await (await heard(recognizer)).finish()).text == "hello"
    gc.collect()
    assert sum(isinstance(thing, Recognition) for thing in gc.get_objects()) < 10


async def test_a_stop_fails_what_waits_and_ends_the_threads(slow: tuple[FasterWhisperRecognizer, SlowModel]) -> None:
    recognizer, model = slow
    sessions = [await heard(recognizer) for _ in range(3)]
    finals = [asyncio.create_task(session.finish()) for session in sessions]
    await until(lambda: model.asked == ["final"])
    stop = asyncio.create_task(recognizer.stop())
    await until(recognizer.stopping.is_set)
    assert not (await asyncio.wait([stop], timeout=0.05))[0]  # it waits for the decode under way
    model.go.set()
    await stop
    assert all(isinstance(end, RuntimeError) for end in await asyncio.gather(*finals, return_exceptions=True))
    assert model.asked == ["final"]
    assert model.thread is not None and not model.thread.is_alive()
    late = await heard(recognizer)
    with pytest.raises(RuntimeError, match="the recogniser has stopped"):
        await late.finish()


# No model -----------------------------------------------------------------------------------------------------


def refusal(model_path: object) -> str:
    with ThreadPoolExecutor() as pool, pytest.raises(RecognizerUnavailable) as caught:
        asyncio.run(load_model(str(model_path), pool, decoders=1, threads=1))
    return str(caught.value)


def test_what_is_missing_in_a_folder_is_named(folder: Path, tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == f"model_path: there is no folder {tmp_path / 'nowhere'}"
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "model.bin").unlink()
    assert refusal(copy).startswith(f"model_path: the folder {copy} has no model.bin: give the folder of a Whisper")
    (copy / "vocabulary.json").unlink()
    assert "has no model.bin, no vocabulary.*: " in refusal(copy)


def test_a_broken_model_is_told_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "model.bin").write_bytes((copy / "model.bin").read_bytes()[:1000])
    assert refusal(copy).startswith(f"model_path: the model in {copy} cannot be loaded (")


def test_a_model_that_loads_and_cannot_decode_is_told_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(*_: object) -> None:  # CTranslate2 looks for a card's libraries when it first needs them
        raise RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")

    monkeypatch.setattr(faster_whisper.WhisperModel, "encode", encode)
    assert refusal(folder) == (
        f"model_path: the model in {folder} loads but cannot decode (Library libcublas.so.12 is not found or cannot be "
        "loaded); a graphics card needs cuBLAS and cuDNN: install them, or set CUDA_VISIBLE_DEVICES=-1 to use the "
        "processor"
    )


@pytest.mark.parametrize("name", ["models/", "owner/a model"])
def test_what_is_neither_a_folder_nor_a_name_is_told(name: str) -> None:
    assert refusal(name) == f"model_path: there is no folder {name}, and no model of the hub can have that name"


@pytest.mark.parametrize(
    "error", [ImportError("a wheel for another processor."), OSError("libgomp.so.1: no such file")]
)
def test_a_library_that_does_not_load_is_told(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "faster_whisper.utils":
                raise error

    monkeypatch.delitem(sys.modules, "faster_whisper.utils")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    reason = str(error).rstrip(".")
    assert refusal("tiny") == (
        f"recognizer: faster-whisper does not work here ({reason}); install it with: pip install "
        "'openai_asr_python[whisper]'"
    )


def test_a_name_that_no_model_has_is_told_with_those_there_are() -> None:
    assert refusal("huge").startswith(
        "model_path: huge is no folder and no model's name, which would be: tiny.en, tiny,"
    )


def test_a_missing_library_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper_model.importlib.util, "find_spec", lambda name: None)
    assert refusal("tiny").endswith("not installed; install it with: pip install 'openai_asr_python[whisper]'")


@pytest.mark.parametrize(
    ("name", "path", "sentence"),
    [
        ("faster-whisper", None, "model_path: none given, and faster-whisper needs one"),
        ("pocketsphinx", "tiny", "model_path: 'tiny' given, but pocketsphinx brings its own"),
    ],
)
def test_a_model_goes_with_the_recogniser_that_needs_one(name: str, path: str | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_recognizer(name, path)


# The command line, with no hub to reach -----------------------------------------------------------------------


def with_hub_at(port: int, cache: Path) -> dict[str, str]:
    """The environment, with the hub at *port* of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "HF_"))}
    return kept | {"HF_HOME": str(cache), "HF_ENDPOINT": f"http://127.0.0.1:{port}", "NO_PROXY": "*"}


def openai_asr(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """The command line with the model `tiny`."""
    command = [
        sys.executable,
        str(ROOT / "devkit"),
        *arguments,
        "--recognizer",
        "faster-whisper",
        "--model-path",
        "tiny",
    ]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


LOADING = "Loading the model tiny; if it is not on this disk, it is fetched first."


def test_a_model_that_cannot_be_fetched_ends_serve_with_a_sentence(tmp_path: Path) -> None:
    serve = openai_asr(with_hub_at(9, tmp_path), "serve", "--port", "0")
    out, err = serve.communicate(timeout=60)
    assert (serve.returncode, out) == (1, "")
    loading, sentence = err.splitlines()
    assert loading == LOADING
    assert "the model tiny is not on this disk and cannot be fetched ([Errno" in sentence
    assert sentence.endswith("fetch it where there is a network, and give its folder.")


def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(whisper_model, "_HUB_SECONDS", 0.1)
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for name, value in with_hub_at(mute.getsockname()[1], tmp_path).items():
            monkeypatch.setenv(name, value)
        began = time.monotonic()
        assert "cannot be fetched (timed out)" in refusal("tiny")
        assert time.monotonic() - began < 20


class HalfMuteHub(http.server.BaseHTTPRequestHandler):
    """Says that it is there, and nothing about models until `go` is set."""

    go = threading.Event()

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        if "/models/" in self.path:
            self.go.wait(30)
        self.send_error(404)

    def log_message(self, *_: object) -> None: ...


def test_a_hub_that_falls_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(whisper_model, "_HUB_SECONDS", 0.3)
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), HalfMuteHub) as hub:
        serving = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        for name, value in with_hub_at(hub.server_port, tmp_path).items():
            monkeypatch.setenv(name, value)
        began = time.monotonic()
        said = refusal("tiny")
        seconds = time.monotonic() - began
        HalfMuteHub.go.set()
        hub.shutdown()
        serving.join()
    assert "cannot be fetched (" in said and "timed out" in said
    assert seconds < 20


def test_ctrl_c_ends_a_download(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hub:
        hub.settimeout(30)
        serve = openai_asr(with_hub_at(hub.getsockname()[1], tmp_path), "serve", "--port", "0")
        with hub.accept()[0]:
            serve.send_signal(signal.SIGINT)
            out, err = serve.communicate(timeout=4)  # before the hub's time is up
    assert (serve.returncode, out, err.strip()) == (130, "", LOADING)


def test_a_model_in_the_cache_transcribes_a_recording_through_server_and_client(folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--Systran--faster-whisper-tiny"
    shutil.copytree(folder, repository / "snapshots" / "0123")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")
    arguments = ["transcribe", str(SAMPLE), "--local", "--language", "de-DE", "--format", "verbose_json"]
    with socket.create_server(("127.0.0.1", 0)) as hub:
        transcribe = openai_asr(with_hub_at(hub.getsockname()[1], tmp_path), *arguments)
        out, err = transcribe.communicate(timeout=60)
        hub.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has knocked
            hub.accept()
    assert transcribe.returncode == 0, err
    assert "a local server listens: faster-whisper" in err
    assert f'"text": "{SAID}"' in out and '"language": "de-DE"' in out
