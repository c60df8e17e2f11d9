"""What a look may find, and the looks themselves: functions from a history to a finding or None.

``distance`` is 0 for real data and about 1 for a blank picture, so .05 means the same on every set: still far off.
Every other bound is a ratio to the real data or to the run's own past.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from steadygan.health.history import History

BROKEN = "state/not_finite"
"""Signal: a weight or a moment was found not to be finite when a checkpoint was due."""
GUARD = "control/skip_broken"
"""The one control that changes what a sign means."""
FAR = 0.1
"""A distance that no eye takes for the data."""
UNEVEN = 15.0
"""How many times faster one player may change its weights than the other."""
FEW = 100
"""Images below which a discriminator knows them all at once, whatever is done."""
LEAST_ROUNDS = 200
"""A run of fewer gets nowhere at any rate."""
GRIDDED = 9.0
"""Decibels beyond the data's power at the finest stripes; healthy generators show 7 at most, past their youth."""
COARSE = 1.5
"""Times that, in decibels, which no healthy generator shows for as long as one may still show less."""
YOUNG = 0.2
"""Share of a run in which anything may still look ill."""


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


def _plain(name: str) -> str:
    """``generator/gradient_norm`` as *the generator's gradient norm*."""
    player, _, what = name.partition("/")
    return f"the {player}'s {what.replace('_', ' ')}"


def _was(value: float) -> str:
    return "" if math.isnan(value) else f" (was {value:.3g})"


def _above(value: float, bound: float) -> bool:
    """False for NaN as well: what is not known is no sign."""
    return value > bound


def learning(history: History, share: float = 0.85) -> bool:
    """Whether the distance to the data has fallen to ``share`` of what it was a tenth of the run ago."""
    return history.now("health/distance", 2) < share * history.ago("health/distance", 0.1)


def _pace(history: History) -> float:
    """The generator's relative step over the discriminator's."""
    return history.now("generator/update", 5) / max(history.now("discriminator/update", 5), 1e-12)


def _lasts(history: History, name: str) -> bool:
    """Whether a sign is about as strong as a tenth of the run ago."""
    return history.now(name, 2) > 0.8 * history.ago(name, 0.1)


def blow_up(history: History) -> Finding | None:
    """Numbers that are not finite, or gradients and logits far beyond all that was usual."""
    for name in (BROKEN, "health/broken"):
        if _above(history.last(name, 0.0), 0.0) and history.points[name][-1][0] == history.images_seen:
            return Finding(100.0, {name: history.last(name)}, "weights or samples are not finite")
    # where broken steps are left out, a single one does no harm
    needed = 3 if history.last(GUARD, 0.0) > 0 else 1
    for name, course in history.points.items():
        latest = course[-needed:]
        broken = len(latest) == needed and all(math.isnan(value) for _, value in latest)
        if broken and name.endswith(("/loss", "/gradient_norm", "_logits")):
            return Finding(100.0, {name: math.nan}, f"{_plain(name)} is not finite")
    for name in ("discriminator/gradient_norm", "generator/gradient_norm", "discriminator/fake_logits"):
        now, past = history.now(name), history.before(name)
        # a gradient that had died and comes alive again is no blow-up
        beyond = abs(now) > 100 * abs(past) > 0 and abs(now) > 30 * abs(history.early(name))
        if beyond and history.strangeness(name, 3, log=True) > 8:
            words = f"{_plain(name)} is {now:.3g}{_was(past)}"
            return Finding(abs(now) / max(100 * abs(past), 1e-30), {name: now, f"{name}.before": past}, words)
    return None


def bad_data(history: History) -> Finding | None:
    """Duplicates or constant images in the set, hardly any images, or batches that are not like the others."""
    few = history.last("health/images")
    if few < FEW:
        return Finding(FEW / max(few, 1.0), {"health/images": few}, f"there are {few:.0f} images to learn from")
    same, blank = history.last("health/duplicates", 0.0), history.last("health/constant_images", 0.0)
    if same > 0.1:
        return Finding(same / 0.1, {"health/duplicates": same}, f"{same:.0%} of the real images are duplicates")
    if blank > 0.02:
        return Finding(blank / 0.02, {"health/constant_images": blank}, f"{blank:.0%} of the real images are constant")
    for name, word in (("real/mean", "brightness"), ("real/deviation", "contrast")):
        odd = history.outliers(name, 40, 10.0)
        if odd >= 2:
            return Finding(odd / 2, {f"{name}.odd_batches": odd}, f"{odd} of the latest 40 batches have an odd {word}")
        moved = history.moved(name)
        if moved > 6:
            words = f"the {word} of the real images has changed while the run went on"
            return Finding(moved / 6, {name: history.now(name, 8), f"{name}.before": history.before(name, 8)}, words)
    return None


def strong_discriminator(history: History) -> Finding | None:
    """It tells every fake from every real by far, and the fakes hardly come nearer to the data."""
    wins, apart = history.now("discriminator/win_rate", 5), history.now("discriminator/separation", 5)
    distance, pace = history.now("health/distance", 2), _pace(history)
    stuck = wins > 0.998 and apart > 5 and distance > 0.02 and history.progress >= YOUNG and not learning(history, 0.92)
    left_behind = wins > 0.95 and pace < 1 / UNEVEN and distance > FAR / 2 and history.progress >= YOUNG / 2
    if not (stuck or left_behind):
        return None
    evidence = {"discriminator/win_rate": wins, "discriminator/separation": apart, "health/distance": distance}
    if left_behind:
        evidence["pace"] = pace
    words = (
        f"the discriminator ranks {wins:.1%} of pairs rightly, {apart:.1f} deviations apart, "
        f"and the distance to the data stays at {distance:.3g}"
    )
    return Finding(max(apart / 5, 1.0), evidence, words)


def weak_discriminator(history: History) -> Finding | None:
    """It cannot tell fakes from reals although they are plainly different."""
    apart, distance = history.now("discriminator/separation", 5), history.now("health/distance", 2)
    pace = _pace(history)
    blind = apart < -0.3 and not learning(history)
    left_behind = apart < 1 and pace > UNEVEN
    if history.progress < YOUNG / 2 or not (distance > FAR / 2 and (blind or left_behind)):
        return None
    evidence = {"discriminator/separation": apart, "health/distance": distance}
    if left_behind:
        evidence["pace"] = pace
    words = (
        f"fakes are far from the data ({distance:.3g}), but the discriminator sees {apart:.2g} deviations between them"
    )
    return Finding(max(1.0, 0.7 - apart), evidence, words)


def overfitting(history: History) -> Finding | None:
    """Held-out images look like fakes to the discriminator, training images do not."""
    share, error = history.now("health/overfitting", 3), history.now("health/overfitting_error", 3)
    if not _above(share - 2 * error, 0.4):
        return None
    evidence = {"health/overfitting": share, "health/overfitting_error": error}
    words = f"the discriminator knows its training images: {share:.0%} of its margin is gone on held-out ones"
    return Finding(share / 0.5, evidence, words)


RISING = 1.25
"""Growth of the samples' diversity within a tenth of the run that is no collapse."""


def collapse(history: History) -> Finding | None:
    """A large part of the data's kinds is not made at all, or samples are far more alike than the data."""
    alike, empty = history.now("health/diversity", 2), history.now("health/empty_clusters", 2)
    empty = 0.0 if math.isnan(empty) else empty
    few = empty > 0.4 and _lasts(history, "health/empty_clusters")
    # samples that become more various are those of a generator that learns, however few kinds it makes as yet
    before = history.ago("health/diversity", 0.1)
    if history.progress < YOUNG or not (few or alike < 0.4) or alike > RISING * before:
        return None
    spread = f"samples are {alike:.2f} as diverse as the data{_was(before)}, "
    words = f"{spread if alike < 1 else ''}{empty:.0%} of the data's clusters are empty"
    evidence = {"health/diversity": alike, "health/empty_clusters": empty}
    return Finding(max(empty / 0.4, 0.5 / max(alike, 0.01)), evidence, words)


def mode_dropping(history: History) -> Finding | None:
    """Kinds of data are made far too rarely, late in the run or more so than before."""
    uneven, empty = history.now("health/uneven_clusters", 3), history.now("health/empty_clusters", 3)
    rare = uneven > 0.9 and _lasts(history, "health/uneven_clusters")
    none = empty > 0.3 and _lasts(history, "health/empty_clusters")
    if history.progress < 2 * YOUNG or not (rare or none):
        return None
    words = f"{uneven:.0%} of the data's clusters have a wrong share of the samples, {empty:.0%} are empty"
    return Finding(
        max(uneven / 0.9, empty / 0.3), {"health/uneven_clusters": uneven, "health/empty_clusters": empty}, words
    )


def oscillation(history: History) -> Finding | None:
    """The images of fixed latents keep changing as much as ever, and lead nowhere."""
    moves, before = history.now("health/displacement", 3), history.ago("health/displacement", 0.15, 3)
    distance, past = history.now("health/distance", 3), history.ago("health/distance", 0.15, 3)
    restless = moves > 0.4 and moves > 0.75 * before and distance > 0.75 * past
    if history.progress < YOUNG or not (restless and distance > FAR / 2):
        return None
    words = (
        f"images of the same latents move {moves:.2f} of the data's spread between check-ups{_was(before)}, to no gain"
    )
    return Finding(moves / 0.4, {"health/displacement": moves, "health/distance": distance}, words)


def drift(history: History) -> Finding | None:
    """The distance to the data has risen well above the best that was reached, and goes on rising or stays there."""
    # a distance that falls fast has a median of two far above its latest value
    now = min(history.now("health/distance", 2), history.last("health/distance"))
    best = history.least("health/distance")
    noise = history.last("health/distance_floor_spread", 0.0)
    # young games sway, to three or four times the best
    bound = 2.0 if history.progress >= 2.5 * YOUNG else 5.0
    # who has learnt nothing yet has nothing to leave
    learnt = history.progress >= YOUNG / 2 and best < 2 * FAR
    if not (learnt and now > bound * best and now - best > 8 * noise):
        return None
    words = f"the distance to the data has risen to {now:.3g}; it had been {best:.3g}"
    return Finding(
        now / max(bound * best + 8 * noise, 1e-12), {"health/distance": now, "health/distance.best": best}, words
    )


def stall(history: History) -> Finding | None:
    """Far from the data, and no progress, or late and hardly any."""
    now, before = history.now("health/distance", 2), history.ago("health/distance", 0.2)
    # games that are slow by nature stand still for a while as well, but not as far off as a blank picture
    stands = history.progress >= 2.5 * YOUNG and now > FAR and now > 0.75 * before
    behind = history.progress >= 1.5 * YOUNG and now > 6 * FAR and now > 0.75 * before
    if history.rounds() < LEAST_ROUNDS or not (stands or behind) or learning(history, 0.9):
        return None
    words = f"at {history.progress:.0%} of the run the distance to the data is {now:.3g}{_was(before)}"
    return Finding(now / FAR / 4, {"health/distance": now, "health/distance.before": before}, words)


def saturation(history: History) -> Finding | None:
    """Pixels stick at the ends of their range, in samples wilder than the data."""
    share, wild = history.now("health/saturation", 2), history.now("health/diversity", 2)
    floor = history.last("health/saturation_floor", 0.0)
    stuck = share > 0.9 * history.ago("health/saturation", 0.15)
    if min(history.progress / YOUNG, history.rounds() / LEAST_ROUNDS) < 1 or not (
        share > 0.25 + floor and wild > 1.25 and stuck
    ):
        return None
    words = f"{share:.0%} more pixels than in the data stick at the ends of their range"
    return Finding(share / 0.25, {"health/saturation": share, "health/diversity": wild}, words)


def artefacts(history: History) -> Finding | None:
    """Far more power at the finest stripes and squares than the data have, in samples that are more than noise."""
    power, distance = history.now("health/checkerboard", 2), history.now("health/distance", 2)
    floor = history.last("health/checkerboard_floor", 0.0)
    # networks that upsample by strides begin with a grid, and most lose it by themselves
    stays = power > GRIDDED + floor and power > 0.9 * history.ago("health/checkerboard", 0.1)
    youth = YOUNG if power > COARSE * GRIDDED else 1.5 * YOUNG
    early = history.progress < youth or history.rounds() < LEAST_ROUNDS
    if early or not (stays and distance < 8 * FAR):
        return None
    words = f"{power:.0f} dB more power than the data in the finest stripes and squares"
    return Finding(power / GRIDDED, {"health/checkerboard": power}, words)


def copying(history: History) -> Finding | None:
    """Samples lie nearer to training images than held-out images do."""
    share, certainty = history.now("health/copies", 2), history.now("health/copies_z", 2)
    if not (share > 0.3 and certainty > 5):
        return None
    words = f"{share:.0%} of the samples lie nearer to a training image than chance allows (z {certainty:.1f})"
    return Finding(certainty / 5, {"health/copies": share, "health/copies_z": certainty}, words)


def finished(history: History) -> Finding | None:
    """The distance is down at what real data have among themselves, and no longer falls."""
    now, before = history.now("health/distance", 3), history.ago("health/distance", 0.2, 3)
    floor, noise = history.last("health/distance_floor", 0.0), history.last("health/distance_floor_spread", 0.0)
    if history.progress < 0.4 or not (now < floor + 2 * noise and abs(now - before) < noise):
        return None
    words = f"samples are as near to the data as other real images are ({now:.3g}), and no longer come nearer"
    return Finding(1.0, {"health/distance": now, "health/distance_floor": floor}, words)
