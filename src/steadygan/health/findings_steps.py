"""Looks at how the players step, at what holds them down and at how few images they see: causes, told at the start.

The length of a step beside the weights says what a learning rate means for a network. Weights that are clipped near 0
make every step look long, so there nothing is said of it.
"""

from __future__ import annotations

import math

import numpy as np

from steadygan.health.findings import LEAST_ROUNDS, Finding
from steadygan.health.history import History

PLAYERS = ("generator", "discriminator")
CLIP = "control/weight_clip"
LONG = {"generator": 0.09, "discriminator": 0.037}
"""Steps beside the weights beyond which nothing settles; healthy Adam runs of all recipes lie below .08 and .034."""
LOPSIDED = 6.0
"""How many times longer the generator's first steps may be than the discriminator's; in healthy runs it is 4.4 at most.
Later ones say nothing of the rates: a discriminator that has won takes short steps at any."""
STARTLING = 6.0
"""How many times longer than too long a player's very first steps are where its rate throws it off at once; in healthy
runs they are 4 times at most. Weights that have grown under such steps hide them afterwards."""
OPPONENT = {"generator": "discriminator", "discriminator": "generator"}
RATES_APART = 5.2
"""How many times higher the opponent's learning rate is that leaves a player behind; on purpose it is 5 at most."""
OUTPACED = 2.0
"""How many times sooner the longer steps of a player at so much higher a rate are told of."""
WELL = 3.0
"""Times the shortest step from which on a very first step is not short."""
OPENING = 3
"""Records that the very first steps are looked for in."""
REACH = 0.1
"""First step times the root of the number of rounds, below which a player does not leave its first weights."""
WINDOW = 8
"""Records that a length is the median of."""
GAIN = "health/spectral.generator"
SWOLLEN = 60.0
"""Gain of a generator's layer; those of sound generators of all recipes lie below 14 at first."""
YOUTH = 0.15
"""Share of the run that first steps may lie in: later ones tell who has won."""
BEGINNING = 0.075
"""Share of the run in which the players' steps show their rates rather than who has won."""
OUTWEIGHED = 3.0
"""How many times as heavy as the difference of the mean logits penalties may be."""
FLAT = 2e-5
"""Difference between the mean logits of reals and fakes that is none."""
MUCH = 0.8
"""Momentum that a step remembers five others and more with."""
BRISK = 0.01
"""Steps beside the weights that are not short."""
SHOCK = 8.0
"""How many times shorter steps may become at once for the same gradient; in healthy runs it is 5.2 at most."""
TOLD_APART = 0.1
"""Share of the loss below which the difference of the mean logits makes no difference to it."""
LOGITS = ("discriminator/real_logits", "discriminator/fake_logits")
LEVEL = 2.0
"""Size of all logits that only a loss of differences lets them have, where it is more than their difference."""
APART = 1e4
"""Difference between the mean logits of reals and fakes that no bounded discriminator reaches."""
ADRIFT = 1.25
"""How many times as far from 0 as apart logits are that have wandered off."""
BEHIND = 2.0
"""How many times longer than the shortest that lead anywhere steps must be against an opponent at a far higher rate."""
FEWEST = 8
"""Images a step below which its direction is mostly chance."""
KNOWN = (
    *("control/batch", "control/weight_clip", "control/top_k"),
    *("control/steps.", "control/learning_rate.", "control/momentum.", "control/penalty."),
)
"""Controls that change what a sign means, by how they begin."""


def first_step(history: History, player: str) -> float:
    """Median length of the first steps at full rate beside the weights; NaN as long as there are too few."""
    course = [point for point in history.points.get(f"{player}/update", []) if point[0] <= YOUTH * history.total]
    rates = dict(history.points.get(f"control/learning_rate.{player}", [])[: len(course)])
    top = 0.95 * max(rates.values(), default=0.0)
    # a loss that asks nothing of a player yet gives steps of 0, which say nothing of its rate
    full = [value for place, value in course if 0 < value < math.inf and rates.get(place, top) >= top]
    return float(np.median(full[:WINDOW])) if len(full) >= WINDOW else math.nan


def opening(history: History, player: str) -> float:
    """The longest of the very first steps beside the weights; NaN as long as there is none."""
    return float(max(history.course(f"{player}/update")[:OPENING], default=math.nan))


def longest(history: History, player: str) -> float:
    """The longest that is known of a player's steps, of now and of the beginning; NaN where nothing is."""
    known = (history.now(f"{player}/update", WINDOW), first_step(history, player), opening(history, player))
    return max((size for size in known if math.isfinite(size)), default=math.nan)


def beginning(history: History, player: str) -> float:
    """How a player's steps began: the median of the first full ones, or while these are few the longest."""
    size = first_step(history, player)
    return size if math.isfinite(size) else opening(history, player)


def began_well(history: History, player: str) -> bool:
    """Whether a player at a far higher rate than the opponent's began with steps far from short: it has won since."""
    return outpaced(history, OPPONENT[player]) and opening(history, player) >= WELL * shortest(history, player)


def rounds(history: History) -> float:
    """How many rounds the whole run has; NaN where the records do not count them."""
    return history.rounds()


def shortest(history: History, player: str) -> float:
    """The shortest first step from which a player gets anywhere within the run; NaN where none does or is known."""
    count = rounds(history)
    steps = count * max(history.last(f"control/steps.{player}", 1.0), 1.0)
    return REACH / math.sqrt(steps) if count >= LEAST_ROUNDS else math.nan


def needed(history: History, player: str) -> float:
    """The shortest first step of a player that is not told of; beside an opponent at a far higher rate it is longer."""
    return shortest(history, player) * (BEHIND if outpaced(history, player) else 1.0)


def outpaced(history: History, player: str) -> bool:
    """Whether the opponent's learning rate is far higher, and was planned so: what a remedy sets apart is no sign."""
    names = [f"control/learning_rate.{name}" for name in (player, OPPONENT[player])]
    pairs = (map(history.early, names), map(history.planned, names))
    return all(theirs > RATES_APART * own > 0 for own, theirs in pairs)


def lopsided(history: History, player: str) -> float:
    """How many times longer than the opponent's a player's steps may be."""
    return LOPSIDED / (OUTPACED if outpaced(history, OPPONENT[player]) else 1.0)


def long_steps(history: History) -> Finding | None:
    """A player's steps are far too long beside its weights, or in a young game beside the other player's."""
    if history.last(CLIP, 0.0) > 0:
        return None
    if history.count("generator/update") < 2 * WINDOW:
        return _startling(history)
    steps = {player: history.now(f"{player}/update", WINDOW) for player in PLAYERS}
    for player, bound in LONG.items():
        if steps[player] > bound:
            words = f"a step changes the {player}'s weights by {steps[player]:.1%}"
            return Finding(steps[player] / bound, {f"{player}/update": steps[player]}, words)
    first = {player: first_step(history, player) for player in PLAYERS}
    ratio = first["generator"] / first["discriminator"]
    bound = lopsided(history, "generator")
    if not (history.progress < BEGINNING and first["generator"] > 0.02 and ratio > bound):
        return None
    evidence = {f"{player}/update": size for player, size in first.items()}
    return Finding(
        ratio / bound, evidence, f"the generator's first steps are {ratio:.0f} times as long as the discriminator's"
    )


def _startling(history: History) -> Finding | None:
    """The very first steps: longer than any that is merely long, or too long at a rate far above the opponent's."""
    for player, bound in LONG.items():
        size = opening(history, player)
        if size > bound * (1.0 if outpaced(history, OPPONENT[player]) else STARTLING):
            words = f"one of the first steps changes the {player}'s weights by {size:.0%}"
            return Finding(size / bound, {f"{player}/update": size}, words)
    return None


def momentum(history: History) -> Finding | None:
    """Much momentum in steps that are not short: they answer to where the opponent stood long before."""
    for player in PLAYERS:
        amount, length = history.last(f"control/momentum.{player}", 0.0), first_step(history, player)
        if amount > MUCH and length > BRISK:
            evidence = {f"control/momentum.{player}": amount, f"{player}/update": length}
            others = f"a step of the {player} remembers about {1 / max(1 - amount, 1e-3):.0f} others"
            words = f"{others}, and changes its weights by {length:.1%}"
            return Finding(length / BRISK, evidence, words)
    return None


def _short(history: History, player: str) -> Finding | None:
    """The player's first steps, where they are too short."""
    size, least = first_step(history, player), needed(history, player)
    if not size < least or began_well(history, player):
        return None
    words = f"a step changes the {player}'s weights by {size:.2%}; in a run of this length {least:.2%} is needed"
    return Finding(least / size, {f"{player}/update": size}, words)


def short_steps(history: History) -> Finding | None:
    """The first steps of a player are so short beside its weights that it gets nowhere within the run."""
    # what smothers a player makes its steps short as well, and shows a little later
    if history.last(CLIP, 0.0) > 0 or history.count("generator/update") < 3 * WINDOW:
        return None
    # beside weights that are too large any step looks short
    large = history.early(GAIN, 2) > SWOLLEN
    return (None if large else _short(history, "generator")) or _short(history, "discriminator")


def swollen(history: History) -> Finding | None:
    """A layer of the generator starts with weights so large that steps are nothing beside them."""
    gain, finding = history.early(GAIN, 2), _short(history, "generator")
    if finding is None or not gain > SWOLLEN:
        return None
    words = f"a layer of the generator has a gain of {gain:.0f}, and {finding.words}"
    return Finding(gain / SWOLLEN, {**finding.evidence, GAIN: gain}, words)


def penalised(history: History, *, first: bool = False) -> float:
    """The weighted sum of the gradient penalties, median of the latest records or the first; 0 for none."""
    names = [name for name in history.points if name.startswith("penalty/")]
    sizes = [history.early(name, WINDOW) if first else history.now(name, WINDOW) for name in names]
    weights = [history.last(f"control/{name.replace('/', '.')}", 0.0) for name in names]
    return sum(s * w for s, w in zip(sizes, weights, strict=True) if math.isfinite(s * w))


def _gap(history: History) -> float:
    """The widest distance of the mean logits of reals and fakes so far, once the first records are past."""
    real, fake = (history.course(f"discriminator/{which}_logits")[WINDOW:] for which in ("real", "fake"))
    count = min(len(real), len(fake))
    return float(np.abs(real[-count:] - fake[-count:]).max()) if count >= WINDOW else math.nan


def smothered(history: History) -> Finding | None:
    """Penalties outweigh all that the discriminator tells apart, or clipped weights let it tell nothing apart."""
    gap, weight = _gap(history), penalised(history)
    if history.progress > 0.5 or math.isnan(gap):
        return None
    least = max(0.5, OUTWEIGHED * gap)
    if weight > least:
        names = {name: history.last(name) for name in history.points if name.startswith("penalty/")}
        words = f"the penalties weigh {weight:.3g}, and the logits of reals and fakes lie {gap:.2g} apart at most"
        return Finding(weight / least, names, words)
    # a Wasserstein loss is the gap itself; any other that hardly leaves what it is for equal logits teaches nothing
    if history.last(CLIP, 0.0) > 0 and gap < max(FLAT, TOLD_APART * abs(history.now("discriminator/loss", WINDOW))):
        words = f"behind clipped weights the logits of reals and fakes lie {gap:.1g} apart at most"
        return Finding(min(max(FLAT / max(gap, 1e-30), 1.0), 1e3), {CLIP: history.last(CLIP)}, words)
    return None


def _images_a_step(history: History) -> float:
    """The batch, which may change while the run goes on; of records without it, what the rounds make of the clock."""
    batch = history.last("control/batch")
    if batch > 0:
        return batch
    return history.total / rounds(history) / max(history.last("control/steps.discriminator", 1.0), 1.0)


def few_images(history: History) -> Finding | None:
    """So few images are seen at a time that the direction of a step is mostly chance."""
    images = _images_a_step(history)
    if not images < FEWEST - 0.5:
        return None
    return Finding(FEWEST / images, {"round": history.last("round")}, f"a step is taken on {images:.0f} images")


def few_fakes(history: History) -> Finding | None:
    """So few of the fakes teach the generator at a time that the direction of its step is mostly chance."""
    share, images = history.last("control/top_k", 1.0), _images_a_step(history)
    if not share * images < FEWEST - 0.5 <= images:
        return None
    words = f"a step of the generator is taken on {share * images:.0f} of {images:.0f} fakes"
    return Finding(FEWEST / max(share * images, 1e-9), {"control/top_k": share}, words)


def unbounded(history: History) -> Finding | None:
    """Logits move apart by orders of magnitude, or wander off together where there is no penalty."""
    if history.count(LOGITS[0]) < 2 * WINDOW:
        return None
    gap = abs(history.now(LOGITS[0], WINDOW) - history.now(LOGITS[1], WINDOW))
    first = abs(history.early(LOGITS[0], WINDOW) - history.early(LOGITS[1], WINDOW))
    if not gap > max(APART, 100 * first):
        return _adrift(history, gap)
    words = f"the logits of reals and fakes lie {gap:.2g} apart (were {first:.2g})"
    return Finding(gap / APART, {name: history.now(name, WINDOW) for name in LOGITS}, words)


def _adrift(history: History, gap: float) -> Finding | None:
    """Logits far from 0 beside their difference, where nothing holds the discriminator.

    A loss that asks for the difference alone lets them; a penalty on the slope keeps them near all the same.
    """
    names = [name for name in history.points if name.startswith("control/penalty.") and name.count(".") == 1]
    held = not names or history.last(CLIP, 0.0) > 0 or any(history.last(name) > 0 for name in names)
    sides = {name: history.now(name, WINDOW) for name in LOGITS}
    # a sum over classes begins far from 0 and stays there
    level, first = abs(sum(sides.values())) / 2, abs(sum(history.early(name, WINDOW) for name in LOGITS)) / 2
    if held or history.progress < BEGINNING or not level > max(LEVEL, ADRIFT * gap, 2 * first):
        return None
    words = f"without any penalty the logits have wandered off by {level:.2g}, and lie {gap:.2g} apart"
    return Finding(level / LEVEL, sides, words)


def _answer(history: History, player: str) -> list[float]:
    """Length of each late step over gradient and learning rate: what the optimizer makes of the same gradient."""
    rates = dict(history.points.get(f"control/learning_rate.{player}", []))
    norms = dict(history.points.get(f"{player}/gradient_norm", [])[-2 * WINDOW :])
    found = [
        (size, norms.get(place, math.nan) * rates.get(place, 1.0))
        for place, size in history.points.get(f"{player}/update", [])[-2 * WINDOW :]
    ]
    return [size / by for size, by in found if size > 0 and 0 < by < math.inf]


def shock(history: History) -> Finding | None:
    """A player's steps have become far shorter at once for the same gradient: the optimizer remembers a huge one."""
    if rounds(history) < LEAST_ROUNDS:
        return None
    for player in PLAYERS:
        answers = _answer(history, player)
        if len(answers) < 2 * WINDOW or history.count(f"{player}/update") < 3 * WINDOW:
            continue
        before, now = float(np.median(answers[: WINDOW + 3])), float(np.median(answers[-4:]))
        if before > SHOCK * now > 0:
            words = f"the {player}'s steps are {before / now:.0f} times shorter for the same gradient than just before"
            return Finding(before / now / SHOCK, {f"{player}/update": history.now(f"{player}/update", 4)}, words)
    return None
