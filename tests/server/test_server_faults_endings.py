"""Faults that end a connection, and when they do; time is a number."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from server_faults import COMMITTING, FaultyPeer, faulty, names
from server_peers import EPOCH, VAD, error, silence, speech
from ten_packages.extension.openai_asr_python.devkit.server.faults import Faults, fault
from ten_packages.extension.openai_asr_python.devkit.server.work import Abort, Freeze, IgnorePings, PauseReading

# When ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "answered"),
    [
        ("at=10,for=5", {0: "..........xxxxx...", 12: "xxx....", 20: "....."}),
        ("after=3,for=2", {0: "...xx....", 12: "...xx....", 20: "...xx...."}),
        ("at=5,after=3,for=2", {0: ".....xx....", 12: "...xx....", 20: "...xx...."}),
        ("for=3", {0: "xxx.....", 12: "....."}),
        ("at=4", {0: "....xxxx", 12: "xxxx"}),
    ],
)
def test_at_is_of_the_server_and_after_of_the_connection(times: str, answered: dict[int, str]) -> None:
    """A dot is a second in which the server answered, an x one in which it was mute."""
    faults = Faults([f"mute:{times}"])
    for opened, expected in answered.items():
        peer = FaultyPeer(faults, float(opened))
        seen = ""
        for second in range(len(expected)):
            peer.until(opened + second + 0.5)
            seen += "." if peer.say({"type": "input_audio_buffer.clear"}) else "x"
        assert seen == expected, opened


# Cut ------------------------------------------------------------------------------------------------------------


def test_drop_cuts_at_its_time_and_not_before() -> None:
    peer = faulty("drop:after=3")
    assert peer.until(2.9) == []
    assert peer.until(3.0) == [Abort()]


def cuts(seed: int) -> list[float]:
    """When ten connections are cut, the next one opened as soon as one is."""
    faults = Faults(["drop:interval=10"], seed=seed)
    opened = 0.0
    times = []
    for _ in range(10):
        peer = FaultyPeer(faults, opened)
        peer.events()
        timer = peer.session.get_timer()
        assert timer is not None
        assert peer.until(timer) == [Abort()]
        opened = timer
        times.append(timer)
    return times


def test_drop_at_random_is_the_same_for_the_same_seed() -> None:
    first = cuts(1)
    assert first == cuts(1) != cuts(2)
    gaps = [after - before for before, after in itertools.pairwise([0.0, *first])]
    assert len(set(gaps)) == 10 and 4 < sum(gaps) / 10 < 25


def test_drop_concerns_the_connections_it_names_and_no_more_often_than_told() -> None:
    faults = Faults([fault("drop", after=1, connections="2-", times=2)])
    cut = [FaultyPeer(faults).until(5.0)[1:] for _ in range(5)]
    assert cut == [[], [Abort()], [Abort()], [], []]
    assert list(faults.counts.values()) == [2]


def test_drop_before_the_commit_takes_it_along() -> None:
    peer = faulty("drop:phase=before-commit,after=5")
    peer.hear(speech(200))
    assert names(peer.commit()) == ["committed", "added", "done"], "not yet"
    peer.until(5.0)
    peer.hear(speech(200))
    assert peer.commit() == [Abort()]


def test_drop_before_a_commit_of_the_server() -> None:
    peer = FaultyPeer(Faults(["drop:phase=before_commit"]))
    peer.update(transcription={"model": "gpt-4o-transcribe"}, turn_detection=VAD)
    assert names(peer.hear(speech(500), silence(600)))[:3] == ["speech_started", "speech_stopped", "Abort"]


def test_drop_after_the_commit_keeps_the_text() -> None:
    seen = set()
    for seed in range(8):
        peer = faulty("drop:phase=after-commit", seed=seed)
        (item,) = peer.items(1)
        told = names(peer.said)
        if told[:2] != ["committed", "Abort"]:
            assert told == ["committed", "added", "done"]
            told = names(peer.complete(item, "words"))
            assert told[-1] == "Abort" and "completed" not in told
        seen.add(tuple(told))
    assert len(seen) == 2, "sometimes at once, sometimes just before the text"


def test_drop_inside_a_message() -> None:
    peer = faulty("drop:phase=inside-message")
    peer.items(1)
    assert names(peer.said)[0] == "Abort" and peer.said[0].inside["type"] == "input_audio_buffer.committed"


@pytest.mark.parametrize(
    ("kind", "loud", "quiet"),
    [("audio/pcm", speech(100), silence(100)), ("audio/pcmu", b"\x10" * 800, b"\xff" * 800)],
)
def test_drop_while_speaking_waits_for_speech(kind: str, loud: bytes, quiet: bytes) -> None:
    after = []
    for seed in range(5):
        peer = faulty("drop:phase=speaking", seed=seed)
        rate = {"rate": 24000} if kind == "audio/pcm" else {}
        peer.update(**COMMITTING, format={"type": kind, **rate})
        assert peer.hear(*[quiet] * 30) == []
        heard = next(count for count in range(1, 20) if peer.hear(loud) == [Abort()])
        after.append(heard)
    assert max(after) <= 16 and len(set(after)) > 1


def test_kill_cuts_everybody_at_the_same_time_and_again() -> None:
    faults = Faults(["kill:at=10,interval=20,times=2"])
    early, late = FaultyPeer(faults, 0.0), FaultyPeer(faults, 9.0)
    after = FaultyPeer(faults, 10.5)
    assert [peer.until(10.0)[1:] for peer in (early, late)] == [[Abort()], [Abort()]]
    assert after.until(29.9)[1:] == [] and after.until(30.0) == [Abort()]
    assert FaultyPeer(faults, 31.0).until(1000.0)[1:] == []


# Closed ---------------------------------------------------------------------------------------------------------


def test_close_says_the_code_and_the_reason() -> None:
    peer = faulty("close:code=1012,reason=service restart,after=2")
    peer.until(1.9)
    assert peer.session.close is None
    assert peer.until(2.0) == []
    assert peer.session.close == (1012, "service restart")
    assert peer.hear(speech(200)) == [], "nothing is said after that"


def test_session_limit_ends_like_the_hour_and_is_told() -> None:
    peer = faulty("session-limit:seconds=5", configured=False)
    (created,) = peer.events()
    assert created["session"]["expires_at"] == EPOCH + 5
    assert peer.update(**COMMITTING)[0]["session"]["expires_at"] == EPOCH + 5
    assert peer.until(4.9) == []
    assert error(peer.until(5.0))["code"] == "session_expired"
    assert peer.session.close is not None and peer.session.close.code == 1001


def test_nothing_follows_the_end() -> None:
    peer = faulty("session-limit:seconds=5", "error-event:after=5,interval=0")
    assert error(peer.until(10.0))["code"] == "session_expired"


def test_session_limit_without_a_word() -> None:
    peer = faulty("session-limit:seconds=5,event=false,told=false", configured=False)
    (created,) = peer.events()
    assert created["session"]["expires_at"] == EPOCH + 100_000
    assert peer.until(5.0) == []
    assert peer.session.close is not None and peer.session.close.code == 1001


@pytest.mark.parametrize(
    ("name", "code", "close", "reason"),
    [
        ("bad-key", "invalid_api_key", 3000, "invalid_request_error.invalid_api_key"),
        ("quota", "insufficient_quota", 1013, "insufficient_quota.insufficient_quota"),
    ],
)
def test_bad_key_and_quota_are_the_first_word(name: str, code: str, close: int, reason: str) -> None:
    peer = faulty(name, configured=False)
    assert error(peer.events())["code"] == code
    assert peer.session.close == (close, reason)


def test_quota_may_run_out_later_and_a_key_is_looked_at_once() -> None:
    for name, ended in (("quota:at=10", True), ("bad-key:at=10", False)):
        faults = Faults([name])
        running = FaultyPeer(faults, 0.0)
        running.until(11.0)
        assert (running.session.close is not None) is ended
        new = FaultyPeer(faults, 12.0)
        assert names(new.events()) == ["error"]


# Open and dead --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "told"), [("half-open", Freeze()), ("no-pong", IgnorePings())])
def test_half_open_and_no_pong_begin_at_their_time(name: str, told: Any) -> None:
    peer = faulty(f"{name}:after=2")
    assert peer.until(1.9) == []
    assert peer.until(2.0) == [told]


def test_slow_read_pauses_for_as_long_as_the_audio_takes() -> None:
    peer = faulty("slow-read:speed=0.5")
    assert peer.hear(speech(100)) == [PauseReading(pytest.approx(0.2))]
    assert peer.hear(speech(300)) == [PauseReading(pytest.approx(0.8))]
    peer.until(10.0)
    assert peer.hear(speech(100)) == [PauseReading(pytest.approx(0.2))], "what was slow once is not made up for"


def test_slow_read_may_stop_for_a_while_instead() -> None:
    peer = faulty("slow-read:stop=8,after=3")
    assert peer.hear(speech(100)) == []
    assert peer.until(3.0) == [PauseReading(8.0)]
    assert peer.hear(speech(100)) == []


# Told while it runs ---------------------------------------------------------------------------------------------


def test_a_kill_is_done_once_on_whatever_connection_its_moment_comes() -> None:
    faults = Faults()
    kill = faults.kill_when("before_commit")
    first, second = (FaultyPeer(faults) for _ in range(2))
    for peer in (first, second):
        peer.update(**COMMITTING)
        peer.hear(speech(200))
    assert not kill.happened
    assert second.commit() == [Abort()]
    assert kill.happened and kill.connection == 2 and kill.wait(0)
    assert names(first.commit()) == ["committed", "added", "done"]
    assert not kill.cancel(), "too late"


def test_kills_are_done_in_turn_and_can_be_called_off() -> None:
    faults = Faults()
    unwanted = faults.kill_when("inside_message")
    kills = [faults.kill_when("inside-message") for _ in range(2)]
    assert unwanted.cancel() and not unwanted.pending
    done = []
    for _ in range(3):
        peer = FaultyPeer(faults)
        peer.update(**COMMITTING)
        peer.items(1)
        done.append([kill.connection for kill in kills])
    assert done == [[1, None], [1, 2], [1, 2]]
    assert not unwanted.happened


def test_an_unknown_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="'lunch' given, must be one of speaking, before-commit"):
        Faults().kill_when("lunch")


class Nobody:
    """A connection whose socket does not matter."""

    frozen = False
    reading = True

    def abort(self) -> None: ...

    def wake(self) -> None: ...


def test_clear_ends_all_faults() -> None:
    faults = Faults(["drop:after=5", "mute:after=1", "late-final:ms=1000"])
    peer = FaultyPeer(faults)
    peer.update(**COMMITTING)
    (item,) = peer.items(1)
    assert names(peer.complete(item, "words")) == ["delta"]
    kill = faults.kill_when("before_commit")
    with faults.serving(peer.stack, Nobody()):
        faults.clear()
    assert not kill.pending
    assert names(peer.until(10.0)) == ["completed"], "what was held back still comes"
    peer.hear(speech(200))
    assert names(peer.commit()) == ["committed", "added", "done"]
    assert names(FaultyPeer(faults, 11.0).until(30.0)) == ["created"]
