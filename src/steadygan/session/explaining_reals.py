"""The parts of an explanation that need real images: inversion, the discriminator's view, attacks, the map."""

from __future__ import annotations

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.interpretability import atlas as maps
from steadygan.interpretability import attribution, inversion, robustness
from steadygan.session.explained import Explanation, Looks, Map, Reached
from steadygan.session.subject import FEWEST, Subject

CHANGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Changes of a pixel that attacks may make, on the scale from 0 to 1."""


def reached(subject: Subject, found: Explanation) -> None:
    """Invert training images, held-out ones and, as what can be asked for at best, fakes."""
    if subject.data is None:
        return
    count = min(64, len(subject.data.train))
    held = min(64, subject.held_out)
    train, labels = subject.reals(count)
    others, other_labels = subject.reals(held, held_out=True) if held else (train[:0], labels)
    latents, label = subject.latents(32, "own")
    wanted = torch.cat([train, others, subject.images(latents, label)])
    made = _invert(subject, wanted)
    parts = [_part(made, 0, count), _part(made, count, count + held), _part(made, count + held, len(wanted))]
    reals, error = wanted[: count + held], made.error[: count + held].cpu()
    order = error.argsort(descending=True)
    middle = len(order) // 2
    chosen = (order[:8], order[middle - 4 : middle + 4])
    images = made.images[: count + held].cpu()
    by_class: tuple[float, ...] = ()
    if subject.classes and labels is not None:
        both = torch.cat([labels, other_labels]) if held and other_labels is not None else labels
        by_class = tuple(inversion.by_class(error, both, subject.classes))
    gap = inversion.gap(parts[0].error.cpu(), parts[1].error.cpu()) if held >= FEWEST else None
    pairs = [(reals[rows], images[rows]) for rows in chosen]
    found.reached = Reached(
        parts[0],
        parts[1] if held else None,
        parts[2].error.cpu(),
        gap,
        by_class,
        pairs[0],
        pairs[1],
        _encoded(subject, reals),
    )


def _part(made: inversion.Inverted, first: int, last: int) -> inversion.Inverted:
    label = None if made.label is None else made.label[first:last]
    return inversion.Inverted(made.latents[first:last], label, made.images[first:last], made.error[first:last])


def _invert(subject: Subject, wanted: Tensor) -> inversion.Inverted:
    """Latents of images: from the nearest of many samples on, by descent."""
    pool, label = subject.latents(subject.count(2048, 256), "starts")
    with torch.no_grad():
        starts = inversion.nearest_starts(subject.generate, wanted, pool, label)
    return inversion.invert(subject.generate, wanted, *starts)


def _encoded(subject: Subject, images: Tensor) -> float | None:
    """Mean error of the run's own encoder, None where it has none."""
    if not subject.trained.encodes or subject.conditional:
        return None
    made = subject.images(subject.trained.encode(images))
    return float((made - images).square().flatten(1).mean(1).sqrt().mean())


def looks(subject: Subject, found: Explanation) -> None:
    """The discriminator on reals and on fakes, and how much it endures."""
    if not subject.judges or subject.data is None:
        if not subject.judges:
            found.notes.append("No player of this run judges images: the discriminator's part is left out.")
        return
    try:
        sides, _ = _sides(subject, 64), subject.players
    except SteadyganError as error:
        found.notes.append(f"The discriminator's part is left out: {error.what}.")
        return
    logits = {name: subject.verdict(label)(images).detach() for name, (images, label) in sides.items()}
    threshold = float((logits["real"].median() + logits["fake"].median()) / 2)
    right = torch.cat([logits["real"] > threshold, logits["fake"] <= threshold])
    found.accuracy = float(right.double().mean())
    baseline = sides["real"][0].mean(0)
    for name, (images, label) in sides.items():
        found.looks[name] = look(subject, images[:32], None if label is None else label[:32], baseline)
        attacked = robustness.of_discriminator(subject.verdict(label), threshold, name == "real")
        found.endurance[f"discriminator on {name}s"] = robustness.endurance(*attacked, images, CHANGES)


def _sides(subject: Subject, count: int) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Reals it has not been trained on, where there are any, and fakes; each with labels."""
    assert subject.data is not None
    reals, labels = subject.reals(count, held_out=subject.held_out >= count)
    latents, label = subject.latents(len(reals), "fakes")
    fakes = subject.images(latents, label)
    device = subject.trained.device
    asked = labels.to(device) if labels is not None else None
    return {"real": (reals.to(device), asked), "fake": (fakes.to(device), label)}


def look(subject: Subject, images: Tensor, label: Tensor | None, baseline: Tensor) -> Looks:
    """What the discriminator's logit of these images rests on, with what tells whether the maps can be believed."""
    verdict = subject.verdict(label)
    integrated = attribution.integrated_gradients(verdict, images, baseline)
    side = max(2, min(images.shape[-2:]) // 5)
    occluded = attribution.occlusion(verdict, images, baseline, side, max(1, side // 2))
    network = subject.players["discriminator"]
    cam = attribution.grad_cam(network, verdict, images)
    ways = {"integrated gradients": integrated.maps.sum(1), "occlusion": occluded}
    if cam is not None:
        ways["class activation"] = cam[0]
    source = torch.Generator().manual_seed(subject.seed)
    orders = {**ways, "chance": torch.rand(occluded.shape, generator=source).to(occluded)}
    return Looks(
        images.cpu(),
        verdict(images).detach().cpu(),
        ways["integrated gradients"].detach().cpu(),
        integrated.error.detach().cpu(),
        occluded.cpu(),
        cam[0].cpu() if cam is not None else None,
        _sanity(subject, images, label, baseline, ways, side),
        {name: attribution.deletion(verdict, images, order, baseline) for name, order in orders.items()},
        {name: attribution.insertion(verdict, images, order, baseline) for name, order in orders.items()},
    )


def _sanity(
    subject: Subject, images: Tensor, label: Tensor | None, baseline: Tensor, ways: dict[str, Tensor], side: int
) -> dict[str, tuple[float, float]]:
    """How like the maps of the same discriminator with shuffled weights are, by method: with signs, and without."""
    learned = subject.players["discriminator"]
    subject.players["discriminator"] = shuffled = attribution.randomised(learned, subject.seed)
    try:
        verdict = subject.verdict(label)
        others = {"integrated gradients": attribution.integrated_gradients(verdict, images, baseline, 16).maps.sum(1)}
        others["occlusion"] = attribution.occlusion(verdict, images, baseline, side, max(1, side // 2))
        if (cam := attribution.grad_cam(shuffled, verdict, images)) is not None:
            others["class activation"] = cam[0]
    finally:
        subject.players["discriminator"] = learned
    return {
        name: (attribution.likeness(ways[name], other), attribution.likeness(ways[name], other, signed=False))
        for name, other in others.items()
    }


def classifier(subject: Subject, found: Explanation) -> None:
    """A downstream classifier under attack: the run's judge on real images."""
    if not subject.classes or subject.data is None:
        return
    images, labels = subject.reals(96, held_out=subject.held_out >= 96)
    assert labels is not None
    place = subject.trained.device
    attacked = robustness.of_classifier(subject.class_logits, labels.to(place))
    found.endurance["classifier of the data"] = robustness.endurance(*attacked, images.to(place), CHANGES)


def chart(subject: Subject, found: Explanation) -> None:
    """Reals and fakes on one map."""
    if subject.data is None or subject.judge is None:
        return
    reals, labels = subject.reals(300)
    latents, label = subject.latents(len(reals), "map")
    images = torch.cat([reals, subject.images(latents, label)])
    fake = torch.arange(len(images)) >= len(reals)
    guesses = subject.classify(images).argmax(1).cpu() if subject.classes else None
    if guesses is not None and labels is not None:
        guesses[: len(reals)] = labels
    found.map = Map(maps.atlas(subject.features(images).cpu(), fake, seed=subject.seed), images, fake, guesses)
