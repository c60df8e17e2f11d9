"""Exams of the families for variety: coupled pairs, several generators, f-GAN, and what keeps modes from being lost.

Coupled pairs are judged by the independent LeNet of ``judge.py`` where it can read them: negatives are inverted first,
and edges are read by a small network that is trained here on the edges of MNIST's training images. What keeps modes is
compared with the same settings without it, from the same seed: on the ring of 8 and the grid of 25 Gaussians with a
small pair that loses modes, and on stacked digits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import family_variety_pictures as pictures
import judge as independent
import mixtures
import numpy as np
import stacked_mnist
import torch
from family_exam import Exam, Figure, Figures, trained
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from steadygan.config import AverageConfig, HealthConfig, LatentConfig, NetworkConfig, RunConfig, constant
from steadygan.data.augmentation import augment
from steadygan.data.domains import edge
from steadygan.game.loop import loop
from steadygan.game.move import Batch
from steadygan.objectives.divergences import DIVERGENCES
from steadygan.recipes.parts import player
from steadygan.report.pictures import to_uint8
from steadygan.runtime import devices, seeding
from steadygan.session import families
from steadygan.session.settings import apply
from steadygan.session.wiring import Wired

SETTINGS = ("data.held_out=0", "health.mode=watch")

# ---- coupled pairs ----

PAIRS = 2000


def coupled(domain: str, images: int) -> Callable[[int, Path, float], Figures]:
    """CoGAN on MNIST and a domain of it: how often the judges read the same digit in both halves of a pair."""

    def run(seed: int, folder: Path, scale: float) -> Figures:
        given = (*SETTINGS, f'data.domains=["plain","{domain}"]')
        made = trained("mnist", "cogan", images, seed, folder, scale, given)
        plain, other = (made.sample(PAIRS, seed=seed, label=label) for label in (0, 1))
        first = independent.look(independent.load_judge(), plain.split(500))[1]
        second = READERS[domain](other, scale)
        if pictures.wanted(seed, scale):
            pictures.pairs(f"cogan-{domain}", plain, other)
        shares = torch.bincount(first.argmax(1), minlength=10).double() / PAIRS
        return {
            "pairs": _agreement(first, second),
            "top_plain": float(first.max(1).values.mean()),
            "top_other": float(second.max(1).values.mean()),
            "smallest_class": float(shares.min()),
            "reader": reader_is_right(scale) if domain == "edge" else None,
            "ruled": _agreement(first, read_edges(_ruled(plain), scale)) if domain == "edge" else None,
        }

    return run


def _agreement(one: Tensor, other: Tensor) -> float:
    return float((one.argmax(1) == other.argmax(1)).double().mean())


def _ruled(images: Tensor) -> Tensor:
    """The edges that the rule takes of images in [-1, 1]: what a perfect other half would be."""
    return torch.from_numpy(edge(to_uint8(images).numpy())).float() / 127.5 - 1


COUPLED = {"negative": 80_000, "edge": 640_000}
"""Lengths of the runs: thin lines are harder to draw than digits."""


def read_negatives(images: Tensor, scale: float) -> Tensor:
    """The independent judge's probabilities (N, 10) of negatives, inverted again."""
    return independent.look(independent.load_judge(), (-images).split(500))[1]


def read_edges(images: Tensor, scale: float) -> Tensor:
    """Probabilities (N, 10) of edges by a reader of their own."""
    reader = edge_reader(scale)
    with torch.no_grad():
        return torch.cat([reader(part).softmax(1) for part in images.split(500)])


READERS = {"negative": read_negatives, "edge": read_edges}


@lru_cache(1)
def edge_reader(scale: float) -> nn.Module:
    """A small convolutional classifier of the edges of MNIST's training images; four passes over 60,000 images.

    It sees them shifted by up to three pixels and with noise, so that it reads those that are not quite as they should
    be, as LeNet reads digits: a reader that only knows clean edges disagrees with LeNet about fakes whose edges the
    rule itself has drawn.
    """
    torch.manual_seed(0)
    reader = nn.Sequential(
        nn.Conv2d(1, 16, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(32 * 49, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    images, labels = edges("train")
    optimizer = torch.optim.Adam(reader.parameters(), 2e-3)
    count = max(2000, round(len(images) * min(1.0, scale * 10)))
    for rate in (2e-3, 2e-3, 1e-3, 3e-4):
        optimizer.param_groups[0]["lr"] = rate
        for rows in torch.randperm(count).split(100):
            shown = augment(images[rows].float() / 127.5, ("translate",), 1.0) - 1  # zeros come in: black
            shown = shown + 0.5 * torch.rand(len(rows), 1, 1, 1) * torch.randn_like(shown)
            optimizer.zero_grad()
            F.cross_entropy(reader(shown), labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return reader.eval()


def edges(split: str) -> tuple[Tensor, Tensor]:
    """The edges of MNIST's images, bytes (N, 1, 28, 28), and their labels."""
    images, labels = stacked_mnist.digits(split)
    return torch.from_numpy(edge(np.asarray(images))), torch.from_numpy(np.array(labels))


def reader_is_right(scale: float) -> float:
    """Share of MNIST's test images whose edges the reader of edges reads as their label."""
    images, labels = edges("test")
    found = read_edges(images.float() / 127.5 - 1, scale).argmax(1)
    return float((found == labels).double().mean())


# ---- two-dimensional mixtures ----

ROUNDS, KEPT = 3000, 2500
BARE: dict[str, Any] = {"rate": 1e-3, "betas": (0.5, 0.999)}


def small(rounds: int, batch: int, width: int = 128) -> RunConfig:
    """A plain pair that loses modes: 2 -> 128 -> 128 -> 2 against 2 -> 128 -> 128 -> 1, non-saturating, no average."""
    return RunConfig(
        recipe="mixture-small",
        players={
            "generator": player("mlp", 32, hidden=(width, width), activation="relu", **BARE),
            "discriminator": player("mlp", 32, hidden=(128, 128), activation="leaky-relu", **BARE),
        },
        latent=LatentConfig(size=2),
        average=AverageConfig(half_life=constant(0.0)),
        health=HealthConfig(mode="off"),
        shape=(2, 1, 1),
        threads=1,
        channels_last=False,
        record_every=1 << 60,
        batch=batch,
        images=rounds * batch,
    )


@torch.no_grad()
def points(wired: Wired, count: int, seed: int) -> Tensor:
    """Samples (N, 2) of a run on a mixture, by the latents of its family."""
    found = families.family(wired.config)
    latent = found.latent(wired.config, families.options(found, wired.config))
    made: Tensor = wired.state.averages["generator"].network(latent(count, seeding.generator("judged", seed)))
    return made.flatten(1)


class Side(NamedTuple):
    """One side of a comparison: a game, further settings, and what the pair is made of."""

    game: str = "adversarial"
    given: tuple[str, ...] = ()
    width: int = 128
    batch: int = 64


@lru_cache(64)
def on_mixture(mixture: str, seed: int, scale: float, side: Side) -> tuple[int, float]:
    """Modes that the small pair finds, and its share of good samples."""
    config = small(max(10, round(ROUNDS * scale)), side.batch, side.width)
    config = apply(config.model_copy(update={"seed": seed, "game": side.game}), side.given)
    std = mixtures.STD[mixture]
    real, centres = mixtures.MAKERS[mixture](mixtures.POINTS, seeding.generator("points", seed), std=std)
    unit = float(real.std()) / mixtures.SPREAD
    wired = mixtures.wire_points(config, real / unit)
    with devices.computing(1, deterministic=True):
        for _ in loop(wired.state, wired.moves, wired.draw):
            pass
        found = mixtures.judge(points(wired, KEPT, seed) * unit, centres, std)
    return found["modes"], found["high_quality"]


def beside(one: Side, other: Side) -> Callable[[int, Path, float], Figures]:
    """Two sides on both mixtures from the same seed."""

    def run(seed: int, folder: Path, scale: float) -> Figures:
        figures: Figures = {}
        for mixture in ("ring", "grid"):
            for name, side in (("without", one), ("with", other)):
                found, good = on_mixture(mixture, seed, scale, side)
                figures |= {f"{mixture}_{name}": found, f"{mixture}_{name}_good": good}
            figures[f"{mixture}_more"] = (figures[f"{mixture}_with"] or 0) - (figures[f"{mixture}_without"] or 0)
        return figures

    return run


# ---- stacked digits ----

TRIPLES, STACKED = 20_000, 40_000
AS_LARGE = ("generator.network.capacity=8", "latent.size=48")
"""Of four generators that have as many parameters as the one."""
SMALL_STACK = ("data.image_size=[16,16]", "generator.network.capacity=16", "discriminator.network.capacity=4")


def stack(folder: Path, images: Tensor, seed: int = 0) -> Path:
    """Random triples of images (N, 1, H, W), bytes, as the channels of one; an array on disk."""
    rows = torch.randint(len(images), (TRIPLES, 3), generator=torch.Generator().manual_seed(seed))
    path = folder / "triples.npy"
    np.save(path, images[rows.flatten(), 0].view(TRIPLES, 3, *images.shape[2:]).numpy())
    return path


@lru_cache(64)
def on_stacked_mnist(seed: int, scale: float, recipe: str, given: tuple[str, ...]) -> tuple[int, float, float]:
    """Modes of 1,000 on stacked MNIST of 16 x 16 pixels, KL to even shares, and how certain the judge is of a digit."""
    images, _ = stacked_mnist.digits("train")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = stack(folder, torch.from_numpy(np.array(images)))
        made = trained(str(data), recipe, STACKED, seed, folder, scale, (*SETTINGS, *SMALL_STACK, *given))
    if pictures.wanted(seed, scale):
        pictures.samples(recipe, made.sample(64, seed=seed), 16)
    found = stacked_mnist.evaluate(made.samples(5000, seed=seed))
    return found["modes"], found["kl"], found["top_probability"]


def stacked_against_plain(recipe: str, given: tuple[str, ...] = ()) -> Callable[[int, Path, float], Figures]:
    """A recipe on stacked MNIST beside the recipe that it adds one thing to, from the same seed."""

    def run(seed: int, folder: Path, scale: float) -> Figures:
        without, even, sure = on_stacked_mnist(seed, scale, "dcgan", ())
        found, kl, surer = on_stacked_mnist(seed, scale, recipe, given)
        modes = {"without": without, "with": found, "more": found - without}
        return {**modes, "kl_without": even, "kl_with": kl, "top_without": sure, "top_with": surer}

    return run


# ---- f-GAN on Gaussians ----

FAR, STEPS = 1.0, 2000
TOLD = ("kl", "reverse-kl", "pearson", "squared-hellinger", "total-variation")
"""Divergences that have a closed form between Gaussians."""


class Shift(nn.Module):
    """Latents (N, 2) moved along the first axis: N((m, 0), I), of which m is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.tensor(FAR))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """(N, 2) to (N, 2, 1, 1)."""
        return (latent + self.place * latent.new_tensor([1.0, 0.0]))[:, :, None, None]


def shift(config: NetworkConfig, shape: tuple[int, int, int], latent: int, classes: int) -> nn.Module:
    """The generator of these runs."""
    return Shift()


def course(name: str, seed: int, steps: int, rate: float, far: float = FAR) -> Iterator[tuple[float, float]]:
    """After each round the bound, and the divergence that it bounds: N(0, I) against N((m, 0), I)."""
    judge = player("mlp", 32, hidden=(64, 64), activation="leaky-relu", rate=2e-3, betas=(0.0, 0.99))
    mover = player(f"{__name__}:shift", 1, rate=rate, optimizer="sgd")
    update = {"players": {"generator": mover, "discriminator": judge}, "game": "f-gan", "loss": f"f-{name}"}
    more = {"options": {"saturating": True}, "images": steps * 512, "record_every": 512, "seed": seed}
    wired = mixtures.wire_points(small(1, 512).model_copy(update=update | more), torch.zeros(1024, 2))
    source = seeding.generator("gaussians", seed)
    wired.draw = lambda position, count, attempt: Batch(torch.randn(count, 2, 1, 1, generator=source))
    network: Any = wired.state.players["generator"]
    closed = DIVERGENCES[name].gaussian
    assert closed is not None
    with torch.no_grad():
        network.place.fill_(far)
    with devices.computing(1, deterministic=True):
        for record in loop(wired.state, wired.moves, wired.draw):
            yield float(record.signals["discriminator/divergence"]), closed(abs(float(network.place.detach())))


def approach(seed: int, steps: int) -> NDArray[np.float64]:
    """Bound and divergence (N, 2) while the generator comes nearer, as means over a fiftieth of the rounds each."""
    seen = np.array(list(course("kl", seed, steps, 2.0 / steps, far=1.5)))[steps // 10 :]
    width = max(1, steps // 50)
    return seen[: len(seen) // width * width].reshape(-1, width, 2).mean(1)


def gaussians(seed: int, folder: Path, scale: float) -> Figures:
    """The bound of each divergence beside its closed form, at rest and while the generator comes nearer."""
    figures: Figures = {}
    steps = max(100, round(STEPS * scale))
    for name in TOLD:
        seen = np.array(list(course(name, seed, steps, 0.0)))[steps * 2 // 3 :]
        figures[name] = float(seen[:, 0].mean())
        figures[f"{name}_off"] = float(abs(seen[:, 0].mean() - seen[0, 1]) / seen[0, 1])
    moving = approach(seed, steps)
    if pictures.wanted(seed, scale):
        pictures.bound(moving)
    figures["tracked"] = float(np.corrcoef(*moving.T)[0, 1])
    figures["worst_off"] = max(value for key, value in figures.items() if key.endswith("_off") and value is not None)
    return figures


# ---- the list ----


def _pairs(domain: str) -> Exam:
    figures = (
        Figure("pairs", "share of pairs in which the judges read the same digit", "90 %", 0.9),
        Figure("top_plain", "mean top probability of the plain half"),
        Figure("top_other", f"mean top probability of the {domain} half"),
    )
    images = COUPLED[domain]
    return Exam(f"cogan-{domain}", "CoGAN", f"MNIST and its {domain}", images, coupled(domain, images), figures)


def _on_mixtures(name: str, family: str, one: Side, other: Side, ring: str, grid: str) -> Exam:
    figures = (
        Figure("ring_without", "ring: modes of 8 without it"),
        Figure("ring_with", "ring: modes of 8 with it", ring),
        Figure("ring_more", "ring: modes more, same seed", "more than 0", 1),
        Figure("grid_without", "grid: modes of 25 without it"),
        Figure("grid_with", "grid: modes of 25 with it", grid),
        Figure("grid_more", "grid: modes more, same seed", "more than 0", 1),
    )
    return Exam(name, family, "ring of 8, grid of 25", ROUNDS * one.batch, beside(one, other), figures)


def _stacked(name: str, family: str, data: str, run: Callable[[int, Path, float], Figures], goal: str) -> Exam:
    figures = (
        Figure("without", "modes of 1,000 without it"),
        Figure("with", "modes of 1,000 with it", goal),
        Figure("more", "modes more, same seed", "more than 0", 1),
        Figure("kl_without", "KL to even shares without it"),
        Figure("kl_with", "KL to even shares with it"),
        Figure("top_without", "mean top probability of a digit without it"),
        Figure("top_with", "mean top probability of a digit with it"),
    )
    return Exam(name, family, data, STACKED, run, figures)


PLAIN = Side()
NEAR = ("options.real=0", "options.fake=0", "options.latent=1", "options.variety=0.05")
"""Of points: there is nothing to shift, and what is unbounded is driven apart without end at the weight for images."""
OPPOSITE = Side("unrolled", ("options.steps=0",), batch=256)
KEEPERS: dict[str, tuple[str, str, Side, Side, str, str]] = {
    "pacgan": ("PacGAN", "pacgan", PLAIN, Side(given=("packing=2",)), "7.9 instead of 6.3", "23.8 instead of 17.3"),
    "consistency": ("bCR and zCR", "consistency", PLAIN, Side("consistency", NEAR), "", ""),
    "feature-matching": (
        "feature matching", "feature-matching", PLAIN, Side(given=("feature_matching=0.1",)), "", ""
    ),
    "minibatch-discrimination": (
        "minibatch discrimination", "minibatch-discrimination", PLAIN,
        Side(given=("discriminator.network.minibatch_discrimination=true",)), "", "",
    ),
    "unrolled": (
        "unrolled GAN", "unrolled", OPPOSITE, Side("unrolled", ("options.steps=3",), batch=256), "all 8 (Metz)", ""
    ),
}  # fmt: skip
"""What keeps modes: its name, recipe, both sides on the mixtures, and the published figures."""
DIGITS_16 = "stacked MNIST, 16 x 16"

EXAMS: tuple[Exam, ...] = (
    _pairs("negative"),
    _pairs("edge"),
    _on_mixtures(
        "mad-gan-mixtures", "MAD-GAN", PLAIN, Side("mad-gan", ("options.generators=4",), width=64), "", "more than one"
    ),
    _stacked("mad-gan-stacked", "MAD-GAN", DIGITS_16, stacked_against_plain("mad-gan", AS_LARGE), "more than one"),
    Exam(
        "f-gan-gaussians", "f-GAN", "two Gaussians at distance 1", STEPS * 512, gaussians,
        (
            *(Figure(name, f"bound on {name}", f"{DIVERGENCES[name].gaussian(FAR):.4f}") for name in TOLD),  # type: ignore[misc]
            Figure("worst_off", "largest relative distance from the closed form", "5 %", 0.05, higher=False),
            Figure("tracked", "correlation with the closed form as the generator moves", ".95", 0.95),
        ),
    ),
    *(
        _on_mixtures(f"{name}-mixtures", family, one, other, ring, grid)
        for name, (family, _, one, other, ring, grid) in KEEPERS.items()
    ),
    *(
        _stacked(f"{name}-stacked", family, DIGITS_16, stacked_against_plain(recipe), "")
        for name, (family, recipe, *_) in KEEPERS.items()
    ),
)  # fmt: skip
