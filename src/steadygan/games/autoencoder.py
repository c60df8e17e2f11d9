"""Autoencoders whose latents follow the prior: by a discriminator's doing, or by a divergence in closed form.

Papers: Makhzani et al. 2015, Adversarial Autoencoders; Kingma and Welling 2014, Auto-Encoding Variational Bayes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from steadygan.config import RunConfig, Settings
from steadygan.game.move import Move, Play, Term, Terms, move
from steadygan.games import encoding
from steadygan.games.adversarial import Judge, note_images, separation
from steadygan.games.family import Family, Kit, generator
from steadygan.games.latents import Latent
from steadygan.networks import build_latent_discriminator
from steadygan.objectives.encoding import normal_divergence, squared_error


class AdversarialOptions(Settings):
    """Settings that only the adversarial autoencoder has."""

    prior: float = Field(0.01, ge=0.0)
    """Weight of the encoder's wish that its latents be taken for the prior's, beside the mean square error."""
    stochastic: bool = False
    """The encoder gives a normal law of latents for each image instead of one latent."""


class VariationalOptions(Settings):
    """Settings that only the variational autoencoder has."""

    prior: float = Field(1e-3, ge=0.0)
    """Weight of the divergence from the prior, in nats, beside the mean square error: ``2 s^2 / values of an image``
    for pixels with normal noise of standard deviation s."""

    @property
    def stochastic(self) -> bool:
        """Its encoder always gives laws."""
        return True


@dataclass(frozen=True)
class Autoencoder:
    """The discriminator learns to tell encoded images from the prior; encoder and generator to bring images back.

    ``x' = G(E(x))``; the encoder also wants ``E(x)`` to be taken for a latent of the prior.
    """

    kit: Kit

    def moves(self) -> tuple[Move, ...]:
        """The discriminator's move, then that of encoder and generator, which goes on with the encodings made."""
        builds = ("encoder",) if self.kit.config.share_fakes else ()
        return (
            move("discriminator", ("discriminator",), self.tell, steps="steps.discriminator", builds=builds),
            move("generator", ("encoder", "generator"), self.bring_back, steps="steps.generator"),
        )

    def tell(self, play: Play) -> Terms:
        """What the discriminator wants: latents of the prior apart from those of images."""
        game, label = self.kit.adversarial, self._label(play)
        prior, latent = self._latents(play, label)
        if game.share_fakes:
            play.shared[f"prior.{play.part}"], play.shared[f"latent.{play.part}"] = prior, latent
            play.shared[f"real.{play.part}"] = play.batch.real
        real, fake = _as_maps(prior), _as_maps(latent.detach())
        judge = Judge(play.players["discriminator"], label, real, fake, deep=False)
        terms = game.penalise(play, judge, real, fake)
        real_logits, fake_logits = judge(real), judge(fake)
        _note_latents(play, real_logits, fake_logits)
        terms["discriminator/loss"] = Term(game.loss.discriminator(real_logits, fake_logits))
        return terms | game.on_weights(play, "discriminator")

    def bring_back(self, play: Play) -> Terms:
        """What encoder and generator want: the images back, and latents that are taken for the prior's."""
        game, label = self.kit.adversarial, self._label(play)
        prior = play.shared.pop(f"prior.{play.part}", None)
        if prior is None:
            real = play.batch.real
            prior, latent = self._latents(play, label)
        else:
            real, latent = play.shared.pop(f"real.{play.part}"), play.shared.pop(f"latent.{play.part}")
        made = play.players["generator"](latent, label)
        judge = Judge(play.players["discriminator"], label, deep=False)
        fake_logits = judge(_as_maps(latent))
        with torch.no_grad():
            real_logits = judge(_as_maps(prior)) if game.loss.paired else torch.zeros_like(fake_logits)
        note_images(play, made)
        terms = {
            "generator/loss": Term(squared_error(real, made)),
            "encoder/loss": Term(game.loss.generator(real_logits, fake_logits), play.controls["prior"]),
        }
        return terms | game.on_weights(play, "generator") | game.on_weights(play, "encoder")

    def _latents(self, play: Play, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Latents (N, Z) of the prior, and of the batch's images."""
        prior = self.kit.adversarial.latent(len(play.batch.real), play.device).to(play.batch.real.dtype)
        return prior, encoding.law(play, label).drawn()

    def _label(self, play: Play) -> Tensor | None:
        return play.batch.label if self.kit.adversarial.conditional else None


@dataclass(frozen=True)
class VariationalAutoencoder:
    """Encoder and generator raise the bound on the images' likelihood; nobody judges.

    ``mean (x - G(z))^2 + weight * KL(N(m(x), s(x)^2) || N(0, I))``, z drawn of that law.
    """

    kit: Kit

    def moves(self) -> tuple[Move, ...]:
        """One move for both."""
        return (move("generator", ("encoder", "generator"), self.bring_back, steps="steps.generator"),)

    def bring_back(self, play: Play) -> Terms:
        """What both want: the images back, and laws near the prior."""
        game = self.kit.adversarial
        label = play.batch.label if game.conditional else None
        law = encoding.law(play, label)
        assert law.log_variance is not None  # as the options have it
        made = play.players["generator"](law.drawn(), label)
        note_images(play, made)
        terms = {
            "generator/loss": Term(squared_error(play.batch.real, made)),
            "encoder/loss": Term(normal_divergence(law.mean, law.log_variance), play.controls["prior"]),
        }
        return terms | game.on_weights(play, "generator") | game.on_weights(play, "encoder")


def discriminator(config: RunConfig, options: Any, latent: Latent) -> nn.Module:
    """The discriminator of latents that the settings name."""
    return build_latent_discriminator(config.players["discriminator"].network, latent.size, config.classes)


def _note_latents(play: Play, prior_logits: Tensor, latent_logits: Tensor) -> None:
    """Signals from the logits, under names of their own: those of reals and fakes are said of images."""
    with torch.no_grad():
        play.note("discriminator/prior_logits", prior_logits.mean())
        play.note("discriminator/latent_logits", latent_logits.mean())
        if play.measured:
            play.note("discriminator/latent_separation", separation(prior_logits, latent_logits))


def _as_maps(latent: Tensor) -> Tensor:
    """Latents (N, Z) as the discriminators take them, (N, Z, 1, 1)."""
    return latent[:, :, None, None]


ADVERSARIAL_AUTOENCODER = Family(
    lambda kit: Autoencoder(kit).moves(),
    options=AdversarialOptions,
    players={"encoder": encoding.encoder, "generator": generator, "discriminator": discriminator},
    averages=encoding.AVERAGES,
    judge=None,
    encode=encoding.encode,
    controls=lambda config, options: {"prior": (options.prior, 0.0, float("inf"))},
    knobs=frozenset({"penalties"}),
    check=lambda config, options, data: encoding.check(config),
)

VARIATIONAL_AUTOENCODER = Family(
    lambda kit: VariationalAutoencoder(kit).moves(),
    options=VariationalOptions,
    players={"encoder": encoding.encoder, "generator": generator},
    averages=encoding.AVERAGES,
    judge=None,
    encode=encoding.encode,
    controls=lambda config, options: {"prior": (options.prior, 0.0, float("inf"))},
    knobs=frozenset(),
    check=lambda config, options, data: encoding.check(config),
)
