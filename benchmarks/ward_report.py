"""Figures, tables and pictures of the ward, from its results alone; see ``ward.py`` for what the words mean."""

from __future__ import annotations

import json
import math
import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ward_cells
import ward_pictures

from steadygan.runtime.storage import write_file

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "health-benchmark.md"
COST = HERE / "results" / "ward-cost.json"
IMAGES = HERE.parent / "docs" / "images"
MARKS = ("<!-- figures of benchmarks/ward.py -->", "<!-- end of figures -->")
ILL_BEYOND, CURED_WITHIN, HARMED_BEYOND = (1.25, 1.5, 2.0), 1.25, 1.10
Rows = Mapping[str, Mapping[str, Any]]
Row = Mapping[str, Any]


class Case(NamedTuple):
    """An ill unit: its treated run, its untreated one (the same where nothing was done), and healthy's median."""

    treated: Row
    untreated: Row
    healthy: float

    def ill(self, beyond: float = ILL_BEYOND[0]) -> bool:
        """Whether the untreated run is ill by its outcome."""
        return bool(self.untreated["died"]) or not within(self.untreated["last"], beyond * self.healthy)

    @property
    def detected(self) -> bool:
        return bool(self.treated["first_ranking"])

    def named(self, which: str = "last") -> bool:
        """Whether an expected diagnosis is among the first two of the ``first`` or ``last`` ranking."""
        return not set(self.treated[f"{which}_ranking"][:2]).isdisjoint(ward_cells.expected(self.treated["illness"]))

    @property
    def delay(self) -> float:
        """Images from the onset to the first diagnosis after it, as a share of the run; needs ``detected``."""
        onset = self.treated["onset"]
        # the first that was made: after a rollback the clock shows earlier times again
        clock = next(clock for clock, _ in self.treated["diagnoses"] if clock >= onset)
        return float((clock - onset) / self.treated["images"])

    def cured(self, average: str = "recommended", reach: float = CURED_WITHIN) -> bool:
        """Whether the treated run's recommended (or ``last``) average is within reach of healthy."""
        found = recommended(self.treated) if average == "recommended" else self.treated["last"]
        return within(found, reach * self.healthy)


class Share(NamedTuple):
    """So many of so many, with Wilson's interval of 95 %."""

    hits: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.hits, self.of)

    def text(self) -> str:
        """As it stands in a table."""
        if not self.of:
            return "–"
        low, high = self.interval
        return f"{self.hits / self.of:.1%} ({self.hits}/{self.of}; {low:.1%} to {high:.1%})"


def wilson(count: int, of: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's interval for a share: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n); (0, 1) of nothing."""
    if not of:
        return 0.0, 1.0
    p, spread = count / of, 1 + z * z / of
    middle = (p + z * z / (2 * of)) / spread
    half = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / spread
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap_median(values: Sequence[float], draws: int = 2000) -> tuple[float, float]:
    """The interval of 95 % of a median, by drawing from the values with replacement from a fixed seed."""
    source = random.Random(0)
    medians = sorted(statistics.median(source.choices(values, k=len(values))) for _ in range(draws))
    return medians[round(0.025 * (draws - 1))], medians[round(0.975 * (draws - 1))]


def within(distance: float | None, limit: float) -> bool:
    """Whether there is a distance and it is finite and at most ``limit``."""
    return distance is not None and math.isfinite(distance) and distance <= limit


def recommended(row: Row) -> float | None:
    """The distance of the average that a run recommends: the best where health was on, else the last."""
    found = row["last"] if row["best"] is None else row["best"]
    return None if found is None else float(found)


def healthy_medians(rows: Rows) -> dict[tuple[str, str], float]:
    """Median distance of the last averages of healthy runs, by half and setting; from the control where one was run."""
    found: dict[tuple[str, str], list[float]] = {}
    for on, off in healthy_pairs(rows):
        if off["last"] is not None:
            found.setdefault((on["half"], on["setting"]), []).append(float(off["last"]))
    return {place: statistics.median(values) for place, values in found.items()}


def healthy_pairs(rows: Rows) -> list[tuple[Row, Row]]:
    """Healthy runs with health on, each with its control: itself, where nothing was done."""
    return list(pairs(rows, "on", "off"))


def pairs(rows: Rows, first: str, second: str) -> Iterable[tuple[Row, Row]]:
    """Runs of the arm ``first`` whose twin of the arm ``second`` is known."""
    for key, row in rows.items():
        if row["arm"] != first:
            continue
        twin = rows.get(key.rpartition("/")[0] + f"/{second}") if row["acted"] else row
        if twin is not None:
            yield row, twin


def alike(rows: Rows) -> Share:
    """Healthy runs without health that lie within reach of the median of two others and more."""
    found: dict[tuple[str, str], list[float]] = {}
    for on, off in healthy_pairs(rows):
        found.setdefault((on["half"], on["setting"]), []).append(math.inf if off["last"] is None else off["last"])
    tried = [
        within(value, CURED_WITHIN * statistics.median(values[:place] + values[place + 1 :]))
        for values in found.values()
        if len(values) > 2
        for place, value in enumerate(values)
    ]
    return Share(sum(tried), len(tried))


def cases(rows: Rows) -> list[Case]:
    """Every ill unit that is whole, and whose setting has healthy runs to compare with."""
    medians = healthy_medians(rows)
    return [
        Case(treated, untreated, medians[treated["half"], treated["setting"]])
        for treated, untreated in pairs(rows, "treated", "untreated")
        if (treated["half"], treated["setting"]) in medians
    ]


def harm(on: Row, off: Row) -> float | None:
    """How much worse the recommended average of a healthy run is than the last of its control, as a ratio less 1."""
    found = recommended(on)
    if off["last"] is None or off["last"] <= 0:
        return None
    return math.inf if found is None else found / off["last"] - 1


def harmed(on: Row, off: Row) -> bool:
    """Whether health made a healthy run more than 10 % worse: only what health did counts, its choices included."""
    found = harm(on, off)
    return found is not None and found > HARMED_BEYOND - 1


def shares(found: Sequence[Case], test: Callable[[Case], bool]) -> Share:
    """How many cases pass a test."""
    return Share(sum(map(test, found)), len(found))


def figures(rows: Rows, half: str) -> dict[str, str]:
    """The figures of one half, in words, in the order of the table."""
    mine = {key: row for key, row in rows.items() if row["half"] == half}
    every, pairs_on = cases(mine), healthy_pairs(mine)
    found = {"ill seeds": str(len(every))}
    for beyond in ILL_BEYOND:
        found[f"ill by the outcome, beyond {beyond:g} × healthy"] = shares(every, lambda c, b=beyond: c.ill(b)).text()  # type: ignore[misc]
    for beyond in ILL_BEYOND:
        ill = [case for case in every if case.ill(beyond)]
        name = "" if beyond == ILL_BEYOND[0] else f", ill beyond {beyond:g} ×"
        found[f"detected{name}"] = shares(ill, lambda c: c.detected).text()
    ill = [case for case in every if case.ill()]
    seen = [case for case in ill if case.detected]
    found["right name among the first two, of those detected"] = shares(seen, lambda c: c.named()).text()
    found["the same by the first diagnosis"] = shares(seen, lambda c: c.named("first")).text()
    found["median delay, share of the run"] = median_text([case.delay for case in seen])
    found["cured, by the recommended average"] = shares(ill, lambda c: c.cured()).text()
    found["the same of healthy runs by the median of the others: as many as a perfect cure shows"] = alike(mine).text()
    found["within 1.5 × healthy instead of 1.25"] = shares(ill, lambda c: c.cured(reach=1.5)).text()
    found["cured, by the last average"] = shares(ill, lambda c: c.cured("last")).text()
    treated = [case for case in ill if case.treated["acted"] and case.untreated["last"]]
    left = [recommended(case.treated) / case.untreated["last"] for case in treated if recommended(case.treated)]
    found["distance that a treatment leaves, as a share of the untreated one"] = median_text(left)
    found["untreated but cured by the best average"] = shares(ill, best_alone).text()
    found["made worse by treatment (last average, by more than 10 %)"] = shares(every, worsened).text()
    found["false alarms in healthy runs"] = Share(
        sum(bool(on["diagnoses"]) for on, _ in pairs_on), len(pairs_on)
    ).text()
    found["healthy runs in which something was done"] = Share(
        sum(bool(on["acted"]) for on, _ in pairs_on), len(pairs_on)
    ).text()
    found["harmed healthy runs"] = Share(sum(harmed(on, off) for on, off in pairs_on), len(pairs_on)).text()
    faults = sum(row["died"].startswith("fault") for row in mine.values())
    found["runs that ended in a fault of the package"] = str(faults)
    return found


def best_alone(case: Case) -> bool:
    """Whether keeping the best would have been enough."""
    return within(recommended(case.untreated), CURED_WITHIN * case.healthy)


def worsened(case: Case) -> bool:
    """Whether the treated run's last average is more than 10 % worse than the untreated one's."""
    mine, other = case.treated["last"], case.untreated["last"]
    return other is not None and not within(mine, HARMED_BEYOND * other)


def median_text(values: Sequence[float]) -> str:
    """A median and its interval, in per cent."""
    if not values:
        return "–"
    low, high = bootstrap_median(values)
    return f"{statistics.median(values):.1%} ({low:.1%} to {high:.1%})"


def by_illness(rows: Rows, half: str) -> dict[str, dict[str, Share]]:
    """Of each illness: seeds, and the shares ill, detected, named and cured."""
    every = [case for case in cases(rows) if case.treated["half"] == half]
    found: dict[str, dict[str, Share]] = {}
    for illness in ward_cells.names():
        mine = [case for case in every if case.treated["illness"] == illness]
        ill = [case for case in mine if case.ill()]
        if mine:
            found[illness] = {
                "ill": shares(mine, lambda c: c.ill()),
                "detected": shares(ill, lambda c: c.detected),
                "named": shares(ill, lambda c: c.named()),
                "cured": shares(ill, lambda c: c.cured()),
            }
    return found


def summary(rows: Rows) -> str:
    """The figures of both halves for the eye."""
    columns = {half: figures(rows, half) for half in ward_cells.HALVES}
    return "\n".join(
        [f"{'':58} {'scored':42} tuned"]
        + [f"{name:58} {value:42} {columns['tune'][name]}" for name, value in columns["score"].items()]
    )


def table(rows: Rows) -> str:
    """The figures as Markdown: the scored half with the tuned one beside it, then every illness, then healthy runs."""
    tuned = figures(rows, "tune")
    lines = ["| figure | scored half | tuned half |", "|---|---|---|"]
    lines += [f"| {name} | {value} | {tuned[name]} |" for name, value in figures(rows, "score").items()]
    lines += ["", "Of each illness on the scored half; detected, named and cured are of the seeds that are ill.", ""]
    lines += ["| illness | ill | detected | named | cured |", "|---|---|---|---|---|"]
    for illness, parts in by_illness(rows, "score").items():
        lines.append(f"| `{illness}` | " + " | ".join(f"{s.hits}/{s.of}" for s in parts.values()) + " |")
    lines += [
        "",
        "Healthy runs of both halves: median distance of the last average, alarms, and what health made of it.",
    ]
    return "\n".join([*lines, "", *healthy_table(rows), *cost_table(COST)])


def cost_table(path: Path) -> list[str]:
    """What health costs of the round time, from the results of ``--cost``; nothing where there are none."""
    if not path.is_file():
        return []
    lines = ["", "What health costs of the round time at default settings, one thread.", ""]
    lines += [
        "| recipe on data | round, ms | cost: median of pairs (interval) | cost of the sums |",
        "|---|---|---|---|",
    ]
    for recipe, cell in json.loads(path.read_text())["cells"].items():
        low, high = cell["interval"]
        cost = f"{cell['cost']:+.1%} ({low:+.1%} to {high:+.1%}) | {cell['cost_of_the_sums']:+.1%}"
        lines.append(f"| `{recipe}` on {cell['data']} | {cell['milliseconds_a_round']:.1f} | {cost} |")
    return [*lines, "", "Made by `python benchmarks/ward.py --cost`."]


def healthy_table(rows: Rows) -> list[str]:
    """A line for each setting."""
    lines = ["| data and recipe | runs | median distance | false alarms | acted on | worst change |"]
    lines.append("|---|---|---|---|---|---|")
    every = healthy_pairs(rows)
    for setting in ward_cells.SETTINGS:
        mine = [(on, off) for on, off in every if on["setting"] == setting]
        distances = [off["last"] for _, off in mine if off["last"] is not None]
        if not distances:
            continue
        alarms, acted = sum(bool(on["diagnoses"]) for on, _ in mine), sum(bool(on["acted"]) for on, _ in mine)
        worst = max((change for pair in mine if (change := harm(*pair)) is not None), default=0.0)
        parts = [str(len(mine)), f"{statistics.median(distances):.1f}", str(alarms), str(acted), f"{worst:+.1%}"]
        lines.append(f"| `{setting}` | {' | '.join(parts)} |")
    return lines


def write(rows: Rows) -> None:
    """Put the figures between the two marks of the docs page, and the bars beside it."""
    text = PAGE.read_text()
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    IMAGES.mkdir(parents=True, exist_ok=True)
    write_file(IMAGES / "ward-illnesses.png", ward_pictures.bars(by_illness(rows, "score")))
    picture = "![Detection, name and cure of each illness on the scored half](images/ward-illnesses.png)"
    made = "Made by `python benchmarks/ward.py --jobs 4` and `python benchmarks/ward.py --table`."
    write_file(PAGE, f"{before}{MARKS[0]}\n\n{table(rows)}\n\n{picture}\n\n{made}\n\n{MARKS[1]}{after}")
