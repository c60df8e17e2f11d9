"""The signals of a check-up: a table, and the function that walks it.

A signal of one's own is a function of the ``CheckUp`` and a line in ``SIGNALS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.evaluation.memorisation import Memorisation, memorisation
from steadygan.evaluation.modes import bin_test
from steadygan.health.signal_baseline import (
    PART,
    Baseline,
    clear_of_chance,
    fine_bands,
    neighbours_view,
    shares,
)
from steadygan.health.signal_features import energy_distance
from steadygan.health.signal_material import FEATURES, CheckUp, Patient
from steadygan.health.signal_weights import dead_share, spectral

CERTAIN = 2.0
"""Standard errors that a gap must be wide before it may be divided by."""


@dataclass(frozen=True)
class Signal:
    """What is measured, in which unit, and how; None where it cannot be had."""

    meaning: str
    unit: str
    measure: Callable[[CheckUp], float | None]


def distance(checkup: CheckUp) -> float | None:
    """Energy distance of the averaged generator's images to the reals over that of a blank grey image."""
    baseline, spread = checkup.baseline, checkup.spread
    if checkup.features is None or spread is None or baseline.blank <= 0:
        return None
    return energy_distance(baseline.real, checkup.features, baseline.spread, spread) / baseline.blank


def _ratio(spread: float | None, reals: float) -> float | None:
    return spread / reals if spread is not None and reals > 0 else None


def diversity(checkup: CheckUp) -> float | None:
    """Mean pairwise feature distance of the averaged generator's images over that of the reals."""
    return _ratio(checkup.spread, checkup.baseline.spread)


def raw_diversity(checkup: CheckUp) -> float | None:
    """The same of the raw generator's images."""
    return _ratio(checkup.raw_spread, checkup.baseline.spread)


def empty_clusters(checkup: CheckUp) -> float | None:
    """Share of the reals' clusters that no fake falls in, less what chance gives."""
    if checkup.features is None or checkup.baseline.bins is None:
        return None
    return clear_of_chance(checkup.baseline.bins, checkup.features)


def uneven_clusters(checkup: CheckUp) -> float | None:
    """Share of clusters whose share of fakes differs from that of reals at the 5 % level."""
    if checkup.features is None or checkup.baseline.bins is None:
        return None
    return bin_test(checkup.baseline.bins, checkup.features).share


def displacement(checkup: CheckUp) -> float | None:
    """How far images of the fixed latents moved in feature space since the last check-up, over the reals' spread."""
    before = checkup.memory.get(FEATURES)
    if before is None or checkup.features is None or before.shape != checkup.features.shape:
        return None
    if checkup.baseline.spread <= 0:
        return None
    return float((checkup.features - before.cpu()).norm(dim=1).mean()) / checkup.baseline.spread


def _overfitting(checkup: CheckUp) -> tuple[float, float] | None:
    """The ratio as it is, and its standard error to first order; None where train and fake are not told apart."""
    train, unseen, fake = checkup.real_logits, checkup.held_out_logits, checkup.fake_logits
    if train is None or unseen is None or fake is None:
        return None
    noise = [float(logits.var()) / len(logits) for logits in (train, unseen, fake)]
    gap = float(train.mean() - fake.mean())
    if not gap > CERTAIN * math.sqrt(noise[0] + noise[2]):
        return None
    ratio = float(train.mean() - unseen.mean()) / gap
    error = math.sqrt((1.0 - ratio) ** 2 * noise[0] + noise[1] + ratio**2 * noise[2]) / gap
    return ratio, error


def overfitting(checkup: CheckUp) -> float | None:
    """``(D(train) - D(held out)) / (D(train) - D(fake))``, held in 0..1."""
    found = _overfitting(checkup)
    return min(1.0, max(0.0, found[0])) if found else None


def overfitting_error(checkup: CheckUp) -> float | None:
    """Standard error of ``overfitting``."""
    found = _overfitting(checkup)
    return found[1] if found else None


def _slope_at_real(checkup: CheckUp) -> float | None:
    return checkup.slope(checkup.patient.real, checkup.patient.real_label)


def _slope_at_fake(checkup: CheckUp) -> float | None:
    return checkup.slope(checkup.raw, checkup.patient.fake_label)


def held_out_margin(checkup: CheckUp) -> float | None:
    """``(mean D(held out) - mean D(fake)) / pooled standard deviation``."""
    unseen, fake = checkup.held_out_logits, checkup.fake_logits
    if unseen is None or fake is None:
        return None
    pooled = math.sqrt((float(unseen.var()) + float(fake.var())) / 2)
    return float(unseen.mean() - fake.mean()) / pooled if pooled > 0 else None


def saturation(checkup: CheckUp) -> float | None:
    """Total variation between the raw fakes' and the reals' shares of values below -.99, between, and above .99."""
    if not bool(checkup.raw.isfinite().all()):
        return None
    return 0.5 * float((shares(checkup.raw) - checkup.baseline.shares).abs().sum())


def dead(checkup: CheckUp) -> float | None:
    """Share of the generator's feature maps that have one value over all samples and places."""
    return dead_share(checkup.ranges)


def checkerboard(checkup: CheckUp) -> float | None:
    """Excess of the power at the Nyquist frequency over its surroundings, fakes against reals."""
    return checkup.spectrum.checkerboard if checkup.spectrum else None


def bands(checkup: CheckUp) -> float | None:
    """Root mean square difference of log power above half the Nyquist frequency, fakes against reals."""
    return fine_bands(checkup.spectrum) if checkup.spectrum else None


def _copies(checkup: CheckUp) -> Memorisation | None:
    baseline = checkup.baseline
    if checkup.features is None or len(baseline.held_out_view) < PART:
        return None
    return memorisation(neighbours_view(checkup.small), baseline.training_view, baseline.held_out_view)


def copies(checkup: CheckUp) -> float | None:
    """Share of fakes nearer to training than to held-out images, beyond chance: 0 none, 1 all; -1 all of held-out."""
    found = checkup.once("copies", _copies)
    if found is None:
        return None
    beyond = found.share - found.by_chance
    return beyond / ((1.0 - found.by_chance) if beyond > 0 else found.by_chance)


def copies_z(checkup: CheckUp) -> float | None:
    """``copies`` in standard deviations of chance."""
    found = checkup.once("copies", _copies)
    return found.z if found else None


def broken(checkup: CheckUp) -> float | None:
    """Share of samples that hold a value that is not finite, of the averaged or the raw generator, the worse."""
    kinds = (checkup.fakes, checkup.raw)
    return max(float((~images.isfinite()).flatten(1).any(1).double().mean()) for images in kinds)


def _fact(name: str) -> Callable[[CheckUp], float | None]:
    return lambda checkup: checkup.baseline.facts.get(name)


SIGNALS: dict[str, Signal] = {
    "broken": Signal("samples that hold a value that is not finite", "share", broken),
    "distance": Signal("how far samples are from real images", "0 real, 1 a blank image", distance),
    "distance_floor": Signal("the same for reals against reals", "as distance", _fact("distance_floor")),
    "distance_floor_spread": Signal("its standard deviation", "as distance", _fact("distance_floor_spread")),
    "diversity": Signal("how varied samples are", "1 as real images", diversity),
    "raw_diversity": Signal("how varied samples of the raw generator are", "1 as real images", raw_diversity),
    "empty_clusters": Signal("clusters of the data that no sample falls in", "share beyond chance", empty_clusters),
    "uneven_clusters": Signal("clusters met too often or too rarely", "share, .05 by chance", uneven_clusters),
    "displacement": Signal("how far fixed samples moved", "the reals' spread", displacement),
    "overfitting": Signal("how much of its lead the discriminator learned by heart", "0..1", overfitting),
    "overfitting_error": Signal("standard error of overfitting", "as overfitting", overfitting_error),
    "held_out_margin": Signal("the discriminator's lead on unseen images", "standard deviations", held_out_margin),
    "gradient_real": Signal("slope of the discriminator at real images", "logits", _slope_at_real),
    "gradient_fake": Signal("slope of the discriminator at samples", "logits", _slope_at_fake),
    "saturation": Signal("values that sit wrongly at the end of their range", "share", saturation),
    "dead": Signal("feature maps of the generator that never change", "share", dead),
    "spectral.generator": Signal(
        "largest gain of a generator's layer", "singular value", lambda c: spectral(c.patient.players, "generator")
    ),
    "spectral.discriminator": Signal(
        "largest gain of a discriminator's layer",
        "singular value",
        lambda c: spectral(c.patient.players, "discriminator"),
    ),
    "checkerboard": Signal("a grid at the finest scale", "dB above reals", checkerboard),
    "bands": Signal("wrong power at fine scales", "dB", bands),
    "copies": Signal("samples that copy training images", "share beyond chance", copies),
    "copies_z": Signal("how surely they do", "standard deviations", copies_z),
    "duplicates": Signal("real images that have a twin", "share", _fact("duplicates")),
    "constant_images": Signal("real images of one colour", "share", _fact("constant_images")),
    "images": Signal("real images that check-ups compare with, of the first 2,256", "number", _fact("images")),
}
"""Name to signal, in the order in which they are told."""


def examine(
    patient: Patient,
    baseline: Baseline,
    memory: Mapping[str, Tensor],
    count: int,
    *,
    without: Collection[str] = (),
    table: Mapping[str, Signal] | None = None,
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """All signals that can be had, by name, and the memory for the next check-up.

    A signal that cannot be had is left out, never NaN. Changes nothing: no random numbers, no gradients left, no mode
    turned, no buffer touched.

    Args:
        patient: the game, as far as health may see it.
        baseline: the reals, from ``Baseline.of`` of the patient's images.
        memory: what the last check-up gave back; empty at first.
        count: fakes of each kind, at least 2.
        without: signals that are not wanted.
        table: other signals than ``SIGNALS``.
    """
    checkup = CheckUp(patient, baseline, memory, count)
    found: dict[str, float] = {}
    for name, signal in (SIGNALS if table is None else table).items():
        if name in without:
            continue
        value = _measured(signal, checkup)
        if value is not None:
            found[name] = value
    return found, checkup.remember()


def _measured(signal: Signal, checkup: CheckUp) -> float | None:
    """The signal's value; None where it cannot be had, is not finite, or its arithmetic refuses the material."""
    try:
        with torch.no_grad():
            value = signal.measure(checkup)
    except SteadyganError:
        return None
    return float(value) if value is not None and math.isfinite(value) else None
