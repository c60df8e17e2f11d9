"""Looks at the first steps: what a warm-up, a lazy discriminator and clipped weights must not be taken for."""

from __future__ import annotations

import math

import pytest

from steadygan.health.findings_steps import (
    LONG,
    few_fakes,
    few_images,
    first_step,
    long_steps,
    momentum,
    penalised,
    rounds,
    shock,
    short_steps,
    shortest,
    smothered,
    swollen,
    unbounded,
)
from steadygan.health.history import History

TOTAL, EVERY = 100_000, 250
"""Images of a run and between its records; 64 images a round."""


def course(count: int, **changes: float) -> History:
    """The first records of a sound run, with some signals changed; ``_per_`` stands for the stroke in a name."""
    usual = {
        "generator/update": 0.02,
        "discriminator/update": 0.01,
        "generator/gradient_norm": 1.0,
        "discriminator/gradient_norm": 1.0,
        "discriminator/real_logits": 1.0,
        "discriminator/fake_logits": -1.0,
        "discriminator/separation": 3.0,
    }
    given = {name.replace("_per_", "/"): value for name, value in changes.items()}
    found = History(TOTAL)
    for place in range(1, count + 1):
        found.add(place * EVERY, usual | given | {"round": place * EVERY / 64})
    return found


def found(history: History) -> set[str]:
    looks = (momentum, long_steps, short_steps, smothered, unbounded, few_images, few_fakes, shock, swollen)
    return {look.__name__ for look in looks if look(history)}


def test_rounds_and_the_shortest_step_of_a_run() -> None:
    assert rounds(course(10)) == pytest.approx(TOTAL / 64)
    assert shortest(course(10), "generator") == pytest.approx(0.1 / math.sqrt(TOTAL / 64))
    assert math.isnan(rounds(History(TOTAL)))
    several = course(10, **{"control_per_steps.discriminator": 4.0})
    assert shortest(several, "discriminator") == pytest.approx(shortest(several, "generator") / 2)


@pytest.mark.parametrize("count", [1, 8, 16, 24, 100])
def test_a_sound_run_shows_nothing(count: int) -> None:
    assert found(course(count)) == set()


def test_a_generator_far_ahead_is_told_of_while_the_game_is_young() -> None:
    ahead = {"generator_per_update": 0.06, "discriminator_per_update": 0.006}
    assert found(course(18, **ahead)) == {"long_steps"}
    assert found(course(15, **ahead)) == set(), "too few records"
    assert found(course(200, **ahead)) == set(), "later it tells who has won"
    assert found(course(18, **ahead | {"discriminator_per_update": 0.0})) == set(), "a loss that asks nothing of it"


def test_a_discriminator_that_has_won_takes_short_steps_at_any_rate() -> None:
    history = History(TOTAL)
    for place in range(1, 19):
        size = 0.02 if place <= 8 else 0.002
        history.add(
            place * EVERY, {"generator/update": 0.05, "discriminator/update": size, "round": place * EVERY / 64}
        )
        assert long_steps(history) is None


def test_momentum_is_told_of_where_steps_are_not_short() -> None:
    much = {"control_per_momentum.generator": 0.9}
    assert found(course(20, **much)) == {"momentum"}
    assert found(course(20, **much, generator_per_update=0.008)) == set()
    assert found(course(20, **{"control_per_momentum.generator": 0.5})) == set()
    assert found(course(4, **much)) == set(), "too few records"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"control_per_penalty.r1": 0.0}, True),
        ({}, False),
        ({"control_per_penalty.r1": 0.1}, False),
        ({"control_per_penalty.r1": 0.0, "control_per_weight_clip": 0.01}, False),
        ({"control_per_penalty.r1": 0.0, "discriminator_per_fake_logits": 2.0}, False),
    ],
    ids=["no penalty", "not known", "a penalty", "clipped", "further apart than off"],
)
def test_logits_that_wander_off_together(changes: dict[str, float], told: bool) -> None:
    off = {"discriminator_per_real_logits": 7.0, "discriminator_per_fake_logits": 5.0} | changes
    history = course(12, **changes)
    for place in range(13, 41):
        signals = {name.replace("_per_", "/"): value for name, value in off.items()}
        history.add(place * EVERY, signals | {"round": place * EVERY / 64})
        if place == 25:
            assert unbounded(history) is None, "at first they may"
    assert (unbounded(history) is not None) == told


def test_a_sum_over_classes_begins_far_from_0() -> None:
    steady = {"control_per_penalty.r1": 0.0, "discriminator_per_real_logits": 4.6, "discriminator_per_fake_logits": 4.6}
    assert unbounded(course(60, **steady)) is None


def test_steps_behind_clipped_weights_tell_nothing() -> None:
    clipped = {"control_per_weight_clip": 0.01}
    assert found(course(20, generator_per_update=0.5, **clipped)) == set()
    assert found(course(20, generator_per_update=1e-5, **clipped)) == set()


def test_steps_of_a_warm_up_are_not_the_first_ones() -> None:
    history = History(TOTAL)
    for place in range(1, 31):
        rate = min(place / 10, 1.0)
        history.add(
            place * EVERY,
            {
                "generator/update": 0.02 * rate,
                "discriminator/update": 0.01,
                "control/learning_rate.generator": 0.001 * rate,
                "round": place * EVERY / 64,
            },
        )
        assert short_steps(history) is None
    assert first_step(history, "generator") == pytest.approx(0.02)


def test_what_a_rate_does_that_is_raised_late_is_no_first_step() -> None:
    history = course(100, **{"control_per_learning_rate.discriminator": 1.0})
    for place in range(101, 140):
        late = {"discriminator/update": 0.0005, "control/learning_rate.discriminator": 4.0, "round": place * EVERY / 64}
        history.add(place * EVERY, late)
    assert first_step(history, "discriminator") == pytest.approx(0.01)


def test_a_run_that_is_long_enough_may_take_short_steps() -> None:
    short = {"generator_per_update": 0.001}
    assert found(course(30, **short)) == {"short_steps"}
    assert found(course(20, **short)) == set(), "what smothers a player shows a little later"
    for times in (100, 0.1):
        other = course(30, **short)
        other.total = round(other.total * times)
        assert short_steps(other) is None, "long enough, or so short that nothing would help"


def test_few_images_are_told_from_few_fakes() -> None:
    assert found(course(20, control_per_top_k=0.05)) == {"few_fakes"}
    assert found(course(20, control_per_top_k=0.2)) == set()
    small = course(20, control_per_top_k=0.05)
    small.points["round"] = [(place, place / 4) for place, _ in small.points["round"]]
    assert found(small) == {"few_images"}
    five = {"control_per_steps.discriminator": 16.0}
    assert found(course(20, **five)) == {"few_images"}, "four images for each of sixteen steps"
    assert found(course(20, control_per_batch=4.0)) == {"few_images"}, (
        "where records tell the batch, by the batch of now"
    )
    assert found(course(20, control_per_batch=64.0, **five)) == set()


def test_steps_that_only_look_short_beside_large_weights_are_not_made_longer() -> None:
    large = {"generator_per_update": 0.001, "health_per_spectral.generator": 500.0}
    assert found(course(30, **large)) == {"swollen"}
    assert found(course(30, **large | {"health_per_spectral.generator": 12.0})) == {"short_steps"}
    held = {"penalty_per_r1": 0.1, "control_per_penalty.r1": 0.5}
    assert found(course(30, **large, **held)) == {"swollen"}, "with penalties as without"


def test_penalties_count_with_their_weight() -> None:
    heavy = {"penalty_per_r1": 3.0, "control_per_penalty.r1": 4.0, "penalty_per_r2": 1.0}
    assert penalised(course(20, **heavy)) == pytest.approx(12.0)
    assert found(course(20, **heavy)) == {"smothered"}
    assert found(course(20, **heavy | {"control_per_penalty.r1": 1.0})) == set(), "less than three times the logits"


@pytest.mark.parametrize(
    ("gap", "loss", "ill"), [(0.002, -0.002, False), (0.05, 1.38, True), (3.0, 0.7, False), (1e-6, -1e-6, True)]
)
def test_clipped_weights_smother_a_loss_that_they_hardly_move(gap: float, loss: float, ill: bool) -> None:
    logits = {"discriminator_per_real_logits": gap, "discriminator_per_fake_logits": 0.0}
    clipped = {"control_per_weight_clip": 0.01, "discriminator_per_loss": loss}
    assert found(course(20, **logits, **clipped)) == ({"smothered"} if ill else set())
    assert found(course(20, **logits, **clipped | {"control_per_weight_clip": 0.0})) == set()


def test_a_step_shorter_for_the_same_gradient_is_a_shock_and_one_of_another_rate_is_not() -> None:
    for rate, ill in ((1.0, True), (0.05, False)):
        history = course(40, **{"control_per_learning_rate.generator": 1.0})
        for place in range(41, 45):
            after = {"generator/update": 0.001, "generator/gradient_norm": 1.0, "control/learning_rate.generator": rate}
            history.add(place * EVERY, after)
        assert bool(shock(history)) is ill


@pytest.mark.parametrize("player", LONG)
def test_what_is_too_long_is_told_with_its_player(player: str) -> None:
    finding = long_steps(course(20, **{f"{player}_per_update": 0.2}))
    assert finding and player in finding.words and finding.severity == pytest.approx(0.2 / LONG[player])


@pytest.mark.parametrize(("player", "size", "told"), [("discriminator", 0.5, True), ("discriminator", 0.14, False)])
def test_a_very_first_step_is_told_of_at_once_where_it_throws_a_player_off(
    player: str, size: float, told: bool
) -> None:
    history = History(TOTAL)
    for place in range(1, 4):
        history.add(place * 100, {f"{player}/update": size / place**2, "generator/update": 0.03, "round": float(place)})
    finding = long_steps(history)
    assert bool(finding) == told
    if finding:
        assert "50%" in finding.words and player in finding.words


def test_steps_of_a_loss_that_asks_nothing_yet_say_nothing_of_the_rate() -> None:
    history = History(TOTAL)
    for place in range(1, 40):
        history.add(place * 100, {"discriminator/update": 0.0 if place % 3 else 0.012, "round": float(place)})
    assert first_step(history, "discriminator") == pytest.approx(0.012)


def begun(
    generator: float,
    discriminator: float,
    apart: float,
    first: float = 0.0,
    count: int = 30,
    after: History | None = None,
) -> History:
    """Records of steps at rates ``apart`` times as high for the discriminator; ``first`` is its very first step.

    ``after`` is the history of an attempt that has gone back to the start.
    """
    history = after or History(TOTAL)
    history.cut(0)
    for place in range(1, count + 1):
        steps = {"generator/update": generator, "discriminator/update": first if first and place < 3 else discriminator}
        rates = {"control/learning_rate.generator": 1e-3, "control/learning_rate.discriminator": 1e-3 * apart}
        history.add(place * 250, steps | rates | {"round": place * 250 / 64})
    return history


def test_a_step_that_is_merely_long_is_told_at_once_where_the_opponents_rate_is_far_lower() -> None:
    assert long_steps(begun(0.02, 0.05, apart=20, count=3)) is not None
    assert long_steps(begun(0.02, 0.05, apart=1, count=3)) is None
    assert long_steps(begun(0.02, 0.03, apart=20, count=3)) is None


def test_short_steps_of_a_faster_player_that_has_won_are_not_told_of() -> None:
    assert short_steps(begun(0.02, 0.001, apart=10, first=0.012)) is None
    assert short_steps(begun(0.02, 0.001, apart=1, first=0.012)) is not None, (
        "at the same rate it is as slow as it looks"
    )
    assert short_steps(begun(0.02, 0.001, apart=10)) is not None


def test_rates_that_a_remedy_sets_apart_are_not_its_own_sign() -> None:
    alike = begun(0.02, 0.01, apart=1)
    least = shortest(alike, "generator")
    assert short_steps(begun(1.2 * least, 0.012, apart=13, after=alike)) is None
    assert short_steps(begun(1.2 * least, 0.012, apart=13)) is not None, "as it was planned"
    assert short_steps(begun(2.2 * least, 0.012, apart=13)) is None
    mended = begun(1.2 * least, 0.012, apart=1, after=begun(0.5 * least, 0.012, apart=13))
    assert short_steps(mended) is None, "rates that a remedy brought together are not apart"
