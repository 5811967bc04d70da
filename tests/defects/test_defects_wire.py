"""Packaging and the life of a session (docs/defects.md, W)."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from asr_tester import Call, node, run_call
from packaging.requirements import Requirement
from tone_script import ToneScript
from wild_configs import WILD

pytestmark = pytest.mark.socket

ROOT = Path(__file__).resolve().parents[2]


def test_W5_what_the_extension_installs_is_wide_short_and_needs_no_compiler() -> None:
    """It shares one environment with every other extension of an app."""
    wanted = [Requirement(line) for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").split()]
    names = {requirement.name.replace("-", "_") for requirement in wanted}
    assert len(wanted) <= 8
    assert not names & {"pytest", "samplerate", "soxr", "scipy", "librosa"}
    for requirement in wanted:
        assert not any(part.operator in ("==", "~=", "===") for part in requirement.specifier), requirement
    folders = (ROOT, ROOT / "realtime", ROOT / "audio")
    code = "\n".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.glob("*.py"))
    imported = set(re.findall(r"^\s*(?:import|from) ([a-z_]+)", code, re.MULTILINE))
    assert {"websockets", "numpy", "pydantic"} <= imported & names


def test_W10_the_end_of_a_session_is_nobodys_business(fast_clock, serve) -> None:
    """Sessions of two seconds, six seconds of talk at its own pace: not a word lost or doubled, not an error."""
    turns = [ToneScript().pause(100).say(10 * n + 1, 10 * n + 2, ms=300).pause(300) for n in range(6)]

    async def scenario(call: Call) -> None:
        for number, turn in enumerate(turns):
            for at in range(0, len(turn.pcm), 3_200):  # 100 ms, and as long to say them
                await call.send(turn.pcm[at : at + 3_200])
                await asyncio.sleep(0.1)
            await call.finalize(f"f{number}")
        await call.answer(f"f{len(turns) - 1}")

    server = serve(session_seconds=2.0)
    call = run_call(node(server.url), scenario)
    assert call.texts == [turn.words for turn in turns]
    assert not call.errors
    assert len(server.wires) >= 3, "it did take several sessions"
    assert call.metric("vendor_metrics")[-1]["rollovers"] >= 1
    states = [change["current"] for change in call.payloads("connection_status_changed")]
    assert states.count("connected") <= 1, "a rollover is no change of state"


def test_W7_the_earlier_tests_configuration_of_a_refused_session_is_refused_and_not_fatal(serve) -> None:
    """TEN's own tests wait for errors that are not fatal, with a bad key and a language nobody speaks."""

    async def scenario(call: Call) -> None:
        await call.until("the refusal", lambda: call.errors)
        await call.send(ToneScript().say(1, ms=300).pcm)
        await call.finalize("f1")
        await call.answer("f1")

    (wild,) = (wild for wild in WILD if wild.name == "tests/configs/property_invalid.json, key in params")
    params = {**wild.property["params"], "base_url": serve(api_key="sk-right").url, "finalize_timeout_ms": 500}
    call = run_call({"params": params}, scenario)
    assert {error["code"] for error in call.errors} == {1000}
    assert call.errors[0]["vendor_info"]["code"] == "invalid_api_key"
