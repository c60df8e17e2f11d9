"""Families that grow and draw in styles, wired: resume in mid-fade, what does not fit, what a trained run offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import steadygan
from steadygan.errors import SteadyganError
from steadygan.game import checkpoint
from steadygan.games.progressive import growths
from steadygan.networks.style import StyleGenerator
from steadygan.session import planning
from steadygan.session.families import check_players, family
from steadygan.session.wiring import wire


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadygan.report.outputs.finish", lambda run: None)
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.mark.parametrize("steady", [0.0, 0.5])
def test_a_run_that_is_stopped_in_mid_fade_ends_in_the_same_bits(steady: float, lab: Any, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    config = lab.config("progressive", "images=128", "options.grown=1", f"options.steady={steady}")
    lab.start(whole, config)
    expected, names = lab.outcome(whole), lab.checkpoints(whole)
    shares = []
    for keep in range(1, len(names)):
        again = lab.cut(whole, tmp_path / f"again-{keep}", keep)
        tree = checkpoint.read(checkpoint.listed(again / "checkpoints")[0])["state"]
        stages = {float(value) for name, value in tree["players"]["generator"].items() if name.endswith("growth.stage")}
        stages |= {
            float(value) for name, value in tree["averages"]["generator"].items() if name.endswith("growth.stage")
        }
        assert len(stages) == 1, "the average is at the generator's stage"
        shares.append(stages.pop())
        lab.conduct(again)
        assert lab.outcome(again).differences(expected) == []
    assert shares == sorted(shares)
    assert sum(0 < share < 1 for share in shares) >= 2, "some of these were in mid-fade"


def test_the_pace_is_measured_at_every_stage_of_a_run(lab: Any) -> None:
    config = lab.config("progressive", "options.grown=1", "options.steady=0", "health.mode=off", "images=1000000")
    game = wire(config, lab.data)
    stages = []
    for place in planning.PLACES:
        assert planning._seconds_an_image(game, place, 0.0) > 0
        stages += [float(part.stage) for part in growths(game.state.players["generator"])]
    assert stages == pytest.approx(planning.PLACES, abs=1e-3)


def test_samples_are_of_full_size_at_every_stage(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    lab.start(run, lab.config("progressive", "options.grown=1"))
    for path in checkpoint.listed(run / "checkpoints"):
        weights = checkpoint.read(path, weights_only=True)
        found = steadygan.load(run)
        trained = type(found)(run, found.config, 0, weights, "cpu")
        assert trained.sample(3).shape == (3, 1, 8, 8)


@pytest.mark.parametrize(
    ("recipe", "given", "words"),
    [
        ("progressive", ["options.first=2"], "options.first is 2, and 8x8 has the sizes 0 to 1"),
        ("lapgan", ["options.levels=4"], "a pyramid of 4 levels does not reach 8x8: halving ends at 4x4 after 1 steps"),
        ("lapgan", ["latent.size=1"], "a latent of 1 cannot be split over 2 levels"),
        ("lapgan", ["generator.network.name=dcgan"], "has a generator of its own: set generator.network.name=pyramid"),
        ("lapgan", ["packing=2"], "no use for packing"),
        ("lapgan", ["discriminator.network.normalisation=virtual-batch"], "choose another normalisation"),
        ("style", ["generator.network.name=dcgan"], "needs a generator with styles, and 'dcgan' has none"),
        ("style", ["generator.network.normalisation=virtual-batch"], "cannot have virtual-batch"),
    ],
)
def test_what_does_not_fit_is_one_line(recipe: str, given: list[str], words: str, lab: Any, tmp_path: Path) -> None:
    with pytest.raises(SteadyganError, match=words) as caught:
        lab.start(tmp_path / "run", lab.config(recipe, *given))
    assert "\n" not in str(caught.value)


def test_unused_settings_of_the_standard_game_are_refused(lab: Any, tmp_path: Path) -> None:
    with pytest.raises(SteadyganError, match="'lapgan' has no use for lecam"):
        lab.start(tmp_path / "run", lab.config("lapgan", "lecam=0.3"))


def test_a_trained_run_offers_its_styles(lab: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    lab.start(run, lab.config("style"))
    trained = steadygan.load(run)
    generator = trained.generator
    assert isinstance(generator, StyleGenerator)
    latent = torch.randn(5, 8)
    styles = generator.map(latent)
    torch.testing.assert_close(generator.synthesise(styles).clamp(-1, 1), trained.decode(latent))
    mixed = torch.cat([styles[:1, None].expand(1, 1, -1), styles[1:2, None].expand(1, generator.layers - 1, -1)], 1)
    assert generator.synthesise(mixed).shape == (1, 1, 8, 8)
    memory = checkpoint.read(checkpoint.listed(run / "checkpoints")[0])["state"]["memory"]
    assert float(memory["path_length"]) > 0


@pytest.mark.parametrize("recipe", ["progressive", "lapgan", "sagan", "style"])
def test_labels_are_taken_where_they_are_asked_for(recipe: str, lab: Any, tmp_path: Path) -> None:
    given = ("generator.network.conditional=true", "discriminator.network.conditional=true")
    lab.start(tmp_path / "run", lab.config(recipe, *given))
    trained = steadygan.load(tmp_path / "run")
    assert not torch.equal(trained.sample(2, label=1), trained.sample(2, label=2))


def test_the_players_are_the_usual_ones(lab: Any) -> None:
    for recipe in ("progressive", "lapgan", "style"):
        config = lab.config(recipe)
        check_players(config, family(config))
        assert family(config).judge is not None
