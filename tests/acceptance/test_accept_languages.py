"""Results carry the tag of the language they are in, region and all."""

from __future__ import annotations

import asyncio

import pytest
from acceptance import LANGUAGES, SETTLE_S, Bench, ReadClip, check_results, finalized
from asr_tester import Call

SESSION = "accept_languages_1"


@pytest.mark.parametrize(
    ("server", "language"), [(name, name) for name in LANGUAGES], indirect=["server"], ids=list(LANGUAGES)
)
def test_results_carry_the_tag_of_their_language(bench: Bench, server: None, language: str, clip: ReadClip) -> None:
    async def scenario(call: Call) -> None:
        await bench.speak(call, clip(language), SESSION)
        await asyncio.sleep(SETTLE_S)
        await finalized(call, "finalize_1", SESSION)
        await call.until("a final", lambda: call.finals, 30.0)

    check_results(bench.run(bench.config(language), scenario), LANGUAGES[language], SESSION)
