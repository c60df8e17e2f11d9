"""Feature networks whose weights come from a file: Inception (downloaded by checksum where missing) and DINOv2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from steadygan.data.cache import default_folder
from steadygan.data.download import Progress, fetch
from steadygan.errors import SteadyganError
from steadygan.evaluation.features.dino import SIDE as DINO_SIDE
from steadygan.evaluation.features.dino import VisionTransformer
from steadygan.evaluation.features.inception import SIDE, InceptionNetwork
from steadygan.evaluation.features.reading import Reading, checked, hash_of
from steadygan.evaluation.features.resizing import RESIZES, WORDS
from steadygan.runtime import seeding

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
CHECKSUM = "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
BYTES = 95_628_359
COUNTER = "num_batches_tracked"
"""A buffer of batch normalisation that some files have and no result depends on."""


class Inception:
    """The FID's Inception network: 2048 features and the probabilities of 1008 classes.

    Args:
        network: with its weights.
        resize: ``tensorflow`` (the original's and torch-fidelity's), ``centred`` (pytorch-fid's) or ``clean``
            (clean-fid's).
        device: where it computes.
    """

    rounding = "none"

    def __init__(
        self, network: InceptionNetwork, resize: str = "tensorflow", device: torch.device | None = None
    ) -> None:
        self.name = "inception" if resize == "tensorflow" else f"inception-{resize}"
        self.device = device or torch.device("cpu")
        self.network = network.eval().requires_grad_(False)
        self.way, self.resize = resize, f"{WORDS[resize]}, to {SIDE}x{SIDE}"
        self.hash = hash_of({"network": "inception", "resize": resize}, _lasting(network.state_dict()))
        self.network.to(self.device)

    @torch.no_grad()
    def read(self, images: Tensor) -> Reading:
        values = self.prepare(images.to(self.device))
        features, logits = self.network(values)
        return Reading(features.cpu(), logits.softmax(1).cpu())

    def prepare(self, images: Tensor) -> Tensor:
        """Images (N, 1 or 3, H, W) uint8 as the network takes them: (N, 3, 299, 299), about -1 to 1."""
        values = RESIZES[self.way](coloured(images, "inception"), SIDE)
        return values / 127.5 - 1.0 if self.way == "centred" else (values - 128.0) / 128.0


class Dino:
    """DINOv2's class token, resized to 224 by antialiased bicubic: what is called FD-DINOv2 with the ViT-L/14.

    Papers: Oquab et al. 2023, DINOv2; Stein et al. 2023, Exposing Flaws of Generative Model Evaluation Metrics.
    """

    name = "dino"
    rounding = "none"
    resize = f"{WORDS['clean']}, to {DINO_SIDE}x{DINO_SIDE}"

    def __init__(self, network: VisionTransformer, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.network = network.eval().requires_grad_(False)
        self.hash = hash_of({"network": "dino"}, network.state_dict())
        self.network.to(self.device)

    @torch.no_grad()
    def read(self, images: Tensor) -> Reading:
        values = RESIZES["clean"](coloured(images, "dino"), DINO_SIDE).to(self.device) / 255.0
        mean = values.new_tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
        deviation = values.new_tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
        features: Tensor = self.network((values - mean) / deviation)
        return Reading(features.cpu())


def coloured(images: Tensor, name: str) -> Tensor:
    """Images of one channel as three equal ones. Raises SteadyganError for other channels than 1 and 3."""
    channels = checked(images).shape[1]
    if channels not in (1, 3):
        raise SteadyganError(f"{name} looks at grey or RGB images, not at {channels} channels", "use --features judge")
    return images.expand(-1, 3, -1, -1) if channels == 1 else images


def load_inception(
    file: str = "",
    resize: str = "tensorflow",
    *,
    device: torch.device | None = None,
    cache: Path | None = None,
    url: str = URL,
    progress: Progress | None = None,
) -> Inception:
    """The Inception network with the weights in ``file``; without one the canonical weights, downloaded once.

    Raises:
        SteadyganError: for weights that are missing, foreign or cannot be had.
    """
    path = Path(file) if file else (cache or default_folder()) / "weights" / FILE
    if not file:
        try:
            fetch(url, path, checksum=CHECKSUM, size=BYTES, progress=progress)
        except SteadyganError as error:
            remedy = f"check the network, give the file ({FILE}) as --features inception:FILE, or use --features judge"
            raise SteadyganError(error.what, remedy, code=1) from None
    network = InceptionNetwork()
    _fill(network, weights(path), f"the FID's Inception weights ({FILE})", path)
    return Inception(network, resize, device)


def random_inception(calibration: Tensor, resize: str = "tensorflow", *, seed: int = 0) -> Inception:
    """An Inception network with random weights, its batch normalisation calibrated by one pass of images.

    For tests of arithmetic only: without that pass the features of a random network hardly differ between images.
    """
    with torch.random.fork_rng(devices=[]):
        seeding.reseed("random inception", seed)
        network = InceptionNetwork()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the running moments become those of this pass
    network.train()
    made = Inception(InceptionNetwork(), resize)
    with torch.no_grad():
        network(made.prepare(calibration))
    return Inception(network, resize)


def load_dino(file: str, *, device: torch.device | None = None) -> Dino:
    """DINOv2 with the weights in ``file``, of any of its plain sizes (S, B, L).

    Raises:
        SteadyganError: where no file is given, or it holds something else.
    """
    if not file:
        raise SteadyganError(
            "the features 'dino' need a file of DINOv2 weights", "download dinov2_vitl14 and write --features dino:FILE"
        )
    path = Path(file)
    tensors = weights(path)
    network = VisionTransformer.shaped_like(tensors)
    if network is None:
        raise _foreign(path, "DINOv2 weights (ViT-S, B or L with patches of 14)")
    _fill(network, tensors, "DINOv2 weights (ViT-S, B or L with patches of 14)", path)
    return Dino(network, device)


def weights(path: Path) -> dict[str, Tensor]:
    """The named tensors of a ``.safetensors`` file, or of a ``.pth`` file read without executing anything in it.

    Raises:
        SteadyganError: for a missing or unreadable file, or one that holds more than tensors.
    """
    if not path.is_file():
        raise SteadyganError(f"no weights at {path}", "check the path behind the colon")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:  # a foreign file may make the reader raise anything
        kind = type(fault).__name__
        raise SteadyganError(f"{path} is broken, or holds more than tensors ({kind})", "give a state dict") from None
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise _foreign(path, "a state dict")
    return dict(found)


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], what: str, path: Path) -> None:
    wanted, given = _lasting(network.state_dict()), _lasting(tensors)
    if any(name not in given or given[name].shape != tensor.shape for name, tensor in wanted.items()):
        raise _foreign(path, what)
    network.load_state_dict({name: given[name].float() for name in wanted}, strict=False)


def _lasting(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(COUNTER)}


def _foreign(path: Path, what: str) -> SteadyganError:
    return SteadyganError(f"{path} does not hold {what}", "check the file behind the colon")
