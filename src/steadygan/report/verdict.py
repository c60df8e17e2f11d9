"""The verdict on a run in plain words, for who reads one thing only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steadygan.evaluation.metrics_table import column
from steadygan.report.reading import RunFiles
from steadygan.report.stories import Story, progress_ended, stories, wishes

State = Literal["good", "mended", "far", "wrong", "failed", "going"]

LEVELS = (
    (0.01, "very near to the real images"),
    (0.05, "near to the real images"),
    (0.1, "still off from the real images"),
    (float("inf"), "plainly different from the real images"),
)
"""Distances of samples to the data in words; health takes none above .1 for data."""
NEAR = [words for _, words in LEVELS[:2]]
"""Levels that need no warning."""
BEST_KNOWN = ("fid", "kid", "fid_infinity", "swd")
"""Metrics that stand for the quality as a whole, the one to be named first."""


@dataclass(frozen=True)
class Verdict:
    """A run in one line, the state that stands behind it, and what a reader asks next with its answer."""

    state: State
    headline: str
    points: Sequence[tuple[str, str]]


def verdict(run: RunFiles) -> Verdict:
    """What happened, what was done, whether it helped, whether the run is finished, and how good it has become."""
    found = stories(run)
    state = _state(run, found)
    points = [
        ("Is it finished?", _finished(run, state)),
        ("What happened?", _happened(run, found)),
        ("What was done?", _done(found)),
        ("Did it help?", _helped(found)),
        ("Who took part?", _people(run)),
        ("How good is it?", _quality(run)),
        ("Does it copy?", _copies(run)),
        ("What next?", _next(run, found, state)),
    ]
    return Verdict(state, _headline(run, found, state), [(question, answer) for question, answer in points if answer])


def _state(run: RunFiles, found: Sequence[Story]) -> State:
    if any(story.ending == "ended the run" for story in found) or _broke_off(run):
        return "failed"
    if not _complete(run):
        return "going"
    if _open(found):
        return "wrong"
    if _level(run.last("health/distance") or 0.0) not in NEAR:
        return "far"
    return "mended" if found else "good"


def _complete(run: RunFiles) -> bool:
    health = run.config.get("health")
    early = isinstance(health, dict) and health.get("stop_when_finished") is True and progress_ended(run) is not None
    ended = any(wish.get("wish") == "end" for wish in wishes(run))
    return bool(run.records) and (run.images_seen >= run.total or early or ended)


def _broke_off(run: RunFiles) -> bool:
    """Whether the run ended at a loss that is no number, where nobody was there to mend it."""
    if not run.records or run.images_seen >= run.total:
        return False
    return any(value is None for name, value in run.records[-1].items() if name.endswith("/loss"))


def _open(found: Sequence[Story]) -> list[Story]:
    return [story for story in found if story.ending in ("open", "given up")]


def _headline(run: RunFiles, found: Sequence[Story], state: State) -> str:
    match state:
        case "failed":
            fatal = next((story for story in found if story.ending == "ended the run"), None)
            why = run.knowledge.meaning(fatal.name) if fatal else "a loss stopped being a number"
            return f"This run broke off: {why}."
        case "going":
            return f"This run is not finished: {_share(run)} of its way is done."
        case "wrong":
            return f"This run is finished, but something is wrong: {run.knowledge.meaning(_open(found)[0].name)}."
        case "far":
            level = _level(run.last("health/distance") or 0.0)
            return f"This run is finished and steady, but its samples are {level}."
        case "mended":
            return "This run had trouble on its way, got over it, and is finished."
        case _ if run.last("health/distance") is None:
            return "This run is finished, and nothing is wrong that its records show."
        case _:
            return "This run went well from beginning to end."


def _share(run: RunFiles) -> str:
    return f"{min(1.0, run.images_seen / run.total):.0%}" if run.total else "nothing"


def _finished(run: RunFiles, state: State) -> str:
    seen, total = f"{run.images_seen:,}", f"{run.total:,}"
    if state == "failed":
        return f"No. It broke off at {seen} of {total} images; the last good checkpoint is kept."
    if state == "going":
        return f"No. It has seen {seen} of {total} images ({_share(run)}); what follows is how it stands now."
    enough = progress_ended(run)
    tail = f" From {enough:,} images on there was no progress left to be made." if enough is not None else ""
    return f"Yes. It has seen {seen} images{'' if run.images_seen >= run.total else f' of {total}'}.{tail}"


def _happened(run: RunFiles, found: Sequence[Story]) -> str:
    health = run.config.get("health")
    mode = health.get("mode") if isinstance(health, dict) else None
    watched = "" if run.events or mode != "off" else " Nobody watched it; this is what its records show afterwards."
    if not found:
        checks = sum("health/distance" in row for row in run.records)
        looked = f" in {checks} check-up{'s' if checks > 1 else ''}" if checks else ""
        return f"Nothing that could be called an illness was seen{looked}.{watched}"
    shown = "; ".join(
        f"at {story.begin:,} images {story.name} was seen: {run.knowledge.meaning(story.name)}" for story in found[:4]
    )
    more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
    return f"{shown[:1].upper()}{shown[1:]}{more}.{watched}"


def _done(found: Sequence[Story]) -> str:
    steps = [step for story in found for step in story.steps]
    if not found:
        return ""
    if not steps:
        return "Nothing; it was only watched." if _open(found) else "Nothing; it went by itself."
    back = sum(step.to is not None for step in steps)
    words = "; ".join(f"at {step.images_seen:,} images: {step.words}" for step in steps[:3])
    more = f"; and {len(steps) - 3} more" if len(steps) > 3 else ""
    times = {0: "", 1: " The game went back once."}.get(back, f" The game went back {back} times.")
    return f"{words[:1].upper()}{words[1:]}{more}.{times}"


def _helped(found: Sequence[Story]) -> str:
    treated = [story for story in found if story.steps]
    if not treated:
        return ""
    cured = sum(story.ending in ("cured", "receded") for story in treated)
    proof = next((step.proof for story in reversed(treated) for step in reversed(story.steps) if step.helped), "")
    if cured == len(treated):
        word = "Yes." if cured == 1 else f"Yes, all {cured} times."
    else:
        word = f"{cured} of {len(treated)} times." if cured else "No, or it is not known yet."
    return f"{word} Proof: {proof}." if proof else word


def _level(distance: float) -> str:
    return next((words for bound, words in LEVELS if distance <= bound), LEVELS[-1][1])


def _people(run: RunFiles) -> str:
    asked = [str(wish.get("by", "")).removeprefix("person:") or "somebody" for wish in wishes(run)]
    return ", ".join(
        f"{name} ({asked.count(name)} time{'s' if asked.count(name) > 1 else ''})" for name in dict.fromkeys(asked)
    )


def _quality(run: RunFiles) -> str:
    """The distance that health keeps an eye on, and the measured metric that stands for the whole."""
    parts = []
    if (now := run.last("health/distance")) is not None:
        began = run.first("health/distance")
        start = f", {began:.3g} at the first check-up" if began not in (None, now) else ""
        parts.append(f"Samples are {_level(now)}: {now:.3g} on a scale on which 0 is real and 1 a blank image{start}.")
    measured = {str(line.get("metric")): line for line in run.metrics}
    if name := next((one for one in BEST_KNOWN if one in measured), None):
        line, known = measured[name], column(name)
        floor = line.get("floor")
        real = f"; other real images score {floor:.3g}" if isinstance(floor, (int, float)) else ""
        better = f" ({known.better} is better{real})" if known else ""
        if isinstance(line.get("value"), (int, float)):
            parts.append(f"Measured {name.replace('_', ' ').upper()}: {line['value']:.4g}{better}.")
    return " ".join(parts)


def _copies(run: RunFiles) -> str:
    found = [run.neighbours.get(key) for key in ("share", "by_chance", "z")]
    numbers = [float(value) for value in found if isinstance(value, (int, float))]
    if len(numbers) < len(found):
        return ""
    share, chance, z = numbers
    words = f"{share:.0%} of samples lie nearer to a training image than to one kept back; by chance {chance:.0%}"
    return f"There are signs that it does: {words}." if z > 3 else f"No sign of it: {words}."


def _next(run: RunFiles, found: Sequence[Story], state: State) -> str:
    advice = dict.fromkeys(run.knowledge.advice(story.name) for story in _open(found))
    said = "; ".join(text for text in advice if text)
    if state == "going":
        return f"Go on with: steadygan resume {run.path}" + (f". If it stays so: {said}." if said else "")
    if said:
        return f"In another run: {said}."
    if state == "far":
        return "Give another run more images to see, or larger networks: this one ended on its way."
    if state == "failed":
        return "Start again with lower learning rates or a stronger penalty."
    return f"Make images with: steadygan sample {run.path} --count 64"
