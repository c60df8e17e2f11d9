"""AC-GAN: the discriminator also says which class an image is of, and the generator wants it to be right."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional

from steadygan.config import RunConfig, Scheduled, Settings, constant
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play, Term, Terms
from steadygan.games.adversarial import Seen
from steadygan.games.family import KNOBS, Family, Kit, Knob, check_reader, generator, read_classes, reading


class Options(Settings):
    """What only this game has."""

    class_weight: Scheduled = constant(1.0)
    """Weight of the class terms beside the adversarial loss, for both players; the paper's is 1."""


@dataclass(frozen=True)
class Classes:
    """The auxiliary classifier's terms, as extra terms of the standard game."""

    def tell(self, play: Play, seen: Seen) -> Terms:
        """The discriminator's: ``-log P(label | image)`` of reals and of fakes; (N,) each."""
        weight = play.controls["class_weight"]
        if weight <= 0:
            return {}
        return {
            "auxiliary/class_of_real": Term(_surprise(seen, seen.real), weight),
            "auxiliary/class_of_fake": Term(_surprise(seen, seen.fake), weight),
        }

    def be_told(self, play: Play, seen: Seen) -> Terms:
        """The generator's: ``-log P(label | image)`` of its fakes; (N,)."""
        weight = play.controls["class_weight"]
        return {"auxiliary/class": Term(_surprise(seen, seen.fake), weight)} if weight > 0 else {}


def _surprise(seen: Seen, images: Tensor) -> Tensor:
    assert seen.label is not None  # as the check has seen to
    return functional.cross_entropy(seen.judge.outputs(images), seen.label, reduction="none")


def moves(kit: Kit) -> tuple[Move, ...]:
    """The standard game with the terms of the auxiliary classifier."""
    terms = Classes()
    return replace(kit.adversarial, extras={"discriminator": (terms.tell,), "generator": (terms.be_told,)}).moves()


def controls(config: RunConfig, options: Options) -> dict[str, Knob]:
    """The weight of the class terms."""
    return {"class_weight": (options.class_weight, 0.0, float("inf"))}


def check(config: RunConfig, options: Options, data: DataSet) -> None:
    """Raise SteadyganError where the generator is not asked for classes, or the discriminator is told them."""
    check_reader(config)
    if not config.players["generator"].network.conditional:
        raise SteadyganError(
            f"the generator of the game {config.game!r} must be asked for a class",
            "set generator.network.conditional=true",
        )


ACGAN = Family(
    moves,
    Options,
    players={"generator": generator, "discriminator": reading(lambda config, options: config.classes)},
    averages=("generator", "discriminator"),
    classify=read_classes,
    controls=controls,
    knobs=KNOBS - {"auxiliary"},
    check=check,
)
"""Paper: Odena et al. 2017, Conditional Image Synthesis with Auxiliary Classifier GANs."""
