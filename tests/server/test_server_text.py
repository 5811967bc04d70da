"""Text and items, as a client sees them: when deltas come, what they add up to, how an item ends."""

from __future__ import annotations

from typing import Any

import pytest
from server_peers import CLEAR, COMMITTED, VAD, Peer, error, silence, speech, types
from ten_packages.extension.openai_asr_python.devkit.server.work import (
    UtteranceEnded,
    UtteranceStarted,
)


def test_a_streaming_model_speaks_before_the_commit_under_the_id_the_commit_names(streaming: Peer) -> None:
    streaming.hear(speech(900))
    (begun,) = [work for work in streaming.work if isinstance(work, UtteranceStarted)]
    assert begun.request.partials
    streaming.session.partial(begun.item_id, "so far", 1.0)
    (delta,) = streaming.events()
    assert (delta["item_id"], delta["delta"]) == (begun.item_id, "so far")
    assert streaming.commit()[0]["item_id"] == begun.item_id
    assert types(streaming.complete(begun.item_id, "so far so good")) == ["delta", "delta", "completed"]


def test_other_models_keep_their_text_until_the_commit(committing: Peer) -> None:
    committing.hear(speech(900))
    item = committing.work[0].item_id
    committing.session.partial(item, "so far", 1.0)
    assert committing.events() == []
    *committed, delta = committing.commit()
    assert types(committed) == COMMITTED and delta["delta"] == "so far"


def test_deltas_add_up_to_the_transcript(committing: Peer) -> None:
    text = "Well, it's five o'clock; the co-op's shut. Très bien!"
    committing.hear(speech(900))
    item = committing.commit()[0]["item_id"]
    *deltas, completed = committing.complete(item, text)
    assert len(deltas) > 8
    assert "".join(delta["delta"] for delta in deltas) == completed["transcript"] == text


def test_whisper_sends_one_delta_at_most() -> None:
    peer = Peer()
    peer.update(transcription={"model": "whisper-1"}, turn_detection=None)
    peer.hear(speech(900))
    item = peer.commit()[0]["item_id"]
    peer.session.partial(item, "two words", 1.0)
    assert types(peer.complete(item, "two words more")) == ["delta", "completed"]


def test_text_is_never_taken_back(streaming: Peer) -> None:
    streaming.hear(speech(900))
    item = streaming.work[0].item_id
    streaming.session.partial(item, "the mast", 1.0)
    streaming.session.partial(item, "the past is", 1.1)
    streaming.session.partial(item, "the", 1.2)
    assert [event["delta"] for event in streaming.events()] == ["the mast"]
    streaming.commit()
    assert types(streaming.complete(item, "the past is over")) == ["completed"]


def test_a_silent_item_completes_with_empty_text(committing: Peer) -> None:
    committing.hear(silence(300))
    item = committing.commit()[0]["item_id"]
    (completed,) = committing.complete(item, "")
    assert completed["transcript"] == ""


@pytest.mark.parametrize(
    ("model", "ms", "usage"),
    [
        ("gpt-live-transcribe", 2340, {"type": "duration", "seconds": 2.3}),
        ("gpt-realtime-whisper", 2340, {"type": "duration", "seconds": 2.3}),
        ("gpt-transcribe", 2340, {"type": "duration", "seconds": 3}),
        ("whisper-1", 2340, {"type": "duration", "seconds": 3}),
        (
            "gpt-4o-mini-transcribe",
            2340,
            {
                "type": "tokens",
                "total_tokens": 25,
                "input_tokens": 23,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 23},
                "output_tokens": 2,
            },
        ),
    ],
)
def test_usage_is_counted_as_the_model_is_billed(model: str, ms: int, usage: dict[str, Any]) -> None:
    peer = Peer()
    peer.update(transcription={"model": model}, turn_detection=None)
    peer.hear(speech(ms))
    item = peer.commit()[0]["item_id"]
    assert peer.complete(item, "two words")[-1]["usage"] == usage


def test_only_gpt_transcribe_names_the_languages_it_heard(committing: Peer) -> None:
    peer = Peer()
    peer.update(transcription={"model": "gpt-transcribe"}, turn_detection=VAD)
    item = peer.hear(speech(640), silence(640))[0]["item_id"]
    assert peer.complete(item, "ja", language="de")[-1]["languages"] == [{"code": "de"}]
    committing.hear(speech(640))
    item = committing.commit()[0]["item_id"]
    assert "languages" not in committing.complete(item, "ja", language="de")[-1]


def test_logprobs_come_only_when_asked_for(committing: Peer) -> None:
    committing.hear(speech(640))
    item = committing.commit()[0]["item_id"]
    assert all("logprobs" not in event for event in committing.complete(item, "yes sir"))
    include = ["item.input_audio_transcription.logprobs"]
    committing.say({"type": "session.update", "session": {"type": "transcription", "include": include}})
    committing.hear(speech(640))
    item = committing.commit()[0]["item_id"]
    delta, *_, completed = committing.complete(item, "yes sir", confidence=0.5)
    assert delta["logprobs"] == [{"token": "yes", "logprob": pytest.approx(-0.693, abs=1e-3), "bytes": [121, 101, 115]}]
    assert [entry["token"] for entry in completed["logprobs"]] == ["yes", " sir"]


def test_what_the_recogniser_is_told(streaming: Peer) -> None:
    told = {"languages": ["en", "cy"], "keywords": ["Polly"], "prompt": "At sea", "delay": "high"}
    streaming.update(transcription={"model": "gpt-live-transcribe", **told})
    streaming.hear(speech(100))
    request = next(work for work in streaming.work if isinstance(work, UtteranceStarted)).request
    assert (request.languages, request.keywords) == (("en", "cy"), ("Polly",))
    assert (request.prompt, request.delay) == ("At sea", "high")


def test_a_failure_before_the_commit_is_told_after_it(streaming: Peer) -> None:
    streaming.hear(speech(640))
    item = streaming.work[0].item_id
    streaming.session.failed(item, 1.0)
    assert streaming.events() == []
    *committed, failed = streaming.commit()
    assert types(committed) == COMMITTED
    assert failed["error"] == {
        "type": "server_error",
        "code": None,
        "message": f"Input transcription failed for item '{item}'.",
        "param": None,
    }


def test_an_item_ends_once(committing: Peer) -> None:
    committing.hear(speech(640))
    item = committing.commit()[0]["item_id"]
    assert types(committing.complete(item, "once")) == ["delta", "completed"]
    assert committing.complete(item, "twice") == []
    committing.session.failed(item, 1.0)
    assert committing.events() == []


def test_results_of_cleared_audio_are_not_sent(streaming: Peer) -> None:
    streaming.hear(speech(640))
    item = streaming.work[0].item_id
    streaming.say(CLEAR)
    streaming.session.partial(item, "ghost", 1.0)
    assert streaming.complete(item, "ghost") == []


def test_an_item_can_be_retrieved_and_deleted(committing: Peer) -> None:
    committing.hear(speech(640))
    item = committing.commit()[0]["item_id"]
    committing.complete(item, "kept")
    (retrieved,) = committing.say({"type": "conversation.item.retrieve", "item_id": item})
    assert retrieved["item"]["content"] == [{"type": "input_audio", "transcript": "kept"}]
    (deleted,) = committing.say({"type": "conversation.item.delete", "item_id": item})
    assert (deleted["type"], deleted["item_id"]) == ("conversation.item.deleted", item)
    refused = error(committing.say({"type": "conversation.item.retrieve", "item_id": item, "event_id": "r"}))
    assert (refused["param"], refused["event_id"]) == ("item_id", "r")


def test_utterances_end_when_their_item_is_committed(committing: Peer) -> None:
    committing.hear(speech(640))
    committing.commit()
    assert isinstance(committing.work[0], UtteranceStarted)
    assert isinstance(committing.work[-1], UtteranceEnded)
