"""Treatment: one case at a time, from the first intervention to its proof.

A case goes down the ladder of its diagnosis's remedies. A remedy that has nothing to give is passed over, so a retry
always changes something. After a remedy the sign is looked for again: gone, the case is closed and the turns stay;
still there, the turns are put back where they brought the samples no nearer, and the next remedy is tried. The ladder
goes on where it was left when the same illness comes back. Where it ends, everything is put back and the case given up;
a fatal illness then ends the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from steadygan.config import HealthConfig
from steadygan.game.controls import UNTURNED, Controls
from steadygan.game.orders import Order, RollBack, Stop, Tell, Turn
from steadygan.game.round import Record
from steadygan.health.diagnoses import Diagnosis
from steadygan.health.findings import FAR, Finding, learning
from steadygan.health.interventions import OWNER, Bench, Intervention, Turns
from steadygan.health.lookout import SLOWLY, Lookout

CRITERION = "health/distance"
"""The smaller this signal, the better the averaged generator."""
PROOF = {"record": 24, "check-up": 4}
"""Looks from an intervention to its proof: the windows of the looks must lie behind it."""
WORSE = 1.5
"""Times the distance at the diagnosis from which on, far from the data, a sign that has receded is no proof."""
FIRST = 8
"""Steps that show what a learning rate means for a player's weights."""
GAIN = 0.9
"""A remedy that did not cure is kept, and built upon, where the distance has at least fallen to this share."""


def event(record: Record, kind: str, diagnosis: str, case: int, **further: Any) -> dict[str, Any]:
    """A line of ``events.jsonl``."""
    head = {"images_seen": record.images_seen, "attempt": record.attempt, "kind": kind, "case": case}
    return head | {"diagnosis": diagnosis} | further


def rounded(evidence: Mapping[str, float]) -> dict[str, float]:
    """Numbers as a person reads them."""
    return {name: float(f"{value:.6g}") for name, value in evidence.items()}


@dataclass
class Case:
    """An illness under treatment.

    Attributes:
        number: of its diagnosis, in the events.
        diagnosis: its name.
        opened: where on the clock it was found; after a rollback the proof must wait until the run is there again.
        evidence: what was found then.
        distance: of the samples to the data, then.
        intervention: what has been done last.
        looks_left: until the proof.
        before: what health had turned before the case, and ``step_before`` before the last remedy.
    """

    number: int
    diagnosis: str
    opened: int
    evidence: dict[str, float | None]
    distance: float | None
    intervention: str = ""
    looks_left: int = 0
    before: dict[str, list[float]] = field(default_factory=dict)
    step_before: dict[str, list[float]] = field(default_factory=dict)


class Treatment:
    """What has been turned, the open case, and how far down each ladder the run has come.

    Args:
        config: limits, and interventions that must not be used.
        lookout: the history, which a rollback cuts.
        interventions: the table of remedies.
    """

    def __init__(self, config: HealthConfig, lookout: Lookout, interventions: Mapping[str, Intervention]) -> None:
        self.config, self.lookout, self.interventions = config, lookout, interventions
        self.case: Case | None = None
        self.standing: Turns = {}
        self.steps: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.paces: dict[str, list[float]] = {}
        self.tried: list[list[Any]] = []
        self.rollbacks = 0
        self.replayed = 0
        self.over = False
        self.outside = False

    def notice(self, line: Mapping[str, Any], controls: Controls) -> None:
        """Remember the first steps that each player took at full rate, before anything was treated."""
        for name in controls:
            kind, _, player = name.partition(".")
            steps = self.paces.setdefault(player, []) if kind == "learning_rate" else None
            size = line.get(f"{player}/update")
            if steps is None or size is None or self.standing or controls.warming_up(name):
                continue
            # a loss that asks nothing of a player yet gives steps of 0, which say nothing of its rate
            if len(steps) < FIRST and 0 < size < math.inf:
                steps.append(float(size))

    @property
    def diagnoses(self) -> Mapping[str, Diagnosis]:
        return self.lookout.diagnoses

    def open(
        self, record: Record, controls: Controls, findings: Mapping[str, Finding], numbers: Mapping[str, int]
    ) -> list[Order]:
        """Take on the most urgent finding that there is a remedy left for.

        Once a cause outside the game has been seen, all but what is fatal may follow from it, and is left alone.
        """
        self.outside = self.outside or any(self.diagnoses[name].outside for name in findings)
        if record.images_seen >= self.lookout.history.total and not self._fatal(findings):
            return []
        for name, finding in findings.items():
            if self.outside and not (self.diagnoses[name].fatal or self.diagnoses[name].outside):
                continue
            # where a fatal illness comes back and nothing is left to try, it is given up at once
            if self.steps.get(name, 0) < len(self.diagnoses[name].remedies) or self.diagnoses[name].fatal:
                distance = self.lookout.history.last(CRITERION)
                self.case = Case(
                    numbers[name],
                    name,
                    record.images_seen,
                    {signal: value if math.isfinite(value) else None for signal, value in finding.evidence.items()},
                    distance if math.isfinite(distance) else None,
                    before={control: list(turn) for control, turn in self.standing.items()},
                )
                return self._act(record, controls, findings)
        return []

    def follow(
        self,
        record: Record,
        controls: Controls,
        findings: Mapping[str, Finding],
        numbers: Mapping[str, int],
        *,
        due: bool,
    ) -> tuple[list[Order], bool]:
        """Count the looks down to the proof, then close the case or go on; also whether it was cured."""
        case = self._open_case()
        diagnosis, fatal = self.diagnoses[case.diagnosis], self._fatal(findings)
        if due or diagnosis.at == "record":
            case.looks_left -= 1
        early = case.looks_left > 0 or record.images_seen < case.opened
        if not fatal and early and record.images_seen < self.lookout.history.total:
            return [], False
        finding, ended = diagnosis.look(self.lookout.history), record.images_seen >= self.lookout.history.total
        if finding and not (fatal or ended) and diagnosis.spares_learners and learning(self.lookout.history, SLOWLY):
            # on the way to recovery is neither recovered nor in need of the next remedy
            return [], False
        # a sign that is gone because all is lost is no recovery; causes that are told at records are gone when they are
        lost = diagnosis.at == "check-up" and self._is_lost(case)
        cured = finding is None and not (fatal or lost)
        evidence = finding.evidence if finding else self._evidence_now(case)
        words = self._words(case, evidence, cured=cured)
        told = event(record, "proof", case.diagnosis, case.number, intervention=case.intervention, cured=cured)
        orders: list[Order] = [
            Tell(told | {"evidence": rounded(evidence), "words": words}, f"{case.diagnosis}: proof: {words}")
        ]
        if cured:
            self.case = None
            # a guard keeps out what came from outside, and what else shows has causes of its own
            self.outside = self.outside and not diagnosis.outside
            return orders, True
        if ended and not fatal:
            self.case = None
            return orders, False
        if not fatal:
            orders += self._undo(record)
        elif fatal != case.diagnosis:
            # what was being tried may have brought it about
            orders += self._put_back(case.step_before)
            self.case = None
            return orders + self.open(record, controls, findings, numbers), False
        return orders + self._act(record, controls, findings), False

    def _is_lost(self, case: Case) -> bool:
        now = self.lookout.history.last(CRITERION)
        return case.distance is not None and now > max(WORSE * case.distance, FAR / 2)

    def _fatal(self, findings: Mapping[str, Finding]) -> str:
        return next((name for name in findings if self.diagnoses[name].fatal), "")

    def _open_case(self) -> Case:
        assert self.case is not None, "a case is open"
        return self.case

    def _act(self, record: Record, controls: Controls, findings: Mapping[str, Finding]) -> list[Order]:
        """The next remedy that has something to give; where none is left, the case is given up."""
        case = self._open_case()
        remedies = self.diagnoses[case.diagnosis].remedies
        # what comes from outside comes again: going back to before it is a waste
        outside = any(self.diagnoses[name].outside for name in findings)
        while (step := self.steps.get(case.diagnosis, 0)) < len(remedies):
            self.steps[case.diagnosis] = step + 1
            name = remedies[step]
            remedy = self.interventions[name]
            vain = outside and not remedy.reaches
            barred = remedy.rolls_back and (vain or not self._may_go_back(record.images_seen))
            if name in self.config.without or barred:
                continue
            paces = {player: median(steps) for player, steps in self.paces.items() if steps}
            turns = remedy.turns(Bench(controls, self.standing, self.lookout.history, paces))
            if turns and self._is_new(remedy, turns):
                return self._apply(record, controls, name, remedy, turns)
        return self._give_up(record)

    def _is_new(self, remedy: Intervention, turns: Turns) -> bool:
        """Whether this has not been tried before: the same turns from the same place would end where they ended."""
        place = self.kept["healthy"] if remedy.rolls_back else -1
        after = self.standing | turns
        attempt = [place, *(part for control in sorted(after) for part in (control, *after[control]))]
        marks: list[list[Any]] = [attempt, *([[remedy.once]] if remedy.once else [])]
        if any(mark in self.tried for mark in marks):
            return False
        self.tried += marks
        return True

    def _may_go_back(self, images_seen: int) -> bool:
        if "healthy" not in self.kept or self.rollbacks >= self.config.rollbacks:
            return False
        again = self.replayed + images_seen - self.kept["healthy"]
        return again <= self.config.replay * self.lookout.history.total

    def _apply(self, record: Record, controls: Controls, name: str, remedy: Intervention, turns: Turns) -> list[Order]:
        case = self._open_case()
        case.intervention, case.looks_left = name, PROOF[self.diagnoses[case.diagnosis].at]
        case.step_before = {control: list(turn) for control, turn in self.standing.items()}
        untouched = [control for control, turn in turns.items() if turn == UNTURNED]
        self.standing = {c: turn for c, turn in (self.standing | turns).items() if c not in untouched}
        shown = {control: {"factor": factor, "shift": shift} for control, (factor, shift) in turns.items()}
        words = f"{remedy.meaning} ({', '.join(_said(control, *turn) for control, turn in turns.items())})"
        told = event(record, "intervention", case.diagnosis, case.number, intervention=name, words=words, turns=shown)
        orders: list[Order] = []
        if remedy.rolls_back:
            place = self.kept["healthy"]
            told |= {"to": place}
            orders.append(RollBack("healthy"))
            self._go_back(record.images_seen, place)
        # a snapshot brings back turns of its own time, also those that no longer stand
        released = [name for name in controls if name not in self.standing] if remedy.rolls_back else untouched
        orders += [Turn(control, OWNER) for control in released]
        return [Tell(told, f"{case.diagnosis} -> {words}"), *orders, *self._turned()]

    def _go_back(self, images_seen: int, place: int) -> None:
        self.rollbacks += 1
        self.replayed += images_seen - place
        self.lookout.go_back(place)
        # it belongs to the stretch that is given up
        self.kept.pop("candidate", None)

    def _turned(self) -> list[Order]:
        """Every turn that stands, anew: a snapshot brings back those of its own time."""
        return [Turn(control, OWNER, factor, shift) for control, (factor, shift) in self.standing.items()]

    def _undo(self, record: Record) -> list[Order]:
        """Put the last remedy's turns back where they brought the samples no nearer to the data.

        Those of a rollback stay, for the next remedy to go on from: the game as it was without them is gone.
        """
        case = self._open_case()
        now = self.lookout.history.last(CRITERION)
        gained = case.distance is not None and now < GAIN * case.distance
        causal = self.diagnoses[case.diagnosis].at == "record"
        if gained or (causal and self.interventions[case.intervention].rolls_back):
            # what is told at records is measured anew, and built upon
            return []
        orders = self._put_back(case.step_before)
        words = f"{case.intervention} taken back"
        told = event(record, "undone", case.diagnosis, case.number, intervention=case.intervention, words=words)
        return [Tell(told, f"{case.diagnosis}: {words}"), *orders]

    def _put_back(self, turns: Mapping[str, list[float]]) -> list[Order]:
        gone = [control for control in self.standing if control not in turns]
        self.standing = {control: (turn[0], turn[1]) for control, turn in turns.items()}
        return [*(Turn(control, OWNER) for control in gone), *self._turned()]

    def _give_up(self, record: Record) -> list[Order]:
        """Nothing helped: put back what was turned; a fatal illness ends the run with the best that there is."""
        case = self._open_case()
        diagnosis = self.diagnoses[case.diagnosis]
        self.case = None
        words = diagnosis.advice if diagnosis.outside else f"nothing helped; {diagnosis.advice}"
        told = event(record, "given-up", case.diagnosis, case.number, words=words)
        orders: list[Order] = [Tell(told, f"{case.diagnosis}: {words}")]
        if diagnosis.outside:
            # the sign stays whatever is done: what brought the samples nearer is worth keeping
            return orders
        if not diagnosis.fatal:
            return orders + self._put_back(case.before)
        self.over = True
        if "healthy" in self.kept:
            # what is saved last is then something that can be sampled
            orders.append(RollBack("healthy"))
        stop = event(record, "stop", case.diagnosis, case.number, words=diagnosis.meaning)
        orders.append(Tell(stop, f"{case.diagnosis}: the run ends here"))
        return [*orders, Stop(f"{case.diagnosis}: {diagnosis.meaning}", diagnosis.advice, failed=True)]

    def _evidence_now(self, case: Case) -> dict[str, float]:
        history = self.lookout.history
        return {name: history.now(name, 1) for name in case.evidence if history.count(name)}

    def _words(self, case: Case, evidence: Mapping[str, float], *, cured: bool) -> str:
        told = [
            f"{name.rpartition('/')[2].replace('_', ' ')} {value:.3g} (was {_number(case.evidence[name])})"
            for name, value in evidence.items()
            if name in case.evidence
        ]
        return ", ".join([*told, "recovered" if cured else "not recovered"])

    def state_dict(self) -> dict[str, Any]:
        return {
            "case": asdict(self.case) if self.case else None,
            "standing": {control: list(turn) for control, turn in self.standing.items()},
            "steps": dict(self.steps),
            "kept": dict(self.kept),
            "paces": {player: list(steps) for player, steps in self.paces.items()},
            "tried": [list(attempt) for attempt in self.tried],
            "rollbacks": self.rollbacks,
            "replayed": self.replayed,
            "over": self.over,
            "outside": self.outside,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.case = Case(**state["case"]) if state["case"] else None
        self.standing = {control: (turn[0], turn[1]) for control, turn in state["standing"].items()}
        self.steps, self.kept = dict(state["steps"]), dict(state["kept"])
        self.paces = {player: list(steps) for player, steps in state["paces"].items()}
        self.tried = [list(attempt) for attempt in state["tried"]]
        self.rollbacks, self.replayed = state["rollbacks"], state["replayed"]
        self.over, self.outside = state["over"], state["outside"]


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def _said(control: str, factor: float, shift: float) -> str:
    if factor == 0:
        return f"{control} held at {shift:.3g}"
    parts = [f"×{factor:.3g}"] if factor != 1 else []
    parts += [f"{shift:+.3g}"] if shift else []
    return f"{control} {' '.join(parts) or '×1'}"
