"""Random histories of audio, server events, drops, finalizes and time: ten invariants hold at every step.

docs/plants.md lists the invariants, and the bugs that were planted to see that these tests find them.
"""

from __future__ import annotations

import os

import pytest
from changing import CHANGES_HEALTHY, CHANGES_UNHEALTHY, Changing, ChangingPromises
from histories import HEALTHY, SERVER_TURNS, UNHEALTHY, Simulation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from promises import Promises
from sessions import COMMITTING, STREAMING
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.ledger import State

pytestmark = pytest.mark.histories

KINDS = pytest.mark.parametrize(
    ("detection", "model"),
    [
        ("none", COMMITTING),
        ("local_vad", COMMITTING),
        ("server_vad", COMMITTING),
        ("local_vad", STREAMING),
        ("semantic_vad", COMMITTING),
    ],
)
STEPS = st.binary(min_size=30, max_size=120)
"Each byte is a step; bytes shrink better than a list of steps, and are made in a tenth of the time."
MORE = int(os.environ.get("HISTORIES", "0"))


def histories(count: int) -> settings:
    """*count* histories, the same ones each time; with HISTORIES=n in the environment, n new ones."""
    return settings(
        max_examples=MORE or count, derandomize=not MORE, deadline=None, suppress_health_check=list(HealthCheck)
    )


@KINDS
@histories(800)
@given(steps=STEPS, seed=st.integers(0, 2**32), window_ms=st.sampled_from([60_000, 4_000]))
def test_any_history(detection: str, model: str, steps: bytes, seed: int, window_ms: int) -> None:
    simulation = Simulation(detection, model, seed, window_ms)
    promises = Promises(simulation)
    for step in steps:
        UNHEALTHY[step % len(UNHEALTHY)](simulation)
        promises.check()
    promises.finish()


@KINDS
@histories(300)
@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_nothing_is_lost_whatever_drops(detection: str, model: str, steps: bytes, seed: int) -> None:
    """Whatever the order of audio, time, answers and drops: every sample of speech ends in a transcript, once."""
    simulation = Simulation(detection, model, seed, 60_000, healthy=True)
    promises = Promises(simulation)
    for step in steps:
        HEALTHY[step % len(HEALTHY)](simulation)
        promises.check()
    simulation.finalize()
    simulation.settle()
    promises.check()
    promises.check_heard()
    assert simulation.d.of(ev.AudioLost) == []
    if detection not in SERVER_TURNS:  # there the server may take noise for noise
        ledger = simulation.d.session.stream.ledger
        on_the_way = {State.PENDING, State.SENT, State.COMMITTED}
        left = [(a, b) for a, b, fate in ledger.fates() if fate.state in on_the_way and ledger.has_speech(a, b)]
        assert left == []


@pytest.mark.parametrize("turns", [False, True])
@KINDS
@histories(30)
@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_any_history_with_changes(detection: str, model: str, turns: bool, steps: bytes, seed: int) -> None:
    simulation = Changing(detection, model, seed, healthy=False, turns=turns)
    promises = ChangingPromises(simulation)
    for step in steps:
        CHANGES_UNHEALTHY[step % len(CHANGES_UNHEALTHY)](simulation)
        promises.check()
    promises.finish()


@pytest.mark.parametrize("turns", [False, True])
@KINDS
@histories(30)
@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_nothing_is_lost_whatever_changes(detection: str, model: str, turns: bool, steps: bytes, seed: int) -> None:
    """Whatever of the configuration changes, and when: every sample of speech ends in a transcript, once."""
    simulation = Changing(detection, model, seed, healthy=True, turns=turns)
    promises = ChangingPromises(simulation)
    for step in steps:
        CHANGES_HEALTHY[step % len(CHANGES_HEALTHY)](simulation)
        promises.check()
    simulation.finalize()
    simulation.settle()
    promises.check()
    promises.check_heard()
    assert simulation.d.of(ev.AudioLost) == []
    assert len(simulation.d.of(ev.Reconfigured)) >= len(simulation.requests), "each change is answered"
