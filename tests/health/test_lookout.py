"""The lookout: what is confirmed, and what the records of a run say after the fact."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from steadygan.config import HealthConfig
from steadygan.game.controls import Controls
from steadygan.game.orders import Tell
from steadygan.game.round import Record
from steadygan.health.diagnoses import DIAGNOSES, Diagnosis
from steadygan.health.findings import Finding
from steadygan.health.history import History
from steadygan.health.lookout import Lookout, review
from steadygan.health.monitor import Monitor

TOTAL = 1000


def flag(name: str) -> Callable[[History], Finding | None]:
    def look(history: History) -> Finding | None:
        value = history.last(name, 0.0)
        return Finding(value, {name: value}, name) if value > 0 else None

    return look


TABLE = {
    "quick": Diagnosis("a", ("q",), "b", flag("q"), "record", 1, urgency=1),
    "slow": Diagnosis("a", ("s",), "b", flag("s"), "record", 3, urgency=5),
    "seldom": Diagnosis("a", ("health/c",), "b", flag("health/c"), "check-up", 2, urgency=3),
}


def line(place: int, attempt: int = 0, **signals: float) -> dict[str, Any]:
    named = {name.replace("health_", "health/"): value for name, value in signals.items()}
    return {"images_seen": place, "round": place, "attempt": attempt, **named}


def test_it_takes_as_many_looks_in_a_row_as_it_says() -> None:
    lookout = Lookout(TOTAL, TABLE)
    found = [list(lookout.add(line(place, s=value))) for place, value in enumerate([1, 1, 0, 1, 1, 1, 1, 0, 1], 1)]
    assert found == [[], [], [], [], [], ["slow"], ["slow"], [], []]
    assert lookout.suspects


def test_looks_at_check_ups_wait_for_one() -> None:
    lookout = Lookout(TOTAL, TABLE)
    assert lookout.add(line(1, health_c=1.0)) == {}
    for place in range(2, 9):
        assert lookout.add(line(place, q=0.0)) == {}, "the sign is still there, but nobody has looked"
    assert list(lookout.add(line(9, health_c=1.0))) == ["seldom"]
    assert lookout.add(line(10, health_d=1.0, health_c=0.0)) == {}
    assert not lookout.suspects


def test_the_most_urgent_comes_first_and_of_equals_the_worse() -> None:
    lookout = Lookout(TOTAL, TABLE)
    for place in range(1, 4):
        found = lookout.add(line(place, q=100.0, s=1.0, health_c=2.0))
    assert list(found) == ["slow", "seldom", "quick"]
    even = {"mild": TABLE["quick"], "bad": Diagnosis("a", ("s",), "b", flag("s"), "record", 1, urgency=1)}
    assert list(Lookout(TOTAL, even).add(line(1, q=1.0, s=2.0))) == ["bad", "mild"]


def test_the_clock_is_no_signal_and_most_controls_are_none() -> None:
    lookout = Lookout(TOTAL, TABLE)
    lookout.add(line(5, q=1.0) | {"control/instance_noise": 0.1, "control/weight_clip": 0.01})
    assert lookout.history.points == {"q": [(5, 1.0)], "round": [(5, 5.0)], "control/weight_clip": [(5, 0.01)]}


def test_going_back_forgets() -> None:
    lookout = Lookout(TOTAL, TABLE)
    for place in (10, 20, 30):
        lookout.add(line(place, s=1.0))
    lookout.go_back(20)
    assert lookout.history.images_seen == 20
    assert not lookout.suspects
    assert lookout.add(line(30, s=1.0)) == {}, "what was confirmed before is not any more"


def test_a_review_tells_every_finding_once_as_long_as_it_stands() -> None:
    lines = [line(place * 10, q=float(value)) for place, value in enumerate([0, 1, 1, 0, 0, 1, 1], 1)]
    found = review(lines, TOTAL, TABLE)
    assert [(one.images_seen, one.name) for one in found.told] == [(20, "quick"), (60, "quick")]
    assert list(found.standing) == ["quick"]
    assert found.missing == ["slow", "seldom"]
    assert review(lines[:4], TOTAL, TABLE).standing == {}
    assert review([], TOTAL, TABLE).told == []


def test_a_review_goes_back_where_the_run_did() -> None:
    lines = [line(place, s=1.0) for place in (10, 20)] + [line(20, 1, s=1.0), line(30, 1, s=1.0)]
    assert review(lines, TOTAL, TABLE).told == [], "two looks before the rollback and two after it are not three"
    found = review([*lines, line(40, 1, s=1.0)], TOTAL, TABLE)
    assert [(one.images_seen, one.name) for one in found.told] == [(40, "slow")]


def test_null_is_not_a_number() -> None:
    lines: list[dict[str, Any]] = [line(place, **{"discriminator/loss": 1.0}) for place in range(10, 50, 10)]
    lines.append(line(50) | {"discriminator/loss": None})
    (told,) = review(lines, TOTAL).told
    assert (told.name, told.images_seen) == ("blow-up", 50)


SIGNALS = {
    "q": st.sampled_from([0.0, 1.0]),
    "s": st.sampled_from([0.0, 1.0, 1.0, math.nan]),
    "health/c": st.sampled_from([0.0, 1.0]),
}


@given(courses=st.lists(st.fixed_dictionaries(SIGNALS), min_size=1, max_size=40))
def test_after_the_fact_it_says_what_the_monitor_said(courses: list[dict[str, float]]) -> None:
    now: dict[str, float] = {}
    monitor = Monitor(HealthConfig(mode="watch", every=30), TOTAL, lambda memory: ({"c": now["health/c"]}, {}), TABLE)
    told, lines = list[tuple[int, str]](), list[dict[str, Any]]()
    for place, course in enumerate(courses, 1):
        now = course
        signals: Any = {name: value for name, value in course.items() if not name.startswith("health/")}
        record = Record(place * 10, place, 0, True, signals)
        for order in monitor.read(record, Controls(TOTAL)):
            if isinstance(order, Tell) and order.event["kind"] == "diagnosis":
                told.append((order.event["images_seen"], order.event["diagnosis"]))
        lines.append(record.line())
    found = review(lines, TOTAL, TABLE)
    assert [(one.images_seen, one.name) for one in found.told] == told
    assert found.standing.keys() == monitor.active.keys()


def test_every_diagnosis_can_be_told_from_a_full_record() -> None:
    needs = {need: 0.0 for one in DIAGNOSES.values() for need in one.needs}
    assert review([line(10) | needs], TOTAL).missing == []
    assert set(review([line(10, lr=1.0)], TOTAL).missing) == DIAGNOSES.keys() - {"few-images"}
