"""The exams of the families for variety measure what they say."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def exams(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("family_variety")


def test_every_figure_is_named_once_and_every_recipe_is_there(exams: ModuleType) -> None:
    from steadygan.recipes import RECIPES

    names = [exam.name for exam in exams.EXAMS]
    assert len(set(names)) == len(names)
    assert {recipe for _, recipe, *_ in exams.KEEPERS.values()} <= RECIPES.keys()
    for exam in exams.EXAMS:
        assert len({figure.name for figure in exam.figures}) == len(exam.figures)
        assert exam.seeds >= 3


@pytest.mark.parametrize("name", ["pacgan-mixtures", "mad-gan-mixtures", "unrolled-mixtures"])
def test_both_sides_of_a_comparison_are_played_and_counted(name: str, exams: ModuleType, tmp_path: Path) -> None:
    exam = next(exam for exam in exams.EXAMS if exam.name == name)
    found = exam.run(0, tmp_path, 0.001)
    assert {figure.name for figure in exam.figures} <= found.keys()
    for mixture, modes in (("ring", 8), ("grid", 25)):
        with_, without = found[f"{mixture}_with"], found[f"{mixture}_without"]
        assert 0 <= with_ <= modes
        assert 0 <= without <= modes
        assert found[f"{mixture}_more"] == with_ - without
        assert 0 <= found[f"{mixture}_with_good"] <= 1


def test_one_generator_and_four_are_of_about_the_same_size(exams: ModuleType) -> None:
    from steadygan import api
    from steadygan.networks import parameters_count
    from steadygan.session.families import build_players

    plain = exams.small(1, 64)
    several = exams.small(1, 64, 64).model_copy(update={"game": "mad-gan", "options": {"generators": 4}})
    stacked = [
        api.plan("digits", recipe=recipe, images=64, set=["data.image_size=[16,16]", "data.channels=3", *given]).config
        for recipe, given in (("dcgan", exams.SMALL_STACK), ("mad-gan", (*exams.SMALL_STACK, *exams.AS_LARGE)))
    ]
    for pair in ((plain, several), stacked):
        one, four = (parameters_count(build_players(config, ["generator"])["generator"]) for config in pair)
        assert 0.9 < four / one < 1.1


def test_the_bound_follows_the_generator(exams: ModuleType) -> None:
    """Even in a few rounds the closed form falls, and the bound stays below what it was at the start."""
    seen = exams.approach(0, 100)
    assert seen.shape == (45, 2)
    assert np.all(np.diff(seen[:, 1]) < 0)
    assert seen[-5:, 0].mean() < 1.125
    still = list(exams.course("kl", 0, 3, 0.0))
    assert [closed for _, closed in still] == [0.5, 0.5, 0.5]


def test_triples_are_three_of_the_images(exams: ModuleType, tmp_path: Path) -> None:
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 2, 2)
    stacked = np.load(exams.stack(tmp_path, images))
    assert stacked.shape == (exams.TRIPLES, 3, 2, 2)
    counts = np.bincount(stacked[:, :, 0, 0].ravel(), minlength=10)
    assert counts.min() > 0.9 * counts.mean()
