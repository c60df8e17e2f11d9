"""The domain judge: a small network trained on the user's own data, so that features mean something there.

Where the data have labels it is a classifier. Where they have none it learns to tell images apart: two views of one
image (shifted, zoomed, with a patch left out) shall lie nearer to each other than to those of other images (instance
discrimination; Wu et al. 2018, Chen et al. 2020). Views are never blurred, recoloured or made noisy: a judge that is
taught to look away from such faults cannot find them in fakes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadygan.errors import SteadyganError
from steadygan.evaluation.features.reading import Reading, checked, hash_of
from steadygan.runtime import seeding

Draw = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""Rows (n,) of the training images to images (n, C, H, W) uint8 and their labels (n,)."""
Progress = Callable[[str, int, int], None]

SIDE = 32
"""Longest side that the judge looks at; larger images are averaged down."""
BATCH = 128
IMAGES = 40_000
"""Images that a judge is taught on: about a minute on one core at 32 x 32, seconds at 8 x 8."""
TEMPERATURE = 0.2
FORMAT = 1


@dataclass(frozen=True)
class Definition:
    """All that decides a judge besides the data: written into its file, part of its hash."""

    channels: int
    height: int
    width: int
    classes: int = 0
    base: int = 16
    seed: int = 0
    images: int = IMAGES
    format: int = FORMAT


class JudgeNetwork(nn.Module):
    """Five 3 x 3 convolutions with batch normalisation; features are mean and maximum of the last: (N, 8 * base)."""

    def __init__(self, definition: Definition) -> None:
        super().__init__()
        base, sides = definition.base, (definition.height, definition.width)
        shrink = max(1.0, max(sides) / SIDE)
        self.size = max(4, round(sides[0] / shrink)), max(4, round(sides[1] / shrink))
        plan = [(definition.channels, base, 1), (base, 2 * base, 2), (2 * base, 2 * base, 1)]
        plan += [(2 * base, 4 * base, 2), (4 * base, 4 * base, 1)]
        layers: list[nn.Module] = []
        for before, after, stride in plan:
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(8 * base, definition.classes or 64)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, 8 * base), and logits (N, classes) or the projection (N, 64), of images (N, C, H, W) uint8."""
        values = images.float() / 127.5 - 1.0
        if tuple(values.shape[-2:]) != self.size:
            values = F.interpolate(values, self.size, mode="bilinear", align_corners=False, antialias=True)
        maps = self.body(values)
        features = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
        return features, self.head(features)


class Judge:
    """A trained judge as a feature network; a classifier also gives probabilities."""

    rounding = "none"

    def __init__(
        self, definition: Definition, network: JudgeNetwork, device: torch.device | None = None, name: str = "judge"
    ) -> None:
        self.name, self.definition, self.network = name, definition, network.eval().requires_grad_(False)
        self.hash = hash_of(asdict(definition), network.state_dict())
        same = network.size == (definition.height, definition.width)
        self.resize = "none" if same else f"bilinear, antialiased, to {network.size[1]}x{network.size[0]}"
        self.device = device or torch.device("cpu")
        self.network.to(self.device)

    @torch.no_grad()
    def read(self, images: Tensor) -> Reading:
        checked(images, self.definition.channels)
        if tuple(images.shape[-2:]) != (self.definition.height, self.definition.width):
            height, width = images.shape[-2:]
            raise SteadyganError(
                f"images of {width}x{height} for a judge of {self.definition.width}x{self.definition.height}",
                "use a judge that was trained at this size",
            )
        features, head = self.network(images.to(self.device))
        probabilities = head.softmax(1).cpu() if self.definition.classes else None
        return Reading(features.cpu(), probabilities)

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of images whose most probable class is the label."""
        found = [self.read(part).probabilities for part in torch.split(images, 256)]
        guesses = torch.cat([part.argmax(1) for part in found if part is not None])
        return float((guesses == labels).float().mean())


def train_judge(
    definition: Definition,
    draw: Draw,
    count: int,
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Judge:
    """Teach a judge; the same definition, images and number of threads give the same weights.

    Args:
        definition: size, classes (0: none, so the judge learns without labels) and seed.
        draw: gives training images and labels by row.
        count: number of training rows.
        device: where it computes.
        progress: told how many images it was taught on.

    Raises:
        SteadyganError: with fewer than 16 images.
    """
    if count < 16:
        raise SteadyganError(f"a judge cannot be trained on {count} image(s)", "use --features pixels")
    place, batch = device or torch.device("cpu"), min(BATCH, count)
    steps = max(1, math.ceil(definition.images / batch))
    with torch.random.fork_rng(devices=[]):
        seeding.reseed("judge", definition.seed)
        network = JudgeNetwork(definition).to(place).train()
    source = seeding.generator("judge batches", definition.seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3, betas=(0.9, 0.99))
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, 10 * (step + 1) / steps) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    for step in range(steps):
        images, labels = draw(torch.randint(count, (batch,), generator=source))
        loss = _loss(network, images.to(place), labels if definition.classes else None, source)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rates.step()
        if progress is not None:
            progress("training the judge", (step + 1) * batch, steps * batch)
    return Judge(definition, network, place)


def _loss(network: JudgeNetwork, images: Tensor, labels: Tensor | None, source: torch.Generator) -> Tensor:
    """Cross-entropy with labels; without, the loss of finding each image's other view among all views."""
    if labels is not None:
        return F.cross_entropy(network(_view(images, source, 0.9))[1], labels.to(images.device))
    views = torch.cat([_view(images, source, 0.6), _view(images, source, 0.6)])
    points = F.normalize(network(views)[1], dim=1)
    likeness = points @ points.T / TEMPERATURE
    likeness.fill_diagonal_(float("-inf"))
    other = torch.arange(len(views), device=images.device).roll(len(images))
    return F.cross_entropy(likeness, other)


def _view(images: Tensor, source: torch.Generator, smallest: float) -> Tensor:
    """Each image shifted and zoomed at random, a quarter of its sides cut out; floats keep their 0..255."""
    count, _, height, width = images.shape
    zoom = smallest + (1.0 - smallest) * torch.rand(count, 1, generator=source)
    shift = (torch.rand(count, 2, generator=source) * 2.0 - 1.0) * (1.0 - zoom + 0.1)
    frame = torch.zeros(count, 2, 3)
    frame[:, 0, 0] = frame[:, 1, 1] = zoom[:, 0]
    frame[:, :, 2] = shift
    field = F.affine_grid(frame, [count, 1, height, width], align_corners=False)
    seen = F.grid_sample(
        images.float(), field.to(images.device), mode="bilinear", padding_mode="border", align_corners=False
    )
    if smallest > 0.8:
        return seen
    corner = torch.rand(count, 2, generator=source)
    rows = (torch.arange(height)[None] / height - corner[:, :1] + 0.125).abs() < 0.125
    columns = (torch.arange(width)[None] / width - corner[:, 1:] + 0.125).abs() < 0.125
    hole = (rows[:, :, None] & columns[:, None, :])[:, None].to(images.device)
    return torch.where(hole, torch.full_like(seen, 127.5), seen)


def pack(judge: Judge, facts: dict[str, str] | None = None) -> bytes:
    """A judge as the bytes of a safetensors file, its definition and further ``facts`` among the metadata."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in judge.network.state_dict().items()}
    return safetensors.torch.save(tensors, {"judge": json.dumps(asdict(judge.definition)), **(facts or {})})


def load_judge(path: Path, device: torch.device | None = None) -> Judge:
    """The judge in a safetensors file.

    Raises:
        SteadyganError: for a missing, broken or foreign file.
    """
    remedy = "give a file that steadygan wrote for a judge (see its cache folder, judges/)"
    if not path.is_file():
        raise SteadyganError(f"no judge at {path}", remedy)
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            definition = Definition(**json.loads((file.metadata() or {})["judge"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        network = JudgeNetwork(definition)
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, safetensors.SafetensorError) as fault:
        raise SteadyganError(f"{path} holds no judge ({type(fault).__name__})", remedy) from None
    return Judge(definition, network, device, f"judge:{path.name}")
