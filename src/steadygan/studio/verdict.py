"""How a run stands, in words for somebody who does not know GANs, from its events alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Tone = Literal["going", "good", "warn", "bad", "idle"]
GOOD_NEWS = "finished"
"""The one diagnosis that is no illness: there is no progress left."""


def place(line: Mapping[str, Any]) -> tuple[int, int]:
    """Attempt and images seen of an event or a record."""
    found = [line.get("attempt"), line.get("images_seen")]
    attempt, seen = (one if isinstance(one, int) else 0 for one in found)
    return attempt, seen


@dataclass
class Story:
    """What health told, as far as it matters now.

    ``open`` and ``treated`` hold the latest event of each case that stands; ``cured`` and ``left`` name illnesses that
    were mended, or that nothing helped against.
    """

    open: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    treated: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    cured: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    stopped: Mapping[str, Any] | None = None
    paused: str = ""
    paused_at: tuple[int, int] = (0, 0)
    ended: str = ""
    turns: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """Factor and shift that each person gave each control last."""

    def take(self, event: Mapping[str, Any]) -> None:
        """One event, in the order in which they were written."""
        case, name = event.get("case"), str(event.get("diagnosis", ""))
        case = case if isinstance(case, int) else 0
        match event.get("kind"):
            case "diagnosis" if name != GOOD_NEWS:
                self.open[case] = event
            case "receded":
                self.open.pop(case, None)
            case "intervention":
                self.treated[case] = event
            case "proof" if event.get("cured") is True:
                self._close(case)
                self.cured.append(name)
            case "proof" | "undone":
                self.treated.pop(case, None)
            case "given-up":
                self._close(case)
                self.left.append(name)
            case "stop":
                self.stopped = event
            case "wish" if event.get("done") is True:
                self._asked(event)

    def _close(self, case: int) -> None:
        self.open.pop(case, None)
        self.treated.pop(case, None)

    def _asked(self, event: Mapping[str, Any]) -> None:
        who = str(event.get("by", "")).removeprefix("person:")
        match event.get("wish"):
            case "pause":
                self.paused = who
                self.paused_at = place(event)
            case "go-on" | "stop":
                self.paused = ""
            case "end":
                self.ended = who
            case "turn":
                self.turns[who, str(event.get("control"))] = (
                    _number(event, "factor", 1.0),
                    _number(event, "shift", 0.0),
                )


@dataclass(frozen=True)
class Verdict:
    """A headline, a sentence below it, and the colour of both."""

    tone: Tone
    headline: str
    detail: str = ""


def verdict(state: str, story: Story, *, watched: bool, where: str) -> Verdict:
    """The verdict on a run.

    Args:
        state: ``running``, ``paused``, ``finished`` or ``stopped``.
        story: what its events tell.
        watched: whether health is on.
        where: how far it is, as ``12,000 of 60,000 images``.
    """
    if story.stopped is not None:
        name = _said(story.stopped.get("diagnosis"))
        return Verdict("bad", f"Ended early: {name}", str(story.stopped.get("words", "")))
    ill = next(iter(reversed(story.treated.values())), None)
    if ill is not None and state in ("running", "paused"):
        seen = story.open.get(int(ill.get("case", 0)), {})
        detail = f"{_capital(seen.get('words', ''))}. Being tried: {ill.get('words', '')}."
        return _with_state(
            state, story, Verdict("warn", f"{_capital(_said(ill.get('diagnosis')))} is being treated", detail)
        )
    if story.open:
        event = next(iter(reversed(story.open.values())))
        name = _capital(_said(event.get("diagnosis")))
        headline = f"{name} seen" if state in ("running", "paused") else f"{_place_word(state)}, with {name.lower()}"
        return _with_state(state, story, Verdict("warn", headline, f"{_capital(event.get('words', ''))}."))
    return _with_state(state, story, _well(state, story, watched, where))


def _well(state: str, story: Story, watched: bool, where: str) -> Verdict:
    past = ""
    if story.cured:
        past = f"{_capital(_listed(story.cured))} was seen on the way, and mended."
    if story.left:
        past = f"{past} Nothing helped against {_listed(story.left)}.".strip()
    if not watched:
        past = "Health was off, so nobody looked whether anything went wrong."
    if state == "finished":
        by = f" by {story.ended}" if story.ended else ""
        headline = f"Ended{by} at {where}" if by else "Finished"
        return Verdict("good" if watched and not story.left else "idle", headline, past or "Nothing went wrong.")
    if state == "stopped":
        return Verdict("idle", f"Stopped at {where}", past or "It can go on with steadygan resume.")
    headline = "Running, not watched" if not watched else "Going well again" if past else "Going well"
    return Verdict("going" if watched else "idle", headline, past or "Nothing amiss so far.")


def _with_state(state: str, story: Story, found: Verdict) -> Verdict:
    """The same, where somebody has paused the run."""
    if state != "paused":
        return found
    return Verdict("idle", f"Paused by {story.paused}", f"Before that: {found.headline.lower()}. {found.detail}")


def _number(event: Mapping[str, Any], name: str, usual: float) -> float:
    value = event.get(name, usual)
    return float(value) if isinstance(value, (int, float)) else usual


def _place_word(state: str) -> str:
    return "Finished" if state == "finished" else "Stopped"


def _said(name: object) -> str:
    return str(name or "an illness").replace("-", " ")


def _capital(text: object) -> str:
    words = str(text)
    return words[:1].upper() + words[1:]


def _listed(names: Sequence[str]) -> str:
    plain = [_said(name) for name in dict.fromkeys(names)]
    return plain[0] if len(plain) == 1 else f"{', '.join(plain[:-1])} and {plain[-1]}"
