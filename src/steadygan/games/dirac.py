"""The Dirac-GAN of Mescheder et al. 2018: the smallest game, with a closed form, on which engines are tested.

The data is a point at 0, the generator a point theta, the discriminator D(x) = psi x. Nothing is random but the noise
that may be asked for, so the engine must follow the hand-written recursion to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from steadygan.game.move import Goal, Move, Play, Term, Terms
from steadygan.objectives.adversarial import AdversarialLoss
from steadygan.objectives.auxiliary import instance_noise


class Point(nn.Module):
    """The generator: x = theta, whatever the latent."""

    def __init__(self, theta: float = 1.0) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float64))

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        return self.theta.expand(len(latent), 1)


class Slope(nn.Module):
    """The discriminator: D(x) = psi x."""

    def __init__(self, psi: float = 1.0) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(psi, dtype=torch.float64))

    def forward(self, images: Tensor, label: Tensor | None = None) -> Tensor:
        return (self.psi * images).flatten()


def dirac_moves(
    loss: AdversarialLoss,
    penalty: Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor] | None = None,
    *,
    simultaneous: bool = False,
    noise: float = 0.0,
) -> tuple[Move, ...]:
    """Both goals as one move (simultaneous) or as two (alternating); the penalty's weight is ``penalty.dirac``.

    ``noise`` is the standard deviation of instance noise on reals and fakes, drawn anew for each goal.
    """

    def tell(play: Play) -> Terms:
        judge, real = play.players["discriminator"], instance_noise(play.batch.real, noise)
        fake = instance_noise(play.players["generator"](real).detach(), noise)
        terms = {"discriminator/loss": Term(loss.discriminator(judge(real), judge(fake)))}
        if penalty is not None:
            terms["penalty/dirac"] = Term(penalty(judge, real, fake), play.controls["penalty.dirac"])
        return terms

    def be_believed(play: Play) -> Terms:
        judge, real = play.players["discriminator"], instance_noise(play.batch.real, noise)
        fake = instance_noise(play.players["generator"](real), noise)
        return {"generator/loss": Term(loss.generator(judge(real), judge(fake)))}

    discriminator = Goal(("discriminator",), tell)
    generator = Goal(("generator",), be_believed)
    if simultaneous:
        return (Move("both", (discriminator, generator)),)
    return (Move("discriminator", (discriminator,)), Move("generator", (generator,)))
