"""A key that is refused is tried again, quietly: the graph learns of it once, and that nobody has given up."""

from __future__ import annotations

import json

from acceptance import Bench, ReadClip, check_error, silence
from asr_tester import Call

SESSION = "accept_reconnection_1"
CHUNK_BYTES, CHUNK_S = 3200, 0.1


async def talk_to_nobody(bench: Bench, call: Call, clip: ReadClip, silence_s: int) -> None:
    """Speech, the last chunk filled up with silence, and then more of it."""
    pcm = clip("en")
    filled = pcm + bytes(-len(pcm) % CHUNK_BYTES)
    await bench.speak(call, filled + silence(silence_s * 1000), SESSION, frame_bytes=CHUNK_BYTES, frame_s=CHUNK_S)


def test_a_bad_key_is_an_error_that_does_not_give_up(bench: Bench, server: None, clip: ReadClip) -> None:
    call = bench.run(bench.config("invalid"), lambda call: talk_to_nobody(bench, call, clip, 16))
    assert call.errors, "it is told"
    for error in call.errors:
        check_error(error)
    assert {error["code"] for error in call.errors} == {1000}
    assert len(call.errors) == 1, "once, and not for each attempt"
    assert not call.results


def test_a_key_that_stays_bad_is_fatal_once_and_a_finalize_is_answered_all_the_same(
    bench: Bench, server: None, clip: ReadClip
) -> None:
    async def scenario(call: Call) -> None:
        await talk_to_nobody(bench, call, clip, 90)
        await call.finalize("finalize_1", SESSION)
        await call.answer("finalize_1")

    call = bench.run(bench.config("invalid"), scenario)
    assert [error["code"] for error in call.errors if "lost" not in json.dumps(error)][:1] == [1000]
    assert [error["code"] for error in call.errors].count(-1000) == 1
