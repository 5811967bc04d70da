"""`openai-asr doctor` names what is wrong with a set-up, and nothing in the same set-up without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from doctor_cases import PAIRS, Examined, Make, Pair
from doctor_lab import NO_PROXIES, TAKES_PROXIES
from doctor_rare import ALONE, Alone
from ten_packages.extension.openai_asr_python.devkit.doctor.examination import CHECKS
from ten_packages.extension.openai_asr_python.devkit.doctor.troubles import TROUBLES

pytestmark = pytest.mark.socket
ORDER = [check.id for check in CHECKS]


def needs_its_library(pair: Pair | Alone) -> None:
    """Version 14 takes no proxy."""
    if not TAKES_PROXIES and pair.trouble.startswith(("proxy_", "tls_in_tls")):
        pytest.skip(NO_PROXIES)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.trouble)
def test_what_is_wrong_is_named(pair: Pair, examine: Callable[[Make], Examined]) -> None:
    needs_its_library(pair)
    known = TROUBLES[pair.trouble]
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
    needs_its_library(pair)
    known = TROUBLES[pair.trouble]
    examined = examine(pair.healthy)
    assert (examined.code, examined.report["verdict"]) == (0, "It would work.")
    for name, check in examined.checks.items():
        assert check["status"] in ("ok", "not needed", "skipped"), check
        assert check["status"] != "skipped" or name == "speech"
    if known.check != "account" or pair.trouble == "wrong_account":
        assert examined.checks[known.check]["status"] == "ok"


@pytest.mark.parametrize("alone", ALONE, ids=lambda alone: alone.trouble)
def test_what_is_rarer_is_named_too(alone: Alone, examine: Callable[[Make], Examined]) -> None:
    needs_its_library(alone)
    known = TROUBLES[alone.trouble]
    examined = examine(alone.broken)
    found = {name: check["trouble"] for name, check in examined.checks.items() if "trouble" in check}
    assert alone.trouble in found.values(), examined.checks
    assert examined.code == (1 if known.status == "failed" else 0)


def test_nothing_the_doctor_can_say_is_untested() -> None:
    tested = [pair.trouble for pair in PAIRS] + [alone.trouble for alone in ALONE]
    assert len(PAIRS) >= 15 and sorted(tested) == sorted(TROUBLES)
