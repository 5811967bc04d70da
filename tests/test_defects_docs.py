"""docs/defects.md names every defect once, and tests that exist."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = (TESTS.parent / "docs" / "defects.md").read_text(encoding="utf-8")
GROUPS = {"E": 16, "F": 10, "A": 13, "T": 8, "W": 10, "L": 5, "S": 3, "Q": 1, "B": 8}
NOT_FROM_OUTSIDE = {"Q1"}

ROWS = {
    cells[0]: cells
    for line in PAGE.splitlines()
    if re.match(r"\| [A-Z]\d+ \|", line)
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}


def defined(file: Path) -> set[str]:
    """Names of the tests in *file*, those of classes as `Class::test`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {entry.name for entry in tree.body if isinstance(entry, functions)}
    for entry in tree.body:
        if isinstance(entry, ast.ClassDef):
            names |= {f"{entry.name}::{inner.name}" for inner in entry.body if isinstance(inner, functions)}
    return {name for name in names if name.rpartition("::")[2].startswith("test_")}


def test_every_defect_is_there_once() -> None:
    told = Counter(re.findall(r"^\| ([A-Z]\d+) \|", PAGE, re.MULTILINE))
    assert told == Counter(f"{group}{number}" for group, count in GROUPS.items() for number in range(1, count + 1))
    assert all(len(cells) == 4 and all(cells[:3]) for cells in ROWS.values())


@pytest.mark.parametrize("defect", ROWS)
def test_what_shows_it_exists(defect: str) -> None:
    shown = re.findall(r"`([^`]+)`", ROWS[defect][3])
    assert bool(shown) == (defect not in NOT_FROM_OUTSIDE)
    for reference in shown:
        path, _, name = reference.partition("::")
        assert name in defined(TESTS / path), reference


def test_every_test_of_a_defect_is_named_after_one_that_names_it() -> None:
    for file in sorted((TESTS / "defects").glob("test_*.py")):
        for name in defined(file):
            defect = name.split("_")[1]
            assert f"`defects/{file.name}::{name}`" in ROWS[defect][3], f"{name} is not in the row of {defect}"
