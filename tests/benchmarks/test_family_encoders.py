"""Exams of the families that encode: the probe, the picture, and figures that are all told."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def exams(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("family_encoders")


def test_the_probe_finds_what_is_linear_and_nothing_else(exams: ModuleType) -> None:
    labels = np.arange(400) % 2
    line = torch.randn(400, 3) + 6.0 * torch.from_numpy(labels)[:, None]
    assert exams.probe((line[:200], line[200:]), (labels[:200], labels[200:])) > 0.98
    noise = torch.randn(400, 3)
    assert 0.3 < exams.probe((noise[:200], noise[200:]), (labels[:200], labels[200:])) < 0.7


def test_the_error_is_that_of_pixels_from_0_to_1(exams: ModuleType) -> None:
    assert exams._error(torch.ones(2, 1, 2, 2), -torch.ones(2, 1, 2, 2)) == 1.0


def test_a_picture_has_images_above_what_they_came_back_as(exams: ModuleType, tmp_path: Path) -> None:
    class Run:
        def bring_back(self, images: torch.Tensor) -> torch.Tensor:
            return -images

        def sample(self, count: int) -> torch.Tensor:
            return torch.zeros(count, 1, 8, 8)

    exams.picture(Run(), torch.ones(6, 1, 8, 8), tmp_path / "a.png", columns=3)
    shown = np.asarray(Image.open(tmp_path / "a.png").convert("L"))
    middles = [int(shown[2 + 5 + row * 10, 2 + 5]) for row in range(6)]
    assert middles == [255, 0, 255, 0, 128, 128]


def test_every_figure_has_a_meaning(exams: ModuleType) -> None:
    names = [exam.name for exam in exams.EXAMS]
    assert len(set(names)) == len(names) == 10
    for exam in exams.EXAMS:
        assert len({figure.name for figure in exam.figures}) == len(exam.figures)
        assert all(figure.meaning for figure in exam.figures)
