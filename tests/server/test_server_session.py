"""The rest of what a client sees of a session: errors, the end, and the seam for faults."""

from __future__ import annotations

import json
from typing import Any

import pytest
from server_peers import CLEAR, COMMITTED, EPOCH, Peer, append, error, speech, types
from ten_packages.extension.openai_asr_python.devkit.server.handshake import Refusal
from ten_packages.extension.openai_asr_python.realtime.messages import ErrorDetails

# Errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[1]", "invalid_event", "type"),
        ('{"event_id": "x"}', "invalid_event", "type"),
        ('{"type": 7}', "invalid_event", "type"),
        ('{"type": "input_audio_buffer.append"}', "missing_required_parameter", "audio"),
        ('{"type": "input_audio_buffer.commit", "force": true}', "unknown_parameter", "force"),
        ('{"type": "transcription_session.update", "session": {}}', "invalid_value", "type"),
        ('{"type": "response.create"}', "invalid_value", "type"),
        ('{"type": "session.update"}', "missing_required_parameter", "session"),
        ('{"type": "session.update", "session": 5}', "invalid_type", None),
    ],
)
def test_bad_messages_are_errors_and_nothing_more(committing: Peer, frame: str, code: str, param: str | None) -> None:
    committing.session.receive_message(frame, 0.0)
    refused = error(committing.events())
    assert (refused["type"], refused["code"], refused["param"]) == ("invalid_request_error", code, param)
    assert committing.session.close is None
    committing.hear(speech(100))
    assert types(committing.commit()) == COMMITTED


def test_an_unknown_event_is_told_what_there_is(committing: Peer) -> None:
    message = error(committing.say({"type": "nope"}))["message"]
    assert message.startswith("Invalid value: 'nope'. Supported values are: 'session.update', ")
    assert "'input_audio_buffer.clear'" in message


def test_a_binary_frame_is_an_invalid_event(committing: Peer) -> None:
    committing.session.receive_binary(0.0)
    assert error(committing.events())["code"] == "invalid_event"


def test_errors_echo_the_clients_event_id(committing: Peer) -> None:
    assert error(committing.say({"type": "nope", "event_id": "mine"}))["event_id"] == "mine"
    assert error(committing.say({"type": "nope"}))["event_id"] is None


def test_every_event_has_an_id_of_its_own(committing: Peer) -> None:
    events = [event for _ in range(50) for event in committing.say(CLEAR)]
    assert len({event["event_id"] for event in events}) == 50


def test_the_same_seed_gives_the_same_ids() -> None:
    assert Peer().events() == Peer().events()


# The end ------------------------------------------------------------------------------------------------------


def test_a_session_ends_after_its_hour_and_not_before() -> None:
    peer = Peer(session_seconds=3600)
    (created,) = peer.events()
    assert created["session"]["expires_at"] == EPOCH + 3600
    assert peer.session.get_timer() == 3600
    peer.session.handle_timer(3599.9)
    assert peer.events() == [] and peer.session.close is None
    peer.session.handle_timer(3600.0)
    assert error(peer.events())["code"] == "session_expired"
    assert peer.session.close == (1001, "Your session hit the maximum duration of 60 minutes.")
    assert peer.session.get_timer() is None


def test_nothing_is_said_after_the_end() -> None:
    peer = Peer(session_seconds=5)
    peer.update(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None)
    peer.hear(speech(640))
    item = peer.commit()[0]["item_id"]
    peer.session.handle_timer(5.0)
    peer.events()
    assert peer.complete(item, "too late") == []
    assert peer.hear(speech(100)) == [] and peer.commit() == []


def test_a_refused_session_says_why_and_closes() -> None:
    details = ErrorDetails(type="insufficient_quota", code="insufficient_quota", message="no credit")
    peer = Peer(refusal=Refusal(details, 1013))
    assert error(peer.events())["message"] == "no credit"
    assert peer.session.close == (1013, "insufficient_quota.insufficient_quota")


# The seam for faults ------------------------------------------------------------------------------------------


class Delay:
    """Holds `session.updated` back for two seconds, doubles commits, swallows `cleared`."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.due: float | None = None

    def incoming(self, frame: Any, now: float) -> Any:
        return [frame] * (2 if b"commit" in frame.encode() else 1)

    def outgoing(self, event: dict[str, Any], now: float) -> Any:
        if event["type"] == "session.updated":
            self.held.append(event)
            self.due = now + 2
            return []
        return [] if event["type"].endswith("cleared") else [event]

    def get_timer(self) -> float | None:
        return self.due

    def handle_timer(self, now: float) -> Any:
        if self.due is None or now < self.due:
            return []
        held, self.held, self.due = self.held, [], None
        return held


def test_a_layer_can_hold_back_swallow_and_repeat() -> None:
    peer = Peer(middleware=[Delay()])
    assert peer.update(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None) == []
    assert peer.session.get_timer() == 2
    peer.session.handle_timer(2.0)
    assert types(peer.events()) == ["session.updated"]
    assert peer.say(CLEAR) == []
    peer.hear(speech(640))
    events = peer.commit()
    assert types(events[:3]) == COMMITTED and error(events[3:])["code"] == "input_audio_buffer_commit_empty"


def test_json_strings_and_bytes_are_the_same(committing: Peer) -> None:
    committing.session.receive_message(json.dumps(append(speech(100))).encode(), 0.0)
    assert types(committing.commit()) == COMMITTED
