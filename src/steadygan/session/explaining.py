"""A run explained: directions, units, inversion, the discriminator's view, a map; each as figures and pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from steadygan.evaluation.path_length import between, path_length, squared_distance
from steadygan.interpretability import atlas as maps
from steadygan.interpretability import directions, dissection, effects
from steadygan.interpretability.effects import Direction, Effect
from steadygan.interpretability.tracing import Layer, activations, edited, layers
from steadygan.interpretability.traits import TRAITS, traits_of
from steadygan.runtime import devices, seeding
from steadygan.session import explaining_reals as with_reals
from steadygan.session.explained import Dissected, Explanation, Found, Walk, Walks
from steadygan.session.subject import Progress, Subject
from steadygan.session.trained import load

LEADING = 6
"""Directions of every method that is not told what to look for."""
CHANCE = 12
"""Random directions that the others are compared with."""
ALONE = ("SeFa", "GANSpace", "curvature")
"""Methods that are told nothing of what to look for."""
ALONG = 7
"""Pictures of a walk."""


def explain(
    run: str | Path, *, seed: int = 0, device: str = "cpu", best: bool = False, progress: Progress | None = None
) -> Explanation:
    """Find out what the networks of a run have learned.

    Args:
        run: its folder.
        seed: of all draws: the same seed, run and machine give the same figures.
        device: where the networks compute.
        best: explain the averaged generator that health found best; the discriminator, which it did not keep, is
            left out then.
        progress: told what is being done.

    Raises:
        SteadyganError: a folder that is no run, a run without a checkpoint, or one that makes no images.
    """
    trained = load(run, device=device, best=best)
    subject = Subject(trained, seed, progress)
    config = trained.config
    names = tuple(subject.name(label) for label in range(subject.classes))
    about = f"{config.recipe or config.game} on {Path(config.data.source).name}"
    found = Explanation(trained.path, about, trained.images_seen, seed, subject.shape, names, subject.notes)
    # a generator may draw noise of its own: the same each time
    with devices.unhurried(), torch.random.fork_rng(devices=[]):
        seeding.reseed("explain", seed)
        for number, (name, part) in enumerate(PARTS.items()):
            if progress is not None:
                progress(name, number, len(PARTS))
            with _timed(found, name):
                part(subject, found)
    return found


@contextmanager
def _timed(found: Explanation, name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    found.seconds[name] = time.monotonic() - start


def _directions(subject: Subject, found: Explanation) -> None:
    latents, label = subject.latents(subject.count(3072, 512), "directions")
    images = subject.images(latents, label)
    traits = traits_of(images)
    spread = {name: float(values.std()) for name, values in traits.items()}
    guesses = None
    if subject.classes:
        guesses = torch.cat([subject.classify(part) for part in torch.split(images, 256)]).argmax(1).cpu()
    named = [
        *found_alone(subject, latents, label),
        *told_by_labels(subject, latents, guesses, traits),
        *of_codes(subject),
    ]
    chance = directions.by_chance(CHANCE, latents.shape[1], seeding.derive("chance", subject.seed))
    starts = latents[:48], None if label is None else label[:48]
    classify = subject.classify if subject.classes else None

    def measured(direction: Direction) -> Effect:
        return effects.measure(subject.generate, direction, *starts, spread, classify)

    known = tuple(measured(one) for one in named)
    null = tuple(measured(Direction(f"random {i}", "chance", one)) for i, one in enumerate(chance, 1))
    alone = [one for one in known if one.direction.method in ALONE] or known
    moving = [name for name in TRAITS if spread[name] > effects.STILL]
    found.directions = Found(
        known,
        null,
        {name: _walk(subject, effects.best(known, name), starts) for name in moving},
        {name: effects.best(alone, name) for name in moving},
        {name: _walk(subject, effects.best(null, name), starts) for name in moving},
        spread,
    )


def _walk(subject: Subject, effect: Effect, starts: tuple[Tensor, Tensor | None]) -> Walk:
    steps = torch.linspace(-effect.reach, effect.reach, ALONG).tolist()
    few = starts[0][:4], None if starts[1] is None else starts[1][:4]
    return Walk(effect, effects.walk(subject.generate, effect.direction, *few, steps).cpu(), tuple(steps))


def found_alone(
    subject: Subject, latents: Tensor, label: Tensor | None, methods: Sequence[str] = ALONE
) -> list[Direction]:
    """Directions that nobody was told to look for: SeFa's, GANSpace's, and those of the greatest curvature."""
    generator, like = subject.generator, latents
    found: list[tuple[str, tuple[Tensor, Tensor]]] = []
    weight = directions.first_map(generator, latents.shape[1], like, 0 if subject.conditional else None)
    if weight is not None:
        found.append(("SeFa", directions.by_factorisation(weight, LEADING)))
    layer = _inner(subject, latents[:2], None if label is None else label[:2])
    if layer is not None:
        count = min(len(latents), 768)
        given = latents[:count], None if label is None else label[:count]
        with torch.no_grad():
            values = dissection.in_chunks(lambda z, y: activations(generator, layer.name, z, y).flatten(1), *given)
        found.append(("GANSpace", directions.by_activations(values, given[0], LEADING)))
    if "curvature" in methods:
        few = None if label is None else label[:24]
        curved = directions.by_curvature(lambda z: subject.generate(z, few), latents[:24], LEADING, seed=subject.seed)
        found.append(("curvature", curved))
    return [
        Direction(f"{method} {i}", method, vector, float(strength))
        for method, (vectors, strengths) in found
        for i, (vector, strength) in enumerate(zip(vectors, strengths, strict=True), 1)
    ]


def _inner(subject: Subject, latents: Tensor, label: Tensor | None, most: int = 16_384) -> Layer | None:
    """The layer whose activations GANSpace looks at: the second behind an activation, where that is not too large."""
    with torch.no_grad():
        quiet = [one for one in layers(subject.generator, latents, label)[:-1] if not one.weighted]
    fit = [one for one in quiet if torch.Size(one.shape).numel() <= most]
    return fit[min(len(fit) - 1, len(fit) // 2)] if fit else None


def told_by_labels(
    subject: Subject, latents: Tensor, guesses: Tensor | None, traits: dict[str, Tensor]
) -> list[Direction]:
    """Boundaries between classes, and between images with much and with little of a trait, clear of the classes."""
    found: list[Direction] = []
    if guesses is not None and not subject.conditional:
        for label in range(min(subject.classes, 12)):
            positive = guesses == label
            if 8 <= int(positive.sum()) <= len(positive) - 8:
                vector = directions.by_labels(latents, positive)
                found.append(Direction(f"class {subject.name(label)}", "boundary", vector))
    # more classes than dimensions would leave nothing
    clear = torch.stack([one.vector for one in found]) if found and len(found) < latents.shape[1] // 2 else None
    for name, values in traits.items():
        if float(values.std()) > effects.STILL:
            found.append(Direction(f"{name}, learned", "boundary", directions.by_values(latents, values, clear)))
    return found


def of_codes(subject: Subject) -> list[Direction]:
    """The named values of the latent, where the run has any."""
    size = subject.latents(1)[0].shape[1]
    found = []
    for name, code in subject.trained.codes.items():
        if not code.choices:
            vector = torch.zeros(size)
            vector[code.start] = 1.0
            found.append(Direction(f"code {name}", "code", vector))
    return found


def _dissected(subject: Subject, found: Explanation) -> None:
    latents, label = subject.latents(subject.count(1024, 256), "units")
    layer = dissection.middle(subject.generator, latents[:2], None if label is None else label[:2])
    if layer is None:
        found.notes.append("The generator has no inner layer that can be taken apart: its units are left out.")
        return
    units: list[dissection.Units] = []
    proof, shown = None, None
    if subject.classes:
        generator, classify = subject.generator, subject.classify
        seen = dissection.observe(generator, layer, latents, label, classify)
        counts = seen[1].bincount(minlength=subject.classes)
        frequent = sorted(counts.argsort(descending=True)[:12].tolist())
        usual = [one for one in frequent if 8 <= int(counts[one]) <= len(latents) - 8]
        units = [dissection.dissect(generator, layer, latents, label, classify, one, seen) for one in usual]
        proof = max(units, key=lambda one: one.off - one.off_chance, default=None)
        if proof is not None:
            rows = (seen[1] == proof.target).nonzero()[:8, 0]
            means = seen[0][seen[1] != proof.target].mean(0)
            few = latents[rows], None if label is None else label[rows]
            shown = _without(subject, layer, few, proof, means)
    where = dissection.where(subject.generator, layer, latents[:16], None if label is None else label[:16])
    strongest = where.strength.argsort(descending=True)[:12].tolist()
    found.dissected = Dissected(layer, tuple(units), where, tuple(strongest), proof, shown)


def _without(
    subject: Subject, layer: Layer, few: tuple[Tensor, Tensor | None], proof: dissection.Units, means: Tensor
) -> Tensor:
    """Samples of a class as they are, with its units at the mean of other classes, and with random ones there."""
    source = torch.Generator().manual_seed(subject.seed)
    random = torch.randperm(layer.units, generator=source)[: len(proof.units)]
    rows = [subject.images(*few)]
    for units in (torch.tensor(proof.units), random):
        with edited(subject.generator, layer.name, dissection.setter(units, means)):
            rows.append(subject.images(*few))
    return torch.stack(rows)


def _walks(subject: Subject, found: Explanation) -> None:
    first, label = subject.latents(128, "first")
    last, _ = subject.latents(128, "last")
    places = torch.linspace(0, 1, 9, dtype=torch.float64).view(-1, 1).to(first.device)
    rows = [between(first[:4], last[:4], place.expand(4, 1), "sphere") for place in places]
    few = None if label is None else label[:4]
    images = torch.stack([subject.images(row, few) for row in rows], 1)
    length = None
    if subject.judge is not None:

        def alike(latents: Tensor) -> Tensor:
            return subject.images(latents, None if label is None else label[:1].expand(len(latents)))

        length = path_length(
            alike, squared_distance(subject.fine_features), first, last, epsilon=1e-3, seed=subject.seed
        )
    factors = (0.25, 0.5, 0.75, 1.0, 1.25)
    shown = [subject.images(maps.truncated(first, factor), label) for factor in factors]
    spread, sure = _variety(subject, shown)
    found.walks = Walks(images, length, factors, torch.stack([one[:8] for one in shown]), spread, sure)


def _variety(subject: Subject, shown: Sequence[Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """For each factor of truncation the spread of features over that of reals, and how sure the judge is."""
    if subject.judge is None:
        return (), ()
    whole = maps.spread(subject.features(subject.reals(128)[0]))
    spread = tuple(maps.spread(subject.features(one)) / max(whole, 1e-9) for one in shown)
    sure = tuple(float(subject.classify(one).amax(1).mean()) for one in shown) if subject.classes else ()
    return spread, sure


PARTS: dict[str, Callable[[Subject, Explanation], None]] = {
    "finding directions": _directions,
    "taking units apart": _dissected,
    "inverting images": with_reals.reached,
    "looking with the discriminator": with_reals.looks,
    "attacking a classifier": with_reals.classifier,
    "drawing the map": with_reals.chart,
    "walking between samples": _walks,
}
"""What is found out, in order."""
