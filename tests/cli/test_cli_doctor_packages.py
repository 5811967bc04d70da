"""The doctor's judgement of versions, and its page."""

from __future__ import annotations

import runpy
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "doctor.md"


def table() -> str:
    """Every check, and everything it can find wrong."""
    from ten_packages.extension.openai_asr_python.devkit.doctor.examination import CHECKS
    from ten_packages.extension.openai_asr_python.devkit.doctor.troubles import TROUBLES

    parts = []
    for check in CHECKS:
        rows = "".join(
            f"| `{one.name}` | {one.status} | {one.meaning} | {one.remedy.replace('{{', '{').replace('}}', '}')} |\n"
            for one in TROUBLES.values()
            if one.check == check.id
        )
        after = ", ".join(f"`{name}`" for name in check.after)
        builds = f" Builds on {after}." if after else ""
        head = "| trouble | status | what is wrong | what to do |\n| --- | --- | --- | --- |\n"
        parts.append(f"### {check.title} (`{check.id}`)\n\n{check.looks_at}{builds}\n\n{head}{rows}")
    return "\n".join(parts)


def made(text: str) -> str:
    """*text* with the table between its markers."""
    begin, end = "<!-- checks: begin -->\n", "<!-- checks: end -->"
    return text[: text.index(begin) + len(begin)] + table() + text[text.index(end) :]


def test_the_page_is_made_from_the_checks() -> None:
    text = DOC.read_text(encoding="utf-8")
    assert text == made(text), "run python tests/cli/test_cli_doctor_packages.py"


def test_every_trouble_belongs_to_a_check() -> None:
    from ten_packages.extension.openai_asr_python.devkit.doctor.examination import CHECKS
    from ten_packages.extension.openai_asr_python.devkit.doctor.troubles import TROUBLES

    ids = [check.id for check in CHECKS]
    assert {one.check for one in TROUBLES.values()} <= {*ids, "any"}
    for check in CHECKS:
        assert set(check.after) <= set(ids[: ids.index(check.id)]), "what it builds on comes before it"


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (">=14,<18", "==13.1", False),
        (">=14,<18", "==15.0.1", True),
        (">=14,<18", "~=14.0", True),
        (">=14,<18", "~=13.0", False),
        (">=14,<18", "<14", False),
        (">=14,<18", "<=14", True),
        (">=14,<18", ">17.9", True),
        (">=14,<18", ">=18", False),
        (">=2,<3", "<2.5,>2.4", True),
        (">=2", "<2", False),
        (">=2", "==1.*", False),
        (">=2", "==2.7.*", True),
        (">=1.24", "", True),
        ("!=2.0,>=2", "<=2.0", False),
        ("!=2.0,>=2", "<=2.1", True),
    ],
)
def test_whether_two_ranges_have_a_version_in_common(one: str, other: str, meet: bool) -> None:
    from packaging.specifiers import SpecifierSet
    from ten_packages.extension.openai_asr_python.devkit.doctor.installed import can_meet

    assert can_meet(SpecifierSet(one), SpecifierSet(other)) is meet
    assert can_meet(SpecifierSet(other), SpecifierSet(one)) is meet


def test_what_is_installed_here_is_found() -> None:
    from ten_packages.extension.openai_asr_python.devkit.doctor.installed import installed_packages, our_requirements

    installed = installed_packages()
    for name in our_requirements():
        assert installed[name].version == version(name)
    assert any(requirement.startswith("pydantic") for requirement in installed["openai"].requires)


if __name__ == "__main__":
    runpy.run_path(str(ROOT / "devkit" / "host" / "loader.py"))["load_extension"](ROOT)
    DOC.write_text(made(DOC.read_text(encoding="utf-8")), encoding="utf-8")
