"""``steadygan diagnose`` and ``steadygan illnesses``: what went wrong, and what can be made to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steadygan import api
from steadygan.cli.printing import console, rows
from steadygan.errors import unknown
from steadygan.health.diagnoses import DIAGNOSES
from steadygan.health.illnesses import ILLNESSES
from steadygan.session.running import in_short

SEVERITIES = ("mild", "medium", "severe")


def diagnose(record: Path, total: int) -> None:
    """Tell the story of a record, then what to do about it."""
    found = api.diagnose(record, total=total or None)
    for place, words in _story(found):
        console.print(f"[{in_short(place)} images] {words}", markup=False)
    if not found.told:
        again = "read again, with the rules of now, the records show nothing amiss"
        console.print(again if found.events else "nothing amiss in what the records show")
    for name in dict.fromkeys(one.name for one in found.told):
        state = "to the end" if name in found.standing else "later gone"
        console.print(f"{name} ({state}): {DIAGNOSES[name].meaning}; advice: {DIAGNOSES[name].advice}", markup=False)
    if found.missing:
        console.print(f"cannot be told from these records: {', '.join(found.missing)}", markup=False)


def _story(found: api.Diagnosed) -> list[tuple[int, str]]:
    """What happened, in order: as health told it during the run, or as the records show it now."""
    if found.events:
        return [(int(event["images_seen"]), _said(event)) for event in found.events]
    return [(one.images_seen, f"{one.name}: {one.finding.words}") for one in found.told]


def _said(event: Mapping[str, Any]) -> str:
    kind, words = str(event["kind"]), str(event.get("words", "no longer seen"))
    if kind == "wish":
        return f"{str(event['by']).removeprefix('person:')}: {words}"
    if kind == "intervention":
        return f"{event['diagnosis']} -> {words}"
    return (
        f"{event['diagnosis']}: {words}"
        if kind in ("diagnosis", "receded")
        else f"{event['diagnosis']}: {kind}: {words}"
    )


def illnesses(name: str | None) -> None:
    """List the illnesses or show one."""
    if name is None:
        rows({one: illness.meaning for one, illness in ILLNESSES.items()})
        console.print("put one in with `steadygan train DATA --sicken NAME:mild` (or medium, severe, or 0.5 to 3.5)")
        return
    if name not in ILLNESSES:
        raise unknown("illness", name, ILLNESSES)
    illness = ILLNESSES[name]
    console.print(illness.meaning, markup=False)
    values = zip(SEVERITIES, illness.parameters, strict=True)
    rows(
        {
            "parameter": ", ".join(f"{word} {value:g}" for word, value in values),
            "should be named": ", ".join(illness.expected),
        }
    )
