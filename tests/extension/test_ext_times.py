"""Times are true: milliseconds of the caller's own audio, whatever its rate, and whatever happened to connections.

Truth is where the test put the sound. Local turns are within 40 ms of it; server turns within 20 ms of the server's
word, which is read off the sound that reached the server.
"""

from __future__ import annotations

import pytest
from asr_tester import Call, Json, node, poll, run_call
from ten_packages.extension.openai_asr_python.devkit.server.tones import Block, decode
from tone_script import Spoken, ToneScript, stereo
from wire_servers import FakeServer, Peer

WIRE_RATE = 24_000
LOCAL_MS, SERVER_MS = 40, 20


def assert_spoken(final: Json, first: Spoken, last: Spoken, offset_ms: float = 0.0) -> None:
    """The final's span is that from *first* to *last*, which were played *offset_ms* into the stream."""
    off = (
        round(final["start_ms"] - (offset_ms + first.start_ms)),
        round(final["start_ms"] + final["duration_ms"] - (offset_ms + last.end_ms)),
    )
    assert max(map(abs, off)) <= LOCAL_MS, f"{final['text']}: start, end off by {off} ms"


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 1), (44_100, 1), (48_000, 2)])
def test_turns_between_finalizes_have_the_times_of_their_sound_at_any_rate(serve, rate: int, channels: int) -> None:
    turns = [ToneScript(rate).pause(480).say(1, 2).pause(330), ToneScript(rate).pause(900).say(3, ms=300).pause(700)]

    async def scenario(call: Call) -> None:
        for number, turn in enumerate(turns):
            pcm = turn.pcm if channels == 1 else stereo(turn.pcm)
            await call.send(pcm, rate=rate, channels=channels, width=2, frame_bytes=rate // 50 * 2 * channels)
            await call.finalize(f"f{number}")
            await call.answer(f"f{number}")

    call = run_call(node(serve().url), scenario)
    assert call.texts == [turn.words for turn in turns]
    assert_spoken(call.finals[0], turns[0].spoken[0], turns[0].spoken[-1])
    assert_spoken(call.finals[1], turns[1].spoken[0], turns[1].spoken[-1], turns[0].ms)


def test_the_configured_rate_counts_where_frames_say_nothing(serve) -> None:
    script = ToneScript(48_000).pause(700).say(4, 5).pause(200)

    async def scenario(call: Call) -> None:
        await call.send(stereo(script.pcm))
        await call.finalize("f1")
        await call.answer("f1")

    call = run_call(node(serve().url, sample_rate=48_000, channels=2), scenario)
    assert call.texts == ["b4 b5"]
    assert_spoken(call.finals[0], script.spoken[0], script.spoken[-1])


def test_a_change_of_rate_in_the_middle_moves_no_time(serve) -> None:
    slow, fast = ToneScript(16_000).pause(500).say(1).pause(500), ToneScript(48_000).pause(500).say(2).pause(300)

    async def scenario(call: Call) -> None:
        await call.send(slow.pcm, rate=16_000)
        await call.finalize("f1")
        await call.send(fast.pcm, rate=48_000)
        await call.finalize("f2")
        await call.answer("f2")

    call = run_call(node(serve().url), scenario)
    assert call.texts == ["b1", "b2"]
    assert_spoken(call.finals[0], slow.spoken[0], slow.spoken[0])
    assert_spoken(call.finals[1], fast.spoken[0], fast.spoken[0], slow.ms)


def test_server_turns_are_where_the_server_heard_them(serve) -> None:
    script = ToneScript().pause(1000).say(1, 2).pause(1500).say(3).pause(250)
    rest = ToneScript().pause(120).say(4).pause(300)

    async def scenario(call: Call) -> None:
        await call.send(script.pcm)
        await call.finalize("f1")
        await call.answer("f1")
        await call.send(rest.pcm)
        await call.finalize("f2")
        await call.answer("f2")

    server = serve()
    call = run_call(node(server.url, turns="server_vad"), scenario)
    assert call.texts == ["b1 b2", "b3", "b4"]
    wire = server.wires[0]
    starts = [event["audio_start_ms"] for event in wire.all("input_audio_buffer.speech_started")]
    stops = [event["audio_end_ms"] for event in wire.all("input_audio_buffer.speech_stopped")]
    # Silence that a finalize sends makes the server's clock run ahead: the tones say by how much.
    heard = {block.label: block.start_ms for block in decode(wire.audio, WIRE_RATE)}
    truth = {s.label: s.start_ms for s in script.spoken} | {s.label: script.ms + s.start_ms for s in rest.spoken}
    end = 0
    for final, label, started, stopped, fence in zip(
        call.finals, (1, 3, 4), starts, stops, (script.ms, script.ms, script.ms + rest.ms), strict=True
    ):
        ahead = heard[label] + 5 - truth[label]
        assert final["start_ms"] == pytest.approx(max(started - ahead, end), abs=SERVER_MS)
        end = final["start_ms"] + final["duration_ms"]
        assert end == pytest.approx(min(stopped - ahead, fence), abs=SERVER_MS)
        assert end <= fence


async def hear_tones(peer: Peer, blocks: int, text: str) -> None:
    """Configure, wait for so many blocks of tone, and make a turn of exactly them."""
    await peer.configure()
    found: list[Block] = []

    def complete() -> bool:
        found[:] = decode(peer.audio, WIRE_RATE)
        # A block may still be growing while nothing follows it.
        return len(found) == blocks and len(peer.audio) / 48 > found[-1].start_ms + found[-1].duration_ms + 50

    await peer.until(f"{blocks} blocks of tone", complete)
    start, end = found[0].start_ms + 5, found[-1].start_ms + found[-1].duration_ms - 5
    item = peer.new_item()
    await peer.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": round(start), "item_id": item})
    await peer.say({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": round(end), "item_id": item})
    await peer.committed(item)
    await peer.completed(item, text)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_a_reconnect_moves_no_time(rate: int) -> None:
    first = ToneScript(rate).pause(700).say(1, 2).pause(600)
    second = ToneScript(rate).pause(900).say(3).pause(400)

    dropping: list[bool] = []

    async def then_drop(peer: Peer) -> None:
        await hear_tones(peer, 2, "first")
        await poll("the order to drop", lambda: dropping)
        peer.abort()

    async def scenario(call: Call) -> None:
        await call.send(first.pcm, rate=rate, frame_bytes=rate // 50 * 2)
        await call.until("the first final", lambda: call.finals)
        dropping.append(True)
        await call.until("the drop", lambda: call.errors)
        await call.send(second.pcm, rate=rate, frame_bytes=rate // 50 * 2)
        await call.until("the second final", lambda: len(call.finals) == 2)

    with FakeServer(then_drop, lambda peer: hear_tones(peer, 1, "second")) as server:
        call = run_call(node(server.url, turns="server_vad"), scenario)
        assert len(server.peers) == 2
    assert call.texts == ["first", "second"]
    for final, (begin, end) in zip(
        call.finals,
        (
            (first.spoken[0].start_ms, first.spoken[1].end_ms),
            (first.ms + second.spoken[0].start_ms, first.ms + second.spoken[0].end_ms),
        ),
        strict=True,
    ):
        assert final["start_ms"] == pytest.approx(begin, abs=SERVER_MS)
        assert final["start_ms"] + final["duration_ms"] == pytest.approx(end, abs=SERVER_MS)


def test_local_turns_have_the_times_of_the_speech(serve, speech) -> None:
    """Real speech for the local detector; the recogniser behind it needs no words here."""
    from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer

    one, two = speech("could you help"), speech("five fish swim past")
    quiet = bytes(2 * 16_000 * 1_200 // 1_000)
    pcm = quiet + one + quiet + two + quiet
    truth = [(1200, 1200 + len(one) / 32), (2400 + len(one) / 32, 2400 + (len(one) + len(two)) / 32)]

    async def scenario(call: Call) -> None:
        await call.send(pcm)
        await call.until("both turns", lambda: len(call.finals) == 2)

    server = serve(recognizer=ScriptedRecognizer(["one", "two"]))
    call = run_call(node(server.url, turns="local_vad"), scenario)
    assert call.texts == ["one", "two"]
    for final, (begin, end) in zip(call.finals, truth, strict=True):
        assert final["start_ms"] == pytest.approx(begin, abs=LOCAL_MS)
        assert final["start_ms"] + final["duration_ms"] == pytest.approx(end, abs=LOCAL_MS)
