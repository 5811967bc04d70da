"""A local server for all command line tests, and a way to run the command line in this process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from doctor_cases import CANARY, KEY, Examined, Lab, Make
from doctor_lab import Authority
from ten_packages.extension.openai_asr_python.devkit.cli.app import main
from ten_packages.extension.openai_asr_python.devkit.cli.display import Display
from ten_packages.extension.openai_asr_python.devkit.cli.doctor import doctor
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


# The doctor ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Authority]:
    made: list[Authority] = []

    def make() -> Authority:
        if not made:
            made.append(Authority(tmp_path_factory.mktemp("authority")))
        return made[0]

    return make


@pytest.fixture
def lab(tmp_path: Path, authority: Callable[[], Authority], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    names: dict[str, str] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, *more: Any, **named: Any) -> Any:
        if str(host).endswith(".test") and host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if names.get(host) == "again":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(names.get(host, host), *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with contextlib.ExitStack() as stack:
        yield Lab(stack, tmp_path, authority, monkeypatch, names)


@pytest.fixture
def examine(lab: Lab, capfd: pytest.CaptureFixture[str]) -> Callable[[Make], Examined]:
    """Set something up, and let the doctor look at it. Whatever it is, the canary stays inside."""

    def run(make: Make) -> Examined:
        """Raises what `doctor` raises."""
        request = make(lab)
        capfd.readouterr()
        code = doctor(request, Display(), lab.world)
        written = capfd.readouterr()
        assert CANARY not in written.out and CANARY not in written.err
        return Examined(code, json.loads(written.out))

    return run
