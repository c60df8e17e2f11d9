"""A family from outside the package, with all that a family may have, is wired, resumed, sampled and refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import steadygan
from steadygan import recipes
from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.game import checkpoint
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run

OUTSIDE = """
from dataclasses import replace

from torch import nn

from steadygan.config import ScheduleConfig, Settings
from steadygan.errors import SteadyganError
from steadygan.game.move import Term, move
from steadygan.games.family import Family, discriminator, generator
from steadygan.games.latents import LATENTS, coded


class Own(Settings):
    choices: int = 3
    weight: float = 1.0


def latent(config, options):
    return coded(config.latent.size, LATENTS["normal"], {"choice": options.choices}, ("value",))


def encoder(config, options, latent):
    channels, height, width = config.shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, latent.size))


def guess(kit):
    def extra(play, seen):
        found = play.players["encoder"](seen.made)
        return {"auxiliary/code": Term((found - seen.latent).square().mean(1), play.controls["code"])}
    return extra


def moves(kit):
    tell, believe = replace(kit.adversarial, extras={"generator": (guess(kit),)}).moves()
    return tell, move("generator", ("generator", "encoder"), believe.goals[0].wants, steps=believe.steps)


def check(config, options, data):
    if options.choices < 2:
        raise SteadyganError("one choice is no choice", "set options.choices=2 or more")


FAMILY = Family(
    moves,
    options=Own,
    players={"generator": generator, "discriminator": discriminator, "encoder": encoder},
    latent=latent,
    averages=("generator", "encoder"),
    encode=lambda players, images, label: players["encoder"](images),
    controls=lambda config, options: {
        "code": (ScheduleConfig(kind="linear", value=0.0, end=options.weight), 0.0, 10.0)
    },
    check=check,
)
NUMBER = 3
"""


def outside(facts: DataFacts) -> RunConfig:
    """A recipe of the family above."""
    players = {name: player("dcgan", 4) for name in ("generator", "discriminator", "encoder")}
    return run("outside", facts, players, game="outside_family:FAMILY", batch=16)


@pytest.fixture(autouse=True)
def _known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside_family.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(recipes.RECIPES, "outside", outside)
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)


def trained(out: Path, settings: Sequence[str] = ()) -> steadygan.api.Trained:
    usual = ["threads=1", "sample_count=4", "latent.size=5", "checkpoint_every=64", "record_every=16"]
    return steadygan.train("digits", recipe="outside", images=256, out=out, set=[*usual, *settings])


def test_it_is_trained_sampled_and_encodes_without_a_line_of_its_own_in_the_session(tmp_path: Path) -> None:
    made = trained(tmp_path / "run", ["options.weight=2"])
    assert json.loads((tmp_path / "run" / "config.json").read_text())["options"] == {"choices": 3, "weight": 2.0}
    assert made.networks.keys() == {"generator", "encoder"}
    assert {name: code.size for name, code in made.codes.items()} == {"choice": 3, "value": 1}
    plain, chosen = made.sample(6, seed=1), made.sample(6, seed=1, code={"choice": 2, "value": 0.5})
    assert plain.shape == chosen.shape == (6, 1, 8, 8) and not torch.equal(plain, chosen)
    assert torch.equal(made.sample(3, seed=1, code={"choice": 2, "value": 0.5}), chosen[:3])
    latents = made.encode(plain)
    assert latents.shape == (6, 9) and made.decode(latents).shape == plain.shape
    lines = made.records()
    weights = [line["control/code"] for line in lines]
    assert weights == sorted(weights) and 0 < weights[-1] <= 2, "its control follows its own schedule"
    assert "auxiliary/code" in lines[-1] and "encoder/gradient_norm" in lines[-1]


def test_its_further_terms_may_be_weighed_down_and_those_that_a_game_is_for_may_not(tmp_path: Path) -> None:
    own = trained(tmp_path / "own").records()[-1]
    assert own["control/auxiliary"] == 1.0 and own["generator/auxiliary"] > 0
    usual = ["threads=1", "sample_count=4", "generator.network.capacity=4", "discriminator.network.capacity=4"]
    classes = steadygan.train("digits", recipe="acgan", images=128, out=tmp_path / "classes", set=usual).records()[-1]
    assert "control/auxiliary" not in classes and classes["generator/auxiliary"] > 0


def test_it_resumes_to_the_same_bits(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    found = sorted((tmp_path / "again" / "checkpoints").iterdir())
    for path in found[1:]:
        shutil.rmtree(path)
    again = steadygan.resume(tmp_path / "again")
    assert checkpoint.place(found[0])[1] < again.images_seen == whole.images_seen
    for name, network in whole.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, again.networks[name].state_dict()[key]), (name, key)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["options.chioces=4"], "unknown setting 'options.chioces': did you mean 'choices'?"),
        (["options.choices=x"], "options.choices is x: it must be a whole number"),
        (["options.choices=1"], "one choice is no choice: set options.choices=2 or more"),
        (["game=adversarial"], "the game 'adversarial' has no player 'encoder': its players are"),
        (["game=outside_family:NUMBER"], "'outside_family:NUMBER' is not a Family: see the page on families"),
        (["game=adversarail"], "did you mean 'adversarial'"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, settings: list[str], said: str) -> None:
    with pytest.raises(SteadyganError) as refusal:
        trained(tmp_path / "run", settings)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists(), "and nothing is left behind"


def test_wishes_that_cannot_be_met_are_one_line(tmp_path: Path) -> None:
    made = trained(tmp_path / "run")
    for wish, said in (({"choice": 3}, "from 0 to 2"), ({"chioce": 1}, "did you mean 'choice'")):
        with pytest.raises(SteadyganError, match=said):
            made.samples(1, code=wish)
    with pytest.raises(SteadyganError, match=r"bring them to \(N, 1, 8, 8\)"):
        made.encode(torch.zeros(1, 1, 9, 9))
    plain = steadygan.train(
        "digits", recipe="dcgan", images=128, out=tmp_path / "plain", set=["threads=1", "batch=16", "sample_count=4"]
    )
    with pytest.raises(SteadyganError, match="has no encoder"):
        plain.encode(torch.zeros(1, 1, 8, 8))
    with pytest.raises(SteadyganError, match="has no codes"):
        plain.samples(1, code={"choice": 1})
