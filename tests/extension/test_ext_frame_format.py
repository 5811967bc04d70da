"""What a frame says of itself: believed, told once if it is news, refused with a reason if it cannot be read."""

from __future__ import annotations

import logging

import pytest
from asr_tester import Call, node, run_call
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_runtime import AudioFrame, AudioFrameDataFmt
from tone_script import ToneScript


def test_frames_that_are_as_configured_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    script = ToneScript().say(7).pause(200)

    async def scenario(call: Call) -> None:
        await call.send(script.pcm, rate=16_000)
        await call.finalize("f1")
        await call.answer("f1")

    with caplog.at_level(logging.DEBUG), run_in_thread(port=0, recognizer="scripted") as server:
        call = run_call(node(server.url), scenario)
    assert call.texts == ["b7"]
    assert "frames are" not in caplog.text


def test_channels_one_behind_the_other_are_refused_with_a_reason_and_the_call_goes_on() -> None:
    script = ToneScript().say(7).pause(200)

    async def scenario(call: Call) -> None:
        for _ in range(3):
            frame = AudioFrame.create("pcm_frame")
            frame.set_number_of_channels(2)
            frame.set_data_fmt(AudioFrameDataFmt.NON_INTERLEAVE)
            frame.alloc_buf(640)
            await call.send_frame(frame)
        await call.send(script.pcm)
        await call.finalize("f1")
        await call.answer("f1")

    with run_in_thread(port=0, recognizer="scripted") as server:
        call = run_call(node(server.url), scenario)
    assert call.texts == ["b7"]
    (error,) = call.errors
    assert error["code"] == 1000 and "NON_INTERLEAVE" in error["message"]
