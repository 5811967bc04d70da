"""`openai-asr models`: what each transcription model does with each setting, as the extension's own rules have it.

Nothing is written down here: every cell is a configuration that was loaded, and what became of it. `docs/models.md` is
the Markdown, printed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal

from ...config import OpenAIASRConfig
from ...realtime.errors import ConfigurationError
from ...realtime.models import LOGPROBS, MODEL_FAMILIES, NEAR_DAYS, resolve_turn_detection, rules_for, session_object
from ...realtime.options import TURN_DETECTION_TYPES
from ..transcription.failure import DONE

Outcome = Literal["works", "translated", "left out", "error"]

OTHER = "any-other-name"
"Stands for a name no rule is known for: a deployment, another vendor's model."
MODELS: tuple[str, ...] = (*(rules.family for rules in MODEL_FAMILIES), OTHER)

FIELDS: Mapping[str, dict[str, Any]] = {
    "language": {"input_audio_transcription": {"language": "en"}},
    "languages (one)": {"input_audio_transcription": {"languages": ["en"]}},
    "languages (several)": {"input_audio_transcription": {"languages": ["en", "de"]}},
    "keywords": {"input_audio_transcription": {"keywords": ["Polyphem", "Odysseus"]}},
    "prompt": {"input_audio_transcription": {"prompt": "A talk about ships."}},
    "delay": {"input_audio_transcription": {"delay": "low"}},
    "include logprobs": {"include": [LOGPROBS]},
    "noise reduction": {"input_audio_noise_reduction": {"type": "near_field"}},
}
"What is tried, each with a value for it, as it stands in `params`."


@dataclass(frozen=True)
class Cell:
    """What becomes of one *field* with one *model* under one kind of turn detection."""

    model: str
    turns: str
    field: str
    outcome: Outcome
    note: str = ""
    "What it became, the warning, or the error."
    turns_used: str = ""
    "The kind of turn detection that `auto` chose, else the one asked for; empty for an error."


def params_of(model: str, turns: str, field: str) -> dict[str, Any]:
    """`params` that ask for one cell of the matrix."""
    given = FIELDS[field]
    transcription = {"model": model, **given.get("input_audio_transcription", {})}
    return {"turn_detection": {"type": turns}, **given, "input_audio_transcription": transcription}


def matrix() -> list[Cell]:
    """Every model, kind of turn detection and field. The local detector counts as installed."""
    return [cell(model, turns, field) for model in MODELS for turns in TURN_DETECTION_TYPES for field in FIELDS]


def cell(model: str, turns: str, field: str) -> Cell:
    """One cell, found by loading that configuration."""
    params = {"api_key": "none", "base_url": "ws://127.0.0.1", **params_of(model, turns, field)}
    try:
        options = OpenAIASRConfig.load({"params": params}, {}, today=date.min).config.session_options()
        resolved = resolve_turn_detection(options.turn_detection, model, local_vad_available=True)
        session, warnings = session_object(options.replace(turn_detection=resolved))
    except ConfigurationError as error:
        return Cell(model, turns, field, "error", str(error))
    if warnings:
        return Cell(model, turns, field, "left out", "; ".join(warnings), resolved.type)
    became = _became(field, session)
    return Cell(model, turns, field, "translated" if became else "works", became, resolved.type)


def _became(field: str, session: Mapping[str, Any]) -> str:
    """The wire's own name of what was given as *field*, where that is another one."""
    name = field.partition(" ")[0]
    transcription = session["audio"]["input"]["transcription"]
    if name in ("include", "noise") or name in transcription:
        return ""
    return f"sent as {', '.join(sorted(set(transcription) - {'model'}))}"


def show(*, as_json: bool) -> int:
    """Print the matrix; returns the exit code."""
    print(to_json() if as_json else to_markdown(), end="\n" if as_json else "")
    return DONE


# Showing it -------------------------------------------------------------------------------------------------


def to_json() -> str:
    """All of it for a program: the cells, and when each model ends."""
    ends = {
        model: {"last_day": rules.shutdown_date, "replacements": list(rules.replacements)}
        for model in MODELS
        if (rules := rules_for(model)).shutdown_date
    }
    return json.dumps({"cells": [asdict(one) for one in matrix()], "ends": ends}, indent=1)


def to_markdown() -> str:
    """The page `docs/models.md`."""
    cells = matrix()
    return "\n".join([*_intro(), *_turns_table(cells), *_fields_table(cells), *_ends_table()]) + "\n"


def _intro() -> list[str]:
    return [
        "# Models",
        "",
        "<!-- Printed by `openai-asr models`; a test fails when the two differ. -->",
        "",
        "What each model does with each setting. A setting *works* as it stands, is *translated* into what the model",
        "takes, is *left out* with one warning, or is one clear *error* before any socket opens. Rules go by the",
        f"beginning of the name; `{OTHER}` stands for every name without rules (a deployment, your own server's",
        "model). `openai-asr models --json` prints every combination of model, turn detection and setting.",
        "",
    ]


def _turns_table(cells: list[Cell]) -> list[str]:
    """Who ends turns; an error is one whatever else is set."""
    lines = [
        "## Turn detection",
        "",
        f"| model | text before the commit | {' | '.join(f'`{turns}`' for turns in TURN_DETECTION_TYPES)} |",
        f"|{' --- |' * (2 + len(TURN_DETECTION_TYPES))}",
    ]
    notes: list[str] = []
    for model in MODELS:
        shown = []
        for turns in TURN_DETECTION_TYPES:
            one = next(cell for cell in cells if (cell.model, cell.turns) == (model, turns))
            if one.outcome == "error":
                shown.append("error")
                notes.append(f"- {one.note}.")
            else:
                shown.append(f"`{one.turns_used}`" if turns == "auto" else "works")
        early = "yes" if rules_for(model).streams_before_commit else "no"
        lines.append(f"| `{model}` | {early} | {' | '.join(shown)} |")
    return [*lines, "", "The errors:", "", *notes, ""]


def _fields_table(cells: list[Cell]) -> list[str]:
    """What a model takes does not depend on who ends its turns."""
    lines = [
        "## Settings",
        "",
        f"| model | {' | '.join(FIELDS)} |",
        f"|{' --- |' * (1 + len(FIELDS))}",
    ]
    for model in MODELS:
        shown = []
        for field in FIELDS:
            outcomes = {c.note or c.outcome: c.outcome for c in cells if (c.model, c.field) == (model, field)}
            (text,) = (note if kind == "translated" else kind for note, kind in outcomes.items() if kind != "error")
            shown.append(text)
        lines.append(f"| `{model}` | {' | '.join(shown)} |")
    return [*lines, ""]


def _ends_table() -> list[str]:
    lines = [
        "## Announced ends",
        "",
        f"A model is one warning at start from {NEAR_DAYS} days before its announced last day on.",
        "",
        "| model | last day | warned from | replacement |",
        "| --- | --- | --- | --- |",
    ]
    for rules in MODEL_FAMILIES:
        if rules.shutdown_date is None:
            lines.append(f"| `{rules.family}` | none announced | | |")
            continue
        warned = date.fromisoformat(rules.shutdown_date) - timedelta(days=NEAR_DAYS)
        instead = " or ".join(f"`{name}`" for name in rules.replacements)
        lines.append(f"| `{rules.family}` | {rules.shutdown_date} | {warned} | {instead} |")
    return lines
