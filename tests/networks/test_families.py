"""What every family must do: shapes, ranges, gradients of gradients, exact state, determinism, labels."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks import (
    DISCRIMINATORS,
    GENERATORS,
    Discriminator,
    Generator,
    Shape,
    build_discriminator,
    build_generator,
)
from steadygan.networks.contract import LEAK, leaky_tanh
from steadygan.networks.normalisations import NORMALISATIONS

FAMILIES = sorted(GENERATORS)
CONVOLUTIONAL = [name for name in FAMILIES if name != "mlp"]
SHAPES: list[Shape] = [(1, 28, 28), (3, 32, 32), (1, 112, 92), (3, 45, 30), (1, 8, 8), (2, 17, 33), (5, 9, 64)]
LATENT = 6


def pair(name: str, shape: Shape, classes: int = 0, seed: int = 0, **options: Any) -> tuple[Generator, Discriminator]:
    torch.manual_seed(seed)
    config = NetworkConfig.model_validate({"name": name, "capacity": 4, **options})
    generator = build_generator(config, shape, LATENT, classes)
    discriminator = build_discriminator(config, shape, classes)
    assert isinstance(generator, Generator)
    assert isinstance(discriminator, Discriminator)
    return generator, discriminator


def gradient_penalty(discriminator: nn.Module, images: Tensor, label: Tensor | None = None) -> Tensor:
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images, label).sum(), images, create_graph=True)
    return gradient.square().sum()


def test_both_tables_have_the_same_families() -> None:
    assert set(GENERATORS) == set(DISCRIMINATORS) == {
        "mlp", "dcgan", "sngan", "r3", "coupled", "sagan", "progressive", "pyramid", "style",
    }  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FAMILIES)
def test_shapes(name: str, shape: Shape) -> None:
    generator, discriminator = pair(name, shape)
    images = generator(torch.randn(3, LATENT))
    assert images.shape == (3, *shape)
    features = discriminator.features(images)
    logits = discriminator(images)
    assert features.ndim == 2
    assert len(features) == 3
    assert logits.shape == (3,)
    assert torch.isfinite(logits).all()


@given(st.integers(8, 64), st.integers(8, 64), st.integers(1, 4), st.sampled_from(FAMILIES))
@settings(max_examples=60, deadline=None)
def test_any_size(height: int, width: int, channels: int, name: str) -> None:
    generator, discriminator = pair(name, (channels, height, width), capacity=1)
    images = generator(torch.randn(2, LATENT))
    assert images.shape == (2, channels, height, width)
    assert discriminator(images).shape == (2,)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_pixel_reaches_the_logit_and_comes_from_the_latent(name: str) -> None:
    """A dropped last row or column, the likely fault at odd sizes, would show as a gradient of exactly 0."""
    shape = (1, 17, 45)
    generator, discriminator = pair(name, shape, activation="silu", initialisation="he", normalisation="none")
    latent = torch.randn(4, LATENT, requires_grad=True)
    images = generator(latent)
    assert (images.var(0) > 0).all()
    leaf = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(leaf).sum(), leaf)
    assert (gradient.abs().sum(0) > 0).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_output_range(name: str) -> None:
    plain: dict[str, Any] = {"initialisation": "he", "normalisation": "none", "spectral_norm": False}
    latent = 100 * torch.randn(8, LATENT)
    bounded, _ = pair(name, (1, 16, 12), **plain, output="tanh")
    linear, _ = pair(name, (1, 16, 12), **plain, output="linear")
    assert bounded(latent).abs().max() <= 1 < linear(latent).abs().max()
    torch.testing.assert_close(linear(latent).tanh(), bounded(latent))
    default, _ = pair(name, (1, 16, 12), **plain)
    leaky, _ = pair(name, (1, 16, 12), **plain, output="leaky-tanh")
    usual = {"r3": leaky, "progressive": leaky, "style": leaky, "pyramid": linear}.get(name, bounded)
    assert torch.equal(default(latent), usual(latent))


def test_a_gradient_gets_through_a_leaky_tanh_wherever_it_stands() -> None:
    values = torch.linspace(-60, 60, 121, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(leaky_tanh(values).sum(), values)
    assert slope.min() >= LEAK - 1e-12
    assert slope.max() <= 1
    torch.testing.assert_close(leaky_tanh(values), 0.98 * values.tanh() + 0.02 * values)


@pytest.mark.parametrize("name", FAMILIES)
def test_forward_is_head_of_features(name: str) -> None:
    _, discriminator = pair(name, (3, 16, 16), classes=4, conditional=True, minibatch_discrimination=True)
    discriminator.eval()
    images, label = torch.randn(5, 3, 16, 16), torch.tensor([0, 1, 2, 3, 0])
    logits = discriminator.head(discriminator.features(images, label), label)
    assert torch.equal(logits, discriminator(images, label))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", FAMILIES)
def test_double_backward_is_right(name: str, layout: torch.memory_format) -> None:
    """The penalty's parameter gradient in float64 agrees with central differences along a random direction."""
    _, discriminator = pair(name, (2, 13, 8), activation="silu", spectral_norm=False)
    discriminator.double().to(memory_format=layout)  # type: ignore[call-overload]
    images = torch.randn(4, 2, 13, 8, dtype=torch.float64).contiguous(memory_format=layout)
    parameters = [p for p in discriminator.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(gradient_penalty(discriminator, images), parameters, allow_unused=True)
    directions = [torch.randn_like(p) for p in parameters]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None)
    step, values = 1e-6, []
    for sign in (1, -2):
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=sign * step)
        values.append(gradient_penalty(discriminator, images).item())
    assert float(slope) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", FAMILIES)
def test_default_round_gives_finite_gradients_everywhere(name: str) -> None:
    generator, discriminator = pair(name, (1, 28, 28))
    fake = generator(torch.randn(8, LATENT))
    loss = nn.functional.softplus(-discriminator(fake)).mean() + gradient_penalty(discriminator, fake)
    loss.backward()  # type: ignore[no-untyped-call]
    for part in (generator, discriminator):
        for key, parameter in part.named_parameters():
            if name == "progressive" and re.search(r"images\.[012]\.", key):
                continue  # a grown network has no use for its ways out of and into smaller images
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in generator.parameters())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("spectral", [False, True])
def test_state_dict_round_trip_is_exact(name: str, spectral: bool) -> None:
    """After a load, two networks stay equal in every bit through further training steps."""
    shape = (1, 16, 16)
    first, second = (pair(name, shape, spectral_norm=spectral, seed=seed) for seed in (0, 1))
    real = torch.randn(4, *shape)

    def play(players: tuple[nn.Module, nn.Module]) -> None:
        generator, discriminator = players
        torch.manual_seed(7)
        loss = (discriminator(generator(torch.randn(4, LATENT))) - discriminator(real)).square().mean()
        loss.backward()
        with torch.no_grad():
            for parameter in [*generator.parameters(), *discriminator.parameters()]:
                if parameter.grad is not None:
                    parameter.sub_(1e-3 * parameter.grad)
                    parameter.grad = None

    play(first)
    for mine, other in zip(first, second, strict=True):
        other.load_state_dict(copy.deepcopy(mine.state_dict()))
    play(first)
    play(second)
    for mine, other in zip(first, second, strict=True):
        theirs = other.state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in mine.state_dict().items())


@pytest.mark.parametrize("name", FAMILIES)
def test_seed_decides_the_weights(name: str) -> None:
    states = [pair(name, (1, 12, 12), seed=seed)[0].state_dict() for seed in (3, 3, 4)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])


@pytest.mark.parametrize("name", FAMILIES)
def test_eval_mode_changes_no_state(name: str) -> None:
    _, discriminator = pair(name, (1, 12, 12), spectral_norm=True)
    images = torch.randn(4, 1, 12, 12)
    discriminator(images)
    discriminator.eval()
    before = copy.deepcopy(discriminator.state_dict())
    outputs = [discriminator(images) for _ in range(2)]
    assert torch.equal(outputs[0], outputs[1])
    assert all(torch.equal(before[key], value) for key, value in discriminator.state_dict().items())


@pytest.mark.parametrize("name", FAMILIES)
def test_labels_matter_when_conditional(name: str) -> None:
    options: dict[str, Any] = {"conditional": True, "initialisation": "he"}
    generator, discriminator = pair(name, (1, 16, 16), classes=3, **options)
    with torch.no_grad():
        for key, parameter in generator.named_parameters():
            if key.endswith("by_class.shift"):
                parameter.normal_()
    generator.eval()
    latent = torch.randn(1, LATENT).repeat(3, 1)
    images = generator(latent, torch.arange(3))
    assert (images[0] - images[1]).abs().max() > 1e-4
    repeated = images[:1].detach().repeat(3, 1, 1, 1)
    logits = discriminator.eval()(repeated, torch.arange(3))
    assert (logits[0] - logits[1]).abs() > 1e-6


@pytest.mark.parametrize("name", FAMILIES)
def test_label_errors(name: str) -> None:
    generator, discriminator = pair(name, (1, 16, 16), classes=3, conditional=True)
    latent, images = torch.randn(2, LATENT), torch.randn(2, 1, 16, 16)
    for player, values in ((generator, latent), (discriminator, images)):
        with pytest.raises(SteadyganError, match="no label"):
            player(values)
        with pytest.raises(SteadyganError, match="label of shape"):
            player(values, torch.zeros(2, 3))
    with pytest.raises(SteadyganError, match="no classes"):
        pair(name, (1, 16, 16), classes=0, conditional=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_labels_are_ignored_when_unconditional(name: str) -> None:
    generator, discriminator = pair(name, (1, 16, 16), classes=3)
    generator.eval(), discriminator.eval()
    latent = torch.randn(2, LATENT)
    images = generator(latent, torch.tensor([0, 1]))
    assert torch.equal(images, generator(latent))
    assert torch.equal(discriminator(images, torch.tensor([0, 1])), discriminator(images))


@pytest.mark.parametrize("name", FAMILIES)
def test_wrong_inputs_are_named(name: str) -> None:
    generator, discriminator = pair(name, (1, 16, 16))
    with pytest.raises(SteadyganError, match=rf"latent of shape \(2, 5\).*give \(N, {LATENT}\)"):
        generator(torch.randn(2, 5))
    with pytest.raises(SteadyganError, match=r"images of shape \(2, 1, 16, 15\).*give \(N, 1, 16, 16\)"):
        discriminator(torch.randn(2, 1, 16, 15))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    ("shape", "words"),
    [((1, 7, 28), "8 to 256"), ((1, 28, 257), "8 to 256"), ((0, 28, 28), "1 to 1024"), ((1, 0, 28), "8 to 256")],
)
def test_absurd_shapes_are_refused(name: str, shape: Shape, words: str) -> None:
    config = NetworkConfig(name=name, capacity=4)
    with pytest.raises(SteadyganError, match=words):
        build_generator(config, shape, LATENT)
    with pytest.raises(SteadyganError, match=words):
        build_discriminator(config, shape)


@pytest.mark.parametrize("size", [(256, 256), (8, 256)])
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_largest_sizes(name: str, size: tuple[int, int]) -> None:
    generator, discriminator = pair(name, (3, *size), capacity=2)
    with torch.no_grad():
        images = generator(torch.randn(2, LATENT))
        assert images.shape == (2, 3, *size)
        assert torch.isfinite(discriminator(images)).all()


def test_vector_data() -> None:
    """PacGAN's mixture networks: 4 x 400 ReLU and batch norm against 3 x 200 maxout of five pieces."""
    torch.manual_seed(0)
    wide = NetworkConfig(name="mlp", hidden=(400, 400, 400, 400), normalisation="batch", activation="relu")
    generator = build_generator(wide, (2, 1, 1), 2)
    points = generator(torch.randn(10, 2) * 5)
    assert points.shape == (10, 2, 1, 1)
    packed = build_discriminator(NetworkConfig(name="mlp", hidden=(200, 200, 200), activation="maxout"), (4, 1, 1))
    assert packed(points.view(5, 4, 1, 1)).shape == (5,)
    widths = [layer.out_features for layer in packed.modules() if isinstance(layer, nn.Linear)]
    assert widths == [1000, 1000, 1000, 1]
    assert torch.isfinite(gradient_penalty(packed, torch.randn(5, 4, 1, 1)))


def test_fully_connected_layers_at_the_inner_ends_of_dcgan() -> None:
    """Latent to 20 to 12 values to the coarsest map; from there to 12 and 20, which are the features."""
    torch.manual_seed(0)
    generator = build_generator(NetworkConfig(name="dcgan", capacity=4, hidden=(20, 12)), (1, 28, 28), LATENT)
    judging = NetworkConfig(name="dcgan", capacity=4, hidden=(12, 20), outputs=3, outputs_hidden=7)
    discriminator = build_discriminator(judging, (1, 28, 28))

    def linear(module: nn.Module) -> list[tuple[int, int]]:
        return [(one.in_features, one.out_features) for one in module.modules() if isinstance(one, nn.Linear)]

    coarsest = 16 * 4 * 4
    assert linear(generator) == [(LATENT, 20), (20, 12), (12, coarsest)]
    assert linear(discriminator) == [(coarsest, 12), (12, 20), (20, 1), (20, 7), (7, 3)]
    images = generator(torch.randn(5, LATENT))
    features = discriminator.features(images)
    assert features.shape == (5, 20)
    assert discriminator.read(features).shape == (5, 3)
    kinds = [type(one).__name__ for one in discriminator.reader]
    assert kinds == ["Linear", "BatchNorm1d", "LeakyReLU", "PlainLinear"]


@pytest.mark.parametrize("name", sorted(set(NORMALISATIONS) - {"instance"}))
def test_a_hidden_layer_before_the_outputs_works_with_every_normalisation_of_vectors(name: str) -> None:
    network = NetworkConfig(name="dcgan", capacity=4, normalisation=name, outputs=3, outputs_hidden=7)
    discriminator = build_discriminator(network, (1, 8, 8))
    assert discriminator.read(discriminator.features(torch.randn(4, 1, 8, 8))).shape == (4, 3)


def test_instances_of_vectors_cannot_be_normalised() -> None:
    for own in ({"hidden": (7,)}, {"outputs": 3, "outputs_hidden": 7}):
        with pytest.raises(SteadyganError, match="this layer has vectors"):
            pair("dcgan", (1, 8, 8), normalisation="instance", **own)


def test_vectors_are_unbounded_by_default_and_for_mlp_only() -> None:
    generator, _ = pair("mlp", (2, 1, 1))
    assert generator(1e4 * torch.randn(8, LATENT)).abs().max() > 1
    for name in CONVOLUTIONAL:
        with pytest.raises(SteadyganError, match="8 to 256"):
            pair(name, (2, 1, 1))
