"""Interventions: what may be done about a diagnosis, as turns of controls and returns to a snapshot, and nothing else.

An own intervention is one function and one line of ``INTERVENTIONS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from steadygan.game.controls import Controls
from steadygan.health.findings import bad_data
from steadygan.health.findings_steps import (
    BRISK,
    LONG,
    OPENING,
    OPPONENT,
    WINDOW,
    began_well,
    beginning,
    first_step,
    longest,
    lopsided,
    needed,
    opening,
    penalised,
    shortest,
)
from steadygan.health.guarding import DISTINCT, FAMILIAR
from steadygan.health.history import History

OWNER = "health"
"""In whose name health turns controls."""
CALM = {"generator": 0.025, "discriminator": 0.013}
"""Steps beside the weights that nothing is shortened below when momentum is taken from them."""
GROWN = 2.2
"""How many times longer steps become, for the same rate, when a momentum of .9 is taken from them."""
USUAL = {"generator": 0.015, "discriminator": 0.01}
"""A step's length over that of the weights at which networks of every recipe learn with Adam."""
LIGHT = 0.05
"""What penalties weigh beside a logit once they are made light; in healthy runs .01 (`r3`) to 1.5 (`wgan-gp`)."""
FELT = 0.015
"""The same once they are made to be felt."""
HEAVY = 0.5
"""The same from which on they hold the discriminator enough, and it may be too much."""
WEIGHTLESS = 0.004
"""The same in the first records, below which they hold nothing."""
SLIGHT = 0.05
"""Length of the gradient of auxiliary terms beside the game's own once they are made slight."""
RISEN = 1.5
"""Times what it was first from which on a learning rate is one that rises."""
SAFETY = 0.8
"""Steps longer than this share of what is told of as too long are shortened with those that are."""
Turns = dict[str, tuple[float, float]]
"""Factor and shift for each control that is turned."""


@dataclass(frozen=True)
class Bench:
    """What an intervention may look at.

    Attributes:
        controls: as they stand.
        standing: what health has turned so far.
        history: before any rollback.
        paces: length of each player's first full steps over that of its weights: what its learning rate means.
    """

    controls: Controls
    standing: Mapping[str, tuple[float, float]]
    history: History
    paces: Mapping[str, float]

    def scaled(self, name: str, factor: float, least: float, most: float) -> Turns:
        """The control ``factor`` times as large, its own factor within [least, most]; nothing at the limit or beyond.

        What stands by a shift, as penalties that the recipe does not have, is scaled with it.
        """
        if name not in self.controls or self.controls[name] <= 0:
            return {}
        was, shift = self.standing.get(name, (1.0, 0.0))
        if was == 0:
            # a control that is held: its schedule does not count, all of it is the shift
            first = self.controls.first(name)
            held = min(most * first, max(least * first, shift * factor))
            return {} if math.isclose(held, shift) else {name: (was, held)}
        wanted = min(most, max(least, was * factor))
        if math.isclose(wanted, was) or (wanted > was) != (factor > 1):
            return {}
        return {name: (wanted, shift * wanted / was)}

    def moved(self, name: str, by: float, most: float) -> Turns:
        """The control ``by`` further, as long as its value stays at or below ``most``."""
        if name not in self.controls or self.controls[name] + by > most + 1e-9:
            return {}
        factor, shift = self.standing.get(name, (1.0, 0.0))
        return {name: (factor, shift + by)}

    def held(self, name: str) -> Turns:
        """The control kept at what its schedule began with."""
        return {name: (0.0, self.controls.first(name))}

    def names(self, start: str) -> list[str]:
        """The controls of a kind."""
        return [name for name in self.controls if name.startswith(start)]

    @property
    def penalties(self) -> list[str]:
        """The weights of the gradient penalties; those on a player's weights bear its name besides."""
        return [name for name in self.names("penalty.") if name.count(".") == 1]


@dataclass(frozen=True)
class Intervention:
    """A remedy.

    Attributes:
        meaning: what it does, in words.
        turns: from the bench to the turns it wants; none where it has nothing (more) to give.
        once: a mark; of all remedies that bear it a run takes one, once.
        reaches: whether it reaches causes outside the game, so that going back is no waste.
        rolls_back: whether the game first returns to the last healthy snapshot and goes on with other batches.
    """

    meaning: str
    turns: Callable[[Bench], Turns]
    rolls_back: bool = False
    once: str = ""
    reaches: bool = False


def _slower(*players: str, by: float = 0.5) -> Callable[[Bench], Turns]:
    def turns(bench: Bench) -> Turns:
        names = [f"learning_rate.{name}" for name in players] if players else bench.names("learning_rate.")
        # slower than this a player would get nowhere
        able = [name for name in names if not _stops(bench.history, name.partition(".")[2], by)]
        return {k: v for name in able for k, v in bench.scaled(name, by, 1 / 256, 16.0).items()}

    return turns


def _stops(history: History, player: str, by: float) -> bool:
    """Whether a player whose steps become ``by`` times as long gets nowhere."""
    return first_step(history, player) * by < shortest(history, player)


def _pace(bench: Bench) -> Turns:
    """Learning rates for players whose first steps are far from usual: the opponent's, or by the length of a step."""
    turns: Turns = {}
    if bench.controls.get("weight_clip", 0.0) > 0:
        # weights that are held near 0 make every step look long
        return turns
    for player, steps in bench.paces.items():
        name, other = f"learning_rate.{player}", OPPONENT.get(player, "")
        was, shift = bench.standing.get(name, (1.0, 0.0))
        short = steps < needed(bench.history, player) and not began_well(bench.history, player)
        if name not in bench.controls or not (short or steps >= LONG.get(player, math.inf)):
            continue
        theirs = bench.controls.first(f"learning_rate.{other}") if other in bench.paces else 0.0
        ratio = theirs / max(bench.controls.first(name), 1e-30)
        fair = _fair(bench, player, steps * ratio) and _fair(bench, other, opening(bench.history, other))
        wanted = ratio if fair else USUAL.get(player, 0.01) / max(steps, 1e-9)
        wanted = min(64.0, max(1 / 1024, wanted))
        if not math.isclose(wanted, was):
            turns[name] = (wanted, shift)
    return turns


def _pace_and_hold(bench: Bench) -> Turns:
    """Learning rates as by ``_pace``; where these are turned, penalties that weigh nothing are made to be felt, too."""
    turns, weight = _pace(bench), penalised(bench.history, first=True)
    if not turns or not 0 < weight < WEIGHTLESS:
        return turns
    return turns | {k: v for name in bench.penalties for k, v in bench.scaled(name, FELT / weight, 0.0, 1000.0).items()}


def _fair(bench: Bench, player: str, length: float) -> bool:
    """Whether steps of a length beside the weights are neither too short for a run of this length nor too long."""
    return player in LONG and shortest(bench.history, player) <= length <= SAFETY * LONG[player]


def _shorter(*, anew: bool) -> Callable[[Bench], Turns]:
    """Learning rates at which steps are as long as usual, for players whose steps are long, from the first on.

    Rates that rise are held where they began. Where a run begins anew and the opponent's steps are sound, a player
    whose rate was above the opponent's gets that one: weights that grow at once hide how long the first steps were.
    Steps that are long beside the opponent's alone say that its are short: it gets the higher rate if it can bear it.
    """

    def turns(bench: Bench) -> Turns:
        rising = {name: bench.held(name)[name] for name in _rising(bench)} if anew else {}
        if any(bench.standing.get(name) != turn for name, turn in rising.items()):
            return rising
        of_now = {player: bench.history.now(f"{player}/update", WINDOW) for player in LONG}
        # weights that have grown under long steps make them look shorter than they will be from small ones
        steps = {player: longest(bench.history, player) for player in LONG} if anew else of_now
        found: Turns = {}
        for player, bound in LONG.items():
            if steps[player] > SAFETY * bound:
                factor = (_level(bench, player, steps[player]) if anew else None) or USUAL[player] / steps[player]
                found |= bench.scaled(f"learning_rate.{player}", factor, 2.0**-20, 64.0)
        return found or _evened(bench, of_now, anew=anew)

    return turns


def _rising(bench: Bench) -> list[str]:
    """Learning rates whose schedule has risen far."""
    return [name for name in bench.names("learning_rate.") if bench.controls.risen(name) > RISEN]


def _evened(bench: Bench, steps: Mapping[str, float], *, anew: bool) -> Turns:
    """For a player whose steps are long beside the opponent's alone: one of the two learning rates."""
    for player, other in OPPONENT.items():
        if not steps[player] > lopsided(bench.history, player) * steps[other]:
            continue
        levels = {name: _level(bench, name, beginning(bench.history, name)) if anew else None for name in OPPONENT}
        if (up := levels[other] or 0.0) > 1:
            return bench.scaled(f"learning_rate.{other}", up, 2.0**-20, 64.0)
        down = levels[player] or USUAL[player] / steps[player]
        return bench.scaled(f"learning_rate.{player}", down, 2.0**-20, 64.0)
    return {}


def _level(bench: Bench, player: str, length: float) -> float | None:
    """The factor to the opponent's rate, if that one's steps are sound at it and the player's will be."""
    other = OPPONENT[player]
    rates = [bench.controls.get(f"learning_rate.{name}", 0.0) for name in (other, player)]
    factor = rates[0] / max(rates[1], 1e-30)
    # whoever has won takes short steps, so the very first ones show the rate; a length that has been hidden by weights
    # that grew may come out short after it is lowered
    soon = _fair(bench, player, length * factor) or (factor < 1 and length * factor <= SAFETY * LONG[player])
    sound = soon and _fair(bench, other, opening(bench.history, other))
    return factor if sound and not math.isclose(factor, 1.0) else None


def _calm(bench: Bench) -> Turns:
    """No momentum, and learning rates at which steps are not long without it."""
    turns: Turns = {}
    for name in bench.names("momentum."):
        player = name.partition(".")[2]
        if not bench.controls[name] > 0.5:
            continue
        turns[name] = (0.0, 0.0)
        length = GROWN * first_step(bench.history, player)
        if length > CALM.get(player, BRISK):
            turns |= bench.scaled(f"learning_rate.{player}", CALM.get(player, BRISK) / length, 2.0**-20, 64.0)
    return turns


def _penalise(bench: Bench) -> Turns:
    """Existing penalties four times as strong, unless they weigh much; where there is none, a little R1 and R2."""
    present = [name for name in bench.penalties if bench.controls[name] > 0]
    if present and penalised(bench.history) > HEAVY:
        return {}
    if present:
        return {k: v for name in present for k, v in bench.scaled(name, 4.0, 0.0, 16.0).items()}
    return bench.moved("penalty.r1", 0.1, 0.1) | bench.moved("penalty.r2", 0.1, 0.1)


def _add_penalty(bench: Bench) -> Turns:
    """R1 and R2 where there is no penalty at all."""
    present = any(bench.controls[name] > 0 for name in bench.penalties)
    return {} if present else _penalise(bench)


def _clip(bench: Bench) -> Turns:
    """No gradient beyond twice what was usual for that player."""
    turns: Turns = {}
    for name in bench.names("clip."):
        usual = bench.history.before(f"{name.removeprefix('clip.')}/gradient_norm", 3)
        if usual > 0 and bench.controls[name] == 0:
            turns[name] = (1.0, 2 * usual)
    return turns


def _lighten(bench: Bench) -> Turns:
    """A quarter of every penalty and clipping four times as wide: whatever holds the discriminator down."""
    return {k: v for name in bench.penalties for k, v in bench.scaled(name, 0.25, 1 / 256, 16.0).items()} | _loosen(
        bench
    )


def _loosen(bench: Bench) -> Turns:
    """Weight clipping four times as wide."""
    return bench.scaled("weight_clip", 4.0, 1.0, 64.0)


def _unsmother(bench: Bench) -> Turns:
    """Penalties that weigh less than a logit, and weight clipping 64 times as wide."""
    weight = penalised(bench.history, first=True) / LIGHT
    names = bench.penalties if weight > 1 else []
    lighter = {k: v for name in names for k, v in bench.scaled(name, 1 / weight, 2.0**-20, 64.0).items()}
    return lighter | bench.scaled("weight_clip", 64.0, 1.0, 64.0)


def _all_fakes(bench: Bench) -> Turns:
    """All fakes teach the generator, not the most convincing alone."""
    share = bench.controls.get("top_k", 1.0)
    return bench.scaled("top_k", 1 / share, 1.0, 100.0) if 0 < share < 1 else {}


def _slighten(bench: Bench) -> Turns:
    """Auxiliary terms a thirtieth or less, so that they pull at the generator far less than the game does."""
    pulls = bench.history.course("generator/auxiliary")
    if len(pulls) < WINDOW:
        return {}
    # a pull that has had its way shows only as much as the game resists it
    share = max(bench.history.now("generator/auxiliary", WINDOW), float(max(pulls[:OPENING])))
    return bench.scaled("auxiliary", min(1 / 30, SLIGHT / share), 2.0**-20, 1.0) if share > SLIGHT else {}


def _distinct(bench: Bench) -> Turns:
    """Copies passed over, where that is what is wrong with the data."""
    return bench.moved(DISTINCT, 1.0, 1.0) if "health/duplicates" in _wrong_with_data(bench) else {}


def _familiar(bench: Bench) -> Turns:
    """Strange reals replaced, where batches are not like the others."""
    return bench.moved(FAMILIAR, 1.0, 1.0) if any("real/" in name for name in _wrong_with_data(bench)) else {}


def _wrong_with_data(bench: Bench) -> Iterable[str]:
    """Names of the signs that the data are told of by."""
    finding = bad_data(bench.history)
    return finding.evidence if finding else ()


INTERVENTIONS: dict[str, Intervention] = {
    "pace": Intervention("learning rates set by how far a step moves the weights", _pace, once="pace"),
    "back-pace": Intervention(
        "back to the last healthy snapshot, learning rates set by their steps, penalties that weigh nothing raised",
        _pace_and_hold,
        True,
        "pace",
    ),
    "shorter-steps": Intervention(
        "learning rates set by the steps of now, where these are too long", _shorter(anew=False)
    ),
    "back-shorter-steps": Intervention(
        "back to the last healthy snapshot, learning rates set by the longest steps, where these are too long",
        _shorter(anew=True),
        True,
    ),
    "slower-players": Intervention("both learning rates halved", _slower()),
    "slower-generator": Intervention("the generator's learning rate halved", _slower("generator")),
    "slower-discriminator": Intervention("the discriminator's learning rate halved", _slower("discriminator")),
    "much-slower-players": Intervention("both learning rates divided by 8", _slower(by=0.125)),
    "faster-discriminator": Intervention("the discriminator's learning rate times 4", _slower("discriminator", by=4.0)),
    "faster-generator": Intervention("the generator's learning rate times 4", _slower("generator", by=4.0)),
    "stronger-penalty": Intervention("penalties four times as strong, or R1 and R2 added", _penalise),
    "add-penalty": Intervention("penalties R1 and R2 added where there is none", _add_penalty),
    "lighter-discriminator": Intervention("penalties a quarter, weight clipping four times as wide", _lighten),
    "more-discriminator-steps": Intervention(
        "one more step of the discriminator a round", lambda bench: bench.moved("steps.discriminator", 1.0, 5.0)
    ),
    "augmentation": Intervention("augmentation strength 0.3 more", lambda bench: bench.moved("augmentation", 0.3, 0.9)),
    "back-slighter-terms": Intervention(
        "back to the last healthy snapshot, auxiliary terms a thirtieth or less", _slighten, True
    ),
    "back-matching": Intervention(
        "back to the last healthy snapshot; the generator is also tied to the features of the data",
        lambda bench: bench.moved("feature_matching", 50.0, 50.0),
        True,
    ),
    "back-lighter": Intervention(
        "back to the last healthy snapshot, penalties lighter than a logit and weight clipping 64 times as wide",
        _unsmother,
        True,
    ),
    "back-all-fakes": Intervention(
        "back to the last healthy snapshot; from now on all fakes teach the generator", _all_fakes, True
    ),
    "back-calm": Intervention(
        "back to the last healthy snapshot; from now on no momentum, and learning rates set by the steps",
        _calm,
        True,
    ),
    "back-trim": Intervention(
        "back to the last healthy snapshot; from now on no layer of the generator larger than twice the usual one",
        lambda bench: bench.moved("max_gain.generator", 2.0, 2.0),
        True,
    ),
    "back-spectrum": Intervention(
        "back to the last healthy snapshot; the generator's spectrum is also tied to that of the data",
        lambda bench: bench.moved("spectrum_matching", 1.0, 1.0),
        True,
    ),
    "back-penalty-pace": Intervention(
        "back to the last healthy snapshot, penalties R1 and R2 added and learning rates set by their steps",
        lambda bench: (added | _pace(bench)) if (added := _add_penalty(bench)) else {},
        True,
    ),
    "back-distinct": Intervention(
        "back to the last healthy snapshot; from now on each distinct image is read once an epoch",
        _distinct,
        True,
        reaches=True,
    ),
    "back-familiar": Intervention(
        "back to the last healthy snapshot; from now on stored images stand in for reals unlike all of them",
        _familiar,
        True,
        reaches=True,
    ),
    "back-guard": Intervention(
        "back to the last healthy snapshot; from now on steps whose gradient is not finite are left out",
        lambda bench: bench.moved("skip_broken", 1.0, 1.0),
        True,
    ),
    "back-clip": Intervention("back to the last healthy snapshot, gradients clipped", _clip, True),
    "back-slower": Intervention("back to the last healthy snapshot, learning rates a quarter", _slower(by=0.25), True),
    "back-add-penalty": Intervention(
        "back to the last healthy snapshot, penalties R1 and R2 added where there is none", _add_penalty, True
    ),
    "back-penalty": Intervention("back to the last healthy snapshot, penalties stronger", _penalise, True),
}
"""Every intervention by name."""
