"""The list of planted bugs fits the code: each can still be planted, and is another than the rest."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_plants", ROOT / "bench" / "plants.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_plants"] = module
    spec.loader.exec_module(module)
    return module


plants = _load()


@pytest.mark.parametrize("plant", plants.PLANTS, ids=lambda plant: plant.name)
def test_a_plant_can_still_be_planted(plant: plants.Plant) -> None:  # type: ignore[name-defined]
    text = plants.planted(plant)
    compile(text, plant.file, "exec")
    assert plant.new != plant.old


def test_a_plant_whose_place_is_gone_is_an_error() -> None:
    gone = plants.PLANTS[0]._replace(old="no such text")
    with pytest.raises(ValueError, match="0 times"):
        plants.planted(gone)


def test_the_document_has_a_row_for_each() -> None:
    page = (ROOT / "docs" / "plants.md").read_text(encoding="utf-8")
    assert len({plant.name for plant in plants.PLANTS}) == len(plants.PLANTS)
    for plant in plants.PLANTS:
        assert f"| `{plant.name}` | {plant.breaks} |" in page
