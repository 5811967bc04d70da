"""Numbers on the command line that are none to wait for, or to play at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "devkit" / "samples" / "weather.flac"
TAKERS = [
    ("doctor", "--timeout"),
    ("transcribe", "--timeout"),
    ("transcribe", "--speed"),
    ("mic", "--seconds"),
]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "-1", "1e12"])
@pytest.mark.parametrize(("command", "option"), TAKERS)
def test_a_number_nobody_can_wait_for_is_wrong_use(
    command: str, option: str, value: str, cli: Callable[..., Any]
) -> None:
    more = {"doctor": ["--no-speech"], "transcribe": [SAMPLE], "mic": ["--file-as-mic", SAMPLE]}[command]
    ran = cli("-q", command, *more, "--url", "ws://127.0.0.1:9/v1", f"{option}={value}")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert option in ran.err and "above 0 and at most 1000000" in ran.err
