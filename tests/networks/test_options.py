"""Options by table: activations, normalisations, spectral norm, dropout, statistics of a batch."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks import (
    ACTIVATIONS,
    DISCRIMINATORS,
    NORMALISATIONS,
    build_discriminator,
    build_generator,
    parameters_count,
)
from steadygan.networks.activations import Maxout, SoftplusShifted
from steadygan.networks.initialisations import weighted_layers
from steadygan.networks.layers import Crop, Halve, MinibatchDiscrimination, MinibatchStd, Noise, PadToEven, Upsample
from steadygan.networks.normalisations import REFERENCE_SIZE, PixelNorm

FAMILIES = sorted(DISCRIMINATORS)
SHAPE = (2, 16, 13)


def config(name: str, **options: object) -> NetworkConfig:
    return NetworkConfig.model_validate({"name": name, "capacity": 4, **options})


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("name", FAMILIES)
def test_every_activation(name: str, activation: str) -> None:
    if activation == "maxout" and name != "mlp":
        with pytest.raises(SteadyganError, match=r"'maxout' does not fit.*'mlp'"):
            build_discriminator(config(name, activation=activation), SHAPE)
        return
    generator = build_generator(config(name, activation=activation), SHAPE, 5)
    discriminator = build_discriminator(config(name, activation=activation), SHAPE)
    assert torch.isfinite(discriminator(generator(torch.randn(3, 5)))).all()
    assert any(isinstance(part, type(ACTIVATIONS[activation]())) for part in discriminator.modules())


@pytest.mark.parametrize("normalisation", sorted(NORMALISATIONS))
@pytest.mark.parametrize("name", FAMILIES)
def test_every_normalisation(name: str, normalisation: str) -> None:
    chosen = config(name, normalisation=normalisation)
    if name == "mlp" and normalisation == "instance":
        with pytest.raises(SteadyganError, match="'instance' needs images"):
            build_generator(chosen, SHAPE, 5)
        return
    if name == "style" and normalisation == "virtual-batch":
        with pytest.raises(SteadyganError, match="'style' cannot have virtual-batch"):
            build_generator(chosen, SHAPE, 5)
        return
    generator, discriminator = build_generator(chosen, SHAPE, 5), build_discriminator(chosen, SHAPE)
    leaf = generator(torch.randn(4, 5)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(leaf).sum(), leaf, create_graph=True)
    gradient.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in discriminator.parameters() if p.grad is not None)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    for option, wrong, near in (
        ("activation", "leaky-rely", "leaky-relu"),
        ("normalisation", "bach", "batch"),
        ("initialisation", "orthogonl", "orthogonal"),
    ):
        with pytest.raises(SteadyganError, match=f"unknown {option} '{wrong}': did you mean '{near}'"):
            build_discriminator(config("dcgan", **{option: wrong}), SHAPE)


def test_closed_forms() -> None:
    values = torch.tensor([[-1.0, 0.0, 3.0, 2.0]])
    torch.testing.assert_close(SoftplusShifted()(values), torch.log1p(torch.exp(2 * values + 2)) / 2 - 1)
    assert Maxout(2)(values).tolist() == [[0.0, 3.0]]
    normal = PixelNorm()(torch.randn(3, 8, 2, 2))
    torch.testing.assert_close(normal.square().mean(1), torch.ones(3, 2, 2))


def test_resampling_closed_forms() -> None:
    flat = torch.full((1, 2, 3, 4), 0.7)
    for mode in ("bilinear", "nearest"):
        torch.testing.assert_close(Upsample((5, 7), mode)(flat), torch.full((1, 2, 5, 7), 0.7))
    torch.testing.assert_close(Halve()(torch.full((1, 2, 5, 7), 0.7)), torch.full((1, 2, 3, 4), 0.7))
    image = torch.arange(15.0).view(1, 1, 3, 5)
    assert Halve()(image)[0, 0].tolist() == [[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]
    padded = PadToEven()(image)
    assert padded.shape == (1, 1, 4, 6)
    assert padded[0, 0, 3].eq(0).all()
    assert padded[0, 0, :, 5].eq(0).all()
    assert torch.equal(Crop((3, 5))(padded), image)


def test_minibatch_std_by_hand() -> None:
    values = torch.randn(8, 3, 2, 2, dtype=torch.float64)
    column = MinibatchStd()(values)[:, 3]
    for start in (0, 1):
        members = values[start::2]
        expected = (members.var(0, unbiased=False) + 1e-8).sqrt().mean()
        torch.testing.assert_close(column[start::2], expected.expand(4, 2, 2))


@pytest.mark.parametrize(("count", "groups"), [(1, 1), (2, 1), (3, 1), (5, 5), (6, 2), (7, 7), (12, 3)])
def test_minibatch_std_falls_back_to_a_divisor(count: int, groups: int) -> None:
    out = MinibatchStd()(torch.randn(count, 4))
    assert out.shape == (count, 5)
    assert len(out[:, 4].unique()) == (groups if groups < count else 1)


def test_minibatch_discrimination_sees_copies() -> None:
    layer = MinibatchDiscrimination(6, kernels=3, dimensions=2)
    same = layer(torch.randn(1, 6).repeat(5, 1))
    torch.testing.assert_close(same, torch.full((5, 3), 4.0))
    assert (layer(100 * torch.randn(5, 6)) < 0.5).all()


@pytest.mark.parametrize("extra", ["minibatch_std", "minibatch_discrimination"])
@pytest.mark.parametrize("name", FAMILIES)
def test_batch_statistics_tell_collapse(name: str, extra: str) -> None:
    """A sample's logit depends on its neighbours with the option, and not without it."""
    images = torch.randn(4, *SHAPE)
    collapsed = images[:1].repeat(4, 1, 1, 1)
    for wanted in (True, False):
        torch.manual_seed(0)
        chosen = config(name, normalisation="none", initialisation="he", spectral_norm=False, **{extra: wanted})
        discriminator = build_discriminator(chosen, SHAPE).eval()
        difference = (discriminator(images)[0] - discriminator(collapsed)[0]).abs().item()
        assert (difference > 1e-4) == wanted


@pytest.mark.parametrize("name", FAMILIES)
def test_spectral_norm_bounds_every_layer(name: str) -> None:
    torch.manual_seed(0)
    discriminator = build_discriminator(config(name, spectral_norm=True), SHAPE)
    images = torch.randn(2, *SHAPE)
    for _ in range(100):
        discriminator(images)
    discriminator.eval()
    for layer in weighted_layers(discriminator):
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
        assert largest.item() == pytest.approx(1, abs=0.02)


def test_spectral_norm_defaults() -> None:
    def normed(name: str, **options: object) -> bool:
        module = build_discriminator(config(name, **options), SHAPE)
        return any("parametrizations" in key for key in module.state_dict())

    assert normed("sngan")
    assert not normed("dcgan")
    assert not normed("r3")
    assert not normed("mlp")
    assert normed("dcgan", spectral_norm=True)
    assert not normed("sngan", spectral_norm=False)
    generator = build_generator(config("sngan"), SHAPE, 5)
    assert not any("parametrizations" in key for key in generator.state_dict())


@pytest.mark.parametrize("disturbance", ["dropout", "noise"])
@pytest.mark.parametrize("name", FAMILIES)
def test_disturbances_follow_the_global_seed_and_rest_in_eval(name: str, disturbance: str) -> None:
    discriminator = build_discriminator(config(name, **{disturbance: 0.5}, initialisation="he"), SHAPE)
    images = torch.randn(2, *SHAPE)
    outputs = []
    for seed in (0, 0, 1):
        state = copy.deepcopy(discriminator)
        torch.manual_seed(seed)
        outputs.append(state(images))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    discriminator.eval()
    assert torch.equal(discriminator(images), discriminator(images))


def test_noise_has_the_asked_deviation() -> None:
    added = Noise(0.5)(torch.full((100, 100), 3.0)) - 3
    assert added.mean().item() == pytest.approx(0, abs=0.03)
    assert added.std().item() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("name", FAMILIES)
def test_capacity_and_depth_widen_and_deepen(name: str) -> None:
    def layers(**options: object) -> int:
        return len(weighted_layers(build_discriminator(config(name, **options), SHAPE)))

    small, wide = (parameters_count(build_discriminator(config(name, capacity=c), SHAPE)) for c in (4, 8))
    assert wide > 1.5 * small
    assert layers(depth=1) < layers(depth=2) < layers(depth=3)


def virtual(name: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    chosen = config(name, normalisation="virtual-batch", spectral_norm=False)
    return build_generator(chosen, SHAPE, 5), build_discriminator(chosen, SHAPE)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "style"])
def test_virtual_batch_norm_makes_samples_independent(name: str) -> None:
    generator, _ = virtual(name)
    first = torch.randn(10, 5)
    generator(first)
    assert torch.equal(generator.state_dict()["reference.samples"], first.repeat(7, 1)[:REFERENCE_SIZE])
    latent = torch.randn(3, 5)
    torch.testing.assert_close(generator(latent)[:1], generator(torch.cat([latent[:1], 9 * latent[1:]]))[:1])
    assert torch.equal(generator.state_dict()["reference.samples"], first.repeat(7, 1)[:REFERENCE_SIZE])


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "style"])
def test_virtual_batch_norm_is_kept_by_a_checkpoint(name: str) -> None:
    def outputs(modules: tuple[nn.Module, nn.Module]) -> tuple[Tensor, Tensor]:
        generator, discriminator = (module.eval() for module in modules)
        return generator(latent), discriminator(images)

    torch.manual_seed(5)
    latent, images = torch.randn(3, 5), torch.randn(3, *SHAPE)
    first, second = virtual(name), virtual(name)
    first[0](torch.randn(70, 5)), first[1](torch.randn(70, *SHAPE))
    second[0](torch.randn(4, 5)), second[1](torch.randn(4, *SHAPE))
    for mine, other in zip(first, second, strict=True):
        other.load_state_dict(mine.state_dict())
    for left, right in zip(outputs(first), outputs(second), strict=True):
        assert torch.equal(left, right)


def test_virtual_batch_norm_and_minibatch_std_refused() -> None:
    with pytest.raises(SteadyganError, match="choose one of the two"):
        build_discriminator(config("dcgan", normalisation="virtual-batch", minibatch_std=True), SHAPE)


def test_conditional_virtual_batch_norm_keeps_labels() -> None:
    chosen = config("dcgan", normalisation="virtual-batch", conditional=True)
    generator = build_generator(chosen, SHAPE, 5, 3)
    label = torch.tensor([2, 1, 0])
    generator(torch.randn(3, 5), label)
    assert torch.equal(generator.state_dict()["reference.labels"], label.repeat(22)[:REFERENCE_SIZE])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_copy_is_equal_and_apart(name: str) -> None:
    """The average is a deep copy, spectral norm and all."""
    generator = build_generator(config(name, spectral_norm=True), SHAPE, 5)
    twin = copy.deepcopy(generator)
    latent = torch.randn(3, 5)
    assert torch.equal(generator(latent), twin(latent))
    with torch.no_grad():
        next(generator.parameters()).add_(1)
    assert not torch.equal(next(generator.parameters()), next(twin.parameters()))
