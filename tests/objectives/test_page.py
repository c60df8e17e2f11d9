"""The page on objectives names every entry of every table, and its example runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import torch

from steadygan.objectives import adversarial, auxiliary
from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss
from steadygan.objectives.penalties import PENALTIES
from steadygan.objectives.weights import WEIGHT_PENALTIES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text below a second-level heading."""
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row that starts with a name in code marks."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize(
    ("title", "table"),
    [
        ("Adversarial losses", ADVERSARIAL_LOSSES),
        ("Penalties on the discriminator's gradient", PENALTIES),
        ("Penalties on weights", WEIGHT_PENALTIES),
    ],
)
def test_page_names_every_entry_and_no_other(title: str, table: dict[str, object]) -> None:
    named = {row[0].strip("`") for row in rows(section(title)) if "(" not in row[0]}
    assert named == set(table)


def test_page_names_every_auxiliary_function() -> None:
    public = {
        name
        for name, value in vars(auxiliary).items()
        if inspect.isfunction(value) and value.__module__ == auxiliary.__name__ and not name.startswith("_")
    }
    assert all(f"`{name}`" in section("Auxiliary terms") for name in public)
    assert len(public) >= 6


def test_page_gives_the_ideals_of_the_table() -> None:
    stated = {row[0].strip("`"): row[3] for row in rows(section("Adversarial losses")) if len(row) == 5}
    assert set(stated) == set(ADVERSARIAL_LOSSES)
    for name, text in stated.items():
        value = torch.log(torch.tensor(float(text[4:]))) if text.startswith("log ") else torch.tensor(float(text))
        assert ADVERSARIAL_LOSSES[name].ideal == pytest.approx(float(value))


def test_page_names_the_losses_whose_signs_mean_nothing() -> None:
    without = {name for name, loss in ADVERSARIAL_LOSSES.items() if not loss.signs}
    assert without == {"least-squares", "wasserstein", "f-kl", "relativistic", "relativistic-average"}
    assert "`least-squares`, `wasserstein`, `f-kl` and the relativistic losses" in PAGE


def test_example_runs() -> None:
    names: dict[str, object] = {}
    exec(PAGE.split("```python\n")[1].split("```")[0], names)
    assert isinstance(names["absolute"], AdversarialLoss)
    assert callable(adversarial.pointwise)
