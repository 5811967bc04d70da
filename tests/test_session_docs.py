"""docs/session.md shows the table the session runs on, not a memory of it. Run this file to write it anew."""

from __future__ import annotations

from pathlib import Path

DOC = Path(__file__).resolve().parent.parent / "docs" / "session.md"
START, END = "```mermaid\n", "```\n"


def diagram() -> str:
    from ten_packages.extension.openai_asr_python.realtime.lifecycle import TRANSITIONS, SessionState

    lines = ["stateDiagram-v2", f"    [*] --> {SessionState.IDLE.value}"]
    for source, targets in TRANSITIONS.items():
        lines += [f"    {source.value} --> {target.value}" for target in SessionState if target in targets]
        if not targets:
            lines.append(f"    {source.value} --> [*]")
    return "\n".join(lines) + "\n"


def ledger_diagram() -> str:
    from ten_packages.extension.openai_asr_python.realtime.ledger import TRANSITIONS, State

    lines = ["stateDiagram-v2", f"    [*] --> {State.PENDING.value}"]
    for source, targets in TRANSITIONS.items():
        lines += [f"    {source.value} --> {target.value}" for target in State if target in targets]
        if not targets:
            lines.append(f"    {source.value} --> [*]")
    return "\n".join(lines) + "\n"


def test_the_diagrams_are_made_from_the_tables() -> None:
    text = DOC.read_text(encoding="utf-8")
    assert START + diagram() + END in text
    assert START + ledger_diagram() + END in text


def test_every_state_is_explained() -> None:
    from ten_packages.extension.openai_asr_python.realtime.ledger import State
    from ten_packages.extension.openai_asr_python.realtime.lifecycle import SessionState

    text = DOC.read_text(encoding="utf-8")
    for state in [*SessionState, *State]:
        assert f"`{state.value}`" in text, state
