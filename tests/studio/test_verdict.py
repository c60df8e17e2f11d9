"""How a run stands, in words, from its events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from steadygan.studio.verdict import Story, verdict

SEEN = {"kind": "diagnosis", "case": 1, "diagnosis": "collapse", "words": "samples are alike"}
TREATED = {"kind": "intervention", "case": 1, "diagnosis": "collapse", "words": "back to the last snapshot"}
CURED = {"kind": "proof", "case": 1, "diagnosis": "collapse", "cured": True}
NOT_CURED = {"kind": "proof", "case": 1, "diagnosis": "collapse", "cured": False}
UP = {"kind": "given-up", "case": 1, "diagnosis": "collapse"}
STOP = {"kind": "stop", "case": 1, "diagnosis": "blow-up", "words": "numbers grow without bound"}
DONE = {"kind": "diagnosis", "case": 2, "diagnosis": "finished", "words": "no progress is left"}


def wish(kind: str, **more: Any) -> dict[str, Any]:
    return {"kind": "wish", "wish": kind, "by": "person:anna", "done": True, "images_seen": 8, "attempt": 0} | more


@pytest.mark.parametrize(
    ("state", "events", "tone", "headline"),
    [
        ("running", [], "going", "Going well"),
        ("running", [SEEN], "warn", "Collapse seen"),
        ("running", [SEEN, TREATED], "warn", "Collapse is being treated"),
        ("running", [SEEN, TREATED, NOT_CURED], "warn", "Collapse seen"),
        ("running", [SEEN, TREATED, CURED], "going", "Going well again"),
        ("running", [SEEN, {"kind": "receded", "case": 1, "diagnosis": "collapse"}], "going", "Going well"),
        ("running", [DONE], "going", "Going well"),
        ("finished", [], "good", "Finished"),
        ("finished", [SEEN, TREATED, CURED], "good", "Finished"),
        ("finished", [SEEN], "warn", "Finished, with collapse"),
        ("finished", [SEEN, TREATED, UP], "idle", "Finished"),
        ("finished", [SEEN, TREATED, STOP], "bad", "Ended early: blow up"),
        ("finished", [wish("end")], "good", "Ended by anna at 8 of 80 images"),
        ("stopped", [wish("stop")], "idle", "Stopped at 8 of 80 images"),
        ("paused", [SEEN, wish("pause")], "idle", "Paused by anna"),
    ],
)
def test_the_headline_and_its_colour(state: str, events: list[Mapping[str, Any]], tone: str, headline: str) -> None:
    story = Story()
    for event in events:
        story.take(event)
    found = verdict(state, story, watched=True, where="8 of 80 images")
    assert (found.tone, found.headline) == (tone, headline)


def test_the_detail_says_what_was_seen_and_done() -> None:
    story = Story()
    for event in (SEEN, TREATED):
        story.take(event)
    found = verdict("running", story, watched=True, where="")
    assert found.detail == "Samples are alike. Being tried: back to the last snapshot."
    story.take(CURED)
    assert verdict("finished", story, watched=True, where="").detail == "Collapse was seen on the way, and mended."
    assert "nobody looked" in verdict("running", Story(), watched=False, where="").detail
    story = Story(left=["collapse", "drift", "collapse"])
    assert verdict("finished", story, watched=True, where="").detail == "Nothing helped against collapse and drift."
