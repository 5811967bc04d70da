"""`openai-asr models`, and docs/models.md, which is what it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"


def test_the_page_is_what_the_command_prints(cli: Callable[..., Any]) -> None:
    ran = cli("models")
    assert (ran.code, ran.err) == (0, "")
    assert PAGE.read_text(encoding="utf-8") == ran.out, "run: openai-asr models > docs/models.md"


def test_json_has_every_cell_and_every_announced_end(cli: Callable[..., Any]) -> None:
    ran = cli("models", "--json")
    printed = json.loads(ran.out)
    cells = {(cell["model"], cell["turns"], cell["field"]): cell for cell in printed["cells"]}
    assert ran.code == 0 and len(cells) == 320
    assert cells["gpt-live-transcribe", "semantic_vad", "prompt"]["outcome"] == "error"
    assert cells["gpt-live-transcribe", "auto", "language"]["note"] == "sent as languages"
    assert cells["whisper-1", "none", "keywords"]["outcome"] == "translated"
    assert cells["gpt-4o-transcribe", "auto", "delay"]["note"] == (
        "model gpt-4o-transcribe does not take delay; it was left out"
    )
    assert printed["ends"]["whisper-1"] == {
        "last_day": "2027-02-26",
        "replacements": ["gpt-live-transcribe", "gpt-transcribe"],
    }
    assert "gpt-live-transcribe" not in printed["ends"]
