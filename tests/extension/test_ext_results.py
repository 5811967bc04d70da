"""Results: partials grow under one id and never mix, finals come once and in order, every field says what it should."""

from __future__ import annotations

import asyncio
import math

import pytest
from asr_tester import COMMITTING, SESSION, STREAMING, Call, node, run_call
from tone_script import ToneScript
from wire_servers import FakeServer, Peer

SECOND = 48_000
"Bytes of a second of PCM on the wire."


def test_each_turn_has_its_text_once_and_an_id_of_its_own(serve) -> None:
    async def scenario(call: Call) -> None:
        for turn in range(3):
            await call.send(ToneScript().pause(200).say(10 * turn + 1, 10 * turn + 2).pause(200).pcm)
            await call.finalize(f"f{turn}")
            await call.answer(f"f{turn}")

    call = run_call(node(serve().url), scenario)
    assert call.texts == ["b1 b2", "b11 b12", "b21 b22"]
    assert len({final["id"] for final in call.finals}) == 3


def test_partials_of_a_streaming_model_grow_under_the_id_of_their_final(serve) -> None:
    script = ToneScript().pause(100).say(17, 18, 19).pause(100)

    async def scenario(call: Call) -> None:
        await call.send(script.pcm)
        await call.finalize("f1")
        await call.answer("f1")

    call = run_call(node(serve().url, model=STREAMING), scenario)
    assert call.texts == [script.words]
    shown = [partial["text"] for partial in call.partials]
    assert shown, "a streaming model shows text while the speaker speaks"
    assert all(script.words.startswith(text) for text in shown) and shown == sorted(set(shown), key=len)
    assert {result["id"] for result in call.results} == {call.finals[0]["id"]}


async def two_turns_at_once(peer: Peer) -> None:
    """Server-owned turns A and B; their words come alternately, and B is ready first."""
    await peer.configure()
    await peer.heard_audio(3 * SECOND)
    for item, start, stop, previous in (("A", 0, 1000, None), ("B", 1500, 2500, "A")):
        await peer.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": start, "item_id": item})
        await peer.say({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": stop, "item_id": item})
        await peer.committed(item, previous)
    for item, word in (("A", "one"), ("B", "four"), ("A", " two"), ("B", " five"), ("A", " three")):
        await peer.delta(item, word)
    await peer.completed("B", "four five")
    await peer.completed("B", "four five, once more")
    await peer.completed("A", "one two three")
    await peer.delta("A", " and an echo")
    await peer.completed("A", "one two three, once more")


TWO_TURNS = ToneScript().say(1, ms=1000).pause(500).say(2, ms=1000).pause(700)


def test_words_of_two_turns_never_mix_and_finals_come_in_the_order_of_the_audio_once() -> None:
    async def scenario(call: Call) -> None:
        await call.send(TWO_TURNS.pcm)
        await call.until("both finals", lambda: len(call.finals) == 2)

    with FakeServer(two_turns_at_once) as server:
        call = run_call(node(server.url, turns="server_vad"), scenario)
    assert call.texts == ["one two three", "four five"]
    first, second = (final["id"] for final in call.finals)
    assert first != second
    assert [p["text"] for p in call.partials if p["id"] == first] == ["one", "one two", "one two three"]
    assert [p["text"] for p in call.partials if p["id"] == second] == ["four", "four five"]
    assert len(call.partials) == 5


def test_repeated_and_late_events_of_a_settled_item_are_counted_and_not_told() -> None:
    async def scenario(call: Call) -> None:
        await call.send(TWO_TURNS.pcm)
        # Numbers are told with a final and with the answer to a finalize; the echoes come behind the last final.
        for asked in range(1, 1_000):
            await call.finalize(f"f{asked}")
            await call.answer(f"f{asked}")
            if (call.metric("vendor_metrics") or [{}])[-1].get("duplicate_events"):
                return
            await asyncio.sleep(0.02)

    async def and_more(peer: Peer) -> None:
        await two_turns_at_once(peer)
        await peer.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 2900, "item_id": "C"})
        await peer.committed("C", "B")
        await peer.completed("C", "")

    with FakeServer(and_more) as server:
        call = run_call(node(server.url, turns="server_vad"), scenario)
    assert call.texts == ["one two three", "four five"]
    assert not call.errors and call.metric("vendor_metrics")[-1]["duplicate_events"]


async def transcribe(peer: Peer, *transcripts: str, deltas: tuple[str, ...] = (), **more: object) -> None:
    """Make an item of each commit, say *deltas* and then its transcript."""
    await peer.configure()
    for number, text in enumerate(transcripts, 1):
        await peer.heard("input_audio_buffer.commit", number)
        await peer.committed(f"item_{number}")
        for delta in deltas:
            await peer.delta(f"item_{number}", delta)
        await peer.completed(f"item_{number}", text, **more)


async def one_turn(call: Call, finalize_id: str = "f1", **sending: object) -> None:
    await call.send(ToneScript().say(5, ms=300).pcm, **sending)  # type: ignore[arg-type]
    await call.finalize(finalize_id)
    await call.answer(finalize_id)


@pytest.mark.parametrize("blank", ["", "  \n"])
def test_a_blank_transcript_is_no_result_and_the_finalize_is_answered(blank: str) -> None:
    with FakeServer(lambda peer: transcribe(peer, blank, "words")) as server:

        async def scenario(call: Call) -> None:
            await one_turn(call, "f1")
            await one_turn(call, "f2")

        call = run_call(node(server.url), scenario)
    assert [result["text"] for result in call.results] == ["words"]
    assert not call.errors


def test_an_empty_transcript_behind_deltas_means_the_deltas_are_the_text() -> None:
    with FakeServer(lambda peer: transcribe(peer, "", deltas=("good ", "morning"))) as server:
        call = run_call(node(server.url), one_turn)
    assert call.texts == ["good morning"]
    assert call.partials[-1]["id"] == call.finals[0]["id"]


def test_a_final_replaces_its_partials_where_the_model_commits_first() -> None:
    with FakeServer(lambda peer: transcribe(peer, "Good morning.", deltas=("good", " mourning"))) as server:
        call = run_call(node(server.url), one_turn)
    assert call.texts == ["Good morning."]


def test_a_streaming_final_never_says_less_than_was_shown() -> None:
    with FakeServer(lambda peer: transcribe(peer, "good", deltas=("good ", "morning"))) as server:
        call = run_call(node(server.url, model=STREAMING), one_turn)
    assert call.texts == ["good morning"]


@pytest.mark.parametrize(
    ("configured", "detected", "reported"),
    [
        ("en", None, "en-US"),
        ("en", "en", "en-US"),
        ("en-GB", "en", "en-GB"),
        ("zh", None, "zh-CN"),
        ("en", "de", "de-DE"),
        ("", "fr", "fr-FR"),
        ("", None, "und"),
    ],
)
def test_the_language_is_the_one_heard_with_its_region(configured: str, detected: str | None, reported: str) -> None:
    languages = {} if detected is None else {"languages": [{"code": detected}]}
    model = {"model": "gpt-transcribe", "language": configured}
    with FakeServer(lambda peer: transcribe(peer, "words", **languages)) as server:
        call = run_call(node(server.url, input_audio_transcription=model), one_turn)
    assert [final["language"] for final in call.finals] == [reported]


def test_results_carry_the_metadata_their_frames_had_when_they_were_spoken() -> None:
    async def slow(peer: Peer) -> None:
        await peer.configure()
        for number in (1, 2):
            await peer.heard("input_audio_buffer.commit", number)
            await peer.committed(f"item_{number}")
        for item, text in (("item_1", "first"), ("item_2", "second")):
            await peer.delta(item, text)
            await peer.completed(item, text)

    async def scenario(call: Call) -> None:
        speech = ToneScript().say(5, ms=300).pcm
        await call.send(speech, metadata={"session_id": "a", "turn_id": 1, "nested": {"x": [1, "y"]}})
        await call.finalize("f1")
        await call.send(speech, metadata={"session_id": "b", "turn_id": 2})
        await call.finalize("f2")
        await call.answer("f2")

    with FakeServer(slow) as server:
        call = run_call(node(server.url), scenario)
    metadata = [{k: v for k, v in result["metadata"].items() if k != "asr_info"} for result in call.results]
    first = {"session_id": "a", "turn_id": 1, "nested": {"x": [1, "y"]}}
    assert metadata == [first, first, {"session_id": "b", "turn_id": 2}, {"session_id": "b", "turn_id": 2}]
    assert [answer["metadata"]["session_id"] for answer in call.answers] == ["a", "b"]


def test_metadata_that_changes_with_every_frame_is_still_that_of_the_span() -> None:
    with FakeServer(lambda peer: transcribe(peer, "long ago")) as server:

        async def scenario(call: Call) -> None:
            script = ToneScript().say(5, ms=300).pause(8000).say(6, ms=300).pcm
            for number, at in enumerate(range(0, len(script), 640)):
                session = "first" if at < 16_000 else "later"
                await call.send(script[at : at + 640], metadata={"session_id": session, "frame": number})
            await call.finalize("f1")
            await call.answer("f1")

        call = run_call(node(server.url), scenario)
    assert call.finals[0]["metadata"]["session_id"] == "first"
    assert call.finals[0]["metadata"]["frame"] == 0


def test_asr_info_says_who_made_the_text_and_what_it_cost() -> None:
    usage = {
        "type": "tokens", "total_tokens": 30, "input_tokens": 20, "output_tokens": 10, "input_token_details": None,
    }  # fmt: skip
    logprobs = [{"token": "wo", "logprob": math.log(0.5), "bytes": None}, {"token": "rds", "logprob": math.log(0.5)}]
    with FakeServer(lambda peer: transcribe(peer, "words", usage=usage, logprobs=logprobs)) as server:
        call = run_call(node(server.url), one_turn)
    assert call.finals[0]["metadata"] == {
        "session_id": SESSION,
        "asr_info": {
            "vendor": "openai",
            "model": COMMITTING,
            "item_id": "item_1",
            "confidence": pytest.approx(0.5),
            "usage": {"type": "tokens", "total_tokens": 30, "input_tokens": 20, "output_tokens": 10},
        },
    }
    assert call.finals[0]["words"] == []


def test_segments_with_speakers_become_words_with_times() -> None:
    async def diarize(peer: Peer) -> None:
        await peer.configure()
        await peer.heard("input_audio_buffer.commit")
        await peer.committed("item_1")
        for number, (text, speaker, start, end) in enumerate((("yes", "A", 0.1, 0.25), ("no", "B", 0.3, 0.5))):
            await peer.say(
                {
                    "type": "conversation.item.input_audio_transcription.segment", "id": f"seg_{number}",
                    "item_id": "item_1", "content_index": 0, "text": text, "speaker": speaker,
                    "start": start, "end": end,
                }
            )  # fmt: skip
        await peer.completed("item_1", "yes no")

    with FakeServer(diarize) as server:
        call = run_call(node(server.url, model="gpt-4o-transcribe-diarize"), one_turn)
    assert call.finals[0]["words"] == [
        {"word": "yes", "start_ms": 100, "duration_ms": 150, "stable": True},
        {"word": "no", "start_ms": 300, "duration_ms": 200, "stable": True},
    ]
    assert call.finals[0]["metadata"]["asr_info"]["speaker"] == "A"
