"""One round: every move once, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygan.game.average import half_life_at
from steadygan.game.gains import limit_gains_
from steadygan.game.gradients import averaged
from steadygan.game.move import Draw, Goal, Move, Play
from steadygan.game.state import GameState
from steadygan.runtime import processes, shards

AUXILIARY = "auxiliary/"
"""How terms are called that a goal has besides the game's own: the control ``auxiliary`` weighs them."""


@dataclass(frozen=True)
class Record:
    """What one round tells: the clock after it, and its signals (scalars on the device, or numbers).

    ``measured`` rounds carry the full set of signals; the others only what costs nothing.
    """

    images_seen: int
    round: int
    attempt: int
    measured: bool
    signals: dict[str, Tensor | float]

    def line(self) -> dict[str, float | int]:
        """The record as numbers, as it stands in ``records.jsonl``; waits for the device."""
        names = list(self.signals)
        values = [float(value) for value in self.signals.values()]
        head = {"images_seen": self.images_seen, "round": self.round, "attempt": self.attempt}
        return head | dict(zip(names, values, strict=True))


def crosses(every: int, before: int, after: int) -> bool:
    """Whether the clock passed a multiple of ``every`` (0: never) on its way from ``before`` to ``after``."""
    return every > 0 and before // every != after // every


def play_round(state: GameState, moves: Sequence[Move], draw: Draw) -> Record:
    """Play every move once, update the averages, move the clock on, and say what happened."""
    state.begin_round()
    setting = state.setting
    repeats = [_repeats(state, move) for move in moves]
    batch_size = state.batch
    after = state.images_seen + batch_size * max(repeats)
    measured = crosses(setting.record_every, state.images_seen, after) or after >= setting.total
    averages = {name: average.network for name, average in state.averages.items()}
    shared: dict[str, Tensor] = {}
    signals: dict[str, Tensor | float] = {}
    noted: dict[str, Tensor] = {}
    with processes.together(), processes.heard():
        for move, times in zip(moves, repeats, strict=True):
            for step in range(times):
                batch = draw(state.images_seen + step * batch_size, batch_size, state.attempt)
                play = Play(state.players, batch, state.controls, state.memory, shared, state.rounds, state.attempt)
                play.measured, play.averages = measured, averages
                signals |= _play_move(state, move, play)
                noted |= play.notes
        signals |= _averaged(noted, play.device)
    images = after - state.images_seen
    for name, average in state.averages.items():
        life = half_life_at(state.controls["average.half_life"], setting.ramp_up, after)
        average.update(state.players[name], images, life)
    if measured:
        signals |= {f"control/{name}": value for name, value in state.controls.items()}
    state.images_seen = after
    state.rounds += 1
    return Record(after, state.rounds, state.attempt, measured, signals)


def _repeats(state: GameState, move: Move) -> int:
    return max(1, round(state.controls[move.steps])) if move.steps else 1


def _play_move(state: GameState, move: Move, play: Play) -> dict[str, Tensor | float]:
    """Take the gradients of all goals at the same point, then let all learners step."""
    whole, stepped = play.batch, dict[str, Tensor | float]()
    play.parts = state.setting.accumulate
    for goal in move.goals:
        _let_learn(state, (*goal.learners, *move.builds))
        for name in goal.learners:
            state.optimizers[name].zero_grad()
        for part in range(play.parts):
            play.part, play.batch = part, whole.part(part, play.parts)
            _add_gradient(state, goal, play)
    for goal in move.goals:
        for name in goal.learners:
            stepped |= _step(state, name, play.measured)
    if move.after:
        move.after(play)
    return play.notes | stepped


def _averaged(noted: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """What the moves of a round noted, as means over all processes, in one message."""
    if processes.acting() == 1 or not noted:
        return noted
    values = [value.to(device, torch.float64) for value in noted.values()]
    means = processes.mean(torch.stack(values))
    return {name: mean.to(was.dtype) for (name, was), mean in zip(noted.items(), means, strict=True)}


def _let_learn(state: GameState, names: tuple[str, ...]) -> None:
    """Only these players get gradients: the others' backward work is saved."""
    for name, parameters in state.parameters.items():
        for parameter in parameters:
            parameter.requires_grad_(name in names)


def _add_gradient(state: GameState, goal: Goal, play: Play) -> None:
    with state.autocast(play.device):
        terms = goal.wants(play)
    means = {name: term.values.mean() for name, term in terms.items()}
    for name, mean in means.items():
        play.note(name, mean)
    share = state.controls.get("auxiliary", 1.0)
    weights = {name: term.weight * (share if name.startswith(AUXILIARY) else 1.0) for name, term in terms.items()}
    total = _sum([mean if weights[name] == 1.0 else mean * weights[name] for name, mean in means.items()])
    learning = [parameter for name in goal.learners for parameter in state.parameters[name]]
    if play.measured:
        _weigh(goal, play, means, weights, learning)
    with averaged(learning, last=play.part == play.parts - 1):
        (total / play.parts if play.parts > 1 else total).backward()  # type: ignore[no-untyped-call]


def _sum(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(parts)).sum() if len(parts) > 1 else parts[0]


def _weigh(
    goal: Goal, play: Play, means: dict[str, Tensor], weights: dict[str, float], learning: Sequence[Tensor]
) -> None:
    """Note how long the gradient of a goal's auxiliary terms is beside that of all its others.

    Taken by itself, before the gradient that is stepped on, which it does not change. Parameters in shards are passed
    over: PyTorch gathers their gradients in passes that accumulate, and in no others.
    """
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for name, mean in means.items():
        if weights[name] and mean.requires_grad:
            sides[name.startswith(AUXILIARY)].append(mean * weights[name])
    if not all(sides) or any(map(shards.spread, learning)):
        return
    passes = (torch.autograd.grad(_sum(parts), learning, retain_graph=True, allow_unused=True) for parts in sides)
    found = [[gradient for gradient in gradients if gradient is not None] for gradients in passes]
    if all(found):
        # the length of the mean over all processes, not the mean of lengths
        means_of_all = (processes.mean(torch.cat([g.reshape(-1) for g in gradients])) for gradients in found)
        game, others = (_length([gradient], parted=False) for gradient in means_of_all)
        play.note(f"{goal.learners[0]}/auxiliary", others / (game + 1e-12))


def _step(state: GameState, name: str, measured: bool) -> dict[str, Tensor | float]:
    """Clip or normalise the player's gradient as the controls say, then step; report its norm where it is measured.

    With the control ``skip_broken`` a step whose gradient is not finite is left out, at the price of waiting for the
    device in every round; it is off unless health turns it on, since it would hide the fault.
    """
    limit, guarded = state.controls[f"clip.{name}"], state.controls.get("skip_broken", 0.0) > 0
    normalise = name in state.setting.normalise
    asked = measured or normalise or guarded or limit > 0
    moved: list[Tensor] = [p for p in state.parameters[name] if p.grad is not None] if asked else []
    parameters, parted = shards.local(moved), any(map(shards.spread, moved))
    signals: dict[str, Tensor | float] = {}
    if moved:
        gradients = shards.local([p.grad for p in moved if p.grad is not None])
        norm = _length(gradients, parted)
        signals[f"{name}/gradient_norm"] = norm.detach()
        if guarded and not bool(torch.isfinite(norm)):
            return signals | {f"{name}/skipped": 1.0}
        if normalise:
            torch._foreach_div_(gradients, norm + 1e-12)
        elif limit > 0:
            torch._foreach_mul_(gradients, (limit / (norm + 1e-12)).clamp(max=1.0))
    before = [p.detach().clone() for p in parameters] if measured else []
    state.optimizers[name].step()
    if (most := state.controls.get(f"max_gain.{name}", 0.0)) > 0:
        limit_gains_(state.parameters[name], most)
    if before:
        signals[f"{name}/update"] = _moved(before, parameters, parted)
    return signals


@torch.no_grad()
def _moved(before: list[Tensor], after: list[Tensor], parted: bool) -> Tensor:
    """||after - before|| / ||before|| over all parameters: how large a step was beside the weights."""
    return _length(torch._foreach_sub(after, before), parted) / (_length(before, parted) + 1e-12)


def _length(tensors: Sequence[Tensor], parted: bool) -> Tensor:
    """The norm of all of them as one vector, of which other processes have other rows where they are ``parted``."""
    norm: Tensor = torch.linalg.vector_norm(shards.norms(tensors, parted))
    return norm
