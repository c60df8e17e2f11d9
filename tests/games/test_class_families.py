"""AC-GAN, InfoGAN and the semi-supervised discriminator: terms by hand, passes, and what they may not see."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

import steadygan
from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.game.loop import loop
from steadygan.game.move import Batch, Play, Terms
from steadygan.games.semi_supervised import Labelled, chosen
from steadygan.recipes.facts import DataFacts
from steadygan.session import planning, settings
from steadygan.session.wiring import Wired, prepare, wire

SMALL = ("batch=8", "latent.size=6", "generator.network.capacity=4", "discriminator.network.capacity=4", "threads=1")
PLAIN = ("health.mode=off", "precision=float64", "penalties.r1.weight=0", "penalties.r2.weight=0")


@pytest.fixture(scope="module")
def data(_own_cache: None) -> DataSet:
    return open_data(DataConfig())


def config(data: DataSet, recipe: str, *given: str) -> RunConfig:
    facts = DataFacts(data.name, len(data.train), data.shape, data.classes, DataConfig())
    unaided = ["augmentation.adaptive=false", "augmentation.strength=0", "discriminator.network.noise=0"]
    return prepare(settings.apply(recipes.build(recipe, facts), [*SMALL, *PLAIN, *unaided, *given]), data)


class Bench:
    """A wired game, its moves played one by one, and how often each network was passed."""

    def __init__(self, data: DataSet, recipe: str, *given: str) -> None:
        self.wired: Wired = wire(config(data, recipe, *given), data)
        self.calls = {"generator": 0, "discriminator": 0}
        for name, player in self.wired.state.players.items():
            body: Any = player.body
            body.register_forward_hook(lambda *_, name=name: self._count(name))
        self.wired.state.begin_round()
        state = self.wired.state
        self.play = Play(state.players, self.wired.draw(0, 8, 0), state.controls, state.memory, {}, 0)

    def _count(self, name: str) -> None:
        self.calls[name] += 1

    def terms(self, move: int) -> Terms:
        return self.wired.moves[move].goals[0].wants(self.play)

    @property
    def judge(self) -> Any:
        return self.wired.state.players["discriminator"]


# AC-GAN


def test_acgan_says_the_class_of_both_sides_without_a_further_pass(data: DataSet) -> None:
    bench = Bench(data, "acgan")
    found = bench.terms(0)
    assert set(found) == {"discriminator/loss", "auxiliary/class_of_real", "auxiliary/class_of_fake"}
    assert bench.calls == {"generator": 1, "discriminator": 1}, "reals and fakes together"
    label = bench.play.batch.label
    assert label is not None
    outputs = bench.judge.read(bench.judge.features(bench.play.batch.real))
    expected = functional.cross_entropy(outputs, label, reduction="none")
    torch.testing.assert_close(found["auxiliary/class_of_real"].values, expected)
    fakes = bench.play.shared["fakes.0"]
    expected = functional.cross_entropy(bench.judge.read(bench.judge.features(fakes)), label, reduction="none")
    torch.testing.assert_close(found["auxiliary/class_of_fake"].values, expected)
    bench.calls.update(generator=0, discriminator=0)
    own = bench.terms(1)
    assert set(own) == {"generator/loss", "auxiliary/class"}
    torch.testing.assert_close(own["auxiliary/class"].values, expected)
    assert bench.calls == {"generator": 0, "discriminator": 2}, "the fakes, and the reals that the paired loss needs"


def test_acgan_without_class_terms_is_the_plain_game(data: DataSet) -> None:
    bench = Bench(data, "acgan", "options.class_weight=0")
    assert set(bench.terms(0)) == {"discriminator/loss"}
    assert set(bench.terms(1)) == {"generator/loss"}


# InfoGAN


def test_infogan_reads_its_codes_from_the_fakes_that_are_there(data: DataSet) -> None:
    bench = Bench(data, "infogan", "loss=non-saturating")
    found = bench.terms(0)
    assert set(found) == {"discriminator/loss", "auxiliary/category", "auxiliary/values"}
    assert bench.calls == {"generator": 1, "discriminator": 2}
    latent, fakes = bench.play.shared["latents.0"], bench.play.shared["fakes.0"]
    outputs = bench.judge.read(bench.judge.features(fakes))
    category = latent[:, 6:16].argmax(1)
    assert torch.equal(latent[:, 6:16].sum(1), torch.ones(8, dtype=torch.float64))
    expected = -outputs[:, :10].log_softmax(1)[torch.arange(8), category]
    torch.testing.assert_close(found["auxiliary/category"].values, expected)
    normal = torch.distributions.Normal(outputs[:, 10:], 0.5)
    torch.testing.assert_close(found["auxiliary/values"].values, -normal.log_prob(latent[:, 16:]).sum(1))
    assert found["auxiliary/values"].weight == pytest.approx(0.1)
    own = bench.terms(1)
    torch.testing.assert_close(own["auxiliary/category"].values, expected)
    assert bench.calls["generator"] == 1


def test_the_bound_of_the_information_is_reached_where_codes_are_read_without_doubt(data: DataSet) -> None:
    """With Q certain of the right category the term is 0, so that the bound is the whole entropy log K."""
    bench = Bench(data, "infogan")
    bench.terms(0)
    chosen = bench.play.shared["latents.0"][:, 6:16]
    bench.judge.read = lambda features: torch.cat([100 * chosen, features[:, :2] * 0], 1)
    assert float(bench.terms(1)["auxiliary/category"].values.detach().abs().max()) < 1e-12


@hypothesis.settings(max_examples=12)
@given(st.integers(2, 12), st.integers(0, 4))
def test_infogan_has_the_codes_that_were_asked_for(categories: int, values: int) -> None:
    data = open_data(DataConfig())
    bench = Bench(data, "infogan", f"options.categories={categories}", f"options.values={values}")
    found = bench.terms(0)
    assert ("auxiliary/values" in found) == (values > 0)
    assert bench.play.shared["latents.0"].shape == (8, 6 + categories + values)
    assert bench.judge.reader[-1].out_features == categories + values
    assert float(found["auxiliary/category"].values.detach().mean()) < 10 * math.log(categories)


def test_noise_beside_the_codes_is_as_loud_as_asked_for(data: DataSet) -> None:
    plain, quiet = (Bench(data, "infogan", f"options.noise={factor}") for factor in (1, 0.25))
    drawn = []
    for bench in (plain, quiet):
        torch.manual_seed(3)
        bench.terms(0)
        drawn.append(bench.play.shared["latents.0"])
    torch.testing.assert_close(drawn[1][:, :6], 0.25 * drawn[0][:, :6])
    assert torch.equal(drawn[1][:, 6:], drawn[0][:, 6:]), "categories and values are what they were"
    with pytest.raises(SteadyganError, match="options.noise"):
        config(data, "infogan", "options.noise=0")


# semi-supervised


def test_a_tied_discriminator_learns_from_labelled_unlabelled_and_fake_images(data: DataSet) -> None:
    bench = Bench(data, "semi-supervised", "options.own_weight=0")
    found = bench.terms(0)
    assert set(found) == {"discriminator/loss", "auxiliary/label"}
    assert bench.calls == {"generator": 1, "discriminator": 2}
    fakes, real = bench.play.shared["fakes.0"], bench.play.batch.real
    z_real, z_fake = (bench.judge.read(bench.judge.features(x)).exp().sum(1) for x in (real, fakes))
    expected = -(z_real / (z_real + 1)).log() - (1 / (z_fake + 1)).log()
    torch.testing.assert_close(found["discriminator/loss"].values, expected)


def test_sure_answers_of_the_average_teach_beside_the_labels(data: DataSet) -> None:
    torch.manual_seed(0)
    bench = Bench(data, "semi-supervised", "options.own_weight=2", "options.sure=0.35")
    real = bench.play.batch.real
    known = bench.wired.state.averages["discriminator"].network
    bench.play.averages = {"discriminator": known}
    with torch.no_grad():
        for value in known.parameters():
            value.add_(0.05 * torch.randn_like(value))
        found, label = known.read(known.features(real)).softmax(1).max(1)
    bench.calls.update(generator=0, discriminator=0)
    term = bench.terms(0)["auxiliary/own_label"]
    assert bench.calls == {"generator": 1, "discriminator": 2}, "the average is another network"
    assert 0 < int((found > 0.35).sum()) < len(real)
    logits = bench.judge.read(bench.judge.features(real)).log_softmax(1)
    expected = torch.where(found > 0.35, -logits[torch.arange(len(real)), label], 0.0)
    torch.testing.assert_close(term.values, expected)
    assert term.weight == 2


def test_its_generator_matches_mean_features_only(data: DataSet) -> None:
    bench = Bench(data, "semi-supervised")
    bench.terms(0)
    fakes = bench.play.shared["fakes.0"]
    bench.calls.update(generator=0, discriminator=0)
    found = bench.terms(1)
    assert set(found) == {"generator/loss"}
    assert bench.calls == {"generator": 0, "discriminator": 2}
    wanted, made = bench.judge.features(bench.play.batch.real), bench.judge.features(fakes)
    torch.testing.assert_close(found["generator/loss"].values, (wanted.mean(0) - made.mean(0)).square().sum())


def test_labels_beyond_the_labelled_ones_are_never_seen(data: DataSet) -> None:
    """The same rounds are played where batches bring no label at all."""
    runs = []
    for blind in (False, True):
        wired = wire(planning.settle(config(data, "semi-supervised", "images=1000", "record_every=1")), data)
        draw = (lambda *place, wired=wired: Batch(wired.draw(*place).real)) if blind else wired.draw
        runs.append([record.line() for record in itertools.islice(loop(wired.state, wired.moves, draw), 5)])
    assert runs[0] == runs[1]


def test_the_labelled_images_are_balanced_of_the_training_set_and_free_of_the_seed(data: DataSet) -> None:
    rows = chosen(data, 40, 0)
    assert data.labels is not None
    assert np.bincount(data.labels[rows]).tolist() == [4] * 10
    assert set(rows) <= set(data.train)
    assert np.array_equal(rows, chosen(data, 40, 0))
    assert set(rows) != set(chosen(data, 40, 1))
    assert set(rows) < set(chosen(data, 100, 0)), "more labels are these and others"


def test_labelled_batches_are_of_the_labelled_images_and_their_own_labels(data: DataSet) -> None:
    labelled = Labelled.of(data, 20, 0)
    images, labels = labelled.draw(torch.zeros(64, *data.shape, dtype=torch.float64))
    known = {
        row.numpy().tobytes(): int(label) for row, label in zip(data.rows(labelled.rows), labelled.labels, strict=True)
    }
    back = ((images + 1) * 127.5).round().to(torch.uint8)
    assert [known[one.numpy().tobytes()] for one in back] == labels.tolist()
    assert len(set(labels.tolist())) > 5


# all of them


GAMES = ("acgan", "infogan", "semi-supervised")


@pytest.fixture(scope="module", params=GAMES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    given = [*SMALL, "sample_count=4", "health.mode=off"]
    return steadygan.train(
        "digits", recipe=request.param, images=256, out=tmp_path_factory.mktemp("x") / "run", set=given
    )


def test_a_trained_run_classifies_from_its_folder(run: Any, data: DataSet) -> None:
    images = data.rows(data.held_out[:70]).float() / 127.5 - 1
    found = steadygan.load(run.path).classify(images)
    assert found.shape == (70, 10)
    torch.testing.assert_close(found.sum(1), torch.ones(70))
    assert torch.equal(found, run.classify(images))
    torch.testing.assert_close(found[:5], run.classify(images[:5]))
    with pytest.raises(SteadyganError, match=r"images of shape \(2, 1, 9, 8\) do not fit this run: bring them to"):
        run.classify(torch.zeros(2, 1, 9, 8))


def test_the_default_family_classifies_nothing(tmp_path: Path) -> None:
    given = ["generator.network.hidden=[8]", "discriminator.network.hidden=[8]", "health.mode=off"]
    run = steadygan.train("digits", recipe="mlp", images=128, out=tmp_path / "run", set=given)
    with pytest.raises(SteadyganError, match="the game 'adversarial' tells no classes: train with semi-supervised"):
        run.classify(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("recipe", GAMES)
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("discriminator.network.outputs=3", "decides itself what its discriminator reads: leave outputs and tied out"),
        ("packing=2", "reads single images and no packs: set packing=1"),
        (
            "discriminator.network.conditional=true",
            "must not be told the classes: set discriminator.network.conditional=false",
        ),
    ],
)
def test_settings_that_no_reader_can_have(data: DataSet, recipe: str, setting: str, words: str) -> None:
    with pytest.raises(SteadyganError) as fault:
        config(data, recipe, setting)
    assert str(fault.value).endswith(words)


@pytest.mark.parametrize(
    ("recipe", "conditional", "words"),
    [
        ("acgan", "false", "the generator of the game 'acgan' must be asked for a class"),
        ("infogan", "true", "the game 'infogan' finds categories without labels"),
        ("semi-supervised", "true", "the game 'semi-supervised' knows a few labels only"),
    ],
)
def test_who_is_told_labels(data: DataSet, recipe: str, conditional: str, words: str) -> None:
    with pytest.raises(SteadyganError, match=words):
        config(data, recipe, f"generator.network.conditional={conditional}")


@pytest.mark.parametrize("recipe", ["cgan", "cgan-projection", "acgan", "semi-supervised"])
def test_data_without_labels_and_with_one_class(data: DataSet, recipe: str) -> None:
    assert data.labels is not None
    plain = replace(data, labels=None, label_names=())
    with pytest.raises(SteadyganError, match="digits has no labels: "):
        prepare(_built(plain, recipe), plain)
    single = replace(data, labels=data.labels * 0, label_names=("0",))
    with pytest.raises(SteadyganError, match="digits has one class only: "):
        prepare(_built(single, recipe), single)


def _built(data: DataSet, recipe: str) -> RunConfig:
    facts = DataFacts(data.name, len(data.train), data.shape, data.classes, DataConfig())
    return settings.apply(recipes.build(recipe, facts), SMALL)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("options.labelled=101", "101 labelled images are not equally many of 10 classes: set options.labelled=100"),
        ("options.labelled=4", "4 labelled images are not equally many of 10 classes: set options.labelled=10"),
        (
            "options.labelled=2000",
            r"class '.' of digits has 1\d\d training images, not 200: set options.labelled=1\d\d0",
        ),
        ("options.labels=100", "labelled"),
    ],
)
def test_labels_that_are_not_there(data: DataSet, given: str, words: str) -> None:
    with pytest.raises(SteadyganError, match=words):
        config(data, "semi-supervised", given)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ({"category": 10}, "code category=10 is none of its choices: choose a whole number from 0 to 9"),
        ({"category": 1.5}, "code category=1.5 is none of its choices"),
        ({"value1": 2}, "code value1=2 is out of range: choose from -1 to 1"),
        ({"digit": 1}, "unknown code 'digit'"),
    ],
)
def test_codes_that_are_not_there(data: DataSet, tmp_path: Path, code: dict[str, float], words: str) -> None:
    given = [*SMALL, "sample_count=4", "health.mode=off"]
    run = steadygan.train("digits", recipe="infogan", images=64, out=tmp_path / "run", set=given)
    with pytest.raises(SteadyganError, match=words):
        run.sample(4, code=code)
    assert not torch.equal(run.sample(4, code={"category": 1}), run.sample(4, code={"category": 2}))
