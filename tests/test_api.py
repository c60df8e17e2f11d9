"""steadygan from Python."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import steadygan
from steadygan import api
from steadygan.errors import SteadyganError
from steadygan.recipes import RECIPES

SMALL = (
    "batch=8", "threads=1", "sample_count=4", "latent.size=8", "record_every=8", "checkpoint_every=16",
    "generator.network.hidden=[8]", "discriminator.network.hidden=[8]",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "run"
    steadygan.train("digits", recipe="mlp", images=64, seed=3, out=path, set=SMALL)
    return path


def test_a_few_lines_are_enough(run: Path) -> None:
    trained = steadygan.load(run)
    assert trained.images_seen == 64
    assert trained.config.recipe == "mlp"
    assert trained.config.seed == 3
    images = trained.sample(64, seed=0)
    assert images.shape == (64, 1, 8, 8)
    assert float(images.abs().max()) <= 1.0
    assert [record["images_seen"] for record in trained.records()] == list(range(8, 65, 8))


def test_samples_are_those_of_the_seed_however_they_are_asked_for(run: Path) -> None:
    trained = steadygan.load(run)
    many = trained.sample(130, seed=5)
    assert torch.equal(many[:1], trained.sample(1, seed=5))
    assert torch.equal(many, torch.cat(list(trained.samples(130, seed=5))))
    assert not torch.equal(many[:64], trained.sample(64, seed=6))
    assert not any(parameter.requires_grad for parameter in trained.generator.parameters())


def test_training_twice_gives_the_same_bits_and_another_seed_others(run: Path, tmp_path: Path) -> None:
    same = steadygan.train("digits", recipe="mlp", images=64, seed=3, out=tmp_path / "same", set=SMALL)
    other = steadygan.train("digits", recipe="mlp", images=64, seed=4, out=tmp_path / "other", set=SMALL)
    assert (tmp_path / "same" / "records.jsonl").read_bytes() == (run / "records.jsonl").read_bytes()
    assert torch.equal(same.sample(3), steadygan.load(run).sample(3))
    assert not torch.equal(other.sample(3), same.sample(3))


def test_resume_goes_on_and_says_nothing_new_where_all_is_done(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoints" / "000000000064-000")
    assert steadygan.load(copy).images_seen == 48
    resumed = steadygan.resume(copy)
    assert resumed.images_seen == 64
    assert torch.equal(resumed.sample(3), steadygan.load(run).sample(3))
    assert torch.equal(steadygan.resume(copy).sample(3), resumed.sample(3))


def test_the_same_settings_from_config_json(run: Path) -> None:
    tree = json.loads((run / "config.json").read_text())
    assert (tree["images"], tree["batch"], tree["shape"]) == (64, 8, [1, 8, 8])
    assert tree["players"]["generator"]["network"]["hidden"] == [8]


def test_damaged_weights_give_way_to_older_ones(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "checkpoints" / "000000000064-000" / "weights.safetensors").write_bytes(b"")
    assert steadygan.load(copy).images_seen == 48
    for folder in (copy / "checkpoints").iterdir():
        (folder / "manifest.json").unlink()
    with pytest.raises(SteadyganError, match="has no usable checkpoint .*train first"):
        steadygan.load(copy)


def test_a_config_that_does_not_fit_the_weights_is_one_line(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    text = (copy / "config.json").read_text()
    tree = json.loads(text)
    tree["players"]["generator"]["network"]["hidden"] = [9]
    (copy / "config.json").write_text(json.dumps(tree))
    with pytest.raises(SteadyganError, match="its weights are not those of config.json"):
        steadygan.load(copy)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"count": 0}, "cannot make 0 samples"),
        ({"count": -3}, "cannot make -3 samples"),
        ({"count": 2, "label": 1}, "takes no labels"),
    ],
)
def test_what_cannot_be_sampled(arguments: dict[str, int], complaint: str, run: Path) -> None:
    with pytest.raises(SteadyganError, match=complaint):
        steadygan.load(run).sample(**arguments)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"recipe": "dcgann"}, "did you mean 'dcgan'"),
        ({"data": "digit"}, "digit"),
        ({"images": 10, "minutes": 1}, "both given"),
        ({"minutes": -1}, "not a usable time"),
        ({"set": ("batch=100000",)}, "batch"),
        ({"set": ("batchh=8",)}, "did you mean 'batch'"),
        ({"set": ("device=cuda:77",)}, "cuda"),
    ],
)
def test_what_cannot_be_planned_leaves_nothing_behind(
    arguments: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(SteadyganError, match=complaint) as caught:
        steadygan.train(**{"data": "digits", "out": tmp_path / "run", **arguments})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_never_overwritten(run: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(SteadyganError, match="never overwritten"):
        steadygan.train("digits", recipe="mlp", images=64, out=run, set=SMALL)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("recipe", ["auto", *RECIPES])
def test_every_recipe_plans_for_the_digits(recipe: str) -> None:
    config = api.plan("digits", recipe=recipe, images=640, set=["threads=1"]).config
    assert config.images == 640
    assert config.shape == (1, 8, 8)
    assert config.recipe == ("digits" if recipe == "auto" else recipe)
    assert config.why
    assert min(config.record_every, config.sample_every, config.checkpoint_every) >= config.batch


def test_a_run_that_was_given_no_place_gets_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = api.plan("digits", recipe="mlp", images=64).config
    first = api.fresh_path(config)
    assert first.parent == Path("runs")
    assert first.name.startswith("mlp-digits-")
    first.mkdir(parents=True)
    assert api.fresh_path(config) != first
