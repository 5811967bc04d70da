"""`openai-asr doctor` names what is wrong with a set-up, and nothing in the same set-up without it."""

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
from doctor_cases import ALONE, CANARY, KEY, PAIRS, Alone, Lab, Make, Pair
from doctor_lab import Authority
from ten_packages.extension.openai_asr_python.devkit.cli.display import Display
from ten_packages.extension.openai_asr_python.devkit.cli.doctor import doctor
from ten_packages.extension.openai_asr_python.devkit.doctor.examination import CHECKS
from ten_packages.extension.openai_asr_python.devkit.doctor.troubles import TROUBLES
from ten_packages.extension.openai_asr_python.transport import _KNOWS_PROXIES

pytestmark = pytest.mark.socket
ORDER = [check.id for check in CHECKS]


@dataclass(frozen=True)
class Examined:
    """What the doctor said."""

    code: int
    report: dict[str, Any]

    @property
    def checks(self) -> dict[str, dict[str, Any]]:
        return {check["id"]: check for check in self.report["checks"]}


@pytest.fixture(scope="module")
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


def runnable(pair: Pair) -> Pair:
    if not _KNOWS_PROXIES and pair.trouble.startswith("proxy_"):
        pytest.xfail("websockets 14 takes no proxy")
    return pair


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.trouble)
def test_what_is_wrong_is_named(pair: Pair, examine: Callable[[Make], Examined]) -> None:
    known = TROUBLES[runnable(pair).trouble]
    examined = examine(pair.broken)
    found = examined.checks[known.check]
    assert (found["status"], found.get("trouble")) == (known.status, pair.trouble), examined.checks
    assert pair.remedy in found["remedy"]
    assert examined.code == (1 if known.status == "failed" else 0)
    assert examined.report["ok"] is (examined.code == 0)
    others = {name: check["trouble"] for name, check in examined.checks.items() if "trouble" in check}
    assert set(others) == {known.check}, "one thing is wrong, and one line says so"
    for name in ORDER[: ORDER.index(known.check)]:
        if (pair.trouble, name) == ("key_command", "handshake"):
            continue  # there is nothing to shake hands with
        assert examined.checks[name]["status"] in ("ok", "not needed")


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.trouble)
def test_its_healthy_twin_passes(pair: Pair, examine: Callable[[Make], Examined]) -> None:
    known = TROUBLES[runnable(pair).trouble]
    examined = examine(pair.healthy)
    assert (examined.code, examined.report["verdict"]) == (0, "It would work.")
    for name, check in examined.checks.items():
        assert check["status"] in ("ok", "not needed", "skipped"), check
        assert check["status"] != "skipped" or name == "speech"
    if known.check != "account" or pair.trouble == "wrong_account":
        assert examined.checks[known.check]["status"] == "ok"


@pytest.mark.parametrize("alone", ALONE, ids=lambda alone: alone.trouble)
def test_what_is_rarer_is_named_too(alone: Alone, examine: Callable[[Make], Examined]) -> None:
    known = TROUBLES[alone.trouble]
    examined = examine(alone.broken)
    found = {name: check["trouble"] for name, check in examined.checks.items() if "trouble" in check}
    assert alone.trouble in found.values(), examined.checks
    assert examined.code == (1 if known.status == "failed" else 0)


def test_nothing_the_doctor_can_say_is_untested() -> None:
    tested = [pair.trouble for pair in PAIRS] + [alone.trouble for alone in ALONE]
    assert len(PAIRS) >= 15 and sorted(tested) == sorted(TROUBLES)
