"""Events as stories: each illness from its first sign through what was done about it to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from steadygan.report.reading import Knowledge, RunFiles

Ending = Literal["cured", "receded", "given up", "ended the run", "open"]

FINISHED = "finished"
"""The one diagnosis that is good news: no progress is left to be made."""


@dataclass
class Step:
    """One thing that was done, and whether it helped: None where that has not been seen yet."""

    images_seen: int
    words: str
    to: int | None = None
    helped: bool | None = None
    proof: str = ""


@dataclass
class Story:
    """One illness.

    Attributes:
        name: of the diagnosis.
        begin: where on the clock it was confirmed.
        words: the numbers behind it.
        steps: what was done, in order.
        ending: how it ended, so far.
    """

    name: str
    begin: int
    words: str
    steps: list[Step] = field(default_factory=list)
    ending: Ending = "open"


def stories(run: RunFiles) -> list[Story]:
    """The illnesses of a run in the order in which they were found.

    Where health was off they are those that the records show after the fact.
    """
    if not run.events:
        standing = run.knowledge.standing
        return [
            Story(one.name, one.images_seen, one.words, ending="open" if one.name in standing else "receded")
            for one in run.knowledge.told
            if one.name != FINISHED
        ]
    found: dict[tuple[Any, Any], Story] = {}
    for event in run.events:
        key = (event.get("case"), event.get("diagnosis"))
        if event["kind"] == "diagnosis" and key[1] != FINISHED:
            found[key] = Story(str(event.get("diagnosis", "")), event["images_seen"], str(event.get("words", "")))
        elif story := found.get(key) or next((one for one in reversed(found.values()) if one.name == key[1]), None):
            _go_on(story, event)
    return list(found.values())


def _go_on(story: Story, event: Mapping[str, Any]) -> None:
    words = str(event.get("words", ""))
    match event["kind"]:
        case "intervention":
            to = event.get("to")
            story.steps.append(Step(event["images_seen"], words, to if isinstance(to, int) else None))
        case "proof" if story.steps:
            story.steps[-1].helped, story.steps[-1].proof = event.get("cured") is True, words
            story.ending = "cured" if event.get("cured") is True else "open"
        case "receded":
            story.ending = "receded"
        case "given-up":
            story.ending = "given up"
        case "stop":
            story.ending = "ended the run"


def progress_ended(run: RunFiles) -> int | None:
    """Where on the clock it was told that no progress is left to be made; None where it was not, or not for good."""
    told = [one for one in run.events if one.get("diagnosis") == FINISHED]
    return told[-1]["images_seen"] if told and told[-1]["kind"] == "diagnosis" else None


def wishes(run: RunFiles) -> Sequence[Mapping[str, Any]]:
    """What people asked of the run and were given."""
    return [event for event in run.events if event["kind"] == "wish" and event.get("done") is True]


KINDS = {
    "diagnosis": "seen",
    "receded": "no longer seen",
    "intervention": "done",
    "proof": "proof",
    "undone": "taken back",
    "given-up": "given up",
    "stop": "run ended",
    "wish": "asked by a person",
}
"""Kinds of events in plain words."""


def said(event: Mapping[str, Any], knowledge: Knowledge) -> str:
    """An event as a sentence for a person."""
    name, words = str(event.get("diagnosis", "")), str(event.get("words", ""))
    match event["kind"]:
        case "diagnosis":
            return f"{name}: {knowledge.meaning(name)} ({words})"
        case "receded":
            return f"{name}: no longer seen"
        case "intervention":
            to = event.get("to")
            return f"against {name}: {words}" + (f"; back to {to:,} images" if isinstance(to, int) else "")
        case "proof":
            return f"{name}: {'it helped' if event.get('cured') is True else 'it did not help'}: {words}"
        case _:
            who = f"{str(event['by']).removeprefix('person:')}: " if event.get("by") else ""
            return f"{who}{name}: {words}" if name and words else f"{who}{words or name}"
