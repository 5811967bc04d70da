"""Recordings through graphs whose recogniser behaves in every way but the right one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
from ten_packages.extension.openai_asr_python.devkit.transcription import patience, runner
from ten_packages.extension.openai_asr_python.devkit.transcription.audio_input import open_audio
from ten_packages.extension.openai_asr_python.devkit.transcription.graphs import TranscriptionGraph, with_ends
from ten_packages.extension.openai_asr_python.devkit.transcription.job import Job
from ten_packages.extension.openai_asr_python.devkit.transcription.pacing import Pacer
from ten_packages.extension.openai_asr_python.devkit.transcription.runner import run_job
from ten_packages.extension.openai_asr_python.devkit.transcription.transcript import Transcript
from ten_runtime import (
    Addon,
    AsyncExtension,
    AsyncTenEnv,
    AudioFrame,
    Data,
    TenEnv,
    register_addon_as_extension,
)

SECONDS = 2


class FakeRecogniser(AsyncExtension):
    """Counts audio; what it says is up to the behaviour named in its property."""

    heard_ms = 0.0
    frames: ClassVar[list[tuple[int, int, str]]] = []

    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        self.behaviour, _ = await ten_env.get_property_string("behaviour")
        self.frames.clear()

    async def on_audio_frame(self, ten_env: AsyncTenEnv, audio_frame: AudioFrame) -> None:
        metadata, _ = audio_frame.get_property_to_json("metadata")
        rate, channels = audio_frame.get_sample_rate(), audio_frame.get_number_of_channels()
        self.frames.append((rate, channels, json.loads(metadata)["session_id"]))
        self.heard_ms += 1000 * len(audio_frame.get_buf()) / 2 / channels / rate
        if self.behaviour == "fatal" and self.heard_ms > 500:
            await self.say(ten_env, "error", code=-1000, message="the key is no key")
        if self.behaviour == "refused" and self.heard_ms > 500:
            info = {"vendor": "openai", "code": "401", "message": "Incorrect API key"}
            await self.say(ten_env, "error", code=1000, message="trying again", vendor_info=info)
        if self.behaviour == "hung up on" and self.heard_ms > 500:
            info = {"vendor": "openai", "code": "invalid_request_error", "message": "No key came"}
            await self.say(ten_env, "error", code=1000, message="trying again", vendor_info=info)
            info = {"vendor": "openai", "code": "3000", "message": "invalid_request_error"}
            await self.say(ten_env, "connection_status_changed", current="disconnected", vendor_info=info)
        if self.behaviour == "unreachable" and self.heard_ms > 500:
            info = {"vendor": "openai", "code": "connect_failed", "message": "connection refused"}
            await self.say(ten_env, "error", code=1000, message="trying again", vendor_info=info)

        if self.behaviour == "murmurs" and self.heard_ms > 500:
            await self.result(ten_env, "a", 100, "hel", final=False)

    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        if data.get_name() != "asr_finalize":
            return
        finalize_id, _ = data.get_property_string("finalize_id")
        total = round(self.heard_ms)
        vendor = {"accepted_ms": total, "unsettled_ms": 0, "lag_ms": 0, "lost_ms": 0}
        if self.behaviour in ("hears", "loses", "late", "halves"):
            vendor["lost_ms"] = 700 if self.behaviour == "loses" else 0
            vendor["accepted_ms"] = total // 2 if self.behaviour == "halves" else total
            await self.result(ten_env, "b", 900, "world")
            await self.result(ten_env, "a", 100, "hel", final=False)
            await self.result(ten_env, "a", 100, "hello")
            await self.say(ten_env, "metrics", metrics={"vendor_metrics": vendor})
        if self.behaviour == "late":
            info = {"vendor": "openai", "code": "finalize_timeout", "message": ""}
            await self.say(ten_env, "error", code=1000, message="late", vendor_info=info)
        if self.behaviour == "silence":
            await self.say(ten_env, "metrics", metrics={"vendor_metrics": vendor})
        if self.behaviour != "swallows":
            await self.say(ten_env, "asr_finalize_end", finalize_id=finalize_id)

    async def on_stop(self, ten_env: AsyncTenEnv) -> None:
        if self.behaviour == "murmurs":  # what has no final is withdrawn
            await self.result(ten_env, "a", 100, "")
        sent = round(self.heard_ms) if self.behaviour == "hears" else 0
        await self.say(ten_env, "metrics", metrics={"actual_send": sent})

    async def result(self, env: AsyncTenEnv, result_id: str, start: int, text: str, final: bool = True) -> None:
        payload = {"text": text, "final": final, "start_ms": start, "duration_ms": 300, "language": "en-US"}
        await self.say(env, "asr_result", id=result_id, words=[], **payload)

    async def say(self, env: AsyncTenEnv, name: str, **payload: Any) -> None:
        data = Data.create(name)
        data.set_property_from_json(None, json.dumps(payload))
        await env.send_data(data)


@register_addon_as_extension("cli_test_recogniser")
class FakeRecogniserAddon(Addon):
    def on_create_instance(self, ten_env: TenEnv, name: str, context: object) -> None:
        ten_env.on_create_instance_done(FakeRecogniser(name), context)


class Notes:
    def __init__(self) -> None:
        self.setbacks: list[str] = []

    def update(self, transcript: Transcript) -> None:
        pass

    def setback(self, message: str) -> None:
        self.setbacks.append(message)


Run = Callable[..., Transcript]


def graph(behaviour: str, addon: str = "cli_test_recogniser") -> TranscriptionGraph:
    node = {"type": "extension", "name": "stt", "addon": addon, "property": {"behaviour": behaviour}}
    return with_ends({"nodes": [node]})


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = str(tmp_path / "x.wav")
    soundfile.write(path, np.zeros((8_000 * SECONDS, 2)), 8_000)
    return path


@pytest.fixture
def run(recording: str) -> Run:
    def run(
        behaviour: str, *, timeout_s: float = 60.0, speed: float | None = None, addon: str = "cli_test_recogniser"
    ) -> Transcript:
        job = Job(open_audio(recording), Pacer(speed), block_ms=20)
        transcript, interrupted = run_job(graph(behaviour, addon), job, timeout_s=timeout_s, watcher=Notes())
        assert not interrupted
        return transcript

    return run


def test_results_arrive_in_the_order_of_the_recording(run: Run) -> None:
    transcript = run("hears")
    assert transcript.problem is None
    assert transcript.text == "hello world"
    assert [segment.id for segment in transcript.segments] == ["a", "b"]
    assert transcript.metrics["actual_send"] == 1000 * SECONDS, "what is said while stopping is heard too"


def test_frames_say_what_they_hold(run: Run) -> None:
    run("hears")
    assert len(FakeRecogniser.frames) == 50 * SECONDS
    rates, channels, sessions = (set(values) for values in zip(*FakeRecogniser.frames, strict=True))
    assert (rates, channels) == ({8_000}, {2})
    assert len(sessions) == 1 and next(iter(sessions)).startswith("transcribe_")


def test_an_extension_that_swallows_everything_is_a_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "ANSWER_GRACE_S", 0.1)
    transcript = run("swallows", timeout_s=0.5)
    assert transcript.text == ""
    assert transcript.problem is not None and "--timeout" in transcript.problem


def test_an_extension_that_answers_and_hears_nothing_is_a_failure(run: Run) -> None:
    transcript = run("ignores")
    assert transcript.problem is not None and "swallows" in transcript.problem


def test_silence_is_no_failure(run: Run) -> None:
    transcript = run("silence")
    assert (transcript.problem, transcript.text) == (None, "")


@pytest.mark.parametrize(
    ("behaviour", "complaint"), [("loses", "0.7 s"), ("late", "--timeout"), ("halves", "only 1.0 s")]
)
def test_what_is_missing_is_said_beside_what_was_heard(run: Run, behaviour: str, complaint: str) -> None:
    transcript = run(behaviour)
    assert transcript.text == "hello world"
    assert transcript.problem is not None and complaint in transcript.problem


def test_a_fatal_error_ends_the_run_at_once(run: Run) -> None:
    transcript = run("fatal", speed=0.5)
    assert transcript.problem == "the key is no key"
    assert len(FakeRecogniser.frames) < 50 * SECONDS


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [("refused", "Incorrect API key"), ("hung up on", "No key came")],  # the second: only the end says that it is one
)
def test_a_refused_key_is_not_tried_for_long(run: Run, behaviour: str, said: str) -> None:
    transcript = run(behaviour, speed=1.0)
    assert transcript.problem == f"the server refuses the session: {said}"


def test_a_server_that_cannot_be_reached_gets_a_while(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "NEVER_REACHED_S", 0.3)
    transcript = run("unreachable", speed=1.0)
    assert transcript.problem is not None and "connection refused" in transcript.problem


def test_a_graph_that_cannot_start_says_why(run: Run) -> None:
    transcript = run("hears", addon="nobody_has_this")
    assert transcript.problem is not None and "nobody_has_this" in transcript.problem


def test_an_interruption_keeps_what_was_heard(recording: str) -> None:
    class Impatient(Notes):
        def update(self, transcript: Transcript) -> None:
            if transcript.partials:
                raise KeyboardInterrupt

    job = Job(open_audio(recording), Pacer(1.0), block_ms=20)
    transcript, interrupted = run_job(graph("murmurs"), job, timeout_s=60, watcher=Impatient())
    assert interrupted
    assert transcript.text == "hel"
    assert transcript.segments[0].asr_info["partial"] is True
