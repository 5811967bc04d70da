"""Faults of what the server says, each as a client sees it; time is a number."""

from __future__ import annotations

from typing import Any

import pytest
from server_faults import COMMITTING, FaultyPeer, faulty, names
from server_peers import VAD, silence, speech
from ten_packages.extension.openai_asr_python.devkit.server.faults import Faults

ANNOUNCED = ["committed", "added", "done"]


def finished(peer: FaultyPeer, *texts: str) -> list[Any]:
    """Items that say these *texts*, committed first and transcribed in order; what came of the transcription."""
    return [
        event for item, text in zip(peer.items(len(texts)), texts, strict=True) for event in peer.complete(item, text)
    ]


def test_without_faults_nothing_is_changed() -> None:
    peer = faulty()
    assert names(finished(peer, "one")) == ["delta", "completed"]
    assert names(peer.said) == ANNOUNCED
    assert peer.session.get_timer() == 100_000


# Late -----------------------------------------------------------------------------------------------------------


def test_late_created_holds_back_all_there_is_to_say() -> None:
    peer = faulty("late-created:ms=5000", configured=False)
    assert peer.events() == []
    assert peer.update(**COMMITTING) == []
    assert peer.until(4.9) == []
    assert names(peer.until(5.0)) == ["created", "updated"]
    assert names(finished(peer, "one")) == ["delta", "completed"]


def test_late_updated_holds_back_the_confirmation_alone() -> None:
    peer = faulty("late-updated:ms=300,times=1", configured=False)
    assert names(peer.events()) == ["created"]
    assert peer.update(**COMMITTING) == []
    assert peer.until(0.2) == []
    assert names(peer.until(0.3)) == ["updated"]
    assert names(peer.update(**COMMITTING)) == ["updated"], "once is enough"


def test_slow_answer_keeps_the_order() -> None:
    peer = faulty("slow-answer:ms=1000,for=10")
    peer.until(5.0)
    assert finished(peer, "one") == [] and peer.said == []
    assert names(peer.until(6.0)) == [*ANNOUNCED, "delta", "completed"]
    peer.until(9.9)
    finished(peer, "two")
    peer.until(10.1)
    assert finished(peer, "three") == [], "what comes later does not overtake what is late"
    assert names(peer.until(10.9)) == [*ANNOUNCED, "delta", "completed"] * 2
    assert names(finished(peer, "four")) == ["delta", "completed"]


def test_late_final_lets_the_deltas_through() -> None:
    peer = faulty("late-final:ms=3000,every=2")
    assert names(finished(peer, "one", "two")) == ["delta", "completed", "delta"]
    assert peer.until(2.9) == []
    assert [event["transcript"] for event in peer.until(3.0)] == ["two"]


def test_what_was_late_still_passes_the_faults_behind_it() -> None:
    peer = faulty("late-final:ms=100", "duplicate")
    assert names(finished(peer, "one")) == ["delta"]
    assert names(peer.until(0.1)) == ["completed", "completed"]


# Lost -----------------------------------------------------------------------------------------------------------


def test_swallow_item_leaves_an_item_without_an_end() -> None:
    peer = faulty("swallow-item:every=3")
    ends = [event["transcript"] for event in finished(peer, *"abcdef") if event["type"].endswith("completed")]
    assert ends == ["a", "b", "d", "e"]
    assert peer.until(60.0) == []


def test_swallow_commit_is_as_if_nothing_had_been_asked() -> None:
    peer = faulty("swallow-commit:every=2")
    peer.hear(speech(200))
    assert names(peer.commit()) == ANNOUNCED
    peer.hear(speech(200))
    assert peer.commit() == []
    assert names(peer.commit()) == ANNOUNCED, "the audio is still there"


def test_swallow_event_takes_one_type() -> None:
    peer = faulty("swallow-event:type=committed,times=1")
    finished(peer, "one", "two")
    assert names(peer.said) == [*ANNOUNCED[1:], *ANNOUNCED]
    whole = faulty("swallow-event:type=conversation.item.added")
    finished(whole, "one")
    assert names(whole.said) == ["committed", "done"]


def test_mute_says_nothing_and_does_not_close() -> None:
    silent = faulty("mute", configured=False)
    assert silent.update(**COMMITTING) == [] and silent.until(1000.0) == []
    assert silent.session.close is None
    later = faulty("mute:after=10,for=5")
    assert names(finished(later, "one")) == ["delta", "completed"]
    later.until(10.0)
    assert finished(later, "two") == []
    later.until(15.0)
    assert names(finished(later, "three")) == ["delta", "completed"]


# Wrong ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "kind"), [(None, "server_error"), ("rate_limit_exceeded", "rate_limit_exceeded")])
def test_fail_item_fails_after_its_deltas(code: str | None, kind: str) -> None:
    peer = faulty("fail-item:every=2" if code is None else f"fail-item:every=2,code={code},type={kind}")
    events = finished(peer, "one", "two")
    assert names(events) == ["delta", "completed", "delta", "failed"]
    assert events[3]["item_id"] == events[2]["item_id"]
    assert (events[3]["error"]["type"], events[3]["error"]["code"]) == (kind, code)


def test_empty_final_contradicts_the_deltas() -> None:
    events = finished(faulty("empty-final:every=2"), "one", "two")
    assert [event.get("transcript", event.get("delta")) for event in events] == ["one", "one", "two", ""]


@pytest.mark.parametrize("field", ["model", "language", "format", "turn-detection", "noise-reduction", "include"])
def test_wrong_echo_changes_one_field_of_the_answer_and_nothing_else(field: str) -> None:
    told = {**COMMITTING, "transcription": {"model": "gpt-4o-transcribe", "language": "en"}}
    right = faulty(configured=False).update(**told)[0]["session"]
    wrong = faulty(f"wrong-echo:field={field}", configured=False).update(**told)[0]["session"]
    path = {"turn-detection": "turn_detection", "noise-reduction": "noise_reduction"}.get(field, field)

    def flat(session: dict[str, Any]) -> dict[str, Any]:
        hearing = session["audio"]["input"]
        return {**hearing["transcription"], **hearing, "transcription": None, "include": session.get("include")}

    differing = {name for name, value in flat(right).items() if flat(wrong)[name] != value}
    assert differing == {path}


def test_wrong_echo_can_be_put_right() -> None:
    peer = faulty("wrong-echo:times=1", configured=False)
    models = [peer.update(**COMMITTING)[0]["session"]["audio"]["input"]["transcription"]["model"] for _ in range(2)]
    assert models == ["another-model", "gpt-4o-transcribe"]


def test_error_event_comes_again_and_harms_nobody() -> None:
    peer = faulty("error-event:after=1,interval=2,for=5")
    events = peer.until(20.0)
    assert [event["error"]["code"] for event in events] == [None] * 3
    assert {event["error"]["type"] for event in events} == {"server_error"}
    assert names(finished(peer, "one")) == ["delta", "completed"]
    (once,) = faulty("error-event:code=input_audio_buffer_commit_empty,interval=0,after=1").until(100.0)
    assert once["error"]["code"] == "input_audio_buffer_commit_empty" and once["error"]["event_id"] is None


def test_junk_comes_between_the_events_and_replaces_none() -> None:
    peer = faulty("junk")
    entries = []
    for text in "abcdef":
        events = finished(peer, text)
        entries += peer.said + events
    real = [e for e in entries if isinstance(e, dict) and e.get("item_id") and str(e["item_id"]).startswith("item_")]
    assert [event["transcript"] for event in real if event.get("transcript")] == list("abcdef")
    raw = [entry.data for entry in entries if not isinstance(entry, dict)]
    assert any(isinstance(data, bytes) for data in raw)
    assert any(isinstance(data, str) and data.startswith("{this") for data in raw)
    assert any(isinstance(data, str) and data.startswith("[") for data in raw)
    unknown = [entry for entry in entries if isinstance(entry, dict) and entry["type"].endswith("imagined")]
    assert unknown
    nulls = [e for e in entries if isinstance(e, dict) and all(e[key] is None for key in e if key != "type")]
    assert nulls


def test_ghost_item_says_what_nobody_said() -> None:
    peer = faulty("ghost-item:every=2")
    first, second = peer.items(2)
    assert names(peer.said) == [*ANNOUNCED, "committed", "delta", "completed", "added", "done"]
    assert {event["item_id"] for event in peer.said if event.get("item_id")} >= {first, second}
    (ghost,) = {event["item_id"] for event in peer.said if "delta" in event or "transcript" in event}
    assert ghost not in (first, second)
    endless = faulty("ghost-item:completed=false")
    endless.items(1)
    assert names(endless.said) == ["committed", "delta", "added", "done"]


# Doubled and out of order ---------------------------------------------------------------------------------------


def test_duplicate_tells_commits_and_ends_again() -> None:
    peer = faulty("duplicate:copies=3")
    events = finished(peer, "one")
    assert names(peer.said) == ["committed"] * 3 + ["added", "done"]
    assert names(events) == ["delta"] + ["completed"] * 3
    assert len({event["event_id"] for event in events}) == 4
    assert len({event["item_id"] for event in events}) == 1


def test_reorder_turns_groups_round_and_does_not_wait_for_ever() -> None:
    peer = faulty("reorder:group=3,hold=2")
    ends = [event["transcript"] for event in finished(peer, *"abc") if "transcript" in event]
    assert ends == ["c", "b", "a"]
    assert [event for event in finished(peer, "d") if "transcript" in event] == []
    assert [event["transcript"] for event in peer.until(2.0)] == ["d"]


def test_interleave_mixes_the_text_of_items() -> None:
    peer = faulty("interleave:hold=1")
    first, second = peer.items(2)
    assert peer.complete(first, "a b") == [] and peer.complete(second, "c d e") == []
    events = peer.until(1.0)
    assert [event["item_id"] for event in events] == [second, first] * 3 + [second]
    of_first = [event for event in events if event["item_id"] == first]
    assert names(of_first) == ["delta", "delta", "completed"], "the order within an item is kept"


# Hearing --------------------------------------------------------------------------------------------------------


def test_vad_deaf_hears_no_speech_until_it_does_again() -> None:
    peer = FaultyPeer(Faults(["vad-deaf:after=10,for=10"]))
    peer.update(transcription={"model": "gpt-4o-transcribe"}, turn_detection=VAD)
    turn = ["speech_started", "speech_stopped", *ANNOUNCED]
    assert names(peer.hear(speech(500), silence(600))) == turn
    peer.until(10.0)
    assert peer.hear(speech(500), silence(600)) == []
    peer.until(20.0)
    assert names(peer.hear(speech(500), silence(600))) == turn
