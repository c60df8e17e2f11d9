"""Stage sizes, and the way from a name to a network."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.networks import build_discriminator, build_generator, parameters_count, stage_sizes
from steadygan.networks.sizes import stage_widths


def test_stage_sizes_of_the_usual_images() -> None:
    assert stage_sizes(28, 28) == [(4, 4), (7, 7), (14, 14), (28, 28)]
    assert stage_sizes(8, 8) == [(4, 4), (8, 8)]
    assert stage_sizes(45, 30) == [(6, 4), (12, 8), (23, 15), (45, 30)]
    assert stage_sizes(112, 92)[0] == (4, 3)


@given(st.integers(8, 256), st.integers(8, 256))
def test_stage_sizes_halve_with_rounding_up(height: int, width: int) -> None:
    sizes = stage_sizes(height, width)
    assert sizes[-1] == (height, width)
    assert 3 <= min(sizes[0]) <= 4
    for small, large in itertools.pairwise(sizes):
        assert all(2 * low - high in (0, 1) for low, high in zip(small, large, strict=True))


def test_stage_widths_double_up_to_eight_times() -> None:
    assert stage_widths(6, 16) == [128, 128, 128, 64, 32, 16]
    assert stage_widths(1, 16) == [16]


def test_mlp_default_widths() -> None:
    def widths(module: nn.Module) -> list[int]:
        layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        return [layers[0].in_features, *(layer.out_features for layer in layers)]

    config = NetworkConfig(name="mlp")
    assert widths(build_generator(config, (1, 28, 28), 100)) == [100, 128, 256, 784]
    assert widths(build_discriminator(config, (1, 28, 28))) == [784, 256, 128, 1]
    deep = NetworkConfig(name="mlp", capacity=2, depth=5)
    assert widths(build_generator(deep, (1, 8, 8), 3)) == [3, 8, 16, 32, 64, 64, 64]


def test_dcgan_normalises_all_but_the_first_layer() -> None:
    generator = build_generator(NetworkConfig(name="dcgan", capacity=8), (3, 64, 64), 16)
    discriminator = build_discriminator(NetworkConfig(name="dcgan", capacity=8), (3, 64, 64))
    norms = [m.num_features for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms == [64, 32, 16, 8]
    assert [m.num_features for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d)] == [16, 32, 64]


def test_parameters_count() -> None:
    assert parameters_count(nn.Linear(3, 4)) == 16


def test_unknown_network() -> None:
    with pytest.raises(SteadyganError, match="unknown generator 'dcgn': did you mean 'dcgan'"):
        build_generator(NetworkConfig(name="dcgn"), (1, 28, 28), 10)
    with pytest.raises(SteadyganError, match="unknown discriminator 'zzz': choose one of .*dcgan.*, r3, .*sngan"):
        build_discriminator(NetworkConfig(name="zzz"), (1, 28, 28))


@pytest.mark.parametrize("latent", [0, -3, 10**6])
@pytest.mark.parametrize("name", ["mlp", "dcgan", "sngan", "r3"])
def test_absurd_latent(name: str, latent: int) -> None:
    with pytest.raises(SteadyganError, match=r"latent size .* from 1 to 65536"):
        build_generator(NetworkConfig(name=name, capacity=4), (1, 28, 28), latent)


def test_networks_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside_networks.py").write_text(
        "from torch import nn\n"
        "def generator(config, shape, latent, classes):\n"
        "    return nn.Sequential(nn.Linear(latent, config.extra['width']), nn.Unflatten(1, shape))\n"
        "def discriminator(config, shape, classes):\n"
        "    return nn.Flatten()\n"
        "def wrong(*arguments):\n"
        "    return 3\n"
        "number = 4\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config = NetworkConfig(name="outside_networks:generator", extra={"width": 16})
    assert build_generator(config, (1, 4, 4), 5)(torch.randn(2, 5)).shape == (2, 1, 4, 4)
    assert isinstance(build_discriminator(NetworkConfig(name="outside_networks:discriminator"), (1, 4, 4)), nn.Flatten)
    for name, words in (
        ("outside_networks:missing", "cannot be imported"),
        ("no_such_module_here:generator", "cannot be imported"),
        (":generator", "cannot be imported"),
        ("outside_networks:number", "is not a function"),
        ("outside_networks:wrong", "gave a int"),
    ):
        with pytest.raises(SteadyganError, match=words):
            build_discriminator(NetworkConfig(name=name), (1, 4, 4))


def test_absurd_widths_and_vectors() -> None:
    for width in (0, -1, 10**6):
        with pytest.raises(SteadyganError, match=r"hidden width .* is out of range"):
            build_generator(NetworkConfig(name="mlp", hidden=(8, width)), (1, 8, 8), 4)
        with pytest.raises(SteadyganError, match=r"hidden width .* is out of range"):
            build_discriminator(NetworkConfig(name="dcgan", hidden=(width,)), (1, 8, 8))
    for shape in ((0, 1, 1), (10**7, 1, 1), (100, 256, 256)):
        with pytest.raises(SteadyganError, match="out of the range of 'mlp'"):
            build_discriminator(NetworkConfig(name="mlp", capacity=1), shape)
