"""Style networks: modulation, noise, the space of styles, truncation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks import build_generator
from steadygan.networks.style import ModulatedConv2d, Noise, StyleGenerator

SHAPE = (3, 20, 16)


def made(**options: Any) -> StyleGenerator:
    generator = build_generator(NetworkConfig.model_validate({"name": "style", "capacity": 4, **options}), SHAPE, 8, 3)
    assert isinstance(generator, StyleGenerator)
    return generator


def noisy(generator: StyleGenerator) -> StyleGenerator:
    with torch.no_grad():
        for part in generator.modules():
            if isinstance(part, Noise):
                part.strength.fill_(0.5)
    return generator


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("kernel", [1, 3])
def test_modulation_is_scaled_weights_then_demodulated_ones(kernel: int, demodulate: bool) -> None:
    layer = ModulatedConv2d(5, 7, kernel, 4, demodulate=demodulate).double()
    maps, style = torch.randn(3, 5, 6, 6, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    expected = []
    for one, scale in zip(maps, layer.affine(style) + 1.0, strict=True):
        weight = layer.conv.weight * scale[None, :, None, None]
        if demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected.append(F.conv2d(one[None], weight, padding=kernel // 2))
    torch.testing.assert_close(layer(maps, style), torch.cat(expected))


def test_a_demodulated_layer_keeps_the_deviation_whatever_the_style() -> None:
    layer = ModulatedConv2d(64, 64, 3, 4)
    maps = torch.randn(4, 64, 16, 16)
    for size in (0.1, 3.0):
        with torch.no_grad():
            layer.affine.weight.mul_(size)
        inside = layer(maps, torch.randn(4, 4))[:, :, 1:-1, 1:-1]
        assert float(inside.detach().std()) == pytest.approx(1.0, abs=0.1)


def test_an_image_is_the_synthesis_of_the_mapped_latent() -> None:
    generator = noisy(made()).eval()
    latent = torch.randn(4, 8)
    styles = generator.map(latent)
    assert styles.shape == (4, 8)
    assert torch.equal(generator.synthesise(styles), generator(latent))
    each = styles[:, None].repeat(1, generator.layers, 1)
    assert torch.equal(generator.synthesise(each), generator(latent))


def test_the_first_layers_decide_what_is_coarse() -> None:
    generator = made(output="linear").eval()
    one, other = (generator.map(torch.randn(1, 8))[:, None].repeat(1, generator.layers, 1) for _ in range(2))
    images = {}
    for name, places in (("first", slice(0, 1)), ("last", slice(generator.layers - 1, None))):
        mixed = one.clone()
        mixed[:, places] = other[:, places]
        images[name] = generator.synthesise(mixed)
    difference = {name: (image - generator.synthesise(one)).detach() for name, image in images.items()}
    assert all(float(change.abs().max()) > 0 for change in difference.values())

    def coarse_share(change: Tensor) -> float:
        smooth = F.interpolate(F.avg_pool2d(change, 4), scale_factor=4.0, mode="nearest")
        return float(smooth.square().sum() / change.square().sum())

    assert coarse_share(difference["first"]) > coarse_share(difference["last"])


def test_noise_is_drawn_in_training_and_fixed_outside() -> None:
    generator = noisy(made())
    latent = torch.randn(2, 8)
    torch.manual_seed(1)
    first = generator(latent)
    assert not torch.equal(generator(latent), first)
    torch.manual_seed(1)
    assert torch.equal(generator(latent), first)
    generator.eval()
    state = torch.get_rng_state()
    assert torch.equal(generator(latent), generator(latent))
    assert torch.equal(torch.get_rng_state(), state), "samples draw no random numbers of their own"
    other = made()
    other.load_state_dict(generator.state_dict())
    assert torch.equal(other.eval()(latent), generator(latent)), "the fixed noise is kept with the weights"


def test_truncation_goes_from_the_mean_style_to_the_style() -> None:
    generator = made()
    for _ in range(20):
        generator.map(torch.randn(64, 8))
    generator.eval()
    latent = torch.randn(3, 8)
    mean = generator.body.mapping.running_mean
    assert float(mean.abs().max()) > 0
    torch.testing.assert_close(generator.map(latent, truncation=0.0), mean.expand(3, -1))
    half = generator.map(latent, truncation=0.5)
    torch.testing.assert_close(half, (generator.map(latent) + mean) / 2)
    kept = mean.clone()
    generator.map(latent)
    assert torch.equal(kept, generator.body.mapping.running_mean), "the mean follows training alone"


def test_labels_are_mapped_too() -> None:
    generator = made(conditional=True).eval()
    latent = torch.randn(1, 8).repeat(2, 1)
    styles = generator.map(latent, torch.tensor([0, 2]))
    assert float((styles[0] - styles[1]).detach().abs().max()) > 1e-4
    with pytest.raises(SteadyganError, match="got no label"):
        generator.map(latent)


def test_wrong_styles_and_latents_are_named() -> None:
    generator = made()
    layers = generator.layers
    for shape in ((2, 7), (2, layers + 1, 8), (2, layers, 7), (8,)):
        with pytest.raises(SteadyganError, match=rf"styles of shape .*give \(N, 8\) or \(N, {layers}, 8\)"):
            generator.synthesise(torch.randn(*shape))
    with pytest.raises(SteadyganError, match=r"give \(N, 8\)"):
        generator.map(torch.randn(2, 9))
