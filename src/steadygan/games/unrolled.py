"""Unrolling: the generator looks at how the discriminator would answer, and learns through the answer (Metz 2017)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

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

BETAS, TINY = (0.5, 0.999), 1e-16
"""Of answers by Adam: the paper's, and what is added to the squares, so that the root has a derivative everywhere."""

Slopes = dict[str, Tensor]
"""Weights, or what belongs to each of them, by name."""

Answer = Callable[[Slopes, Slopes], Slopes]
"""From weights and the slopes of the loss in them to the weights after a step."""


class Options(Settings):
    """What only this game has."""

    steps: int = Field(5, ge=0, le=50)
    """Answers of the discriminator that the generator looks ahead; 0 is the game of opposite interests."""
    rate: float = Field(0.003, gt=0.0, le=100.0)
    """Step size of such an answer on the discriminator's loss."""
    answers: Literal["descent", "adam"] = "descent"
    """How it answers: by plain descent, or by Adam as the paper has it, with β of .5 and .999."""


@dataclass
class Descent:
    """Plain descent: ``θ - rate · g``."""

    rate: float

    def __call__(self, weights: Slopes, slopes: Slopes) -> Slopes:
        """The weights a step later."""
        return {name: value - self.rate * slopes[name] if name in slopes else value for name, value in weights.items()}


@dataclass
class Adam:
    """Adam, with all derivatives: ``m ← β₁ m + (1 - β₁) g``, ``v ← β₂ v + (1 - β₂) g²``, ``θ - rate · m̂ / √v̂``.

    ``mean``, ``square`` and ``count`` are what it has seen so far; those of a round begin with what the discriminator
    has met in all rounds before, as its own optimizer does.
    """

    rate: float
    mean: Slopes
    square: Slopes
    count: int

    def __call__(self, weights: Slopes, slopes: Slopes) -> Slopes:
        """The weights a step later."""
        self.count += 1
        one, two = 1 - BETAS[0] ** self.count, 1 - BETAS[1] ** self.count
        moved = dict(weights)
        for name, slope in slopes.items():
            self.mean[name] = torch.lerp(slope, self.mean.get(name, torch.zeros_like(slope)), BETAS[0])
            self.square[name] = torch.lerp(slope.square(), self.square.get(name, torch.zeros_like(slope)), BETAS[1])
            deviation = (self.square[name] / two + TINY).sqrt()
            moved[name] = weights[name] - self.rate * (self.mean[name] / one) / deviation
        return moved

    def remembered(self, memory: dict[str, Tensor]) -> None:
        """Keep what has been seen, for the next round."""
        kept = {"mean": self.mean, "square": self.square}
        memory |= {f"unrolled.{kind}.{name}": value.detach() for kind, of in kept.items() for name, value in of.items()}
        memory["unrolled.count"] = torch.tensor(self.count)

    @classmethod
    def recalled(cls, rate: float, memory: Mapping[str, Tensor]) -> Adam:
        """As it was kept; new in the first round."""
        mean, square = (
            {key.removeprefix(start): value for key, value in memory.items() if key.startswith(start)}
            for start in ("unrolled.mean.", "unrolled.square.")
        )
        return cls(rate, mean, square, int(memory.get("unrolled.count", 0)))


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
    adam: bool = False

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
            terms["matching/features"] = Term(self.game.match(play, judge, fake), matching)
        return terms | self.game.on_weights(play, "generator")

    def _answers(self, play: Play, discriminator: nn.Module, made: Tensor) -> nn.Module:
        label = play.batch.label if self.game.conditional else None
        weights = {name: value.detach().requires_grad_() for name, value in discriminator.named_parameters()}
        answer: Answer = Adam.recalled(self.rate, play.memory) if self.adam else Descent(self.rate)
        for step in range(self.steps):
            judge = Judge(Ahead(discriminator, weights), label, deep=False)
            real, fake = self.game.shown(play, play.batch.real), self.game.shown(play, made)
            loss = self.game.loss.discriminator(judge(real), judge(fake)).mean()
            found = torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True)
            slopes = {name: processes.mean(one) for name, one in zip(weights, found, strict=True) if one is not None}
            weights = answer(weights, slopes)
            if isinstance(answer, Adam) and step == 0 and play.part == 0:
                answer.remembered(play.memory)
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
    return Unrolled(kit.adversarial, options.steps, options.rate, options.answers == "adam").moves()


UNROLLED = Family(
    moves,
    Options,
    {"generator": generator, "discriminator": discriminator},
    knobs=KNOBS - {"spectrum_matching", "top_k"},
)
