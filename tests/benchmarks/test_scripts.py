"""The benchmarks run, judge as they say, and take up where they were stopped."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def script(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(FOLDER))
    before = dict(sys.modules)
    yield
    for name in ("judge", "mixtures", "overhead", "quality"):
        sys.modules.pop(name, None) if name not in before else None
    for name in [key for key in sys.modules if key.split(".")[0] == "torchvision" and key not in before]:
        del sys.modules[name]


def test_samples_of_a_mixture_are_judged_by_their_nearest_centre() -> None:
    mixtures = script("mixtures")
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    samples = torch.tensor([[0.0, 0.029], [0.0, 0.031], [1.0, 0.0], [1.5, 0.0]])
    found = mixtures.judge(samples, centres, 0.01)
    assert (found["modes"], found["of"], found["high_quality"]) == (2, 3, 0.5)
    assert (found["smallest_mode"], found["largest_mode"]) == (0.0, 0.25)


@pytest.mark.parametrize("mixture", ["ring", "grid"])
def test_the_mixture_itself_is_of_high_quality(mixture: str) -> None:
    mixtures = script("mixtures")
    source = torch.Generator().manual_seed(0)
    points, centres = mixtures.MAKERS[mixture](100_000, source, std=mixtures.STD[mixture])
    found = mixtures.judge(points, centres, mixtures.STD[mixture])
    assert found["modes"] == found["of"] == len(centres)
    assert found["high_quality"] == pytest.approx(0.9889, abs=0.002)


@pytest.mark.parametrize("objective", ["default", "plain"])
def test_a_mixture_cell_plays_on_the_engine_and_repeats_itself(objective: str, tmp_path: Path) -> None:
    mixtures = script("mixtures")
    cell = mixtures.Cell(objective, "ring", 3, 4, picture=str(tmp_path / "ring.png"))
    first, second = mixtures.run_cell(cell), mixtures.run_cell(cell)
    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert first["rounds"] == 4
    assert (tmp_path / "ring.png").stat().st_size > 0


def test_mixture_cells_that_are_there_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixtures = script("mixtures")
    out = tmp_path / "mixtures.json"
    row = {"modes": 8, "of": 8, "high_quality": 0.97, "rounds": 5, "changes": []}
    mixtures.save(out, {"default/ring/0": row})

    def forbidden(cell: object) -> None:
        raise AssertionError(f"{cell} was there already")

    monkeypatch.setattr(mixtures, "run_cell", forbidden)
    common = ["--only", "default", "--mixture", "ring", "--seeds", "1", "--no-pictures", "--processes", "1"]
    mixtures.main([*common, "--rounds", "5", "--out", str(out)])
    kept = json.loads(out.read_text())
    assert kept["cells"]["default/ring/0"]["high_quality"] == 0.97
    assert kept["summary"]["default/ring"]["modes"] == 8.0


@pytest.mark.parametrize("recipe", ["dcgan", "r3"])
def test_the_bare_loop_learns_what_the_engine_learns(recipe: str) -> None:
    """The hand-written round is the same game: from equal weights, batch and latents both end in equal weights."""
    overhead = script("overhead")
    import copy

    from steadygan.game.loop import loop
    from steadygan.runtime.seeding import reseed
    from steadygan.session.planning import with_capacity
    from steadygan.session.wiring import wire

    shape = overhead.CASES[recipe]
    data = overhead.random_data(shape)
    config = with_capacity(overhead.planned(recipe, shape, data, 1), 4).model_copy(update={"batch": 8})
    wired = wire(config, data)
    for kind in (overhead.Bare, overhead.Naive):
        hand = kind(config, copy.deepcopy(wired.state.players), data)
        engine = wire(config, data)
        batch = engine.draw(0, config.batch, 0)
        next(loop(engine.state, engine.moves, engine.draw))
        reseed(config.seed, 0, 0, 0)
        hand._round(batch.real)
        for name, player in (("generator", hand.generator), ("discriminator", hand.discriminator)):
            pairs = zip(engine.state.players[name].parameters(), player.parameters(), strict=True)
            apart = torch.cat([(ours - theirs).detach().abs().flatten() for ours, theirs in pairs])
            # Adam's first step is the sign of the gradient times the rate, so a rounding may turn one over
            assert (apart > 1e-5).float().mean() < 0.02


def test_the_quality_stand_ins_serve_a_stranger(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script with a loop of its own is fed MNIST, stopped by the clock, and its generator is found."""
    monkeypatch.setenv("STEADYGAN_DATA", str(real_data))
    quality = script("quality")
    stranger = tmp_path / "stranger.py"
    stranger.write_text(
        "import torch, torchvision.transforms as transforms\n"
        "from torchvision import datasets\n"
        "from torchvision.utils import save_image\n"
        "steps = [transforms.Resize(32), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]\n"
        "data = datasets.MNIST('x', train=True, download=True, transform=transforms.Compose(steps))\n"
        "generator = torch.nn.Linear(2, 1)\n"
        "assert len(data) == 60000 and data[0][0].shape == (1, 32, 32), data[0][0].shape\n"
        "assert data[0][0].min() == -1 and data[0][0].max() > 0.9 and data[0][1] == 5\n"
        "while True:\n"
        "    data[1]\n"
    )
    names, told = quality.play_reference(stranger, tmp_path, 0.2, 0)
    assert isinstance(names["generator"], torch.nn.Linear)
    assert told["ended"] == "stopped by the clock"
    assert told["images_seen"] > 1
    assert 0.2 <= told["training_seconds"] < 5
