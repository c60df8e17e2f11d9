"""Exam of the unrolled GAN on its own ring: the setting of Metz et al. 2017 (appendix A), with and without answers.

Eight Gaussians of standard deviation .02 on a circle of radius 2; the generator is 256-128-128-2 and learns with a rate
of 1e-3, the discriminator is 2-128-1 on a quarter of its input and learns with 1e-4, both by Adam with β1 = .5, ReLU,
orthogonal weights times .8 and batches of 512, here for half of the paper's 25,000 rounds. The answers are Adam's, of
the same rate. What is judged is the end of the run and twenty places on the way, since a generator that runs from mode
to mode may be anywhere at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import family_variety_pictures as pictures
import mixtures
from family_exam import Exam, Figure, Figures
from family_variety import KEPT, points, small
from torch import Tensor, nn

from steadygan.config import LatentConfig, NetworkConfig, RunConfig
from steadygan.game.loop import loop
from steadygan.networks.initialisations import weighted_layers
from steadygan.networks.mlp import mlp_discriminator, mlp_generator
from steadygan.recipes.parts import player
from steadygan.runtime import devices, seeding

ROUNDS, BATCH, ANSWERS, LOOKS = 12_500, 512, 5, 20
RADIUS, STD, NEAR = 2.0, 0.02, 0.3
"""Of the ring; and how far from a centre a sample may lie: a fifth of the way to the next."""


class Scaled(nn.Module):
    """Its input times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        """The same shape."""
        return values * self.factor


def _orthogonal(network: Any) -> Any:
    for layer in weighted_layers(network):
        nn.init.orthogonal_(layer.weight, 0.8)
    return network


def generator(config: NetworkConfig, shape: tuple[int, int, int], latent: int, classes: int) -> nn.Module:
    """The paper's."""
    network: nn.Module = _orthogonal(mlp_generator(config, shape, latent, classes))
    return network


def discriminator(config: NetworkConfig, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The paper's, which looks at a quarter of its input."""
    network = _orthogonal(mlp_discriminator(config, shape, classes))
    network.body.layers.insert(0, Scaled(0.25))
    made: nn.Module = network
    return made


def config_of(answers: int, rounds: int, seed: int) -> RunConfig:
    """The paper's game with so many answers; 0 is the game of opposite interests."""
    given: dict[str, Any] = {"activation": "relu", "betas": (0.5, 0.999)}
    players = {
        "generator": player(f"{__name__}:generator", 32, hidden=(128, 128), rate=1e-3, **given),
        "discriminator": player(f"{__name__}:discriminator", 32, hidden=(128,), rate=1e-4, **given),
    }
    options = {"steps": answers, "rate": 1e-4, "answers": "adam"}
    update = {"players": players, "latent": LatentConfig(size=256), "game": "unrolled", "options": options}
    return small(rounds, BATCH).model_copy(update={**update, "recipe": "unrolled-ring", "seed": seed})


def play(answers: int, seed: int, rounds: int) -> list[tuple[int, float, Tensor]]:
    """At each look modes of 8 that a hundredth of the samples is near, the share of samples near any, and samples."""
    real, centres = mixtures.MAKERS["ring"](mixtures.POINTS, seeding.generator("points", seed), std=STD / RADIUS)
    wired, found = mixtures.wire_points(config_of(answers, rounds, seed), RADIUS * real), []
    every = max(1, rounds // LOOKS)
    with devices.computing(1, deterministic=True):
        for record in loop(wired.state, wired.moves, wired.draw):
            if record.round % every == 0:
                samples = points(wired, KEPT, seed)
                found.append((*near(samples, RADIUS * centres), samples))
    return found


def near(samples: Tensor, centres: Tensor) -> tuple[int, float]:
    """How many centres have a hundredth of the samples (N, 2) within ``NEAR``, and the share of all."""
    distance, nearest = (samples[:, None] - centres[None]).norm(dim=2).min(1)
    good = distance <= NEAR
    counts = nearest[good].bincount(minlength=len(centres))
    return int((counts >= len(samples) / 100).sum()), float(good.double().mean())


def beside(seed: int, folder: Path, scale: float) -> Figures:
    """With and without answers, from the same seed."""
    figures: Figures = {}
    rounds = max(LOOKS, round(ROUNDS * scale))
    for name, answers in (("without", 0), ("with", ANSWERS)):
        seen = play(answers, seed, rounds)
        later = seen[len(seen) // 2 :]
        figures[f"modes_{name}"] = seen[-1][0]
        figures[f"least_{name}"] = min(modes for modes, _, _ in later)
        figures[f"near_{name}"] = seen[-1][1]
        if pictures.wanted(seed, scale):
            pictures.course(f"unrolled-ring-{name}", [samples for _, _, samples in seen[3::4]], 1.5 * RADIUS)
    return figures


EXAMS = (
    Exam(
        "unrolled-ring",
        "unrolled GAN, Adam's answers",
        "its paper's ring of 8",
        ROUNDS * BATCH,
        beside,
        (
            Figure("modes_without", "modes of 8 without answers, at the end"),
            Figure("modes_with", f"modes of 8 with {ANSWERS}", "all 8 (Metz)", 8),
            Figure("least_without", "fewest modes in the second half without answers"),
            Figure("least_with", f"fewest modes in the second half with {ANSWERS}"),
            Figure("near_without", "samples near a mode without answers"),
            Figure("near_with", f"samples near a mode with {ANSWERS}"),
        ),
        seeds=1,
    ),
)
"""Exams of this module."""
