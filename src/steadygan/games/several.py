"""Several generators against one discriminator that tells which of them made a fake (Ghosh et al. 2018, MAD-GAN)."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from steadygan.config import RunConfig, Scheduled, Settings, constant
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play, Term, Terms
from steadygan.games.adversarial import Seen
from steadygan.games.family import Family, Kit, Knob, plain_latent, shape
from steadygan.games.latents import Code, Latent
from steadygan.networks import build_discriminator, build_generator
from steadygan.networks.several import Several


class Options(Settings):
    """What only this game has."""

    generators: int = Field(4, ge=2, le=64)
    """How many there are, each as large as the player's network says."""
    identification: Scheduled = constant(1.0)
    """Weight of the discriminator's telling them apart; 1 is the paper's."""


def latent(config: RunConfig, options: Options) -> Latent:
    """Noise, then one-hot the generator that it is for, the code ``generator``: they take turns."""
    noise, count = plain_latent(config, options), options.generators

    def draw(number: int, size: int, source: torch.Generator | None, device: torch.device | None) -> Tensor:
        values = noise(number, source, device)
        turns = torch.arange(number, device=device) % count
        return torch.cat([values, F.one_hot(turns, count).to(values.dtype)], 1)

    return Latent(noise.size + count, draw, {"generator": Code(noise.size, count)})


def generators(config: RunConfig, options: Options, latent: Latent) -> nn.Module:
    """All generators as one network."""
    network, noise = config.players["generator"].network, latent.size - options.generators
    return Several([build_generator(network, shape(config), noise, config.classes) for _ in range(options.generators)])


def discriminator(config: RunConfig, options: Options, latent: Latent) -> nn.Module:
    """A discriminator with an output a generator, and the logit tied to them: ``-log sum_i exp o_i``.

    That is the softmax over generators and reals of the paper, with the reals' output fixed at 0.
    """
    update = {"outputs": options.generators, "tied": True, "outputs_of": "fakes"}
    network = config.players["discriminator"].network.model_copy(update=update)
    return build_discriminator(network, shape(config), config.classes)


def identify(play: Play, seen: Seen) -> Terms:
    """The cross entropy of the generator that made a fake: with the non-saturating loss the paper's objective.

    ``softplus(v) + log sum exp o - o_i = -log p_i`` for the tied logit ``v``, where ``p`` is that softmax.
    """
    outputs = seen.judge.outputs(seen.fake)
    which = seen.latent[:, -outputs.shape[1] :].argmax(1)
    play.note("discriminator/identified", (outputs.argmax(1) == which).to(outputs.dtype).mean())
    values = F.cross_entropy(outputs, which, reduction="none")
    return {"discriminator/identification": Term(values, play.controls["identification"])}


def moves(kit: Kit) -> tuple[Move, ...]:
    """The standard game, in which the discriminator identifies."""
    return replace(kit.adversarial, extras={"discriminator": (identify,)}).moves()


def controls(config: RunConfig, options: Options) -> dict[str, Knob]:
    """The weight of identification."""
    return {"identification": (options.identification, 0.0, float("inf"))}


def check(config: RunConfig, options: Options, data: DataSet) -> None:
    """Raise SteadyganError for packs, or a batch in which a generator would make a single image."""
    if config.packing > 1:
        raise SteadyganError("a pack has images of several generators, so none made it", "set packing=1")
    batch = config.batch // config.accumulate
    if batch < 2 * options.generators:
        raise SteadyganError(
            f"{options.generators} generators share a batch of {batch}, less than two images each",
            f"set batch={2 * options.generators * config.accumulate} or more, or fewer options.generators",
        )


SEVERAL: Family = Family(
    moves,
    Options,
    {"generator": generators, "discriminator": discriminator},
    latent,
    controls=controls,
    check=check,
)
