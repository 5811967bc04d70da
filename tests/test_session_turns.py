"""Turns, finals in order, finalize: with the server's word and the local detector's.

Longer than other files because every test is a few lines on the same driver.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sessions import (
    COMMITTING,
    RATE,
    STREAMING,
    TRANSCRIPTION,
    Driver,
    options,
    server,
    silence,
    started,
    stopped,
    tone,
)
from ten_packages.extension.openai_asr_python.realtime import events as ev

# Server-owned turns


def test_the_servers_times_are_the_callers_times() -> None:
    d = server().push(silence(1_000) + tone(1_000) + silence(1_000))
    d.say(started("i1", 700), stopped("i1", 2_500)).committed("i1").completed("i1", "hello")
    final = d.finals[0]
    assert (final.text, final.start_ms, final.duration_ms) == ("hello", 700, 1_800)
    assert d.totals["final"] + d.totals["gated"] >= 2_500 and d.totals["lost"] == 0


def test_times_go_on_across_a_drop() -> None:
    d = server().push(tone(1_000))
    d.say(started("i1", 0), stopped("i1", 1_000)).committed("i1").completed("i1", "before")
    d.at(3.0).drop()
    d.push(tone(500))
    d.at(3.3).open().configure()
    d.push(tone(500) + silence(700))
    d.say(started("i9", 0), stopped("i9", 1_500)).committed("i9").completed("i9", "after")
    assert [(f.text, f.start_ms, f.start_ms + f.duration_ms) for f in d.finals] == [
        ("before", 0, 1_000),
        ("after", 1_000, 2_500),
    ]
    assert len(d.audio[2]) == pytest.approx(1_700 * 48, abs=100), "nothing of what is final is sent again"
    assert d.of(ev.AudioLost) == []


def test_a_turn_cut_by_a_drop_keeps_its_id_and_its_partials_never_shrink() -> None:
    d = server().push(tone(1_000))
    d.say(started("a", 0)).delta("a", "We should").delta("a", " move")
    d.at(3.0).drop()
    d.at(3.3).open().configure()
    d.say(started("x", 0)).delta("x", "We").delta("x", " should").delta("x", " move it")
    d.say(stopped("x", 1_000)).committed("x").completed("x", "We should move it.")
    assert [p.text for p in d.partials] == ["We should", "We should move", "We should move it"]
    assert len({e.result_id for e in d.of(ev.Transcript)}) == 1
    assert d.texts == ["We should move it."] and d.finals[0].replayed


@pytest.mark.parametrize("answered", [True, False], ids=["after its commit", "before its commit"])
def test_a_text_in_hand_is_not_asked_for_again_and_waits_for_the_one_before_it(answered: bool) -> None:
    d = server().push(tone(2_000))
    d.say(started("a", 0), stopped("a", 900)).committed("a").say(started("b", 1_000), stopped("b", 2_000))
    if answered:
        d.committed("b")
    d.completed("b", "second")
    d.at(3.0).drop()
    d.at(3.3).open().configure()
    assert len(d.audio[2]) == pytest.approx(900 * 48, abs=100)
    d.say(started("x", 0), stopped("x", 900)).committed("x").completed("x", "first")
    assert d.texts == ["first", "second"]


def test_a_turn_the_next_server_does_not_hear_is_taken_back() -> None:
    d = server().push(tone(1_000) + silence(1_000) + tone(1_000))
    d.say(started("a", 0)).delta("a", "hm")
    d.at(3.0).drop()
    d.at(3.3).open().configure()
    d.say(started("y", 2_000), stopped("y", 3_000)).committed("y").completed("y", "hello")
    assert [(f.text, f.retracted) for f in d.finals] == [("", True), ("hello", False)]
    assert d.finals[0].result_id == d.partials[0].result_id


def test_pauses_between_words_that_go_out_again_are_what_they_were() -> None:
    noise = np.random.default_rng(3).integers(-9_000, 9_000, 14_400, dtype=np.int16).tobytes()
    words = noise[:9_600] + silence(60) + noise[9_600:19_200] + silence(120) + noise[19_200:]
    d = server().push(silence(400) + words)
    d.push(silence(2_000), realtime=True)  # old enough for every pause to be gated
    d.drop()
    d.at(d.now + 0.3).open().configure()
    plain = bytes(Driver(options("server_vad")).connect().push(words).audio[1])
    again = bytes(d.audio[2])
    at = again.find(plain[2_000:4_000]) - 2_000
    assert at >= 48 * 250, "with its lead-in"
    assert again[at + 2_000 : at + len(plain)] == plain[2_000:]


def test_a_commit_that_was_not_answered_is_sent_again_at_the_same_place() -> None:
    d = Driver(options("none")).connect().push(tone(500)).finalize()
    d.push(tone(500))
    d.at(0.2).drop()
    d.at(0.9).open().configure()
    sizes = [m.get("audio", m["type"]) for m in d.wire[2] if m["type"] != "session.update"]
    commit = sizes.index("input_audio_buffer.commit")
    assert sum(n for n in sizes[:commit] if isinstance(n, int)) == pytest.approx(500 * 48, abs=100)
    d.committed("i1").completed("i1", "hello")
    assert [e.outcome for e in d.of(ev.FinalizeDone)] == ["final"]


def test_a_local_turn_goes_out_again_from_its_onset_and_only_once() -> None:
    d = local(COMMITTING).push(silence(2_000) + tone(120), realtime=True).turn(2_000)
    d.push(tone(380), realtime=True).drop()
    d.push(tone(500) + silence(800), realtime=True).end_turn(3_000)
    d.open().configure()
    assert d.types() == ["session.update", "append", "commit"]
    d.committed("i1").completed("i1", "hello")
    assert (d.finals[0].start_ms, d.finals[0].duration_ms) == (2_000, 1_000)
    d.drop()
    d.at(d.now + 1.0).open().configure()
    assert d.types() == ["session.update"], "what is final stays final"


def test_partials_of_two_items_are_never_mixed_and_have_their_own_ids() -> None:
    d = server().push(tone(2_000))
    d.say(started("a", 0), stopped("a", 900)).committed("a")
    d.say(started("b", 1_000), stopped("b", 1_900)).committed("b", "a")
    d.delta("b", "wor").delta("a", "hel").delta("b", "ld").delta("a", "lo")
    shown = {(p.item_id, p.text) for p in d.partials}
    assert shown == {("b", "wor"), ("a", "hel"), ("b", "world"), ("a", "hello")}
    assert len({p.result_id for p in d.partials}) == 2
    d.completed("b", "world").completed("a", "hello")
    assert d.texts == ["hello", "world"]
    ids = {p.item_id: p.result_id for p in d.partials}
    assert [f.result_id for f in d.finals] == [ids["a"], ids["b"]]


def test_five_items_completed_in_reverse_leave_in_audio_order() -> None:
    d = server().push(tone(5_000))
    for i in range(5):
        d.say(started(f"i{i}", i * 1_000), stopped(f"i{i}", i * 1_000 + 900)).committed(f"i{i}")
    for i in reversed(range(5)):
        d.completed(f"i{i}", f"text {i}")
    assert d.texts == [f"text {i}" for i in range(5)]
    ends = [(f.start_ms, f.start_ms + f.duration_ms) for f in d.finals]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))


def test_a_completed_that_is_repeated_is_one_final() -> None:
    d = server().push(tone(1_000))
    d.say(started("i1", 0), stopped("i1", 900)).committed("i1")
    for _ in range(4):
        d.completed("i1", "once")
    d.committed("i1").delta("i1", "again").say(started("i1", 0))
    assert d.texts == ["once"] and not d.partials
    assert d.session.stats.duplicate_events == 6


def test_blank_text_is_no_result() -> None:
    d = server().push(tone(1_000))
    d.say(started("i1", 0), stopped("i1", 900)).committed("i1").completed("i1", "   ")
    assert d.finals == []
    assert d.totals["final"] == 900, "it was heard, and nothing was said"


def test_partials_that_come_to_nothing_are_retracted_under_their_id() -> None:
    d = server().push(tone(1_000))
    d.say(started("i1", 0), stopped("i1", 900)).committed("i1").say(
        {"type": TRANSCRIPTION + "delta", "item_id": "i1", "delta": "uh"},
        {"type": TRANSCRIPTION + "failed", "item_id": "i1", "error": {}},
    )
    d.repair({"type": TRANSCRIPTION + "completed", "transcript": ""})
    assert [(f.text, f.retracted, f.result_id) for f in d.finals] == [("", True, d.partials[0].result_id)]


def test_empty_transcript_with_deltas_means_the_deltas() -> None:
    d = server().push(tone(1_000))
    d.say(started("i1", 0), stopped("i1", 900)).committed("i1").delta("i1", "good").delta("i1", " day")
    d.completed("i1", "")
    assert d.texts == ["good day"]


def test_a_server_without_speech_events_still_gives_text_with_times() -> None:
    d = server().push(silence(500) + tone(1_000))
    d.committed("i1").completed("i1", "hello")
    assert (d.finals[0].start_ms, d.finals[0].duration_ms) == (500, 1_000)


def test_language_confidence_and_usage_reach_the_result() -> None:
    d = server().push(tone(1_000))
    d.say(started("i1", 0), stopped("i1", 900)).committed("i1")
    d.completed(
        "i1",
        "bonjour",
        languages=[{"code": "fr"}],
        usage={"type": "duration", "seconds": 0.9},
        logprobs=[{"token": "bon", "logprob": 0.0}, {"token": "jour", "logprob": -0.2}],
    )
    final = d.finals[0]
    assert final.language == "fr" and final.usage["seconds"] == 0.9
    assert final.confidence == pytest.approx(0.905, abs=0.001)
    assert d.session.stats.billed_seconds == 0.9


def test_finalize_on_silence_sends_nothing_and_answers_at_once() -> None:
    d = server().push(silence(2_000)).finalize()
    assert [(e.finalize_id, e.outcome, e.latency_ms) for e in d.of(ev.FinalizeDone)] == [("f1", "empty", 0)]
    assert d.commits() == [] and d.session.stats.sent_silence_ms == 0


def test_finalize_waits_for_items_already_committed() -> None:
    d = server().push(tone(1_000) + silence(600))
    d.say(started("i1", 0), stopped("i1", 1_500)).committed("i1").finalize()
    assert d.of(ev.FinalizeDone) == [] and d.session.stats.sent_silence_ms == 0
    d.completed("i1", "hello")
    kinds = [type(e).__name__ for e in d.events if isinstance(e, (ev.Transcript, ev.FinalizeDone))]
    assert kinds == ["Transcript", "FinalizeDone"]


def test_finalize_in_mid_speech_gives_the_server_its_silence_and_needs_no_commit() -> None:
    d = server().push(tone(1_000))
    d.say(started("i1", 0)).finalize()
    assert d.session.stats.sent_silence_ms == 700, "silence_duration_ms + 200"
    d.at(0.05).session.pong_received(1, d.now)
    d.pump()
    d.push(tone(500))
    assert d.session.stats.sent_user_ms == 1_000, "post-fence audio waits for the boundary"
    d.say(stopped("i1", 1_500)).committed("i1").completed("i1", "hello")
    assert d.commits() == []
    assert [e.outcome for e in d.of(ev.FinalizeDone)] == ["final"]
    assert d.finals[0].start_ms + d.finals[0].duration_ms == 1_000, "the end is the fence, not the padding"
    assert d.session.stats.sent_user_ms == 1_500


def test_finalize_commits_when_the_server_heard_the_silence_and_did_not() -> None:
    d = server().push(tone(1_000))
    d.auto_pong = False
    d.say(started("i1", 0)).finalize()
    d.at(0.1).session.pong_received(1, d.now)
    d.pump()
    d.at(0.45)
    assert d.commits() == []
    d.at(0.55)
    assert len(d.commits()) == 1
    d.committed("i1").completed("i1", "hello")
    assert d.texts == ["hello"] and d.of(ev.FinalizeDone)[0].outcome == "final"


def test_finalize_over_noise_the_server_does_not_take_answers_without_text() -> None:
    d = server().push(tone(1_000))
    d.auto_pong = False
    d.finalize().at(0.1).session.pong_received(1, d.now)
    d.pump()
    d.at(0.6)
    assert [e.outcome for e in d.of(ev.FinalizeDone)] == ["final"] or d.of(ev.FinalizeDone)[0].outcome == "empty"
    assert d.commits() == [] and d.of(ev.ClientError) == []


def test_an_empty_commit_that_was_ours_is_nobodys_error() -> None:
    d = server().push(tone(1_000))
    d.say(started("i1", 0)).finalize()
    d.session.pong_received(1, d.now)
    d.at(0.5)
    event_id = d.commits()[0]["event_id"]
    d.say(stopped("i1", 1_500)).committed("i1").error("input_audio_buffer_commit_empty", event_id=event_id)
    d.completed("i1", "hello")
    assert d.of(ev.ServerError) == [] and d.texts == ["hello"]
    assert [e.finalize_id for e in d.of(ev.FinalizeDone)] == ["f1"]


def test_an_empty_commit_that_was_not_ours_is_never_told() -> None:
    d = server().push(tone(100)).error("input_audio_buffer_commit_empty")
    assert d.of(ev.ServerError) == [] and d.session.connected


def test_finalize_answers_at_its_deadline_and_late_text_is_marked() -> None:
    d = server().push(tone(1_000))
    d.say(started("i1", 0), stopped("i1", 900)).committed("i1").finalize("f1").at(1.99)
    assert d.of(ev.FinalizeDone) == []
    d.at(2.01)
    done = d.of(ev.FinalizeDone)
    assert [(e.finalize_id, e.outcome) for e in done] == [("f1", "timeout")] and done[0].latency_ms <= 2_020
    assert d.of(ev.ClientError)[0].code == "finalize_timeout"
    d.completed("i1", "late but said")
    assert [(f.text, f.late) for f in d.finals] == [("late but said", True)]


def test_answers_go_out_in_the_order_of_the_requests_each_with_its_own_id() -> None:
    d = server().push(tone(1_000))
    d.say(started("a", 0), stopped("a", 1_000)).committed("a").finalize("f1")
    d.push(tone(1_000)).say(started("b", 1_000), stopped("b", 2_000)).committed("b").finalize("f2").finalize("f3")
    d.completed("b", "second")
    assert d.of(ev.FinalizeDone) == []
    d.completed("a", "first")
    told = [
        e.text if isinstance(e, ev.Transcript) else e.finalize_id
        for e in d.events
        if isinstance(e, (ev.Transcript, ev.FinalizeDone))
    ]
    assert told == ["first", "f1", "second", "f2", "f3"]


# Our own turns


def local(model: str = STREAMING, **changes: object) -> Driver:
    return Driver(options("local_vad", model, **changes)).connect()


def test_nothing_is_sent_before_speech_is_confirmed_then_the_prefix_first() -> None:
    d = local().push(silence(2_000) + tone(120))
    assert d.wire[1][1:] == []
    d.turn(2_000)
    assert d.audio[1] and len(d.audio[1]) == pytest.approx((300 + 120) * 48, abs=48)
    d.push(tone(100))
    assert len(d.audio[1]) == pytest.approx((300 + 220) * 48, abs=48)


def test_a_local_turn_has_the_detectors_times_and_costs_no_silence() -> None:
    d = local(COMMITTING).push(silence(2_000) + tone(120), realtime=True).turn(2_000)
    d.push(tone(880) + silence(800), realtime=True).end_turn(3_000)
    assert d.types() == ["session.update", "append", "commit"]
    d.committed("i1").completed("i1", "hello")
    assert (d.finals[0].start_ms, d.finals[0].duration_ms) == (2_000, 1_000)
    d.push(silence(5_000), realtime=True)
    assert d.session.stats.sent_user_ms == 2_100
    assert d.totals["lost"] == 0 and d.totals["final"] == 2_100


def test_a_streaming_model_gets_its_tail_and_its_time_before_the_commit() -> None:
    d = local()
    d.push(tone(1_000))  # at once: the decoder is behind
    d.turn(0)
    d.finalize()
    assert d.types() == ["session.update", "append"] and d.session.stats.sent_silence_ms == 400
    d.at(0.99)
    assert d.commits() == []
    d.at(1.01)
    assert len(d.commits()) == 1, "1 s before the finalize deadline at the latest"


def test_a_streaming_model_gets_nothing_new_while_a_commit_is_unanswered() -> None:
    d = local().push(tone(500), realtime=True)
    d.turn(0).push(silence(900), realtime=True).end_turn(500)
    d.at(d.now + 0.69)
    assert d.commits() == [], "a decoder at real-time speed is not through yet"
    d.at(d.now + 0.02)
    assert len(d.commits()) == 1
    sent = len(d.audio[1])
    d.push(tone(500)).turn(1_400)
    assert len(d.audio[1]) == sent
    d.committed("i1")
    assert len(d.audio[1]) > sent


def test_text_before_the_commit_belongs_to_the_turn_that_is_open() -> None:
    d = local().push(silence(500) + tone(500), realtime=True).turn(500)
    d.delta("item_x", "So").delta("item_x", " the")
    assert [(p.text, p.item_id, p.start_ms) for p in d.partials] == [("So", "item_x", 500), ("So the", "item_x", 500)]
    d.push(silence(900), realtime=True).end_turn(1_000)
    d.at(d.now + 1.0).committed("item_x").completed("item_x", "So the")
    assert [f.result_id for f in d.finals] == [d.partials[0].result_id]
    d.push(tone(500), realtime=True).turn(1_900).delta("item_y", "Next")
    assert d.partials[-1].text == "Next" and d.partials[-1].result_id != d.partials[0].result_id


def test_a_streaming_models_final_never_says_less_than_its_partials() -> None:
    d = local().push(tone(500), realtime=True).turn(0).delta("i", "a whole sentence")
    d.push(silence(900), realtime=True).end_turn(500).at(d.now + 1.0)
    d.committed("i").completed("i", "a whole")
    assert d.texts == ["a whole sentence"]


def test_no_commit_below_a_tenth_of_a_second() -> None:
    d = local(COMMITTING).push(tone(40)).turn(0).finalize()
    assert d.types() == ["session.update", "append", "commit"]
    assert len(d.audio[1]) >= 4_800
    assert d.session.stats.sent_silence_ms >= 60


def test_speech_no_detector_took_is_gated_by_the_next_turn() -> None:
    d = local(COMMITTING).push(tone(50) + silence(2_000) + tone(200)).turn(2_050)
    assert d.totals["gated"] == pytest.approx(1_750, abs=20) and d.totals["lost"] == 0


def test_without_a_detector_finalize_commits_and_the_times_are_those_of_the_sound() -> None:
    d = Driver(options("none")).connect().push(silence(700) + tone(800) + silence(300)).finalize()
    assert d.types() == ["session.update", "append", "commit"]
    d.committed("i1").completed("i1", "hello")
    assert d.finals[0].start_ms == pytest.approx(700, abs=10)
    assert d.finals[0].duration_ms == pytest.approx(800, abs=20)


def test_without_a_detector_silence_is_not_committed() -> None:
    d = Driver(options("none")).connect().push(silence(3_000)).finalize()
    assert d.commits() == [] and d.of(ev.FinalizeDone)[0].outcome == "empty"


def test_post_fence_audio_never_passes_the_commit() -> None:
    d = Driver(options("none")).connect()
    d.take = False
    d.push(tone(60))
    d.finalize().push(tone(60))
    d.take = True
    for _ in range(10):
        d.session.sent(1, 1, d.now)
        d.pump()
    sizes = [m.get("audio", m["type"]) for m in d.wire[1] if m["type"] != "session.update"]
    commit = sizes.index("input_audio_buffer.commit")
    assert sum(n for n in sizes[:commit] if isinstance(n, int)) == pytest.approx(110 * 48, abs=100), "60 ms and padding"
    assert sum(n for n in sizes[commit + 1 :] if isinstance(n, int)) == pytest.approx(60 * 48, abs=50)


@pytest.mark.parametrize("detection", ["none", "local_vad"])
def test_a_turn_is_cut_before_it_outgrows_the_window(detection: str) -> None:
    d = Driver(options(detection, max_turn_ms=10_000)).connect()
    d.push(tone(200))
    if detection == "local_vad":
        d.turn(0)
    d.push(tone(8_300) + silence(120) + tone(1_000), realtime=True)
    assert len(d.commits()) == 1, "at the quiet place"
    d.committed("a").completed("a", "first").push(tone(11_000), realtime=True)
    assert len(d.commits()) == 2, "at the limit"
    d.committed("b").completed("b", "second").finalize()
    d.committed("c").completed("c", "third")
    assert d.texts == ["first", "second", "third"]
    assert d.finals[0].start_ms + d.finals[0].duration_ms == pytest.approx(8_500, abs=20)


def test_text_over_silence_is_not_believed() -> None:
    d = server().push(silence(1_000))
    d.say(started("i1", 100), stopped("i1", 900)).committed("i1").delta("i1", "Thank you.")
    d.completed("i1", "Thank you for watching.")
    assert d.finals == [] and d.partials == []
    assert d.totals["gated"] >= 800 and d.totals["final"] == 0


def test_a_commit_that_was_never_seen_does_not_shift_the_texts_of_the_turns_behind_it() -> None:
    d = Driver(options("none")).connect()
    d.push(tone(500)).finalize("f1").at(d.now + 1.5)  # the server overlooks the first commit
    d.push(silence(500) + tone(700)).finalize("f2")
    assert len(d.commits()) == 1, "the answer to a second one could not be told from that to the first"
    d.at(d.now + 1.9)
    d.connect()  # overdue: the connection was renewed
    for number, item in ((1, "a"), (2, "b")):
        assert len(d.commits()) == number
        d.committed(item).completed(item, f"turn {number}")
    assert [(final.text, final.start_ms) for final in d.finals] == [("turn 1", 0), ("turn 2", 1000)]


def test_stop_commits_what_is_open_waits_a_moment_and_answers() -> None:
    d = Driver(options("none")).connect().push(tone(500)).finalize("f1")
    d.push(tone(500))
    d.session.stop(d.now)
    d.pump()
    assert len(d.commits()) == 1 and d.closed == []
    d.committed("a").completed("a", "first")
    assert len(d.commits()) == 2
    d.committed("b").completed("b", "last words")
    assert d.texts == ["first", "last words"] and d.closed == [1]


def test_stop_does_not_wait_longer_than_the_drain() -> None:
    d = Driver(options("none")).connect().push(tone(500)).finalize("f1")
    d.session.stop(d.now)
    d.pump()
    d.at(0.49)
    assert d.closed == []
    d.at(0.51)
    assert d.closed == [1]
    assert [(e.finalize_id, e.outcome) for e in d.of(ev.FinalizeDone)] == [("f1", "stopped")]
    totals = d.totals
    assert totals["lost"] == 500 and totals["pending"] == totals["sent"] == totals["committed"] == 0


def test_stop_while_waiting_to_dial_is_immediate() -> None:
    d = Driver(options(), rng=0.999).start()
    for _ in range(5):
        d.session.connection_refused(d.conn, 503, {}, d.now)
        d.pump()
        d.start()
    d.session.stop(d.now)
    d.pump()
    assert d.session.get_timer() is None and d.session.state.value == "stopped"


@pytest.mark.parametrize("frame_ms", [10, 20, 100, 500])
def test_at_the_pace_of_speech_each_frame_leaves_at_once(frame_ms: int) -> None:
    d = server()
    for number in range(40):
        d.session.push_audio(tone(frame_ms), d.now)
        d.pump()
        assert d.session.stats.sent_user_ms == (number + 1) * frame_ms
        d.at(d.now + frame_ms / 1000 / 1.2)  # a clock that runs fast is no flood


def test_a_detector_that_says_late_that_a_turn_is_over_takes_nothing_from_the_next() -> None:
    d = Driver(options("local_vad")).start()  # nothing has left yet
    d.push(silence(500) + tone(500) + silence(900) + tone(500)).turn(500, 1_000).turn(1_900, 2_400)
    first, second = d.session.stream.book.turns
    assert (first.start, first.end) == (500 * 16, 1_000 * 16)
    assert (second.start, second.end) == (1_900 * 16, 2_400 * 16)


def test_what_waited_for_the_transport_is_told_as_sent_when_it_leaves() -> None:
    d = Driver(options("none")).connect().push(tone(20), realtime=True)
    d.take = False
    d.push(tone(500), realtime=True)
    assert sum(event.user_ms for event in d.of(ev.AudioSent)) <= 40
    d.take = True
    d.session.sent(d.conn, 1, d.now)
    d.pump()
    assert sum(event.user_ms for event in d.of(ev.AudioSent)) == 520


def test_a_flood_leaves_in_few_messages_and_all_of_it_soon() -> None:
    d = server()
    for _ in range(1_000):
        d.session.push_audio(tone(20), d.now)
        d.pump()
        d.at(d.now + 0.0002)
    d.at(d.now + 0.02)
    appends = [m["audio"] for m in d.wire[1] if "audio" in m]
    assert sum(appends) == 20_000 * 48 and len(appends) < 50
    assert max(appends) <= 500 * 48


def test_fixed_packets_for_those_who_want_them() -> None:
    d = Driver(options("none", send_interval_ms=100)).connect().push(tone(1_000), realtime=True)
    appends = [m["audio"] for m in d.wire[1] if "audio" in m]
    assert 9 <= len(appends) <= 11
    assert all(n == pytest.approx(100 * 48, abs=21 * 48) for n in appends[1:])
    d.push(tone(20)).finalize()
    assert d.types()[-1] == "commit" and d.session.stats.sent_user_ms == 1_020, "a boundary waits for no packet"


def test_a_long_call_of_many_turns_is_not_remembered_turn_by_turn() -> None:
    d = local(COMMITTING)
    at, previous = 0, None
    for i in range(300):
        d.push(silence(900) + tone(200), frame_ms=100).turn(at + 900, at + 1_100).committed(f"i{i}", previous)
        d.completed(f"i{i}", f"turn {i}")
        at, previous = at + 1_100, f"i{i}"
    assert len(d.finals) == 300 and d.finals[-1].start_ms == at - 200
    conn = d.session._conn
    assert conn is not None and len(conn.map) < 100


# One bad thing stays one bad thing


@pytest.mark.parametrize(
    "junk",
    [
        b"not json",
        b"[1]",
        b"\xff\xfe\x00",
        b"{}",
        b'{"type":7}',
        b'{"type":"input_audio_buffer.speech_started","audio_start_ms":{}}',
        b"",
    ],
)
def test_junk_is_passed_over_and_told_once(junk: bytes) -> None:
    d = server().push(tone(1_000))
    d.say(junk, junk, junk)
    assert len(d.of(ev.Warned)) == 1 and d.of(ev.ClientError) == []
    d.say(started("i1", 0), stopped("i1", 900)).committed("i1").completed("i1", "hello")
    assert d.texts == ["hello"] and d.session.stats.malformed_events == 3


def test_unknown_events_and_fields_pass_counted_and_told_once() -> None:
    d = server()
    for _ in range(3):
        d.say(
            {"type": "tomorrow.event", "x": 1},
            {"type": TRANSCRIPTION + "delta", "item_id": "i", "delta": "", "obfuscation": "zz", "padding": 1},
        )
    assert d.session.stats.unknown_events == 3
    assert len(d.of(ev.Warned)) == 2
    assert [e.known for e in d.of(ev.WireEvent) if e.type == "tomorrow.event"] == [False] * 3


def test_an_error_event_is_one_report_and_the_stream_goes_on() -> None:
    d = server().push(tone(1_000))
    d.error(None, type="server_error", message="hiccup").error("invalid_value", param="type")
    assert [e.code for e in d.of(ev.ServerError)] == ["server_error", "invalid_value"]
    assert d.session.connected and len(d.dialled) == 1


@pytest.mark.parametrize("detection", ["server_vad", "none"])
def test_text_for_an_item_that_is_not_ours_displaces_nothing(detection: str) -> None:
    d = Driver(options(detection)).connect().push(tone(1_000))
    if detection == "none":
        d.delta("ghost", "boo").completed("ghost", "boo").finalize().committed("a").completed("a", "first")
    else:
        d.say(started("a", 0), stopped("a", 900)).committed("a").completed("a", "first")
    d.push(tone(1_000))
    d.delta("ghost2", "boo").completed("ghost2", "boo")
    if detection == "none":
        d.finalize("f2").delta("ghost3", "boo").committed("b", "a").completed("b", "second")
    else:
        d.say(started("b", 1_000), stopped("b", 1_900)).committed("b", "a").completed("b", "second")
    assert d.texts == ["first", "second"] and d.partials == []
    assert d.session.stats.unknown_items >= 2


def test_null_fields_hurt_nobody() -> None:
    d = server().push(tone(1_000))
    d.say(
        {"type": "error", "error": {"code": None, "message": None, "type": None, "param": None, "event_id": None}},
        {"type": TRANSCRIPTION + "delta", "item_id": "i1", "content_index": None, "delta": None},
        {"type": TRANSCRIPTION + "completed", "item_id": "i1", "transcript": None, "usage": None, "logprobs": None},
        {"type": "input_audio_buffer.committed", "item_id": "i1", "previous_item_id": None},
    )
    assert d.session.connected and len(d.of(ev.ServerError)) == 1


def test_positions_are_exact_at_any_rate() -> None:
    for rate in (8_000, 11_025, 44_100, 48_000):
        d = Driver(options("server_vad", sample_rate=rate)).connect()
        d.push(tone(3_000, rate=rate), rate=rate)
        d.say(started("i", 1_234), stopped("i", 2_345)).committed("i").completed("i", "x")
        assert abs(d.finals[0].start_ms - 1_234) <= 1
        assert abs(d.finals[0].start_ms + d.finals[0].duration_ms - 2_345) <= 1
    assert RATE == 16_000


def test_a_finalize_does_not_hurry_the_commit_of_what_the_decoder_has_not_heard() -> None:
    d = (
        Driver(options("none", STREAMING)).connect().push(tone(3_000)).finalize()
    )  # three seconds at once, as after a drop
    d.at(2.9)
    assert d.commits() == [] and d.of(ev.FinalizeDone)[0].outcome == "timeout"
    d.at(3.05)
    assert len(d.commits()) == 1, "the speech is heard; nobody waits for the silence behind it"
    d.committed("a").completed("a", "all of it")
    assert [(f.text, f.late) for f in d.finals] == [("all of it", True)]
