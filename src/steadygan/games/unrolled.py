"""Unrolling: the generator looks at how the discriminator would answer, and learns through the answer (Metz 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.lazy import LazyModuleMixin

from steadygan.config import RunConfig, Settings
from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play, Term, Terms, move
from steadygan.games.adversarial import AdversarialGame, Judge
from steadygan.games.family import KNOBS, Family, Kit, generator
from steadygan.games.family import discriminator as plain_discriminator
from steadygan.games.latents import Latent
from steadygan.networks.normalisations import ReferenceBatch
from steadygan.runtime import processes

STATEFUL = (ReferenceBatch, nn.RNNBase, LazyModuleMixin)
"""Layers that keep something in themselves, out of reach of given parameters and buffers, or have no second
derivative everywhere."""


class Options(Settings):
    """What only this game has."""

    steps: int = Field(5, ge=0, le=50)
    """Answers of the discriminator that the generator looks ahead; 0 is the game of opposite interests."""
    rate: float = Field(0.003, gt=0.0, le=100.0)
    """Step size of such an answer, a plain descent on the discriminator's loss."""


class Part(nn.Module):
    """A network whose other methods, too, can be called with given weights."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, name: str, *given: Any) -> Any:
        """What the method ``name`` gives."""
        return getattr(self.network, name)(*given)


class Ahead(nn.Module):
    """A discriminator with other weights: used as the one it stands for, which stays as it is."""

    def __init__(self, network: nn.Module, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.calls = [Part(network)]  # in a list, so that its parameters are not this one's
        buffers = {f"network.{name}": value.clone() for name, value in network.named_buffers()}
        self.values = {f"network.{name}": value for name, value in weights.items()} | buffers

    def _call(self, name: str, *given: Any) -> Any:
        return functional_call(self.calls[0], self.values, (name, *given))

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits (N,)."""
        logits: Tensor = self._call("forward", images, label)
        return logits

    def features(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        """Last hidden features (N, F)."""
        features: Tensor = self._call("features", images, label)
        return features

    def head(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits (N,) of features (N, F)."""
        logits: Tensor = self._call("head", features, label)
        return logits


@dataclass(frozen=True)
class Unrolled:
    """The standard game but for the generator's move, which plays against the discriminator some answers later."""

    game: AdversarialGame
    steps: int
    rate: float

    def moves(self) -> tuple[Move, ...]:
        """The discriminator's move as ever, then the generator's."""
        tell, _ = self.game.moves()
        return tell, move("generator", ("generator",), self.be_believed, steps="steps.generator")

    def be_believed(self, play: Play) -> Terms:
        """The opposite of the discriminator's loss at its weights after ``steps`` answers, one value a sample.

        ``-L_D(θ_G, θ_K)`` with ``θ_{k+1} = θ_k - rate · ∇ L_D(θ_G, θ_k)``, all on the batch and on fakes of the very
        latents; the gradient goes through the answers too. Reals count, because the answers move their logits.
        """
        label = play.batch.label if self.game.conditional else None
        _, made = self.game.fakes_again(play, label)
        with torch.enable_grad():
            ahead = self._answers(play, play.players["discriminator"], made)
        real, fake = self.game.shown(play, play.batch.real), self.game.shown(play, made)
        matching = play.controls["feature_matching"]
        judge = Judge(ahead, label, real, fake, deep=matching > 0)
        terms = {"generator/loss": Term(-self.game.loss.discriminator(judge(real), judge(fake)))}
        if matching > 0:
            terms["auxiliary/feature_matching"] = Term(self.game.match(play, judge, fake), matching)
        return terms | self.game.on_weights(play, "generator")

    def _answers(self, play: Play, discriminator: nn.Module, made: Tensor) -> nn.Module:
        label = play.batch.label if self.game.conditional else None
        weights = {name: value.detach().requires_grad_() for name, value in discriminator.named_parameters()}
        for _ in range(self.steps):
            judge = Judge(Ahead(discriminator, weights), label, deep=False)
            real, fake = self.game.shown(play, play.batch.real), self.game.shown(play, made)
            loss = self.game.loss.discriminator(judge(real), judge(fake)).mean()
            slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True)
            weights = {
                name: value if slope is None else value - self.rate * processes.mean(slope)
                for (name, value), slope in zip(weights.items(), slopes, strict=True)
            }
        return Ahead(discriminator, weights)


def discriminator(config: RunConfig, options: Options, latent: Latent) -> nn.Module:
    """The discriminator that the settings name. Raises SteadyganError for a layer that cannot be unrolled."""
    network = plain_discriminator(config, options, latent)
    for name, layer in network.named_modules():
        if options.steps and isinstance(layer, STATEFUL):
            raise SteadyganError(
                f"the discriminator's layer {name!r} ({type(layer).__name__}) keeps a state and cannot be unrolled",
                "choose another normalisation or network, or set options.steps=0",
            )
    return network


def moves(kit: Kit) -> tuple[Move, ...]:
    """The standard game, unrolled."""
    options: Options = kit.options
    return Unrolled(kit.adversarial, options.steps, options.rate).moves()


UNROLLED = Family(
    moves,
    Options,
    {"generator": generator, "discriminator": discriminator},
    knobs=KNOBS - {"spectrum_matching", "top_k"},
)
