"""The monitor: signal, diagnosis, intervention, proof, one record at a time.

It stands outside the loop. It reads records, has the game examined now and then, looks with every diagnosis, treats
one illness at a time, and afterwards asks whether the sign has receded. Its decisions depend on the records and the
examinations alone, so a resumed run takes the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from steadygan.config import HealthConfig
from steadygan.errors import unknown
from steadygan.game.controls import Controls
from steadygan.game.orders import Best, Keep, Order, Rename, RollBack, Stop, Tell, Turn
from steadygan.game.round import Record, crosses
from steadygan.health.diagnoses import DIAGNOSES, Diagnosis
from steadygan.health.findings import Finding
from steadygan.health.interventions import INTERVENTIONS, OWNER, Bench, Intervention, Turns
from steadygan.health.lookout import CHECK_UP, Lookout

Examine = Callable[[Mapping[str, Tensor]], tuple[dict[str, float], dict[str, Tensor]]]
"""From what the last check-up left to the signals of this one and what it leaves."""
CRITERION = "health/distance"
"""The smaller this signal, the better the averaged generator."""
PROOF = {"record": 24, "check-up": 4}
"""Looks from an intervention to its proof: the windows of the looks must lie behind it."""
NOISE = 2.0
"""Spreads of the reals' own distance within which two averages count as equally good; of equals the later is kept."""
PATIENCE = 3
"""Cases of one diagnosis that are treated; a sign that returns more often is told of only."""


@dataclass
class Case:
    """An illness under treatment."""

    number: int
    diagnosis: str
    opened: int
    severity: float
    evidence: dict[str, float]
    distance: float
    intervention: str = ""
    step: int = 0
    looks_left: int = 0
    before: dict[str, list[float]] = field(default_factory=dict)
    """What health had turned before this case: what is put back where nothing helps."""


def check_names(without: Iterable[str]) -> None:
    """Raise SteadyganError for an intervention that does not exist."""
    for name in without:
        if name not in INTERVENTIONS:
            raise unknown("intervention", name, INTERVENTIONS)


class Monitor:
    """Health's companion of a game.

    Args:
        config: mode, intervals and limits.
        total: length of the run in images.
        examine: gives a check-up's signals by name, without ``health/``.
        diagnoses: the table to look with; own ones are added to a copy.
        interventions: the table to treat with.
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
        check_names(config.without)
        self.config, self.examine = config, examine
        self.diagnoses, self.interventions = diagnoses, interventions
        self.lookout = Lookout(total, diagnoses)
        self.history = self.lookout.history
        self.memory: dict[str, Tensor] = {}
        self.checked = 0
        self.active: dict[str, float] = {}
        self.case: Case | None = None
        self.cases = 0
        self.treated: dict[str, int] = {}
        self.standing: dict[str, tuple[float, float]] = {}
        self.kept: dict[str, int] = {}
        self.rollbacks = 0
        self.best = math.inf
        self.over = False

    def read(self, record: Record, controls: Controls) -> list[Order]:
        """Take one record in; its signals gain those of a check-up where one is due."""
        if not record.measured or self.over:
            return []
        line = record.line()
        due = self._due(record)
        if due:
            line |= self._check_up(record)
        findings = self.lookout.add(line)
        orders = self._tell(record, findings)
        if not self.kept and not findings and self.config.mode == "mend":
            # nothing has been learnt yet that could be lost: a place to begin anew from
            self.kept["healthy"] = record.images_seen
            orders.append(Keep("healthy"))
        if due:
            orders += self._rank()
        orders += self._treat(record, controls, findings, due=due)
        if due and not self.case and not self.lookout.suspects:
            orders += self._keep(record.images_seen)
        return orders

    def word(self) -> str:
        """How the game stands, in a word or two."""
        if self.case:
            return f"treating {self.case.diagnosis}"
        if self.active:
            return ", ".join(self.active)
        return "steady" if self.checked else "warming up"

    # --- signals

    def _due(self, record: Record) -> bool:
        before = self.checked
        if crosses(self.config.every, before, record.images_seen) or record.images_seen >= self.history.total:
            self.checked = record.images_seen
            return True
        return False

    def _check_up(self, record: Record) -> dict[str, float]:
        signals, self.memory = self.examine(self.memory)
        named = {f"{CHECK_UP}{name}": value for name, value in signals.items()}
        record.signals.update(named)
        return named

    # --- diagnoses

    def _tell(self, record: Record, findings: Mapping[str, Finding]) -> list[Order]:
        """An event for everything that has newly been found, and for what has gone by itself."""
        orders: list[Order] = []
        for name, finding in findings.items():
            if name not in self.active:
                self.cases += 1
                self.active[name] = self.cases
                event = self._event(record, "diagnosis", name, int(self.active[name]))
                event |= {
                    "severity": round(finding.severity, 4),
                    "ranking": list(findings),
                    "words": finding.words,
                    "evidence": _rounded(finding.evidence),
                }
                orders.append(Tell(event, f"{name}: {finding.words}"))
        for name in [name for name in self.active if self.lookout.found.get(name) == 0 and not self._is_treated(name)]:
            number = int(self.active.pop(name))
            orders.append(Tell(self._event(record, "receded", name, number), f"{name}: no longer seen"))
        return orders

    def _is_treated(self, name: str) -> bool:
        return self.case is not None and self.case.diagnosis == name

    # --- interventions and their proof

    def _treat(self, record: Record, controls: Controls, findings: Mapping[str, Finding], *, due: bool) -> list[Order]:
        if self.config.mode != "mend":
            return []
        if self.case:
            return self._follow(record, controls, findings, due=due)
        for name, finding in findings.items():
            diagnosis = self.diagnoses[name]
            if diagnosis.remedies and self.treated.get(name, 0) < PATIENCE:
                self.treated[name] = self.treated.get(name, 0) + 1
                distance = self.history.last(CRITERION)
                self.case = Case(
                    int(self.active[name]),
                    name,
                    record.images_seen,
                    finding.severity,
                    dict(finding.evidence),
                    distance,
                    before={control: list(turn) for control, turn in self.standing.items()},
                )
                return self._act(record, controls)
        return []

    def _act(self, record: Record, controls: Controls) -> list[Order]:
        """The next remedy that has something to give; where none is left, the case is given up."""
        case = self.case
        assert case is not None
        remedies = self.diagnoses[case.diagnosis].remedies
        while case.step < len(remedies):
            name = remedies[case.step]
            case.step += 1
            remedy = self.interventions[name]
            if name in self.config.without or (remedy.rolls_back and not self._may_roll_back()):
                continue
            turns = remedy.turns(Bench(controls, self.standing, self.history))
            if turns:
                return self._apply(record, name, remedy, turns)
        return self._give_up(record)

    def _may_roll_back(self) -> bool:
        return "healthy" in self.kept and self.rollbacks < self.config.rollbacks

    def _apply(self, record: Record, name: str, remedy: Intervention, turns: Turns) -> list[Order]:
        case = self.case
        assert case is not None
        case.intervention = name
        case.looks_left = PROOF[self.diagnoses[case.diagnosis].at]
        self.standing |= turns
        event = self._event(record, "intervention", case.diagnosis, case.number)
        shown = {control: {"factor": factor, "shift": shift} for control, (factor, shift) in turns.items()}
        event |= {"intervention": name, "words": remedy.meaning, "turns": shown}
        orders: list[Order] = []
        if remedy.rolls_back:
            orders.append(RollBack("healthy"))
            event |= {"to": self.kept["healthy"]}
            self._go_back(self.kept["healthy"])
        orders += self._turned()
        orders.insert(0, Tell(event, f"{case.diagnosis} -> {remedy.meaning}"))
        return orders

    def _go_back(self, place: int) -> None:
        self.rollbacks += 1
        self.lookout.go_back(place)
        self.checked = min(self.checked, place)
        self.memory = {}

    def _turned(self) -> list[Order]:
        """Every turn that stands, anew: a snapshot brings back those of its own time."""
        return [Turn(control, OWNER, factor, shift) for control, (factor, shift) in self.standing.items()]

    def _follow(self, record: Record, controls: Controls, findings: Mapping[str, Finding], *, due: bool) -> list[Order]:
        """Count the looks down to the proof; then the case is closed, or the next remedy tried."""
        case = self.case
        assert case is not None
        diagnosis = self.diagnoses[case.diagnosis]
        fatal = next((name for name in findings if self.diagnoses[name].fatal), None)
        if fatal == case.diagnosis or (diagnosis.at == "record" or due):
            case.looks_left -= 1
        if fatal is None and case.looks_left > 0 and record.images_seen < self.history.total:
            return []
        finding = diagnosis.look(self.history)
        cured = finding is None and fatal is None
        event = self._event(record, "proof", case.diagnosis, case.number)
        evidence = finding.evidence if finding else self._evidence_now(case)
        words = self._proof_words(case, evidence, cured=cured)
        event |= {"cured": cured, "intervention": case.intervention, "evidence": _rounded(evidence), "words": words}
        orders: list[Order] = [Tell(event, f"{case.diagnosis}: proof: {words}")]
        if cured:
            self.active.pop(case.diagnosis, None)
            self.case = None
            return orders
        if fatal and fatal != case.diagnosis:
            case.diagnosis, case.step = fatal, 0
        return orders + self._act(record, controls)

    def _evidence_now(self, case: Case) -> dict[str, float]:
        return {name: self.history.now(name, 1) for name in case.evidence if name in self.history.points}

    def _proof_words(self, case: Case, evidence: Mapping[str, float], *, cured: bool) -> str:
        told = [
            f"{name.rpartition('/')[2].replace('_', ' ')} {value:.3g} (was {case.evidence[name]:.3g})"
            for name, value in evidence.items()
            if name in case.evidence
        ]
        return ", ".join([*told, "recovered" if cured else "not recovered"])

    def _give_up(self, record: Record) -> list[Order]:
        """Nothing helped: put back what was turned; a fatal illness ends the run with the best that there is."""
        case = self.case
        assert case is not None
        diagnosis = self.diagnoses[case.diagnosis]
        self.treated[case.diagnosis] = PATIENCE
        self.case = None
        event = self._event(record, "given-up", case.diagnosis, case.number)
        tried = ", ".join(diagnosis.remedies[: case.step])
        event |= {"words": f"tried {tried}; advice: {diagnosis.advice}"}
        orders: list[Order] = [Tell(event, f"{case.diagnosis}: nothing helped; {diagnosis.advice}")]
        if diagnosis.fatal:
            self.over = True
            if "healthy" in self.kept:
                # what is saved last is then something that can be sampled
                orders.append(RollBack("healthy"))
            return [*orders, Stop(f"{case.diagnosis}: {diagnosis.meaning}", diagnosis.advice, failed=True)]
        changed = {*self.standing, *case.before}
        self.standing = {control: (turn[0], turn[1]) for control, turn in case.before.items()}
        undone: list[Order] = [Turn(control, OWNER) for control in changed if control not in self.standing]
        return orders + undone + self._turned()

    # --- snapshots and the best

    def _keep(self, images_seen: int) -> list[Order]:
        """A snapshot is healthy once the next check-up has found nothing either."""
        if self.config.mode != "mend" or self.config.rollbacks == 0:
            return []
        orders: list[Order] = []
        if "candidate" in self.kept:
            orders.append(Rename("candidate", "healthy"))
            self.kept["healthy"] = self.kept.pop("candidate")
        self.kept["candidate"] = images_seen
        return [*orders, Keep("candidate")]

    def _rank(self) -> list[Order]:
        value = self.history.last(CRITERION)
        if not value <= self.best + NOISE * self.history.last(f"{CRITERION}_floor_spread", 0.0):
            return []
        self.best = min(value, self.best)
        return [Best(CRITERION, value)]

    # --- state

    def _event(self, record: Record, kind: str, diagnosis: str, case: int) -> dict[str, Any]:
        return {
            "images_seen": record.images_seen,
            "attempt": record.attempt,
            "kind": kind,
            "case": case,
            "diagnosis": diagnosis,
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "history": self.history.state_dict(),
            "memory": self.memory,
            "checked": self.checked,
            "found": self.lookout.found,
            "active": self.active,
            "case": asdict(self.case) if self.case else None,
            "cases": self.cases,
            "treated": self.treated,
            "standing": {control: list(turn) for control, turn in self.standing.items()},
            "kept": self.kept,
            "rollbacks": self.rollbacks,
            "best": self.best if math.isfinite(self.best) else None,
            "over": self.over,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history.load_state_dict(state["history"])
        self.memory = dict(state["memory"])
        self.lookout.found = dict(state["found"])
        self.checked, self.active = state["checked"], dict(state["active"])
        self.case = Case(**state["case"]) if state["case"] else None
        self.cases, self.treated, self.kept = state["cases"], dict(state["treated"]), dict(state["kept"])
        self.standing = {control: (turn[0], turn[1]) for control, turn in state["standing"].items()}
        self.rollbacks, self.over = state["rollbacks"], state["over"]
        self.best = math.inf if state["best"] is None else state["best"]


def _rounded(evidence: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in evidence.items()}
