"""Diagnoses: which signs, together and confirmed, are called what, and what is tried against it.

Every entry compares with real data or with the run's own past, since absolute numbers mean little across losses,
networks and data. An own diagnosis is one function and one line of ``DIAGNOSES``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from steadygan.health.history import History


@dataclass(frozen=True)
class Finding:
    """What a look has found.

    Attributes:
        severity: how far beyond its bound the worst sign is; 1 is the bound.
        evidence: the numbers behind it, by signal.
        words: the same for a person, without the diagnosis's name.
    """

    severity: float
    evidence: Mapping[str, float]
    words: str


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
    """

    meaning: str
    needs: tuple[str, ...]
    advice: str
    look: Callable[[History], Finding | None]
    at: Literal["record", "check-up"] = "check-up"
    confirm: int = 2
    remedies: tuple[str, ...] = ()
    urgency: int = 1
    fatal: bool = field(default=False)


def blow_up(history: History) -> Finding | None:
    """Numbers that are not finite, or gradients and logits far beyond all that was usual."""
    for name in history.points:
        if name.endswith(("/loss", "/gradient_norm", "_logits")) and math.isnan(history.last(name, 0.0)):
            return Finding(100.0, {name: math.nan}, f"{name.replace('/', ' ')} is not finite")
    for name in ("discriminator/gradient_norm", "generator/gradient_norm", "discriminator/fake_logits"):
        now, past = history.now(name), history.before(name)
        strange = history.strangeness(name, 3, log=True)
        if strange > 8 and abs(now) > 30 * abs(past):
            words = f"{name.replace('/', ' ').replace('_', ' ')} is {now:.3g} (was {past:.3g})"
            return Finding(strange / 8, {name: now, f"{name}.before": past}, words)
    return None


def strong_discriminator(history: History) -> Finding | None:
    """It tells every fake from every real by far, and the fakes do not come nearer to the data."""
    wins, apart = history.now("discriminator/win_rate", 8), history.now("discriminator/separation", 8)
    if not (wins > 0.995 and apart > 4):
        return None
    words = f"the discriminator ranks {wins:.1%} of pairs rightly, {apart:.1f} standard deviations apart"
    return Finding(apart / 4, {"discriminator/win_rate": wins, "discriminator/separation": apart}, words)


def collapse(history: History) -> Finding | None:
    """Samples far more alike than the data."""
    now, past = history.now("health/diversity", 2), history.before("health/diversity", 2)
    if not now < 0.5:
        return None
    empty = history.now("health/empty_clusters", 2)
    was = "" if math.isnan(past) else f" (was {past:.2f})"
    words = f"samples are {now:.2f} as diverse as the data{was}, {empty:.0%} of clusters empty"
    return Finding(0.5 / max(now, 0.01), {"health/diversity": now, "health/empty_clusters": empty}, words)


DIAGNOSES: dict[str, Diagnosis] = {
    "blow-up": Diagnosis(
        "numbers grow without bound or stop being numbers",
        ("*/gradient_norm", "*/loss", "discriminator/fake_logits"),
        "lower both learning rates, or add a penalty (R1 and R2)",
        blow_up,
        at="record",
        confirm=1,
        remedies=("back-clip", "back-slower", "back-penalty", "back-slower"),
        urgency=9,
        fatal=True,
    ),
    "strong-discriminator": Diagnosis(
        "the discriminator wins by so far that it teaches the generator nothing",
        ("discriminator/win_rate", "discriminator/separation"),
        "lower the discriminator's learning rate, or add a penalty",
        strong_discriminator,
        at="record",
        confirm=8,
        remedies=("stronger-penalty", "slower-discriminator", "noise", "much-slower-discriminator"),
        urgency=4,
    ),
    "collapse": Diagnosis(
        "the generator makes a few kinds of samples only",
        ("health/diversity", "health/empty_clusters"),
        "add R1 and R2 or use the default recipe; lower the learning rates",
        collapse,
        remedies=("back-penalty", "back-slower", "augmentation"),
        urgency=6,
    ),
}
"""Every diagnosis by name."""
