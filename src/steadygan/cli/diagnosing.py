"""``steadygan diagnose`` and ``steadygan illnesses``: what went wrong, and what can be made to."""

from __future__ import annotations

from pathlib import Path

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
    for one in found.told:
        console.print(f"[{in_short(one.images_seen)} images] {one.name}: {one.finding.words}", markup=False)
    for event in found.events:
        if event["kind"] in ("intervention", "proof", "given-up", "stop"):
            said = f"[{in_short(int(event['images_seen']))} images] {event['diagnosis']}: {event['kind']}"
            console.print(f"{said}: {event.get('words', '')}", markup=False)
    if not found.told:
        console.print("nothing amiss in what the records show")
    for name in dict.fromkeys(one.name for one in found.told):
        state = "to the end" if name in found.standing else "later gone"
        console.print(f"{name} ({state}): {DIAGNOSES[name].meaning}; advice: {DIAGNOSES[name].advice}", markup=False)
    if found.missing:
        console.print(f"cannot be told from these records: {', '.join(found.missing)}", markup=False)


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
