"""Diagnoses: which signs, together and confirmed, are called what, and what is tried against it.

An own diagnosis is one function (see ``findings.py``) and one line of ``DIAGNOSES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from steadygan.health import findings, findings_steps
from steadygan.health.findings import Finding
from steadygan.health.history import History


@dataclass(frozen=True)
class Diagnosis:
    """A named illness.

    Attributes:
        meaning: what happens to the game, in a sentence.
        needs: signals that the look rests on.
        advice: what a person can change for the next run.
        look: from the history to a finding, or None.
        at: whether it looks at every measured record or at check-ups.
        confirm: how many looks in a row must find it.
        remedies: interventions in the order in which they are tried.
        urgency: a more urgent illness is treated and named first; general ones stand behind those that explain more.
        fatal: the run cannot go on with it.
        spares_learners: a game that plainly comes nearer to the data is left alone, whatever it looks like.
        outside: its cause lies outside the game, so that no rollback helps against it or what follows from it but with
            a remedy that reaches it.
    """

    meaning: str
    needs: tuple[str, ...]
    advice: str
    look: Callable[[History], Finding | None]
    at: Literal["record", "check-up"] = "check-up"
    confirm: int = 2
    remedies: tuple[str, ...] = ()
    urgency: int = 1
    fatal: bool = False
    outside: bool = False
    spares_learners: bool = False


DIAGNOSES: dict[str, Diagnosis] = {
    "blow-up": Diagnosis(
        "numbers grow without bound or stop being numbers",
        ("discriminator/gradient_norm", "generator/gradient_norm"),
        "lower both learning rates, or add a penalty (R1 and R2)",
        findings.blow_up,
        at="record",
        confirm=1,
        remedies=("back-pace", "back-guard", "back-clip", "back-slower", "back-penalty"),
        urgency=9,
        fatal=True,
    ),
    "bad-data": Diagnosis(
        "the real images are not what a generator can learn from: copies, blanks, or not the same all the time",
        ("health/duplicates", "real/mean"),
        "look at `steadygan info DATA`, and at what was added last; take copies and blanks out",
        findings.bad_data,
        confirm=1,
        remedies=("back-distinct", "back-familiar", "add-penalty"),
        urgency=8,
        outside=True,
    ),
    "shock": Diagnosis(
        "a huge gradient has thrown a player off, and its optimizer hardly moves since",
        ("generator/update", "discriminator/update", "generator/gradient_norm", "discriminator/gradient_norm"),
        "clip gradients (clip_norm), lower the learning rates, or add a penalty",
        findings_steps.shock,
        at="record",
        confirm=1,
        remedies=("back-penalty", "back-clip", "back-slower"),
        urgency=8,
    ),
    "momentum": Diagnosis(
        "steps remember so many others that the players chase where the opponent has been",
        ("control/momentum.generator", "generator/update", "discriminator/update"),
        "take beta1 = 0 or .5",
        findings_steps.momentum,
        at="record",
        remedies=("back-calm",),
        urgency=8,
    ),
    "unbounded": Diagnosis(
        "nothing bounds the discriminator's slope, and its logits grow without end",
        ("discriminator/real_logits", "discriminator/fake_logits"),
        "add a penalty (R1 and R2), or clip the weights",
        findings_steps.unbounded,
        at="record",
        remedies=("back-penalty", "back-shorter-steps"),
        urgency=8,
    ),
    "smothered": Diagnosis(
        "penalties or clipped weights hold the discriminator so flat that it teaches nothing",
        ("discriminator/real_logits", "discriminator/fake_logits"),
        "lower the penalty's weight, or widen weight_clip",
        findings_steps.smothered,
        at="record",
        remedies=("back-lighter", "lighter-discriminator", "lighter-discriminator"),
        urgency=7,
    ),
    "long-steps": Diagnosis(
        "steps are so long, or so much longer than the opponent's, that the game cannot settle",
        ("generator/update", "discriminator/update"),
        "lower the learning rate of that player",
        findings_steps.long_steps,
        at="record",
        remedies=(*("back-shorter-steps",) * 2, *("shorter-steps",) * 4),
        urgency=7,
    ),
    "short-steps": Diagnosis(
        "a player's steps are so short that it gets nowhere in a run of this length",
        ("generator/update", "discriminator/update", "round"),
        "raise the learning rate of that player, or train longer",
        findings_steps.short_steps,
        confirm=1,
        remedies=("back-pace",),
        urgency=7,
    ),
    "swollen": Diagnosis(
        "the generator starts from weights so large that its output sticks at the ends of its range",
        ("generator/update", "health/spectral.generator", "round"),
        "start from smaller weights (initialisation)",
        findings_steps.swollen,
        confirm=1,
        remedies=("back-trim", "back-penalty-pace"),
        urgency=7,
    ),
    "few-images": Diagnosis(
        "the batches are so small that a step is mostly chance",
        ("round",),
        "raise the batch",
        findings_steps.few_images,
        at="record",
        confirm=8,
        remedies=("add-penalty",),
        urgency=6,
        outside=True,
    ),
    "few-fakes": Diagnosis(
        "so few fakes teach the generator that a step is mostly chance",
        ("round", "control/top_k"),
        "raise top_k, or the batch",
        findings_steps.few_fakes,
        at="record",
        confirm=8,
        remedies=("back-all-fakes",),
        urgency=6,
    ),
    "overfitting": Diagnosis(
        "the discriminator learns the training images by heart and no longer teaches what they have in common",
        ("health/overfitting",),
        "more images, or augmentation.adaptive=true",
        findings.overfitting,
        confirm=3,
        remedies=("augmentation", "augmentation", "stronger-penalty"),
        urgency=6,
    ),
    "copying": Diagnosis(
        "the generator repeats training images",
        ("health/copies_z",),
        "more images, augmentation, or a smaller generator",
        findings.copying,
        remedies=("augmentation",),
        urgency=6,
    ),
    "artefacts": Diagnosis(
        "a pattern of fine squares or stripes lies over the samples",
        ("health/checkerboard",),
        "use networks that upsample by interpolation (dcgan, r3), and a stronger penalty",
        findings.artefacts,
        remedies=(
            *("back-pace", "back-slighter-terms", "back-add-penalty", "back-spectrum", "back-penalty"),
            "back-slower",
        ),
        spares_learners=True,
        urgency=5,
    ),
    "saturation": Diagnosis(
        "the generator's output sticks at black and white, where no gradient gets through",
        ("health/saturation", "health/diversity"),
        "lower the generator's learning rate, or start it from smaller weights",
        findings.saturation,
        remedies=("back-pace", "back-slighter-terms", "pace", "back-slower", "slower-generator"),
        spares_learners=True,
        urgency=5,
    ),
    "weak-discriminator": Diagnosis(
        "the discriminator cannot follow: fakes are plainly wrong and it does not see it",
        ("discriminator/separation", "health/distance"),
        "raise the discriminator's learning rate or capacity, or lower its penalty",
        findings.weak_discriminator,
        remedies=("back-pace", "lighter-discriminator", "faster-discriminator", "more-discriminator-steps"),
        urgency=5,
    ),
    "strong-discriminator": Diagnosis(
        "the discriminator wins by so far that the generator learns nothing from it",
        ("discriminator/win_rate", "discriminator/separation", "health/distance"),
        "lower the discriminator's learning rate, raise the generator's, or add a penalty",
        findings.strong_discriminator,
        confirm=3,
        remedies=(
            *("back-pace", "back-slighter-terms", "back-add-penalty", "back-spectrum", "back-penalty"),
            *("faster-generator", "slower-discriminator"),
        ),
        urgency=4,
    ),
    "collapse": Diagnosis(
        "the generator makes a few kinds of samples only",
        ("health/diversity", "health/empty_clusters"),
        "add R1 and R2 or use the default recipe; lower the learning rates",
        findings.collapse,
        confirm=2,
        remedies=(
            *("back-pace", "back-all-fakes", "back-slighter-terms", "back-slighter-terms", "back-add-penalty"),
            *("back-spectrum", "back-matching", "back-penalty", "back-slower"),
        ),
        spares_learners=True,
        urgency=5,
    ),
    "drift": Diagnosis(
        "the generator leaves what it had learnt, while no loss shows it",
        ("health/distance",),
        "lower the learning rates towards the end; look whether the data changed",
        findings.drift,
        remedies=("back-slighter-terms", "back-penalty", "back-slower", "back-slower", "back-clip"),
        urgency=4,
    ),
    "oscillation": Diagnosis(
        "the players chase each other round instead of settling",
        ("health/displacement", "health/distance"),
        "lower both learning rates, take beta1 = 0 or .5, or add R1",
        findings.oscillation,
        remedies=(
            *("back-pace", "back-slighter-terms", "back-slighter-terms", "back-penalty", "back-spectrum"),
            *("slower-players", "much-slower-players"),
        ),
        urgency=3,
    ),
    "mode-dropping": Diagnosis(
        "some kinds of data are made far too rarely",
        ("health/uneven_clusters", "health/empty_clusters"),
        "train longer, add R1 and R2, or give the discriminator several samples at once (packing=2)",
        findings.mode_dropping,
        confirm=5,
        remedies=("pace", "back-all-fakes", "stronger-penalty", "slower-players"),
        spares_learners=True,
        urgency=2,
    ),
    "stall": Diagnosis(
        "the samples are far from the data and come no nearer",
        ("health/distance",),
        "another recipe, larger networks, or other learning rates",
        findings.stall,
        confirm=3,
        remedies=(
            *("back-pace", "back-all-fakes", "back-slighter-terms", "back-penalty", "back-spectrum"),
            *("back-slower", "faster-generator"),
        ),
        urgency=1,
    ),
    "finished": Diagnosis(
        "no progress is left to be made at this size",
        ("health/distance",),
        "stop here, or train a larger network",
        findings.finished,
        confirm=4,
        urgency=0,
    ),
}
"""Every diagnosis by name."""
