"""Pairs of an image and a latent: made by the generator from a latent, or by the encoder from an image.

Papers: Donahue et al. 2017, Adversarial Feature Learning; Dumoulin et al. 2017, Adversarially Learned Inference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steadygan.config import RunConfig, Settings
from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play, Term, Terms, move
from steadygan.games import encoding
from steadygan.games.adversarial import Judge, note_images, note_logits
from steadygan.games.family import Family, Kit, Players, generator, shape
from steadygan.games.latents import Latent
from steadygan.networks import build_pair_discriminator, pair
from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss


class Options(Settings):
    """Settings that only this family has."""

    stochastic: bool = False
    """The encoder gives a normal law of latents for each image (ALI) instead of one latent (BiGAN)."""


@dataclass(frozen=True)
class Pairs:
    """The discriminator tells (x, E(x)) from (G(z), z); generator and encoder want either taken for the other.

    Where neither can be told, E inverts G. What the discriminator sees is augmented and noised as in the standard game.
    """

    kit: Kit

    def moves(self) -> tuple[Move, ...]:
        """The discriminator's move, then that of encoder and generator, which goes on with the pairs made."""
        builds = ("encoder", "generator") if self.kit.config.share_fakes else ()
        return (
            move("discriminator", ("discriminator",), self.tell, steps="steps.discriminator", builds=builds),
            move("generator", ("encoder", "generator"), self.be_taken, steps="steps.generator"),
        )

    def tell(self, play: Play) -> Terms:
        """What the discriminator wants: pairs from images apart from pairs from latents."""
        game, label = self.kit.adversarial, self._label(play)
        kept = self._pairs(play, label)
        if game.share_fakes:
            play.shared[f"real.{play.part}"], play.shared[f"fake.{play.part}"] = kept
        real, fake = (pairs.detach() for pairs in kept)
        judge = Judge(play.players["discriminator"], label, real, fake, deep=False)
        terms = game.penalise(play, judge, real, fake)
        real_logits, fake_logits = judge(real), judge(fake)
        note_logits(play, real_logits, fake_logits)
        terms["discriminator/loss"] = Term(game.loss.discriminator(real_logits, fake_logits))
        return terms | game.on_weights(play, "discriminator")

    def be_taken(self, play: Play) -> Terms:
        """What generator and encoder want: each that its pairs be taken for the other's.

        The encoder's is the generator's with the sides swapped: ``L_G(-fake_logits, -real_logits)``.
        """
        game, label = self.kit.adversarial, self._label(play)
        real, fake = play.shared.pop(f"real.{play.part}", None), play.shared.pop(f"fake.{play.part}", None)
        if real is None or fake is None:
            real, fake = self._pairs(play, label)
        judge = Judge(play.players["discriminator"], label, deep=False)
        real_logits, fake_logits = judge(real), judge(fake)
        terms = {
            "generator/loss": Term(game.loss.generator(real_logits, fake_logits)),
            "encoder/loss": Term(game.loss.generator(-fake_logits, -real_logits)),
        }
        return terms | game.on_weights(play, "generator") | game.on_weights(play, "encoder")

    def _pairs(self, play: Play, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Pairs from the batch's images and from new latents, with the graphs of those who made them."""
        game = self.kit.adversarial
        encoded = encoding.law(play, label).drawn()
        latent, made = game.fakes(play, label)
        note_images(play, made)
        return pair(game.shown(play, play.batch.real), encoded), pair(game.shown(play, made), latent)

    def _label(self, play: Play) -> Tensor | None:
        return play.batch.label if self.kit.adversarial.conditional else None


def discriminator(config: RunConfig, options: Any, latent: Latent) -> nn.Module:
    """The discriminator of pairs that the settings name."""
    network = config.players["discriminator"].network
    return build_pair_discriminator(network, shape(config), latent.size, config.classes)


def judge(players: Players, images: Tensor, label: Tensor | None) -> Tensor:
    """Logits (N,) of images beside what the encoder makes of them."""
    logits: Tensor = players["discriminator"](pair(images, players["encoder"](images, label)), label)
    return logits


def check(config: RunConfig) -> None:
    """Raise SteadyganError for settings that do not fit, and for a loss whose sides cannot be swapped."""
    encoding.check(config)
    loss = ADVERSARIAL_LOSSES.get(config.loss)
    if loss is not None and not swaps(loss):
        fit = ", ".join(name for name, other in ADVERSARIAL_LOSSES.items() if swaps(other))
        raise SteadyganError(f"the loss {config.loss!r} does not treat both kinds of pairs alike", f"choose from {fit}")


def swaps(loss: AdversarialLoss) -> bool:
    """Whether the discriminator's loss stays the same when both sides swap and the logits change their sign."""
    real, fake = torch.tensor([-2.0, -0.3, 0.0, 1.7]), torch.tensor([0.4, -1.1, 3.0, 0.2])
    return torch.allclose(loss.discriminator(real, fake), loss.discriminator(-fake, -real), atol=1e-6)


BIGAN = Family(
    lambda kit: Pairs(kit).moves(),
    options=Options,
    players={"encoder": encoding.encoder, "generator": generator, "discriminator": discriminator},
    averages=encoding.AVERAGES,
    judge=judge,
    encode=encoding.encode,
    knobs=frozenset({"penalties", "augmentation", "instance_noise"}),
    check=lambda config, options, data: check(config),
)
