"""Every look: silent on healthy courses, on nothing and on nonsense, and moved by the illness that it is for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadygan.health.diagnoses import DIAGNOSES
from steadygan.health.findings import BROKEN, Finding
from steadygan.health.history import History

TOTAL = 100_000
RECORDS = 200
"""Of a whole run; every fourth is a check-up."""
Curve = Callable[[float], float]
SLOW, QUICK = 0.15, 0.05


def falls(start: float, end: float, pace: float = SLOW) -> Curve:
    """From one value to the other, steeply at first."""
    return lambda progress: end + (start - end) * math.exp(-progress / pace)


def flat(value: float) -> Curve:
    return lambda progress: value


def steps(*values: float) -> Curve:
    """Equal stretches of the run, each at a value of its own."""
    return lambda progress: values[min(len(values) - 1, int(progress * len(values)))]


HEALTHY: dict[str, Curve] = {
    "control/momentum.generator": flat(0.5),
    "control/momentum.discriminator": flat(0.5),
    "discriminator/loss": falls(1.4, 0.9),
    "generator/loss": falls(0.7, 1.2),
    "discriminator/real_logits": falls(0.1, 1.0),
    "discriminator/fake_logits": falls(-0.1, -1.0),
    "discriminator/gradient_norm": falls(2.0, 0.8),
    "generator/gradient_norm": falls(0.3, 0.6),
    "discriminator/update": flat(0.006),
    "generator/update": flat(0.008),
    "discriminator/win_rate": falls(1.0, 0.85),
    "discriminator/separation": falls(9.0, 1.5),
    "real/mean": flat(-0.3),
    "real/deviation": flat(0.6),
    "health/distance": falls(0.6, 0.0015, 0.08),
    "health/distance_floor": flat(0.001),
    "health/distance_floor_spread": flat(0.0005),
    "health/diversity": falls(0.4, 1.0, QUICK),
    "health/raw_diversity": falls(0.4, 1.0, QUICK),
    "health/empty_clusters": falls(0.65, 0.0, QUICK),
    "health/uneven_clusters": falls(0.95, 0.1),
    "health/displacement": falls(0.7, 0.12, QUICK),
    "health/overfitting": falls(0.0, 0.2),
    "health/overfitting_error": flat(0.05),
    "health/held_out_margin": falls(6.0, 1.2),
    "health/saturation": falls(0.58, 0.1, QUICK),
    "health/checkerboard": falls(17.0, 0.0, QUICK),
    "health/copies": flat(0.01),
    "health/copies_z": flat(0.5),
    "health/duplicates": flat(0.01),
    "health/constant_images": flat(0.0),
    "health/broken": flat(0.0),
    "health/images": flat(2000.0),
    "health/spectral.generator": falls(8.0, 12.0),
    "round": lambda progress: 1500 * progress,
    "penalty/r1": falls(0.1, 0.05),
    "control/penalty.r1": flat(0.5),
    "control/weight_clip": flat(0.0),
    "control/top_k": flat(1.0),
}
SHAPES: dict[str, dict[str, Curve]] = {
    "quick": {},
    "slow and steady": {
        "health/distance": falls(0.6, 0.004, 0.2),
        "health/diversity": falls(0.5, 1.05, SLOW),
        "health/empty_clusters": falls(0.65, 0.0, 0.08),
        "health/displacement": falls(0.7, 0.2, SLOW),
    },
    "no headway for the discriminator": {"discriminator/separation": flat(0.9), "discriminator/win_rate": flat(0.72)},
    "the discriminator stays ahead, yet teaches": {
        "discriminator/separation": flat(4.0),
        "discriminator/win_rate": flat(0.99),
        "health/distance": falls(0.8, 0.002, 0.12),
    },
    "wild at first": {
        "health/diversity": falls(1.6, 1.0, QUICK),
        "health/distance": falls(1.1, 0.002, 0.06),
        "health/saturation": falls(0.7, 0.05, QUICK),
    },
    "ends above the floor": {"health/distance": falls(0.5, 0.006, 0.1), "health/uneven_clusters": falls(0.95, 0.25)},
    "another scale of gradients": {
        "discriminator/gradient_norm": falls(2000.0, 80.0),
        "generator/gradient_norm": falls(1e-6, 4e-6),
        "discriminator/fake_logits": falls(-1.0, -400.0),
    },
}
"""What a healthy run may look like, where it is not the usual one."""


def course(
    changes: Mapping[str, Curve] | None = None, until: float = 1.0, seed: int = 0, noise: float = 0.03
) -> History:
    """A run with a little noise on everything, as far as ``until``."""
    curves, source, found = HEALTHY | dict(changes or {}), np.random.default_rng(seed), History(TOTAL)
    for place in range(1, int(RECORDS * until) + 1):
        checks = place % 4 == 0
        progress = place / RECORDS
        found.add(
            place * TOTAL // RECORDS,
            {
                name: _jittered(name, curve(progress), noise * float(source.normal()))
                for name, curve in curves.items()
                if checks or not name.startswith("health/")
            },
        )
    return found


def _jittered(name: str, value: float, by: float) -> float:
    """A share stays one: what is missing to 1 wavers, not what is there."""
    return 1 - (1 - value) * (1 + by) if name == "discriminator/win_rate" else value * (1 + by)


def looks(history: History) -> dict[str, Finding]:
    found = {name: diagnosis.look(history) for name, diagnosis in DIAGNOSES.items()}
    return {name: finding for name, finding in found.items() if finding}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_found_in_a_healthy_run_at_any_time(shape: str, seed: int) -> None:
    whole, found = course(SHAPES[shape], seed=seed), set[str]()
    for place in range(4, RECORDS + 1, 4):
        part = course(until=0)
        part.points = {
            name: [point for point in points if point[0] <= place * TOTAL // RECORDS]
            for name, points in whole.points.items()
        }
        found |= looks(part).keys()
    assert found <= {"finished"}


def test_a_run_at_the_floor_is_finished_at_its_end_only() -> None:
    assert "finished" not in looks(course(until=0.3))
    assert "finished" in looks(course({"health/distance": steps(0.5, 0.01, 0.001, 0.001, 0.001)}))
    assert "finished" not in looks(course({"health/distance": flat(0.05)})), "far off is not finished"


def test_nothing_is_found_in_nothing() -> None:
    assert looks(History(TOTAL)) == {}
    assert looks(course(until=1 / RECORDS)) == {}
    assert looks(course(until=0.02)) == {}


ILL: dict[str, Sequence[tuple[dict[str, Curve], float]]] = {
    "blow-up": [
        ({"discriminator/loss": steps(1.0, 1.0, 1.0, math.nan)}, 0.9),
        ({"generator/gradient_norm": steps(0.3, 0.3, 0.3, 3e6)}, 0.9),
        ({"discriminator/fake_logits": steps(-1.0, -1.0, -1.0, -1e7)}, 0.9),
        ({"health/broken": steps(0.0, 0.0, 0.0, 1.0)}, 0.9),
        ({"penalty/r1": flat(0.1), "generator/loss": flat(math.inf)}, 0.05),
    ],
    "bad-data": [
        ({"health/duplicates": flat(0.8)}, 0.1),
        ({"health/constant_images": flat(0.5)}, 0.1),
        ({"health/images": flat(30.0)}, 0.05),
        ({"real/mean": steps(-0.3, -0.3, -0.3, 5.0)}, 0.9),
        ({"real/deviation": lambda progress: 9.0 if 0.5 < progress < 0.55 else 0.6}, 0.6),
    ],
    "shock": [({"generator/update": lambda progress: 0.008 if progress < 0.5 else 0.0004}, 0.52)],
    "momentum": [
        ({"control/momentum.generator": flat(0.9), "generator/update": flat(0.03)}, 0.1),
        ({"control/momentum.discriminator": flat(0.95), "discriminator/update": flat(0.02)}, 0.1),
    ],
    "unbounded": [
        ({"discriminator/real_logits": lambda progress: 10 ** (2 + 10 * progress)}, 0.5),
        (
            {
                "control/penalty.r1": flat(0.0),
                "discriminator/real_logits": steps(0.0, -7.0, -7.0, -7.0, -7.0, -7.0, -7.0, -7.0, -7.0, -7.0),
                "discriminator/fake_logits": steps(0.0, -9.0, -9.0, -9.0, -9.0, -9.0, -9.0, -9.0, -9.0, -9.0),
            },
            0.2,
        ),
    ],
    "smothered": [
        ({"penalty/r1": flat(40.0)}, 0.1),
        (
            {
                "control/weight_clip": flat(0.01),
                "discriminator/real_logits": flat(1e-9),
                "discriminator/fake_logits": flat(0.0),
            },
            0.1,
        ),
    ],
    "long-steps": [({"discriminator/update": flat(0.08)}, 0.2), ({"generator/update": flat(0.2)}, 0.5)],
    "short-steps": [({"generator/update": flat(0.0003)}, 0.3), ({"discriminator/update": flat(0.0003)}, 0.15)],
    "swollen": [
        ({"generator/update": flat(0.0003), "health/spectral.generator": flat(900.0), "penalty/r1": flat(0.0)}, 0.3)
    ],
    "few-images": [({"round": lambda progress: 50_000 * progress}, 0.1)],
    "few-fakes": [({"control/top_k": flat(0.03)}, 0.1)],
    "strong-discriminator": [
        (
            {
                "discriminator/win_rate": flat(1.0),
                "discriminator/separation": flat(30.0),
                "health/distance": flat(0.6),
                "health/diversity": flat(0.9),
            },
            0.6,
        )
    ],
    "weak-discriminator": [({"discriminator/separation": flat(-0.5), "health/distance": flat(0.8)}, 0.6)],
    "overfitting": [({"health/overfitting": falls(0.0, 0.95), "health/overfitting_error": flat(0.02)}, 0.8)],
    "collapse": [
        ({"health/diversity": flat(0.02), "health/distance": flat(0.7)}, 0.6),
        ({"health/empty_clusters": flat(0.95), "health/distance": flat(0.7)}, 0.6),
    ],
    "mode-dropping": [
        ({"health/uneven_clusters": flat(1.0), "health/empty_clusters": flat(0.35), "health/distance": flat(0.03)}, 0.9)
    ],
    "oscillation": [({"health/displacement": flat(1.3), "health/distance": flat(0.3)}, 0.8)],
    "drift": [({"health/distance": steps(0.5, 0.02, 0.01, 0.3, 0.5)}, 0.95)],
    "stall": [({"health/distance": flat(0.8)}, 0.9)],
    "saturation": [
        ({"health/saturation": flat(0.9), "health/diversity": flat(2.0), "health/distance": flat(0.8)}, 0.7)
    ],
    "artefacts": [({"health/checkerboard": flat(45.0), "health/distance": flat(0.1)}, 0.7)],
    "copying": [({"health/copies": falls(0.0, 0.9), "health/copies_z": falls(0.0, 25.0)}, 0.8)],
    "finished": [({"health/distance": steps(0.5, 0.01, 0.001, 0.001, 0.001)}, 1.0)],
}
CASES = [(name, changes, until) for name, cases in ILL.items() for changes, until in cases]
IDS = [f"{name} by {' and '.join(changes)}" for name, changes, _ in CASES]


def test_every_diagnosis_is_provoked_here() -> None:
    assert ILL.keys() == DIAGNOSES.keys()


@pytest.mark.parametrize(("name", "changes", "until"), CASES, ids=IDS)
def test_a_plain_illness_is_found(name: str, changes: dict[str, Curve], until: float) -> None:
    finding = looks(course(changes, until)).get(name)
    assert finding is not None
    assert finding.severity > 0
    assert (finding.words and finding.words[0].islower()) or finding.words[0].isdigit()
    assert name not in finding.words
    assert finding.evidence
    # what it rests on is what it says it needs, or what was seen of the same
    history = course(changes, until)
    assert all(signal in history.points or signal.rpartition(".")[0] in history.points for signal in finding.evidence)


@pytest.mark.parametrize(("name", "changes", "until"), CASES, ids=IDS)
def test_an_illness_is_not_found_without_its_signals(name: str, changes: dict[str, Curve], until: float) -> None:
    history = course(changes, until)
    history.points = {signal: points for signal, points in history.points.items() if signal not in changes}
    assert name not in looks(history)


@pytest.mark.parametrize("name", [name for name in ILL if name not in ("finished", "bad-data", "blow-up")])
def test_severity_grows_with_the_sign(name: str) -> None:
    """Half as much of the sign's excess is no worse than all of it."""
    changes, until = ILL[name][0]

    def part(share: float) -> float:
        between = {
            signal: (lambda p, ill=curve, well=HEALTHY[signal]: well(p) + share * (ill(p) - well(p)))
            for signal, curve in changes.items()
        }
        finding = looks(course(between, until, noise=0.0)).get(name)
        return finding.severity if finding else 0.0

    severities = [part(share) for share in (0.0, 0.5, 1.0)]
    assert severities[0] == 0.0
    assert severities[0] <= severities[1] <= severities[2]
    assert severities[2] > 0


def test_a_sign_of_weights_that_are_not_finite_counts_in_its_own_record_only() -> None:
    history = course(until=0.5)
    history.add(50_500, {BROKEN: 1.0, "generator/loss": 1.0})
    assert "blow-up" in looks(history)
    history.add(51_000, {"generator/loss": 1.0})
    assert "blow-up" not in looks(history)


def test_a_distance_that_falls_fast_is_no_drift() -> None:
    history = History(TOTAL)
    for place, value in enumerate((0.8, 0.44, 0.19, 0.06, 0.016, 0.004), start=1):
        history.add(place * 5_000, {"health/distance": value, "health/distance_floor_spread": 0.0005})
        assert "drift" not in looks(history)
    for place in (7, 8):
        history.add(place * 5_000, {"health/distance": 0.05, "health/distance_floor_spread": 0.0005})
    assert "drift" in looks(history)


def test_a_plateau_near_the_data_is_no_oscillation() -> None:
    """As of an auxiliary classifier's game: samples move, the distance stands, and nothing is wrong."""
    moving = {"health/displacement": flat(0.6), "health/diversity": flat(0.9)}
    assert "oscillation" not in looks(course(moving | {"health/distance": flat(0.04)}, 0.7))
    assert "oscillation" in looks(course(moving | {"health/distance": flat(0.3)}, 0.7))


def test_a_grid_that_fades_is_no_artefact() -> None:
    fading = {"health/checkerboard": lambda progress: 40.0 * (1 - 2 * progress), "health/distance": flat(0.1)}
    for until in (0.2, 0.25, 0.3, 0.35, 0.4):
        assert "artefacts" not in looks(course(fading, until, noise=0.0))


def test_a_coarse_grid_is_told_of_sooner() -> None:
    coarse, fine = ({"health/checkerboard": flat(power), "health/distance": flat(0.3)} for power in (15.0, 11.0))
    found = [["artefacts" in looks(course(signs, until)) for until in (0.15, 0.25, 0.35)] for signs in (coarse, fine)]
    assert found == [[False, True, True], [False, False, True]]


def test_one_odd_batch_is_no_blow_up() -> None:
    history = course(until=0.5)
    history.add(50_500, {"generator/gradient_norm": 1e9, "discriminator/fake_logits": 1e9})
    assert "blow-up" not in looks(history)


VALUE = st.one_of(
    st.floats(1e-3, 1e3), st.floats(-1e30, -1e-30), st.floats(1e-30, 1e30), st.sampled_from([math.nan, math.inf])
)
SIGNAL = st.sampled_from([*HEALTHY, BROKEN])


@settings(max_examples=150)
@given(
    courses=st.dictionaries(SIGNAL, st.lists(VALUE, min_size=1, max_size=30), max_size=8),
    clock=st.integers(1, 3 * TOTAL),
)
def test_no_look_ever_raises(courses: dict[str, list[float]], clock: int) -> None:
    history = History(TOTAL)
    for name, values in courses.items():
        for place, value in enumerate(values, 1):
            history.add(clock * place // len(values), {name: value})
    for finding in looks(history).values():
        assert isinstance(finding.words, str) and finding.evidence
        assert all(isinstance(value, float | int) for value in finding.evidence.values())


def swayed(at: float, best: float, now: float) -> History:
    """A distance that was ``best`` and stands at ``now`` at a share ``at`` of the run."""
    history = History(TOTAL)
    for share, value in ((0.02, 0.8), (0.06, best), (at - 0.03, now), (at, now)):
        history.add(round(share * TOTAL), {"health/distance": value, "health/distance_floor_spread": 0.0005})
    return history


def test_young_games_sway_and_who_has_learnt_nothing_does_not_drift() -> None:
    assert "drift" not in looks(swayed(0.3, 0.05, 0.2))
    assert "drift" in looks(swayed(0.3, 0.05, 0.3))
    assert "drift" in looks(swayed(0.6, 0.05, 0.2))
    assert "drift" not in looks(swayed(0.6, 0.25, 0.6))


@pytest.mark.parametrize(("falls", "told"), [(0.85, False), (1.0, True)])
def test_who_comes_nearer_has_not_stalled(falls: float, told: bool) -> None:
    history = History(TOTAL)
    for tenth in range(1, 7):
        signals = {"health/distance": 0.5 * falls**tenth, "round": 100.0 * tenth}
        history.add(TOTAL * tenth // 10, signals)
    assert ("stall" in looks(history)) == told
