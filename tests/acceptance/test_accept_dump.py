"""The recording is the caller's audio byte for byte, whatever the vendor gets, and complete when the call is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

from acceptance import SETTLE_S, Bench, ReadClip, finalized
from asr_tester import Call

SESSION = "accept_dump_1"


def test_the_recording_is_the_input_byte_for_byte(bench: Bench, server: None, clip: ReadClip, tmp_path: Path) -> None:
    async def scenario(call: Call) -> None:
        await bench.speak(call, clip("en"), SESSION)
        await asyncio.sleep(SETTLE_S)
        await finalized(call, "finalize_1", SESSION)
        await asyncio.sleep(SETTLE_S + 3.0)

    folder = tmp_path / "dump"
    bench.run(bench.config("en", dump=True, dump_path=str(folder)), scenario)
    (recording,) = folder.glob("*.pcm")
    assert recording.read_bytes() == clip("en")
