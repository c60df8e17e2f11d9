"""The verdict: for every course that a run can take, the words that a person should read."""

from __future__ import annotations

from typing import Any

import pytest

from steadygan.report.reading import Seen
from steadygan.report.stories import progress_ended, said, stories
from steadygan.report.verdict import verdict

from .conftest import CURED, Make, event, record

PLAN = [record(seen) for seen in range(1000, 10_001, 1000)]


def answers(found: Any) -> dict[str, str]:
    return dict(found.points)


def test_a_run_without_trouble(make: Make) -> None:
    found = verdict(make())
    assert found.state == "good" and found.headline == "This run went well from beginning to end."
    told = answers(found)
    assert told["Is it finished?"] == "Yes. It has seen 10,000 images."
    assert told["What happened?"] == "Nothing that could be called an illness was seen in 100 check-ups."
    assert told["How good is it?"].startswith("Samples are very near to the real images: 0.0099 on a scale")
    assert "What was done?" not in told and "Did it help?" not in told
    assert told["What next?"].startswith("Make images with: steadygan sample ")


def test_trouble_that_was_mended(make: Make) -> None:
    found = verdict(make(events=CURED))
    told = answers(found)
    assert found.state == "mended" and "got over it" in found.headline
    assert told["What happened?"] == (
        "At 3,000 images collapse was seen: the generator makes a few kinds of samples only."
    )
    assert told["What was done?"] == "At 3,000 images: back to the last healthy snapshot. The game went back once."
    assert told["Did it help?"] == "Yes. Proof: diversity 1.0 (was 0.1), recovered."


def test_trouble_that_nothing_helped_against(make: Make) -> None:
    tried = [
        *CURED[:2],
        event(4000, "proof", cured=False, words="not recovered", evidence={}),
        event(4000, "undone", intervention="back", words="back taken back"),
        event(4000, "given-up", words="nothing helped"),
    ]
    found = verdict(make(events=tried))
    assert found.state == "wrong"
    assert found.headline == (
        "This run is finished, but something is wrong: the generator makes a few kinds of samples only."
    )
    assert answers(found)["Did it help?"] == "No, or it is not known yet."
    assert answers(found)["What next?"] == "In another run: add R1 and R2."


def test_a_run_that_ended_early(make: Make) -> None:
    events = [
        event(2000, "diagnosis", "blow-up", words="gradients grew"),
        event(2000, "given-up", "blow-up", words="nothing helped"),
        event(2000, "stop", "blow-up", words="numbers grow without bound"),
    ]
    found = verdict(make(records=[record(1000), record(2000)], events=events))
    assert found.state == "failed" and found.headline == "This run broke off: numbers grow without bound."
    assert answers(found)["Is it finished?"].startswith("No. It broke off at 2,000 of 10,000 images")


def test_a_loss_that_is_no_number_and_nobody_there(make: Make) -> None:
    found = verdict(make(records=[record(1000), record(2000, **{"generator/loss": None})]))
    assert found.state == "failed" and "stopped being a number" in found.headline


def test_a_run_that_goes_on(make: Make) -> None:
    found = verdict(make(records=[record(2500)]))
    assert found.state == "going" and found.headline == "This run is not finished: 25% of its way is done."
    assert answers(found)["What next?"].startswith("Go on with: steadygan resume ")


def test_a_run_without_records(make: Make) -> None:
    found = verdict(make(records=[]))
    assert found.state == "going" and "0%" in found.headline


def test_steady_and_still_bad(make: Make) -> None:
    found = verdict(make(records=[*PLAN[:-1], record(10_000, **{"health/distance": 0.4})]))
    assert found.state == "far" and "plainly different from the real images" in found.headline
    assert "plainly different" in answers(found)["How good is it?"]


def test_nobody_watched(make: Make) -> None:
    told = [Seen(4000, "collapse", "samples are alike")]
    run = make(config={"health": {"mode": "off"}}, told=told, standing=["collapse"])
    found = verdict(run)
    assert found.state == "wrong"
    assert answers(found)["What happened?"].endswith("Nobody watched it; this is what its records show afterwards.")
    assert answers(found)["What was done?"] == "Nothing; it was only watched."
    gone = make("gone", config={"health": {"mode": "off"}}, told=told)
    assert verdict(gone).state == "mended" and answers(verdict(gone))["What was done?"] == "Nothing; it went by itself."


def test_what_was_not_looked_at_is_not_praised(make: Make) -> None:
    rows = [{k: v for k, v in one.items() if not k.startswith("health/")} for one in PLAN]
    found = verdict(make(records=rows))
    assert found.headline == "This run is finished, and nothing is wrong that its records show."
    assert "How good is it?" not in answers(found)


def test_no_progress_left(make: Make) -> None:
    ended = [event(8000, "diagnosis", "finished", words="no progress")]
    run = make(events=ended)
    assert progress_ended(run) == 8000 and stories(run) == []
    assert "From 8,000 images on there was no progress left" in answers(verdict(run))["Is it finished?"]
    later = make("later", events=[*ended, event(9000, "receded", "finished")])
    assert progress_ended(later) is None
    early = make("early", records=PLAN[:9], events=ended, config={"health": {"stop_when_finished": True}})
    assert verdict(early).state == "good"


@pytest.mark.parametrize(
    ("z", "words"), [(0.1, "No sign of it: 82% of samples"), (9.0, "There are signs that it does")]
)
def test_copies(make: Make, z: float, words: str) -> None:
    numbers = f'{{"share": 0.82, "by_chance": 0.8, "z": {z}}}'
    assert words in answers(verdict(make(files={"neighbours.json": numbers})))["Does it copy?"]


def test_measured_values_are_told_with_their_floor(make: Make) -> None:
    lines = [{"images_seen": 10_000, "metric": "fid", "value": 12.3456, "floor": 2.5}]
    told = answers(verdict(make(metrics=lines)))["How good is it?"]
    assert told.endswith("Measured FID: 12.35 (lower is better; other real images score 2.5).")


@pytest.mark.parametrize(
    ("distance", "words"), [(0.04, "went well"), (0.08, "its samples are still off"), (0.3, "plainly different")]
)
def test_nothing_is_called_well_that_is_not(make: Make, distance: float, words: str) -> None:
    assert words in verdict(make(records=[*PLAN[:-1], record(10_000, **{"health/distance": distance})])).headline


def test_an_end_that_names_another_case_belongs_to_its_illness(make: Make) -> None:
    events = [CURED[0], CURED[1] | {"case": 7}, CURED[2] | {"case": 7}]
    assert verdict(make(events=events)).state == "mended"


def test_several_troubles_are_counted(make: Make) -> None:
    events = [event(1000 * i, "diagnosis", case=i, words="w") for i in range(1, 7)]
    assert answers(verdict(make(events=events)))["What happened?"].endswith("and 2 more.")


def test_events_of_a_person_are_told_with_their_author(make: Make) -> None:
    wish = {"images_seen": 1, "attempt": 0, "kind": "wish", "by": "person:Ada", "done": True}
    turned = wish | {"wish": "turn", "words": "learning rate halved"}
    run = make(events=[turned, turned | {"done": False}, wish | {"wish": "end", "words": "ended"}], records=PLAN[:5])
    assert said(run.events[0], run.knowledge) == "Ada: learning rate halved"
    assert stories(run) == [] and answers(verdict(run))["Who took part?"] == "Ada (2 times)"
    assert verdict(run).state == "good"
    assert answers(verdict(run))["Is it finished?"] == "Yes. It has seen 5,000 images of 10,000."
