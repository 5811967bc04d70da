"""The golden traces of the dialects, played over real sockets against the server that speaks them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dialect_peers import Trace
from server_clients import KEY
from server_peers import GOLDEN
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer, run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.dialects import DIALECTS
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer

pytestmark = pytest.mark.socket

TRACES = {
    "openai": (GOLDEN / "g01_server_vad.json", "Good morning everyone."),
    "beta": (GOLDEN / "g11_beta_dialect.json", "All aboard."),
    "vllm": (GOLDEN / "g12_vllm_dialect.json", " Calm seas."),
    "azure": (GOLDEN / "dialects" / "azure.json", "Ship ahoy."),
    "azure_ephemeral": (GOLDEN / "dialects" / "azure_ephemeral.json", "Ship ahoy."),
    "speaches": (GOLDEN / "dialects" / "speaches.json", "Anchors aweigh."),
}


async def play(dialect: str, path: Path, text: str) -> int:
    recognizer = ScriptedRecognizer([text], word_ms=10_000)
    async with LocalServer(port=0, recognizer=recognizer, api_key=KEY, dialect=dialect) as server:
        base = server.url.removesuffix(server.dialect.base_path)
        return await Trace(base, KEY, path).play()


@pytest.mark.parametrize("dialect", sorted(TRACES.keys() - {"openai"}))
async def test_it_speaks_as_in_the_trace(dialect: str) -> None:
    path, text = TRACES[dialect]
    steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
    assert await play(dialect, path, text) == sum(step["d"] != "c>s" for step in steps) > 0


@pytest.mark.parametrize("dialect", sorted(TRACES.keys() - {"openai"}))
async def test_a_wrong_word_in_the_trace_is_noticed(dialect: str) -> None:
    """The comparison itself must be able to fail."""
    path, text = TRACES[dialect]
    with pytest.raises(AssertionError, match=r"\.(transcript|text)$|\.(transcript|text)\n"):
        await play(dialect, path, text + " Over.")


def test_every_dialect_has_a_trace() -> None:
    assert TRACES.keys() == DIALECTS.keys()


def test_a_dialect_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="dialect: 'klingon' given, must be one of: openai, azure"):
        LocalServer(dialect="klingon", recognizer="scripted")


def test_a_thread_takes_the_dialect() -> None:
    with run_in_thread(recognizer="scripted", dialect="azure") as server:
        assert server.url.endswith("/openai/v1")
