"""Real words, as somebody gets them who configures nothing but the address: the default model, turns found locally."""

from __future__ import annotations

import pytest
from asr_tester import Call, run_call

SENTENCE = "we will meet on monday morning at the station"


def test_a_spoken_sentence_is_understood_without_a_finalize(serve, speech) -> None:
    pytest.importorskip("pocketsphinx", reason="NOT TESTED: recognition of speech, because pocketsphinx is missing")
    quiet = bytes(32_000)

    async def scenario(call: Call) -> None:
        await call.send(quiet + speech(SENTENCE) + quiet)
        await call.until("the final", lambda: call.finals)

    properties = {"params": {"base_url": serve(recognizer="pocketsphinx").url}}
    call = run_call(properties, scenario)
    (final,) = call.finals
    heard, said = set(final["text"].lower().split()), set(SENTENCE.split())
    assert len(heard & said) >= 0.7 * len(said), final["text"]
    assert final["start_ms"] == pytest.approx(1000, abs=40)
    assert final["language"] == "und"
    assert call.partials and {partial["id"] for partial in call.partials} == {final["id"]}
    assert not call.errors
