"""A local server for all command line tests, and a way to run the command line in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ten_packages.extension.openai_asr_python.devkit.cli.app import main
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread

SAMPLES = Path(__file__).resolve().parents[2] / "devkit" / "samples"


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with run_in_thread() as server:
        yield server.url


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run `openai-asr` with the arguments given."""

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        written = capfd.readouterr()
        return Ran(code, written.out, written.err)

    return run
