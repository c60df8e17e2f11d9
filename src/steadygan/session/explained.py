"""What was found out about a run: figures and images, nothing of how they are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from steadygan.evaluation.path_length import PathLength
from steadygan.interpretability import atlas as maps
from steadygan.interpretability import attribution, dissection, inversion, robustness
from steadygan.interpretability.effects import Effect
from steadygan.interpretability.tracing import Layer


@dataclass(frozen=True)
class Walk:
    """Some samples along one direction: images (N, S, C, H, W) and the steps, in standard deviations."""

    effect: Effect
    images: Tensor
    steps: tuple[float, ...]


@dataclass(frozen=True)
class Found:
    """Directions with their effects.

    Attributes:
        effects: of the directions that were looked for.
        chance: of random directions.
        walks: along the best direction for each trait, by the trait's name.
        alone: the best for each trait of those that were found without being told what to look for.
        null: along the random direction that moves that trait most.
        spread: standard deviation of every trait over samples.
    """

    effects: tuple[Effect, ...]
    chance: tuple[Effect, ...]
    walks: dict[str, Walk]
    alone: dict[str, Effect]
    null: dict[str, Walk]
    spread: dict[str, float]


@dataclass(frozen=True)
class Dissected:
    """Units of one layer: by class, and where the strongest draw.

    ``proof`` is the class whose units prove themselves best, and ``shown`` (3, N, C, H, W) some of its samples: as they
    are, without its units, and without as many random ones; None without classes.
    """

    layer: Layer
    units: tuple[dissection.Units, ...]
    where: dissection.Where
    strongest: tuple[int, ...]
    proof: dissection.Units | None
    shown: Tensor | None


@dataclass(frozen=True)
class Reached:
    """Real images beside what the generator comes nearest to them with.

    Attributes:
        train: training images that were looked for.
        held_out: held-out ones, or None where the run kept none.
        fakes: error of the generator's own images, the least that the search can be asked for.
        gap: training against held-out images.
        classes: mean error by class, empty without labels.
        hardest: real images (N, C, H, W) that it meets worst, and what it makes instead.
        typical: the same around the median.
        encoded: mean error of what the run's own encoder gives, None where it has none.
    """

    train: inversion.Inverted
    held_out: inversion.Inverted | None
    fakes: Tensor
    gap: inversion.Gap | None
    classes: tuple[float, ...]
    hardest: tuple[Tensor, Tensor]
    typical: tuple[Tensor, Tensor]
    encoded: float | None


@dataclass(frozen=True)
class Looks:
    """What the discriminator looks at, for a side of reals and one of fakes.

    Attributes:
        images: (N, C, H, W).
        logits: (N,).
        integrated: maps (N, H, W) of integrated gradients.
        error: their completeness errors, (N,).
        occluded: maps (N, H, W).
        cam: maps (N, H, W), None where the discriminator has no feature maps.
        likeness: rank correlation of the maps with those of the same network with shuffled weights, by method: with
            the signs of the maps, and without.
        deletion: mean logit while pixels are taken away: by each method's order, and by chance.
        insertion: the same while they are put in.
    """

    images: Tensor
    logits: Tensor
    integrated: Tensor
    error: Tensor
    occluded: Tensor
    cam: Tensor | None
    likeness: dict[str, tuple[float, float]]
    deletion: dict[str, attribution.Course]
    insertion: dict[str, attribution.Course]


@dataclass(frozen=True)
class Map:
    """Reals and fakes in two dimensions: the layout, their pictures, which are fake, and labels where known."""

    atlas: maps.Atlas
    images: Tensor
    fake: Tensor
    labels: Tensor | None


@dataclass(frozen=True)
class Walks:
    """Between samples, and towards the centre.

    Attributes:
        between: images (N, S, C, H, W) on great circles between two samples each.
        length: perceptual path length by the judge's features, None without a judge.
        factors: by which latents are scaled.
        truncated: images (F, N, C, H, W), one row for each factor.
        spread: mean distance of samples in the judge's features for each factor, over that of reals.
        sure: mean probability of the judge's class for each factor.
    """

    between: Tensor
    length: PathLength | None
    factors: tuple[float, ...]
    truncated: Tensor
    spread: tuple[float, ...]
    sure: tuple[float, ...]


@dataclass
class Explanation:
    """All that was found out about a run; a part that could not be made is None, and ``notes`` say why."""

    path: Path
    what: str
    images_seen: int
    seed: int
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    notes: list[str]
    directions: Found | None = None
    dissected: Dissected | None = None
    reached: Reached | None = None
    looks: dict[str, Looks] = field(default_factory=dict)
    accuracy: float | None = None
    endurance: dict[str, robustness.Endurance] = field(default_factory=dict)
    map: Map | None = None
    walks: Walks | None = None
    seconds: dict[str, float] = field(default_factory=dict)
