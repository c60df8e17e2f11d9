"""The lookout: looks at a history with every diagnosis and says what is confirmed.

The same code serves a run that goes on (the monitor) and one that is long over (``steadygan diagnose``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from steadygan.health.diagnoses import DIAGNOSES, Diagnosis
from steadygan.health.findings import GUARD, Finding, learning
from steadygan.health.findings_steps import KNOWN
from steadygan.health.history import History

CLOCK = ("images_seen", "attempt")
SLOWLY = 0.93
"""What falls by a fifteenth in a tenth of the run is still on its way, and looks may wait."""
CHECK_UP = "health/"
"""How the signals of a check-up begin."""


class Lookout:
    """A history, and how often in a row each diagnosis has found something in it."""

    def __init__(self, total: int, diagnoses: Mapping[str, Diagnosis] = DIAGNOSES) -> None:
        self.history, self.diagnoses = History(total), diagnoses
        self.found: dict[str, int] = {}

    def add(self, line: Mapping[str, Any]) -> dict[str, Finding]:
        """Take a record's line in; returns the confirmed findings, the most urgent first.

        A line with signals of a check-up is an occasion for every look, any other for those at records.
        """
        check_up = any(name.startswith(CHECK_UP) for name in line)
        self.history.add(int(line["images_seen"]), {k: v for k, v in line.items() if _is_sign(k)})
        confirmed: dict[str, Finding] = {}
        for name, diagnosis in self.diagnoses.items():
            if diagnosis.at == "check-up" and not check_up:
                continue
            spared = diagnosis.spares_learners and learning(self.history, SLOWLY)
            finding = None if spared else diagnosis.look(self.history)
            self.found[name] = self.found.get(name, 0) + 1 if finding else 0
            if finding and self.found[name] >= diagnosis.confirm:
                confirmed[name] = finding
        return dict(sorted(confirmed.items(), key=lambda item: self.rank(*item), reverse=True))

    def rank(self, name: str, finding: Finding) -> tuple[int, float]:
        """What a finding is sorted by: illnesses that explain others come first."""
        return self.diagnoses[name].urgency, finding.severity

    @property
    def suspects(self) -> bool:
        """Whether any look has found something, confirmed or not."""
        return any(self.found.values())

    def go_back(self, images_seen: int) -> None:
        """Forget what came after this place."""
        self.history.cut(images_seen)
        self.found = {}


class Told(NamedTuple):
    """A finding and where on the clock it was first confirmed."""

    images_seen: int
    name: str
    finding: Finding


@dataclass
class Review:
    """What the records of a run show after the fact."""

    told: list[Told] = field(default_factory=list)
    standing: dict[str, Finding] = field(default_factory=dict)
    """Findings that still stood at the last record."""
    missing: list[str] = field(default_factory=list)
    """Diagnoses that the records have no signals for."""


def review(lines: Iterable[Mapping[str, Any]], total: int, diagnoses: Mapping[str, Diagnosis] = DIAGNOSES) -> Review:
    """Look at records from the first to the last, going back where the run did."""
    lookout, result = Lookout(total, diagnoses), Review()
    attempt, names = 0, set[str]()
    for line in lines:
        if int(line.get("attempt", 0)) != attempt:
            attempt = int(line["attempt"])
            lookout.go_back(int(line["images_seen"]) - 1)
        names |= set(line)
        confirmed = lookout.add(line)
        result.told += [
            Told(int(line["images_seen"]), name, finding)
            for name, finding in confirmed.items()
            if name not in result.standing
        ]
        still = {name: one for name, one in result.standing.items() if lookout.found.get(name)}
        result.standing = still | confirmed
    result.missing = [name for name, one in diagnoses.items() if not _can_tell(one.needs, names)]
    return result


def _is_sign(name: str) -> bool:
    """Most controls are what was done, not what came of it, and would be the larger part of every checkpoint."""
    return name not in CLOCK and (not name.startswith("control/") or name.startswith((GUARD, *KNOWN)))


def _can_tell(needs: Sequence[str], names: set[str]) -> bool:
    return all(need in names for need in needs)
