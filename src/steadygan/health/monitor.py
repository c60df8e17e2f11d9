"""The monitor: signal, diagnosis, intervention, proof, one record at a time.

It stands outside the loop. It reads records, has the game examined now and then, looks with every diagnosis, has one
illness treated at a time, and keeps snapshots and the best average. Its decisions depend on the records and the
examinations alone, so a resumed run takes the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from steadygan.config import HealthConfig
from steadygan.errors import unknown
from steadygan.game.controls import Controls
from steadygan.game.orders import Best, Keep, Order, Rename, Stop, Tell, Turn
from steadygan.game.round import Record, crosses
from steadygan.health.diagnoses import DIAGNOSES, Diagnosis
from steadygan.health.findings import Finding
from steadygan.health.interventions import INTERVENTIONS, OWNER, Intervention
from steadygan.health.lookout import CHECK_UP, Lookout
from steadygan.health.treatment import CRITERION, Treatment, event, rounded

Examine = Callable[[Mapping[str, Tensor]], tuple[dict[str, float], dict[str, Tensor]]]
"""From what the last check-up left to the signals of this one and what it leaves."""
GOOD = 0.05
"""A game nearer to the data than this is worth going back to; before, it may as well begin anew."""
CLEARLY, NOISE = 1.5, 2.0
"""A later average is kept as the best unless it is clearly worse: by this factor, and beyond this many spreads of the
reals' own distance. Short of that the criterion is a rough judge, and more training is worth more than its word."""


def check_names(without: Iterable[str], table: Mapping[str, Intervention] = INTERVENTIONS) -> None:
    """Raise SteadyganError for an intervention that does not exist."""
    for name in without:
        if name not in table:
            raise unknown("intervention", name, table)


class Monitor:
    """Health's companion of a game.

    Args:
        config: mode, intervals and limits.
        total: length of the run in images.
        examine: gives a check-up's signals by name, without ``health/``.
        diagnoses: the table to look with; own ones are added to a copy.
        interventions: the table to treat with.

    Raises:
        SteadyganError: for an intervention to be left out that does not exist.
    """

    rolls_back = False

    def __init__(
        self,
        config: HealthConfig,
        total: int,
        examine: Examine,
        diagnoses: Mapping[str, Diagnosis] = DIAGNOSES,
        interventions: Mapping[str, Intervention] = INTERVENTIONS,
    ) -> None:
        check_names(config.without, interventions)
        self.config, self.examine = config, examine
        self.lookout = Lookout(total, diagnoses)
        self.treatment = Treatment(config, self.lookout, interventions)
        self.memory: dict[str, Tensor] = {}
        self.checked = 0
        self.active: dict[str, int] = {}
        self.cases = 0
        self.best = math.inf

    def begin(self) -> list[Order]:
        """Before the first round: a snapshot of what nothing has touched yet, a place to begin anew from."""
        if self.config.mode != "mend" or self.config.rollbacks == 0:
            return []
        self.treatment.kept["healthy"] = 0
        return [Keep("healthy")]

    def gone_back(self, place: int) -> list[Order]:
        """Forget what came after the snapshot that somebody else has gone back to; the turns of health that stand."""
        self.lookout.go_back(place)
        self.checked, self.memory = min(self.checked, place), {}
        kept = self.treatment.kept
        for other in [one for one, at in kept.items() if at > place]:
            # it belongs to the stretch that is given up
            del kept[other]
        return [Turn(control, OWNER, factor, shift) for control, (factor, shift) in self.treatment.standing.items()]

    def read(self, record: Record, controls: Controls) -> list[Order]:
        """Take one record in; its signals gain those of a check-up where one is due."""
        if not record.measured or self.treatment.over:
            return []
        line, due = record.line(), self._due(record)
        if due:
            line |= self._check_up(record)
        findings = self.lookout.add(line)
        orders = self._tell(record, findings)
        if due:
            orders += self._rank(line)
        if self.config.mode == "mend":
            self.treatment.notice(line, controls)
            orders += self._keep(record.images_seen, findings, due=due)
            orders += self._mend(record, controls, findings, due=due)
        if "finished" in findings and self.config.stop_when_finished:
            orders.append(Stop("no progress is left", "", failed=False))
        return orders

    def word(self) -> str:
        """How the game stands, in a word or two."""
        if self.treatment.case:
            return f"treating {self.treatment.case.diagnosis}"
        if self.active:
            return ", ".join(self.active)
        return "steady" if self.checked else "warming up"

    def _due(self, record: Record) -> bool:
        before = self.checked
        if crosses(self.config.every, before, record.images_seen) or record.images_seen >= self.lookout.history.total:
            self.checked = record.images_seen
            return True
        return False

    def _check_up(self, record: Record) -> dict[str, float]:
        signals, self.memory = self.examine(self.memory)
        named = {f"{CHECK_UP}{name}": value for name, value in signals.items()}
        record.signals.update(named)
        return named

    def _tell(self, record: Record, findings: Mapping[str, Finding]) -> list[Order]:
        """An event for everything that has newly been found, and for what has gone by itself."""
        orders: list[Order] = []
        for name, finding in findings.items():
            if name not in self.active:
                self.cases += 1
                self.active[name] = self.cases
                told = event(record, "diagnosis", name, self.cases, severity=round(finding.severity, 4))
                told |= {"ranking": list(findings), "words": finding.words, "evidence": rounded(finding.evidence)}
                orders.append(Tell(told, f"{name}: {finding.words}"))
        treated = self.treatment.case.diagnosis if self.treatment.case else ""
        gone = [name for name in self.active if self.lookout.found.get(name) == 0 and name != treated]
        return orders + [
            Tell(event(record, "receded", name, self.active.pop(name)), f"{name}: no longer seen") for name in gone
        ]

    def _mend(self, record: Record, controls: Controls, findings: Mapping[str, Finding], *, due: bool) -> list[Order]:
        rollbacks = self.treatment.rollbacks
        if case := self.treatment.case:
            orders, cured = self.treatment.follow(record, controls, findings, self.active, due=due)
            if cured:
                self.active.pop(case.diagnosis, None)
        else:
            orders = self.treatment.open(record, controls, findings, self.active)
        if self.treatment.rollbacks != rollbacks:
            self.checked = min(self.checked, self.treatment.kept["healthy"])
            self.memory = {}
        return orders

    def _keep(self, images_seen: int, findings: Mapping[str, Finding], *, due: bool) -> list[Order]:
        """Snapshots: one at the start, then those of a game that has learnt much, once the next check-up agrees."""
        kept = self.treatment.kept
        if self.config.rollbacks == 0 or findings or self.treatment.case:
            return []
        if not kept:
            # nothing has been learnt yet that could be lost: a place to begin anew from
            kept["healthy"] = images_seen
            return [Keep("healthy")]
        history = self.lookout.history
        if not due or self.lookout.suspects or not history.now(CRITERION, 2) < GOOD:
            return []
        orders: list[Order] = []
        if "candidate" in kept:
            orders.append(Rename("candidate", "healthy"))
            kept["healthy"] = kept.pop("candidate")
        kept["candidate"] = images_seen
        return [*orders, Keep("candidate")]

    def _rank(self, line: Mapping[str, Any]) -> list[Order]:
        # where samples are broken there is no distance, and an earlier one is no word for them
        value, spread = line.get(CRITERION), line.get(f"{CRITERION}_floor_spread", 0.0)
        if value is None or not value <= CLEARLY * self.best + NOISE * spread:
            return []
        self.best = min(value, self.best)
        return [Best(CRITERION, value)]

    def state_dict(self) -> dict[str, Any]:
        return {
            "history": self.lookout.history.state_dict(),
            "found": dict(self.lookout.found),
            "treatment": self.treatment.state_dict(),
            "memory": dict(self.memory),
            "checked": self.checked,
            "active": dict(self.active),
            "cases": self.cases,
            "best": self.best if math.isfinite(self.best) else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.lookout.history.load_state_dict(state["history"])
        self.lookout.found = dict(state["found"])
        self.treatment.load_state_dict(state["treatment"])
        self.memory, self.active = dict(state["memory"]), dict(state["active"])
        self.checked, self.cases = state["checked"], state["cases"]
        self.best = math.inf if state["best"] is None else state["best"]
