"""A variational autoencoder whose images are compared in the features of a discriminator, which judges them too.

Paper: Larsen et al. 2016, Autoencoding beyond pixels using a learned similarity metric.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import Field
from torch import Tensor

from steadygan.config import Settings
from steadygan.game.move import Goal, Move, Play, Term, Terms
from steadygan.games import encoding
from steadygan.games.adversarial import Seen
from steadygan.games.family import KNOBS, Family, Kit, discriminator, generator
from steadygan.objectives.encoding import normal_divergence, squared_error

SHARED = ("back", "mean", "spread", "real")
"""What the discriminator's move leaves for the other players' in ``Play.shared``."""


class Options(Settings):
    """Settings that only this family has."""

    prior: float = Field(3e-3, ge=0.0)
    """Weight of the divergence of the encoder's laws from the prior, in nats."""
    similarity: float = Field(1.0, ge=0.0)
    """Weight of the mean square error of the discriminator's features."""
    pixels: float = Field(0.0, ge=0.0)
    """Weight of the mean square error of the pixels; the paper has none."""

    @property
    def stochastic(self) -> bool:
        """Its encoder always gives laws."""
        return True


@dataclass(frozen=True)
class Similar:
    """The standard game, in which the generator also brings encoded images back, and the encoder learns with it.

    The discriminator takes images that are brought back for fakes, like those from latents of the prior. Generator and
    encoder want ``D_f(G(z)) = D_f(x)`` in its features f, z drawn of the encoder's law, and laws near the prior.
    """

    kit: Kit

    def moves(self) -> tuple[Move, ...]:
        """The standard game's moves, with the encoder beside the generator."""
        extras = {"discriminator": (self.tell,), "generator": (self.bring_back,)}
        game = replace(self.kit.adversarial, extras=extras)
        tell, believed = game.moves()
        learners = ("encoder", "generator")
        return (
            replace(tell, builds=learners if game.share_fakes else ()),
            replace(believed, goals=(Goal(learners, believed.goals[0].wants),)),
        )

    def tell(self, play: Play, seen: Seen) -> Terms:
        """The discriminator's further wish: to know images that were brought back for fakes."""
        made = self._back(play, seen.label)
        if self.kit.adversarial.share_fakes:
            for name, value in zip(SHARED, (*made, play.batch.real), strict=True):
                play.shared[f"{name}.{play.part}"] = value
        loss = self.kit.adversarial.loss
        values = loss.discriminator(seen.judge(seen.real), seen.judge(seen.show(made[0].detach())))
        return {"discriminator/back": Term(values)}

    def bring_back(self, play: Play, seen: Seen) -> Terms:
        """What generator and encoder want besides: images that come back alike, and laws near the prior."""
        if f"{SHARED[0]}.{play.part}" in play.shared:
            back, mean, log_variance, real = (play.shared.pop(f"{name}.{play.part}") for name in SHARED)
        else:
            real = play.batch.real
            back, mean, log_variance = self._back(play, seen.label)
        weights = play.controls
        wanted, found = seen.judge.features(real).detach(), seen.judge.features(back)
        alike = squared_error(wanted.to(real.dtype), found.to(real.dtype))
        terms = {
            "encoder/loss": Term(normal_divergence(mean, log_variance), weights["prior"]),
            "auxiliary/similarity": Term(alike, weights["similarity"]),
            "auxiliary/pixels": Term(squared_error(real, back), weights["pixels"]),
        }
        return terms | self.kit.adversarial.on_weights(play, "encoder")

    def _back(self, play: Play, label: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The batch's images brought back from a latent of each one's law, and the laws."""
        law = encoding.law(play, label)
        assert law.log_variance is not None  # as the options have it
        made = play.players["generator"](law.drawn(), label)
        return made.to(play.batch.real.dtype), law.mean, law.log_variance


VAE_GAN = Family(
    lambda kit: Similar(kit).moves(),
    options=Options,
    players={"encoder": encoding.encoder, "generator": generator, "discriminator": discriminator},
    averages=encoding.AVERAGES,
    encode=encoding.encode,
    controls=lambda config, options: {
        name: (getattr(options, name), 0.0, float("inf")) for name in ("prior", "similarity", "pixels")
    },
    knobs=KNOBS - {"auxiliary"},
    check=lambda config, options, data: encoding.check(config, flips=True),
)
