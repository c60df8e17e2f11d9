"""Mixing of styles, and path lengths against a linear generator's Jacobian."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygan.game.move import Batch, Play
from steadygan.games.adversarial import Seen
from steadygan.games.style import MEAN, StyleOptions, mix, path_lengths, path_term


class Linear(nn.Module):
    """Styles (N, L, W) to images by one matrix a layer; styles are as long as the latents."""

    layers = 3

    def __init__(self) -> None:
        super().__init__()
        self.matrices = nn.Parameter(torch.randn(self.layers, 5, 2 * 4 * 3, dtype=torch.float64))
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def map(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        return latent * self.scale

    def synthesise(self, styles: Tensor) -> Tensor:
        return torch.einsum("nlw,lwp->np", styles, self.matrices).view(-1, 2, 4, 3)


def styles_of(count: int) -> Tensor:
    return torch.randn(count, 3, 5, dtype=torch.float64, requires_grad=True)


def test_path_lengths_are_those_of_the_jacobian() -> None:
    generator, styles = Linear(), styles_of(6)
    images = generator.synthesise(styles)
    noise = torch.randn_like(images)
    slopes = torch.einsum("np,lwp->nlw", noise.flatten(1), generator.matrices.detach()) / 12**0.5
    expected = slopes.square().sum(2).mean(1).sqrt()
    torch.testing.assert_close(path_lengths(images, styles, noise).detach(), expected)


def test_their_mean_square_is_the_jacobians_norm() -> None:
    generator, styles = Linear(), styles_of(20_000)
    images = generator.synthesise(styles)
    lengths = path_lengths(images, styles, torch.randn_like(images))
    expected = float(generator.matrices.detach().square().sum()) / (3 * 12)
    assert float(lengths.detach().square().mean()) == pytest.approx(expected, rel=0.02)


def test_their_gradient_reaches_the_generator() -> None:
    generator, styles = Linear(), styles_of(4)
    images = generator.synthesise(styles)
    path_lengths(images, styles, torch.randn_like(images)).sum().backward()  # type: ignore[no-untyped-call]
    assert generator.matrices.grad is not None
    assert float(generator.matrices.grad.abs().max()) > 0


def term_of(play: Play, options: StyleOptions) -> Any:
    latent = torch.randn(8, 5, dtype=torch.float64)
    seen = Seen(play, None, lambda images: images, latent, None, latent, latent)  # type: ignore[arg-type]
    return path_term(options, play, seen)


def play(round: int, memory: dict[str, Tensor], weight: float = 2.0) -> Play:
    players = {"generator": Linear()}
    real = torch.zeros(8, 2, 4, 3, dtype=torch.float64)
    return Play(players, Batch(real), {"path_length": weight}, memory, {}, round)


def test_it_is_taken_when_it_is_due_and_weighs_for_the_rounds_between() -> None:
    options, memory = StyleOptions(path_every=4), dict[str, Tensor]()
    assert term_of(play(1, memory), options) == {}
    assert term_of(play(0, memory, weight=0.0), options) == {}
    assert memory == {}
    (term,) = term_of(play(0, memory), options).values()
    assert term.weight == 8.0
    assert term.values.shape == (4,)


def test_the_mean_of_lengths_is_remembered_and_is_what_they_are_pulled_to() -> None:
    options, memory = StyleOptions(), dict[str, Tensor]()
    first = play(0, memory)
    (term,) = term_of(first, options).values()
    lengths = first.notes["generator/path_length"]
    assert float(memory[MEAN]) == pytest.approx(float(lengths)), "it begins at the first lengths"
    assert float(term.values.detach().sum()) > 0
    before = float(memory[MEAN])
    second = play(8, memory)
    term_of(second, options)
    assert float(memory[MEAN]) == pytest.approx(0.95 * before + 0.05 * float(second.notes["generator/path_length"]))


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_mixing_takes_the_other_style_from_one_layer_on(share: float) -> None:
    one, other = torch.zeros(4000, 2), torch.ones(4000, 2)
    mixed = mix(one, other, 5, share)
    assert mixed.shape == (4000, 5, 2)
    rows = mixed[:, :, 0]
    assert torch.equal(mixed[:, :, 1], rows)
    assert bool((rows.diff(dim=1) >= 0).all()), "once the other style has begun it stays"
    assert bool((rows[:, 0] == 0).all())
    crossed = rows[:, -1].mean()
    assert float(crossed) == pytest.approx(share, abs=0.03)
    if share == 1.0:
        begins = rows.sum(1)
        assert [float((begins == count).double().mean()) for count in (1, 2, 3, 4)] == pytest.approx(
            [0.25] * 4, abs=0.03
        )


def test_one_layer_has_nothing_to_mix() -> None:
    one, other = torch.zeros(3, 2), torch.ones(3, 2)
    assert torch.equal(mix(one, other, 1, 1.0), one[:, None])
