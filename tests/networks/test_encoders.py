"""Encoders and the discriminators of latents and of pairs, around every kind of discriminator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks import (
    Law,
    build_encoder,
    build_latent_discriminator,
    build_pair_discriminator,
    pair,
)
from steadygan.objectives.penalties import PENALTIES

KINDS = ("mlp", "dcgan", "sngan", "r3")
SHAPE = (1, 14, 11)


def config(name: str, **settings: object) -> NetworkConfig:
    return NetworkConfig(name=name, capacity=4, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_an_encoder_of_every_kind_gives_latents_and_wastes_no_weight(name: str, stochastic: bool) -> None:
    encoder = build_encoder(config(name), SHAPE, 5, stochastic=stochastic)
    images = torch.randn(6, *SHAPE)
    law = encoder.law(images)
    assert law.mean.shape == (6, 5)
    assert (law.log_variance is not None) == stochastic
    encoder.eval()
    assert torch.equal(encoder(images), encoder.law(images).mean)
    assert len(encoder.features(images)) == 6
    encoder.train()
    # two steps: what starts behind a weight of 0 gets its first gradient once that has moved
    stepper = torch.optim.SGD(encoder.parameters(), 0.1)
    for _ in range(2):
        stepper.zero_grad()
        values = encoder.law(images)
        (values.drawn() * torch.arange(5.0)).square().sum().backward()
        stepper.step()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_draws_follow_the_law_and_let_gradients_through(kind: torch.dtype) -> None:
    mean = torch.tensor([[2.0, -1.0]], dtype=kind).repeat(20_000, 1).requires_grad_()
    log_variance = torch.tensor([[0.0, -2.0]], dtype=kind).repeat(20_000, 1).requires_grad_()
    drawn = Law(mean, log_variance).drawn()
    assert drawn.dtype == kind
    assert torch.allclose(drawn.mean(0), mean[0], atol=0.03)
    assert torch.allclose(drawn.std(0), (log_variance[0] / 2).exp(), rtol=0.03)
    drawn.sum().backward()
    assert torch.equal(mean.grad, torch.ones_like(mean))  # type: ignore[arg-type]
    assert log_variance.grad is not None
    assert bool(log_variance.grad.any())
    sure = Law(mean, None)
    assert sure.drawn() is mean


def test_laws_stay_within_bounds_whatever_the_network_says() -> None:
    encoder = build_encoder(config("mlp"), SHAPE, 3, stochastic=True)
    spread = encoder.law(torch.randn(4, *SHAPE) * 1e6).log_variance
    assert spread is not None
    assert float(spread.detach().abs().max()) <= 8.0


@pytest.mark.parametrize("name", KINDS)
def test_pairs_are_judged_by_both_their_halves(name: str) -> None:
    judge = build_pair_discriminator(config(name), SHAPE, 5).eval()
    images, latent = torch.randn(4, *SHAPE), torch.randn(4, 5)
    logits = judge(pair(images, latent))
    assert logits.shape == (4,)
    assert not torch.allclose(judge(pair(images, latent + 1)), logits)
    assert not torch.allclose(judge(pair(images + 1, latent)), logits)
    rows = pair(images, latent).requires_grad_()
    (gradient,) = torch.autograd.grad(judge(rows).sum(), rows)
    assert bool(gradient[:, : images[0].numel()].any())
    assert bool(gradient[:, images[0].numel() :].any())
    assert torch.allclose(PENALTIES["r1"](judge, rows, rows).mean(), gradient.square().sum(1).mean() / 2, rtol=1e-4)


def test_labels_reach_encoders_and_pair_discriminators() -> None:
    images, latent, label = torch.randn(4, *SHAPE), torch.randn(4, 5), torch.arange(4)
    encoder = build_encoder(config("dcgan", conditional=True), SHAPE, 5, 4).eval()
    judge = build_pair_discriminator(config("dcgan", conditional=True), SHAPE, 5, 4).eval()
    latents = build_latent_discriminator(config("mlp", conditional=True), 5, 4).eval()
    asks: list[Callable[[torch.Tensor | None], torch.Tensor]] = [
        lambda one: encoder(images, one),
        lambda one: judge(pair(images, latent), one),
        lambda one: latents(latent[:, :, None, None], one),
    ]
    for ask in asks:
        assert not torch.allclose(ask(label), ask(label.flip(0)))
        with pytest.raises(SteadyganError, match="got no label"):
            ask(None)


def test_what_does_not_fit_is_one_line() -> None:
    judge = build_pair_discriminator(config("dcgan"), SHAPE, 5)
    with pytest.raises(SteadyganError, match="give .N, 159.: an image of 154 values and a latent of 5"):
        judge(torch.zeros(2, 154))
    with pytest.raises(SteadyganError, match="latent size 0 is out of range"):
        build_encoder(config("dcgan"), SHAPE, 0)
    with pytest.raises(SteadyganError, match="image size 1x1 is outside the networks' range"):
        build_latent_discriminator(config("dcgan"), 5)
    with pytest.raises(SteadyganError, match="unknown discriminator 'dcgaan'"):
        build_encoder(config("dcgaan"), SHAPE, 5)
