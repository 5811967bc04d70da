"""What the acceptance suite runs against: a local server that says lines, or the service itself with `--live`.

Options (see tests/conftest.py): `--extension_name`, `--config_dir`, `--live`. Without a real runtime the embedded host
runs it, in the generation of ten_ai_base that TEN_AI_BASE_GENERATION names, and minutes pass in seconds.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import acceptance
import pytest
import ten_runtime
from acceptance import Bench
from fast_calls import fast_calls
from ten_packages.extension.openai_asr_python.devkit.server import app as server_app
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import Recognition, RecognitionRequest
from ten_packages.extension.openai_asr_python.devkit.server.vad import RATE

KEY = "sk-acceptance-0123456789"
EMBEDDED = Path(ten_runtime.__file__ or "").parent.parent == acceptance.ROOT / "devkit" / "host" / "interface"
LINES = {
    "en": "the weather is beautiful this morning and the sun is shining".split(),
    "zh": list("明天下午要下雨"),
    "es": "mañana por la tarde va a llover".split(),
}
WORD_MS = 300


class Reader:
    """A recogniser that hears its lines in any audio, over and over, a word every `WORD_MS`."""

    vad = "energy"

    def __init__(self, language: str) -> None:
        self._language = language

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        """Nothing to give back."""

    def knows_language(self, language: str) -> bool:
        """Any."""
        return True

    def session(self, request: RecognitionRequest) -> Reading:
        """Begin an utterance."""
        return Reading(self._language, request.partials)


class Reading:
    """One utterance. See `RecognitionSession`."""

    def __init__(self, language: str, partials: bool) -> None:
        self._language, self._partials = language, partials
        self._heard_bytes = 0

    async def accept(self, pcm: bytes) -> str | None:
        before = self._text()
        self._heard_bytes += len(pcm)
        return self._text() if self._partials and self._text() != before else None

    async def finish(self) -> Recognition:
        await asyncio.sleep(0.2)
        return Recognition(self._text(), language=self._language)

    async def abandon(self) -> None:
        """Nothing to give back."""

    def _text(self) -> str:
        words = itertools.cycle(LINES[self._language])
        count = self._heard_bytes // (RATE * 2 * WORD_MS // 1000)
        return ("" if self._language == "zh" else " ").join(itertools.islice(words, count))


@pytest.fixture(autouse=True)
def fast_clock(request: pytest.FixtureRequest) -> Iterator[None]:
    """Time passes only while nobody works: on a host whose loops we make, with a server of our own."""
    if not EMBEDDED or request.config.getoption("live"):
        yield
        return
    with fast_calls():
        yield


@pytest.fixture
def bench(request: pytest.FixtureRequest, fast_clock: None) -> Bench:
    """The extension under test."""
    option = request.config.getoption
    return Bench(option("extension_name"), Path(option("config_dir")), EMBEDDED and not option("live"))


@pytest.fixture
def server(request: pytest.FixtureRequest, fast_clock: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server in the environment that recognises one language: English, unless parametrized."""
    language = getattr(request, "param", "en")
    if request.config.getoption("live"):
        assert os.environ.get("OPENAI_API_KEY"), "--live needs OPENAI_API_KEY"
        if language != "en":
            pytest.skip(f"the recordings of this project are English: nothing to say in {language} to a real service")
        yield
        return
    with server_app.run_in_thread(recognizer=Reader(language), api_key=KEY) as local:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", local.url)
        for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
            monkeypatch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def clip() -> acceptance.ReadClip:
    """Recorded speech: `clip("en")`."""
    return functools.cache(acceptance.clip)
