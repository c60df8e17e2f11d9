"""Runs explained: what is found, what is left out and said so, and the page."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import steadygan
from steadygan.errors import SteadyganError
from steadygan.interpretability import effects
from steadygan.interpretability.effects import Direction, Effect
from steadygan.recipes import RECIPES
from steadygan.session import explain_figures, explain_words, explaining, explaining_reals, subject
from steadygan.session.explain_page import explain_page
from steadygan.session.explain_words import listed
from steadygan.session.explained import Explanation, Found, Walk
from steadygan.session.explaining import explain


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that has seen little, few steps and few images: what is tested is not how good they are."""
    monkeypatch.setattr(subject, "own_judge", functools.partial(subject.own_judge, images=1500))
    monkeypatch.setattr(subject.Subject, "count", lambda self, most, least=64: 64)
    monkeypatch.setattr(explaining, "CHANCE", 3)
    monkeypatch.setattr(explaining, "LEADING", 2)
    monkeypatch.setattr(explaining_reals, "CHANGES", (0.0, 0.1))
    monkeypatch.setattr(
        explaining_reals.inversion, "invert", functools.partial(explaining_reals.inversion.invert, steps=5)
    )


@pytest.fixture(scope="module")
def explained(finished: Path) -> dict[str, Explanation]:
    """Filled by the first test that needs it, since the quick settings belong to a test."""
    return {}


def known(finished: Path, explained: dict[str, Explanation]) -> Explanation:
    if "run" not in explained:
        explained["run"] = explain(finished)
    return explained["run"]


def test_every_part_is_there(finished: Path, explained: dict[str, Explanation]) -> None:
    found = known(finished, explained)
    assert found.notes == []
    assert found.directions is not None and found.reached is not None
    assert found.dissected is not None and found.walks is not None and found.map is not None
    methods = {one.direction.method for one in found.directions.effects}
    assert methods >= {"SeFa", "GANSpace", "curvature", "boundary"}
    assert len(found.directions.chance) == 3 and set(found.looks) == {"real", "fake"}
    assert set(found.endurance) == {"discriminator on reals", "discriminator on fakes", "classifier of the data"}
    assert found.reached.held_out is not None and found.reached.gap is not None
    for effect in (*found.directions.effects, *found.directions.chance):
        assert float(effect.direction.vector.norm()) == pytest.approx(1.0, abs=1e-5)
        assert all(-1.001 <= value <= 1.001 for value in effect.correlation.values())
    assert sum(found.seconds.values()) < 60


def test_the_same_seed_gives_the_same_figures(finished: Path, explained: dict[str, Explanation]) -> None:
    first, again, other = known(finished, explained), explain(finished), explain(finished, seed=1)
    assert first.directions is not None and again.directions is not None and other.directions is not None
    assert [one.relative for one in again.directions.effects] == [one.relative for one in first.directions.effects]
    assert again.endurance == first.endurance and again.accuracy == first.accuracy
    assert [one.relative for one in other.directions.effects] != [one.relative for one in first.directions.effects]


def test_the_page_is_whole_fetches_nothing_and_escapes(finished: Path, explained: dict[str, Explanation]) -> None:
    found = known(finished, explained)
    names = found.class_names
    found.class_names = ("<script>alert(1)</script>", *names[1:])
    found.notes.append("a <b>note</b> & more")
    try:
        text = explain_page(found)
    finally:
        found.class_names = names
        found.notes.clear()
    assert "<script>alert" not in text and "<b>note" not in text and "a &lt;b&gt;note&lt;/b&gt; &amp; more" in text
    for part in ("directions", "walks", "units", "inversion", "discriminator", "firmness", "map", "how"):
        assert f'id="{part}"' in text and f'href="#{part}"' in text
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    assert text.count("<img ") >= 10 and " alt=" in text and len(text) < 5_000_000
    assert "nan" not in text.split("<body>")[1].replace("data:image", "").lower().split("base64")[0]


def test_a_run_without_labels_says_what_it_leaves_out(lab: Any, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (160, 12, 12, 3), dtype=np.uint8)
    np.save(tmp_path / "plain.npy", images)
    steadygan.train(
        str(tmp_path / "plain.npy"),
        recipe="dcgan",
        images=32,
        out=tmp_path / "run",
        set=["batch=8", "threads=1", "generator.network.capacity=4", "discriminator.network.capacity=4"],
    )
    found = explain(tmp_path / "run")
    assert any("no labels" in note for note in found.notes)
    assert found.directions is not None and all(one.kept is None for one in found.directions.effects)
    assert found.dissected is not None and not found.dissected.units
    assert "classifier of the data" not in found.endurance and found.reached is not None
    assert "no labels" in explain_page(found)
    (tmp_path / "plain.npy").unlink()
    gone = explain(tmp_path / "run")
    assert any("data of the run cannot be read" in note for note in gone.notes)
    assert gone.reached is None and gone.map is None and gone.directions is not None
    assert 'id="directions"' in explain_page(gone)


@pytest.mark.parametrize(
    "recipe",
    [
        *("cgan", "infogan", "pacgan", "bigan"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in RECIPES
            if name not in ("mlp", "digits", "cgan", "infogan", "pacgan", "bigan")
        ),
    ],
)
def test_every_kind_of_family_can_be_explained(recipe: str, lab: Any, tmp_path: Path) -> None:
    lab.start(tmp_path / "run", lab.config(recipe, "latent.size=8"))
    found = explain(tmp_path / "run")
    assert found.directions is not None and found.reached is not None and found.walks is not None
    methods = {one.direction.method for one in found.directions.effects}
    assert ("code" in methods) == (recipe == "infogan")
    assert (not found.looks) == any("discriminator" in note for note in found.notes)
    assert found.looks or recipe not in ("cgan", "infogan", "pacgan", "bigan")
    assert explain_page(found).startswith("<!doctype html>")


def test_the_best_average_has_no_discriminator(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    newest = sorted((run / "checkpoints").iterdir())[-1]
    if not (run / "best").is_dir():
        shutil.copytree(newest, run / "best")
        keep_averages_alone(run / "best")
    found = explain(run, best=True)
    assert not found.looks and any("discriminator" in note for note in found.notes)


def keep_averages_alone(folder: Path) -> None:
    from steadygan.game import checkpoint

    tensors = checkpoint.read(folder, weights_only=True)
    kept = {name: tensor for name, tensor in tensors.items() if "/averages/" in name}
    checkpoint.write(folder, {"images_seen": 96}, kept)


def test_a_run_without_a_checkpoint_is_refused_in_one_line(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(SteadyganError, match="no usable checkpoint"):
        explain(tmp_path / "run")


def test_points_are_no_images(lab: Any, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = steadygan.load(finished)
    monkeypatch.setattr(trained, "config", trained.config.model_copy(update={"shape": (2, 1, 1)}))
    with pytest.raises(SteadyganError, match="not images"):
        subject.Subject(trained)


def test_a_page_is_not_written_over_anything_but_its_own(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "there.html").touch()
    with pytest.raises(SteadyganError, match="nothing is overwritten"):
        steadygan.write_explanation(finished, tmp_path / "there.html")


def effect(correlation: float, relative: float, kept: float | None = 1.0) -> Effect:
    direction = Direction("one", "SeFa", torch.tensor([1.0]))
    given = {"slant": correlation}, {"slant": 1.0}, {"slant": relative}, {"slant": [0.0, 1.0]}
    return Effect(direction, 1.0, kept, *given, (-1.0, 1.0))


@pytest.mark.parametrize(
    ("best", "chance", "steers"),
    [
        (effect(0.9, 3.0), effect(0.9, 1.0), True),
        (effect(-0.9, -3.0, None), effect(0.9, 1.0), True),
        (effect(0.7, 3.0), effect(0.9, 1.0), False),
        (effect(0.9, 3.0, 0.8), effect(0.9, 1.0), False),
        (effect(0.9, 3.0), effect(-0.9, -2.5), False),
    ],
)
def test_a_direction_steers_only_where_it_is_steady_keeps_classes_and_beats_chance(
    best: Effect, chance: Effect, steers: bool
) -> None:
    images = torch.zeros(1, 2, 1, 4, 4)
    walks = [{"slant": Walk(one, images, (-1.0, 1.0))} for one in (best, chance)]
    found = Found((best,), (chance,), walks[0], {"slant": best}, walks[1], {"slant": 1.0})
    assert explain_words.steers(found, "slant") is steers
    whole = Explanation(Path("run"), "mlp on digits", 1, 0, (1, 4, 4), (), [], directions=found)
    said = explain_words.verdict(whole)
    assert (said.state == "good") is steers and ("slant" in said.headline) is steers


def test_lists_in_words() -> None:
    assert [listed(one) for one in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_heat_is_orange_for_and_blue_against() -> None:
    maps = torch.tensor([[[1.0, -1.0], [0.0, 0.0]]])
    shown = (explain_figures.heated(torch.zeros(1, 1, 2, 2), maps)[0] + 1) / 2 * 255
    assert shown[:, 0, 0].round().int().tolist() == list(explain_figures.FOR)
    assert shown[:, 0, 1].round().int().tolist() == list(explain_figures.AGAINST)
    assert len(set(shown[:, 1, 1].tolist())) == 1


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 5), (3, 130, 200), (4, 16, 16)])
def test_pictures_of_any_shape(shape: tuple[int, ...]) -> None:
    text = explain_figures.tiles(torch.zeros(4, *shape), 2, 'a "word" & <tag>')
    assert 'alt="a &quot;word&quot; &amp; &lt;tag&gt;"' in text and len(text) < 100_000


def test_a_chart_names_its_axes_and_survives_flat_lines() -> None:
    text = explain_figures.plot("One", {"a": ([0.0, 1.0], [2.0, 2.0]), "b": ([0.0, 1.0], [2.0, 2.0])}, "x, %", "y", "c")
    assert "x, %" in text and ">y<" in text and "nan" not in text and text.count('class="swatch"') == 2


def test_the_chosen_direction_is_the_farthest_that_keeps_classes() -> None:
    kept, farther, lost = effect(0.9, 2.0), effect(0.95, 3.0), effect(0.95, 9.0, 0.5)
    assert effects.best([kept, farther, lost], "slant") is farther
    assert effects.best([lost], "slant") is lost
