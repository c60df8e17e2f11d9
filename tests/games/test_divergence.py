"""The f-GAN: the signal is the bound, and a trained discriminator reaches the closed form on Gaussians."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from steadygan import recipes
from steadygan.config import DataConfig, LatentConfig, NetworkConfig, RunConfig, constant
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.game.loop import loop
from steadygan.game.move import Batch
from steadygan.objectives.divergences import DIVERGENCES
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import player, run
from steadygan.session import planning, settings
from steadygan.session.wiring import Wired, prepare, wire

AWAY = (0.6, -0.8)
"""Where fakes lie, at a distance of 1 from the reals."""


class Shift(nn.Module):
    """Latents (N, 2) moved to ``AWAY``: N(m, I)."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.tensor(AWAY))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        return (latent + self.place)[:, :, None, None]


def shift(config: NetworkConfig, shape: tuple[int, int, int], latent: int, classes: int) -> nn.Module:
    return Shift()


def gaussians(loss: str, batch: int = 256) -> Wired:
    """N(0, I) against a generator that stays at N(m, I), and a discriminator of one linear layer."""
    blank = DataSet("points", np.zeros((batch, 2, 1, 1), np.uint8), None, (), np.arange(batch), np.arange(0), "")
    facts = DataFacts("points", batch, (2, 1, 1), 0, DataConfig())
    still = player(f"{__name__}:shift", 1, rate=0.0)
    players = {"generator": still, "discriminator": player("mlp", 1, rate=0.02, hidden=())}
    plan = run("custom", facts, players, game="f-gan", loss=loss, batch=batch, latent=LatentConfig(size=2))
    update = {"images": 10**9, "threads": 1, "record_every": batch, "average": {"half_life": constant(0)}}
    config = RunConfig.model_validate(plan.model_dump() | update | {"health": {"mode": "off"}, "precision": "float32"})
    wired = wire(planning.settle(prepare(config, blank)), blank)
    source = torch.Generator().manual_seed(0)
    wired.draw = lambda position, count, attempt: Batch(torch.randn(count, 2, 1, 1, generator=source))
    return wired


@pytest.mark.parametrize("name", ["kl", "reverse-kl", "squared-hellinger"])
def test_the_bound_comes_to_the_divergence_of_two_gaussians(name: str) -> None:
    """For these the best logit is linear in the point, so that nothing but sampling keeps them apart."""
    wired = gaussians(f"f-{name}")
    records = list(itertools.islice(loop(wired.state, wired.moves, wired.draw), 700))
    seen = [float(record.signals["discriminator/divergence"]) for record in records]
    closed = DIVERGENCES[name].gaussian
    assert closed is not None
    assert np.mean(seen[400:]) == pytest.approx(closed(1.0), rel=0.06)
    assert np.mean(seen[:5]) < 0.5 * closed(1.0), "it begins far below"


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_signal_is_what_the_discriminator_raises(name: str) -> None:
    record = next(loop(*(lambda w: (w.state, w.moves, w.draw))(gaussians(f"f-{name}", 16))))
    told = float(record.signals["discriminator/divergence"])
    assert told == pytest.approx(-float(record.signals["discriminator/loss"]), rel=1e-5, abs=1e-6)


def digits(*given: str) -> RunConfig:
    data = open_data(DataConfig())
    facts = DataFacts(data.name, len(data.train), data.shape, data.classes, DataConfig())
    small = ["batch=8", "generator.network.capacity=4", "discriminator.network.capacity=4", "health.mode=off"]
    return prepare(settings.apply(recipes.build("f-gan", facts), [*small, *given]), data)


@pytest.mark.parametrize("saturating", [True, False])
def test_the_generator_lowers_the_bound_or_wants_to_be_believed(saturating: bool) -> None:
    config = digits(f"options.saturating={str(saturating).lower()}", "loss=f-kl")
    signals = next(loop(*(lambda w: (w.state, w.moves, w.draw))(wire(config, open_data(DataConfig()))))).signals
    assert float(signals["generator/loss"]) < 0 or not saturating
    divergence, logits = DIVERGENCES["kl"], signals["discriminator/fake_logits"]
    assert isinstance(logits, Tensor)
    if not saturating:
        assert float(signals["generator/loss"]) == pytest.approx(-float(divergence.activation(logits)), abs=0.1)


def test_a_loss_that_bounds_nothing_is_refused() -> None:
    with pytest.raises(SteadyganError, match="the loss 'hinge' bounds no divergence: choose one of f-kl") as caught:
        digits("loss=hinge")
    assert "\n" not in str(caught.value)
