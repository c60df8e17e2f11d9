"""Units of a generator: which class each one goes with, and the proof by switching it off and putting it in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steadygan.interpretability.directions import Generate
from steadygan.interpretability.effects import Classify
from steadygan.interpretability.ranks import ranks
from steadygan.interpretability.tracing import Layer, activations, edited, layers

CHUNK = 256


@dataclass(frozen=True)
class Units:
    """The units that go with one class, and what happens without and with them.

    Attributes:
        target: the class.
        units: their numbers, the strongest first.
        likelihood: probability that such a unit is more active in an image of the class than in another one, mean.
        images: how many samples the class had.
        off: share of its samples that lose the class when these units are switched off.
        off_chance: the same for as many units picked at random.
        insert: share of other samples that get the class when these units are set to how it has them.
        insert_chance: the same for random units.
    """

    target: int
    units: tuple[int, ...]
    likelihood: float
    images: int
    off: float
    off_chance: float
    insert: float
    insert_chance: float


@dataclass(frozen=True)
class Where:
    """Where in the picture each unit draws.

    Attributes:
        maps: (U, H, W), mean change of the light when the unit is switched off, its sign left out.
        strength: (U,), the mean over the picture.
    """

    maps: Tensor
    strength: Tensor


def middle(generator: nn.Module, latents: Tensor, label: Tensor | None) -> Layer | None:
    """The layer to dissect: the last one behind an activation whose maps have at most a fifth of the image's rows.

    So early, units stand for what is drawn; later ones only draw strokes and textures. Where no maps are so small it is
    the last one with the smallest maps; where there are none, as in fully connected networks, the last layer before
    the image. None where there is none.
    """
    found = layers(generator, latents, label)
    inner = [one for one in found[:-1] if not one.weighted and one.shape != found[-1].shape]
    maps = [one for one in inner if one.maps]
    if maps:
        rows = found[-1].shape[1] if len(found[-1].shape) == 3 else maps[-1].shape[1]
        small = [one for one in maps if one.shape[1] * 5 <= rows]
        return (small or [one for one in maps if one.shape[1] == min(two.shape[1] for two in maps)])[-1]
    flat = [one for one in inner if len(one.shape) == 1]
    return flat[-1] if flat else None


@torch.no_grad()
def affinities(values: Tensor, member: Tensor) -> Tensor:
    """For every unit, the probability that it is more active in a member than in another sample, (U,), 0 to 1.

    The area under the curve of the unit's mean activation as a sign of membership: ``(R - m (m + 1) / 2) / (m n)`` with
    the sum R of the ranks of the m members among all, n others.

    Args:
        values: mean activation of the units, (N, U).
        member: (N,) bool.
    """
    inside, outside = int(member.sum()), int((~member).sum())
    if not inside or not outside:
        return torch.full((values.shape[1],), 0.5, dtype=torch.float64)
    total = torch.stack([ranks(column)[member].sum() for column in values.T])
    found: Tensor = (total - inside * (inside + 1) / 2) / (inside * outside)
    return found


@torch.no_grad()
def observe(
    generator: nn.Module, layer: Layer, latents: Tensor, label: Tensor | None, classify: Classify
) -> tuple[Tensor, Tensor]:
    """What a layer gives (N, U, ...) for samples, and the class of each by the judge, (N,)."""
    values = in_chunks(lambda z, y: activations(generator, layer.name, z, y), latents, label)
    guesses = in_chunks(lambda z, y: classify(generator(z, y).clamp(-1, 1)), latents, label).argmax(1)
    return values.cpu(), guesses.cpu()


@torch.no_grad()
def dissect(
    generator: nn.Module,
    layer: Layer,
    latents: Tensor,
    label: Tensor | None,
    classify: Classify,
    target: int,
    seen: tuple[Tensor, Tensor],
    *,
    share: float = 0.25,
    draws: int = 4,
    seed: int = 0,
) -> Units:
    """Find the units of a class and prove that they make it.

    Switched off, a unit gives its mean over the samples of other classes; put in, its mean over those of the class.
    Random units are treated the same. Paper: Bau et al. 2019, GAN Dissection.

    Args:
        generator: the network.
        layer: whose units.
        latents: (N, Z).
        label: (N,) or None.
        classify: the judge.
        target: the class; some samples have to be of it, and some not.
        seen: what ``observe`` gave for the same latents.
        share: of the units that are taken.
        draws: how often random units are picked.
        seed: of the random units.
    """
    values, guesses = seen
    member = guesses == target
    count = max(1, round(share * layer.units))
    likely = affinities(values.flatten(2).mean(2) if values.ndim > 2 else values, member)
    own = likely.argsort(descending=True)[:count]
    inside, outside = values[member].mean(0), values[~member].mean(0)
    source = torch.Generator().manual_seed(seed)
    random = [torch.randperm(layer.units, generator=source)[:count] for _ in range(draws)]

    def becomes(rows: Tensor, units: Tensor, means: Tensor) -> float:
        """Share of the samples that are of the class when units have these values."""
        there = None if label is None else label[rows]
        with edited(generator, layer.name, setter(units, means)):
            found = in_chunks(lambda z, y: classify(generator(z, y).clamp(-1, 1)), latents[rows], there).argmax(1)
        return float((found.cpu() == target).double().mean())

    members, others = member.nonzero()[:CHUNK, 0], (~member).nonzero()[:CHUNK, 0]
    return Units(
        target,
        tuple(own.tolist()),
        float(likely[own].mean()),
        int(member.sum()),
        1 - becomes(members, own, outside),
        1 - _mean([becomes(members, units, outside) for units in random]),
        becomes(others, own, inside),
        _mean([becomes(others, units, inside) for units in random]),
    )


@torch.no_grad()
def where(generator: nn.Module, layer: Layer, latents: Tensor, label: Tensor | None, most: int = 256) -> Where:
    """Switch off every unit in turn and see where the picture changes.

    Args:
        generator: the network.
        layer: whose units.
        latents: (N, Z), a few.
        label: (N,) or None.
        most: units that are tried, the first ones.
    """
    before = generator(latents, label).clamp(-1, 1)
    maps = []
    for unit in range(min(layer.units, most)):
        with edited(generator, layer.name, setter(torch.tensor([unit]), None)):
            after = generator(latents, label).clamp(-1, 1)
        maps.append((after - before).abs().mean((0, 1)) / 2)
    found = torch.stack(maps)
    return Where(found.cpu(), found.mean((1, 2)).cpu())


def setter(units: Tensor, means: Tensor | None) -> Callable[[Tensor], Tensor]:
    """An edit that sets units of a layer's output to ``means`` (U, ...) of them, or to zero."""

    def edit(out: Tensor) -> Tensor:
        changed = out.clone()
        places = units.to(out.device)
        changed[:, places] = 0.0 if means is None else means.to(out)[places]
        return changed

    return edit


def in_chunks(job: Generate, latents: Tensor, label: Tensor | None) -> Tensor:
    """``job`` in chunks."""
    return torch.cat(
        [
            job(latents[at : at + CHUNK], None if label is None else label[at : at + CHUNK])
            for at in range(0, len(latents), CHUNK)
        ]
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
