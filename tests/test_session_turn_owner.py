"""Another rule for turns takes over in the middle of one: every sample is heard once, under one rule or the other."""

from __future__ import annotations

import itertools

import pytest
from changing import TURNS, Changing, ChangingPromises
from sessions import COMMITTING
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.ledger import State


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(("old", "new"), list(itertools.permutations(TURNS, 2)))
def test_a_turn_under_way_is_heard_once(old: str, new: str, drop: bool, heard: bool) -> None:
    """*drop*: the connection ends, too, before the new one is there; *heard*: a server has said that speech began."""
    s = Changing(old, COMMITTING, 1, healthy=True, turns=True)
    promises = ChangingPromises(s)
    s.serve()
    for _ in range(3):
        s.push_speech()
    if heard:
        s.server_hears_speech()
    s.ask(s.as_turns(new))
    s.push_speech()
    if drop:
        s._drop(s.peers[s.d.conn], 1006)
    if drop:
        turns, owned = s.d.session.stream.book.turns, new in TURNS[:2]
        assert all(t.client_owned == owned for t in turns), "none is left to the rule before"
        assert turns or not owned, "what nobody had taken is a turn of ours"
    s.serve()
    s.push_silence()
    for _ in range(14):
        s.server_hears_the_end()
        s.serve()
        s.d.at(s.d.now + 0.25)
    promises.check()
    assert s.d.changes[-1][1] in ("applied", "taken") and s.d.session.stream.detection == new
    s.push_speech()
    s.push_silence()
    s.server_hears_speech()
    s.finalize()
    s.settle()
    promises.check()
    promises.check_heard()
    assert s.d.of(ev.AudioLost) == [] and len(s.d.of(ev.FinalizeDone)) == 1
    stream = s.d.session.stream
    under_way = {State.PENDING, State.SENT, State.COMMITTED}
    left = [
        (a, b) for a, b, fate in stream.ledger.fates() if fate.state in under_way and stream.ledger.has_speech(a, b)
    ]
    assert left == [] or not stream.client_owned, "a server may take noise for noise, we do not"
