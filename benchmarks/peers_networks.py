"""The peers' own networks, as they build them themselves and as our engine plays them.

Nothing here is copied: the code lies in the peers' folder and is imported, or run, from there. A script that has its
networks inside is run until it asks for its first image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from steadygan.config import NetworkConfig

HERE = Path(__file__).resolve().parent
SHIM = HERE / "peers_shim"

Players = dict[str, nn.Module]


class Stand(NamedTuple):
    """How a peer's networks are called by ours: (network, latent (N, Z)) and (network, images) to logits (N,)."""

    build: Callable[[Path], Players]
    generate: Callable[[Any, Tensor], Tensor]
    judge: Callable[[Any, Tensor], Tensor]


class Enough(BaseException):
    """Raised by a data set: no handler of a script shall catch it."""


def prepare_imports(folder: str | Path, *inside: str) -> None:
    """Make a peer's packages importable, with the stand-ins before anything of that name."""
    # once tensorboard has found out that there is no TensorFlow, the stand-in of that name does not confuse it
    import torch.utils.tensorboard  # noqa: F401

    for path in (str(SHIM), *(str(Path(folder) / part) for part in inside)):
        if path not in sys.path:
            sys.path.insert(0, path)


def run_script(script: Path, arguments: list[str], source: Callable[[Any], Any], names: dict[str, Any]) -> None:
    """Run a peer's script unmodified, with its data from ``source``; ``names`` are the globals that it fills."""
    import torchvision.datasets

    torchvision.datasets.source = source
    before, sys.argv = sys.argv, [str(script), *arguments]
    code = compile(script.read_bytes(), str(script), "exec")
    names |= {"__name__": "__main__", "__file__": str(script)}
    try:
        exec(code, names)  # noqa: S102 - the file that the user brought
    finally:
        sys.argv = before


class First:
    """A data set that ends the script with its first image."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Any:
        raise Enough


def networks_of_script(script: Path, arguments: list[str], generator: str, discriminator: str) -> Players:
    """The networks that a script holds when it asks for its first image."""
    prepare_imports(script.parent)
    names: dict[str, Any] = {}
    try:
        run_script(script, arguments, lambda transform: First(), names)
    except Enough:
        return {"generator": names[generator], "discriminator": names[discriminator]}
    raise RuntimeError(f"{script.name} ended without asking for an image")


EXAMPLES = "examples/dcgan/main.py"
EXAMPLES_ARGUMENTS = ["--dataset", "fake", "--workers", "0"]
PYTORCH_GAN = "PyTorch-GAN/implementations/dcgan/dcgan.py"
# narrower than their presets, whose rounds take many seconds on a CPU
MIMICRY_WIDTHS = {"ngf": 64, "ndf": 32}
STABILITY_WIDTHS = {"nfilter": 32, "embed_size": 32}
R3_WIDTHS = {"WidthPerStage": [48] * 4, "CardinalityPerStage": [6] * 4, "BlocksPerStage": [1] * 4}


def torchgan_models(channels: int) -> dict[str, dict[str, Any]]:
    """The models of torchgan's first tutorial: a DCGAN of width 32 for 32x32 images, with its optimizers."""
    from torch.optim import Adam
    from torchgan.models import DCGANDiscriminator, DCGANGenerator

    shared: Callable[[], dict[str, Any]] = lambda: {"step_channels": 32, "nonlinearity": nn.LeakyReLU(0.2)}  # noqa: E731
    return {
        "generator": {
            "name": DCGANGenerator,
            "args": {"encoding_dims": 100, "out_channels": channels, "last_nonlinearity": nn.Tanh(), **shared()},
            "optimizer": {"name": Adam, "args": {"lr": 0.0001, "betas": (0.5, 0.999)}},
        },
        "discriminator": {
            "name": DCGANDiscriminator,
            "args": {"in_channels": channels, "last_nonlinearity": nn.LeakyReLU(0.2), **shared()},
            "optimizer": {"name": Adam, "args": {"lr": 0.0003, "betas": (0.5, 0.999)}},
        },
    }


def _torchgan(peers: Path) -> Players:
    prepare_imports(peers, "torchgan")
    return {name: model["name"](**model["args"]) for name, model in torchgan_models(3).items()}


def _mimicry(peers: Path) -> Players:
    prepare_imports(peers, "mimicry")
    from torch_mimicry.nets import sngan

    generator = sngan.SNGANGenerator32(ngf=MIMICRY_WIDTHS["ngf"])
    return {"generator": generator, "discriminator": sngan.SNGANDiscriminator32(ndf=MIMICRY_WIDTHS["ndf"])}


def _stability(peers: Path) -> Players:
    prepare_imports(peers, "GAN_stability")
    from gan_training.models import resnet

    sizes = {"nlabels": 1, "size": 32, **STABILITY_WIDTHS}
    return {"generator": resnet.Generator(128, **sizes), "discriminator": resnet.Discriminator(128, **sizes)}


def _r3gan(peers: Path) -> Players:
    prepare_imports(peers, "R3GAN")
    from R3GAN.Networks import Discriminator, Generator

    return {
        "generator": Generator(NoiseDimension=64, ExpansionFactor=2, **R3_WIDTHS),
        "discriminator": Discriminator(ExpansionFactor=2, **R3_WIDTHS),
    }


def _zeros(values: Tensor) -> Tensor:
    return torch.zeros(len(values), dtype=torch.int64)


STANDS = {
    "examples": Stand(
        lambda peers: networks_of_script(peers / EXAMPLES, EXAMPLES_ARGUMENTS, "netG", "netD"),
        lambda network, latent: network(latent[:, :, None, None]),
        # without its sigmoid, which belongs to the loss
        lambda network, images: network.main[:-1](images).flatten(),
    ),
    "PyTorch-GAN": Stand(
        lambda peers: networks_of_script(peers / PYTORCH_GAN, [], "generator", "discriminator"),
        lambda network, latent: network(latent),
        lambda network, images: network.adv_layer[0](network.model(images).flatten(1)).squeeze(1),
    ),
    "torchgan": Stand(
        _torchgan, lambda network, latent: network(latent), lambda network, images: network(images).flatten()
    ),
    "mimicry": Stand(
        _mimicry, lambda network, latent: network(latent), lambda network, images: network(images).squeeze(1)
    ),
    "GAN_stability": Stand(
        _stability,
        lambda network, latent: network(latent, _zeros(latent)),
        lambda network, images: network(images, _zeros(images)),
    ),
    "R3GAN": Stand(_r3gan, lambda network, latent: network(latent), lambda network, images: network(images)),
}
"""A peer by name, with its networks as they are played at equal networks."""


class Hosted(nn.Module):
    """A peer's network behind our engine's way of calling it; it adds no parameter and no layer."""

    def __init__(self, network: nn.Module, call: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, values: Tensor, label: Tensor | None = None) -> Tensor:
        """Images of latents, or logits of images."""
        return self.call(self.network, values)


def _hosted(config: NetworkConfig, role: str) -> Hosted:
    stand = STANDS[config.extra["peer"]]
    network = stand.build(Path(config.extra["peers"]))[role]
    return Hosted(network, stand.generate if role == "generator" else stand.judge)


def generator(config: NetworkConfig, shape: tuple[int, int, int], latent: int, classes: int) -> nn.Module:
    """A peer's generator, for ``module:function`` in a config."""
    return _hosted(config, "generator")


def discriminator(config: NetworkConfig, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """A peer's discriminator, for ``module:function`` in a config."""
    return _hosted(config, "discriminator")
