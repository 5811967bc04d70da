"""The same sound is the same words, whatever shape it comes in and whatever is spoken on the wire."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from asr_tester import Call, node, run_call
from tone_script import ToneScript, stereo

LABELS = (17, 290, 999, 0, 503)


def script(rate: int = 16_000) -> ToneScript:
    return ToneScript(rate).pause(100).say(*LABELS).pause(100)


def g711(pcm: bytes, *, alaw: bool) -> bytes:
    """Encode s16le; the standards' algorithm, written down once more so that ours is not its own judge."""
    out = bytearray()
    for sample in np.frombuffer(pcm, dtype="<i2").tolist():
        if alaw:
            magnitude, sign = (sample >> 3, 0xD5) if sample >= 0 else ((-sample - 1) >> 3, 0x55)
            segment = max(0, magnitude.bit_length() - 5)
            low = (magnitude >> max(1, segment)) & 15
            out.append((min(segment, 7) << 4 | low) ^ sign)
        else:
            magnitude = min(abs(sample), 32_635) + 132
            segment = magnitude.bit_length() - 8
            out.append(~((0x80 if sample < 0 else 0) | segment << 4 | (magnitude >> (segment + 3)) & 15) & 0xFF)
    return bytes(out)


async def play(call: Call, pcm: bytes, **sending: int) -> None:
    await call.send(pcm, **sending)
    await call.finalize("f1")
    await call.answer("f1")


@pytest.mark.parametrize("frame_bytes", [1, 3, 320, 321, 5000])
def test_frames_of_any_size_give_the_same_words(serve, frame_bytes: int) -> None:
    short = ToneScript().say(17, 290, ms=150).pause(40)
    call = run_call(node(serve().url), lambda call: play(call, short.pcm, frame_bytes=frame_bytes))
    assert call.texts == ["b17 b290"]


@pytest.mark.parametrize("frame_bytes", [3, 7, 960])
def test_stereo_frames_that_end_inside_a_sample_keep_the_channels_apart(serve, frame_bytes: int) -> None:
    """Left says one thing, right another, at other times: shifted channels would say neither."""
    left, right = ToneScript().say(17, ms=150).pause(200), ToneScript().pause(200).say(18, ms=150)
    both = np.stack([np.frombuffer(side.pcm, dtype="<i2") for side in (left, right)], axis=1).tobytes()
    call = run_call(node(serve().url, channels=2), lambda call: play(call, both, frame_bytes=frame_bytes))
    assert call.texts == ["b17 b18"]


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_channels_that_frames_say_give_the_same_words(serve, rate: int, channels: int) -> None:
    pcm = script(rate).pcm if channels == 1 else stereo(script(rate).pcm)
    call = run_call(node(serve().url), lambda call: play(call, pcm, rate=rate, channels=channels, width=2))
    assert call.texts == [script().words]


@pytest.mark.parametrize("encoding", ["g711_ulaw", "g711_alaw"])
def test_g711_frames_give_the_same_words_and_go_out_as_pcm(serve, encoding: str) -> None:
    server = serve()
    frames = g711(script(8_000).pcm, alaw=encoding == "g711_alaw")
    properties = node(server.url, input_encoding=encoding, sample_rate=8_000)
    call = run_call(properties, lambda call: play(call, frames, frame_bytes=160, width=1))
    assert call.texts == [script().words]
    assert server.session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}


@pytest.mark.parametrize("wire", ["g711_ulaw", "g711_alaw"])
@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_g711_on_the_wire_gives_the_same_words_at_its_own_rate(serve, wire: str, rate: int) -> None:
    server = serve()
    call = run_call(node(server.url, input_audio_format=wire), lambda call: play(call, script(rate).pcm, rate=rate))
    assert call.texts == [script().words]
    numbers = call.metric("vendor_metrics")[-1]
    sent_ms = numbers["sent_user_ms"] + numbers["sent_silence_ms"]
    assert len(server.wires[0].audio) == pytest.approx(sent_ms * 8, abs=16), "a byte a sample, 8,000 a second"


def test_nothing_of_a_turn_is_held_back_behind_its_commit(serve) -> None:
    """The server has as much audio as was sent when the commit comes: no resampler keeps the last sounds."""
    server = serve()
    pcm = ToneScript(44_100).say(17, 18).pcm
    run_call(node(server.url), lambda call: play(call, pcm, rate=44_100))
    before_commit = 0
    for message in server.wires[0].heard:
        if message["type"] == "input_audio_buffer.commit":
            break
        before_commit += len(base64.b64decode(message.get("audio", "")))
    assert before_commit / 48 == pytest.approx(len(pcm) / 88.2, abs=1.0)


def test_loud_sound_is_clipped_and_never_wrapped(serve) -> None:
    """A square wave at full scale overshoots in any resampler: wrapped, its tops would cross zero again and again."""
    server = serve()
    half_periods = 100
    period = np.concatenate((np.full(80, 32_767), np.full(80, -32_768))).astype("<i2")
    pcm = np.tile(period, half_periods // 2).tobytes()
    run_call(node(server.url), lambda call: play(call, pcm))
    sent = np.frombuffer(server.wires[0].audio, dtype="<i2")
    assert np.abs(sent.astype(int)).max() >= 32_767, "it was loud enough to clip"
    signs = np.sign(sent[np.abs(sent.astype(int)) > 8000])
    assert np.count_nonzero(np.diff(signs)) in (half_periods - 1, half_periods)
