"""Every recipe plays the very rounds that it played when its numbers were written down."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from steadygan.recipes import RECIPES

HERE = Path(__file__).resolve().parent
trajectory = runpy.run_path(str(HERE / "make.py"))["trajectory"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_trajectory_is_the_one_written_down(recipe: str) -> None:
    pinned = json.loads((HERE / f"{recipe}.json").read_text())
    found = trajectory(recipe)
    assert found.keys() == pinned.keys()
    for name, values in found.items():
        assert values == pytest.approx(pinned[name], rel=1e-6, abs=1e-12), (
            f"{name} (python tests/golden/make.py {recipe})"
        )


def test_every_file_is_of_a_recipe_and_says_something() -> None:
    files = {path.stem: json.loads(path.read_text()) for path in HERE.glob("*.json")}
    assert files.keys() == RECIPES.keys()
    for recipe, numbers in files.items():
        assert {"generator/loss", "generator/gradient_norm"} <= numbers.keys(), recipe
        assert all(len(values) == 12 and len(set(values)) > 1 for values in numbers.values()), recipe
