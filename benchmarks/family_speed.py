"""What the engine costs beside each family's passes: a round as it is played, against its networks' work alone.

    python benchmarks/family_speed.py                every recipe that the results file lacks
    python benchmarks/family_speed.py --only style   one, or several
    python benchmarks/family_speed.py --table        the figures into docs/families.md

``round`` is what a run does: the draw, reseeding, controls, the moves, signals, the average, a record at the planned
interval. ``passes`` are the same terms by hand on the same networks: forward, backward and the optimizers' steps of a
fixed batch, and nothing else. Both take turns in blocks in one process of one thread, by the processor's time; the
ratio is that of the lower quartiles, which other programs on the machine disturb least. Beside it stands how often each
player's network is called in a round, as the calls of its most used layer: a pass that is made twice would be seen
there, since the round by hand would make it too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from steadygan import api, recipes
from steadygan.errors import SteadyganError
from steadygan.game.loop import loop
from steadygan.game.move import Play
from steadygan.runtime import devices
from steadygan.runtime.storage import write_file
from steadygan.session.wiring import Wired, wire

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results" / "family_speed.json", HERE.parent / "docs" / "families.md"
MARKS = ("<!-- figures of benchmarks/family_speed.py -->", "<!-- end of family_speed.py -->")
SETTINGS = ("threads=1", "health.mode=off", "images=1000000", "deterministic=false")
WHOLE = {"semi-supervised": ("options.own_weight=2",)}
"""What a recipe turns up in the course of a run only, as it is later."""
BLOCKS, SECONDS = 12, 0.3
GOAL = 1.05


def prepared(recipe: str) -> tuple[Wired, Wired]:
    """Two wirings of a recipe on MNIST at 32 pixels, the same but for their state."""
    data = "mnist"
    planned = api.plan(data, recipe=recipe, image_size=(32, 32), set=[*SETTINGS, *WHOLE.get(recipe, ())])
    return wire(planned.config, planned.data), wire(planned.config, planned.data)


def by_hand(wired: Wired) -> Callable[[], None]:
    """A round of forward passes, backward passes and steps on one batch."""
    state = wired.state
    state.begin_round()
    batch = wired.draw(0, wired.config.batch, 0)
    averages = {name: average.network for name, average in state.averages.items()}

    def play_round() -> None:
        shared: dict[str, Any] = {}
        for move in wired.moves:
            for _ in range(round(state.controls[move.steps]) if move.steps else 1):
                play = Play(state.players, batch, state.controls, state.memory, shared, state.rounds, measured=False)
                play.averages = averages
                for goal in move.goals:
                    for name, player in state.players.items():
                        player.requires_grad_(name in (*goal.learners, *move.builds))
                    for name in goal.learners:
                        state.optimizers[name].zero_grad()
                    terms = goal.wants(play).values()
                    torch.stack([term.values.mean() * term.weight for term in terms]).sum().backward()  # type: ignore[no-untyped-call]
                for goal in move.goals:
                    for name in goal.learners:
                        state.optimizers[name].step()
                if move.after:
                    move.after(play)
        state.rounds += 1

    return play_round


def calls(wired: Wired) -> dict[str, int]:
    """How often the most used layer of each player's network is called in an ordinary round.

    Layers and not whole networks, since some families call parts of theirs.
    """
    found: Counter[tuple[str, str]] = Counter()
    hooks = [
        layer.register_forward_hook(lambda *_, key=(name, place): found.update([key]))
        for name, player in wired.state.players.items()
        for place, layer in player.named_modules()
        if next(layer.parameters(recurse=False), None) is not None
    ]
    by_hand(wired)()
    for hook in hooks:
        hook.remove()
    most: dict[str, int] = {}
    for (name, _), count in found.items():
        most[name] = max(count, most.get(name, 0))
    return most


def block(job: Callable[[], Any]) -> float:
    """The processor's seconds a round, over a block."""
    start, rounds = time.process_time(), 0
    while (spent := time.process_time() - start) < SECONDS or not rounds:
        job()
        rounds += 1
    return spent / rounds


def measure(recipe: str) -> dict[str, Any]:
    """The ratio of a recipe, with its spread, and its calls."""
    one, other = prepared(recipe)
    rounds = loop(one.state, one.moves, one.draw)
    jobs = {"round": lambda: next(rounds), "passes": by_hand(other)}
    with devices.computing(1, deterministic=False):
        for job in jobs.values():
            job()
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for turn in range(BLOCKS):
            for name in list(jobs)[:: 1 if turn % 2 else -1]:
                times[name].append(block(jobs[name]))
    lower = {name: statistics.quantiles(values, n=4)[0] for name, values in times.items()}
    pairs = sorted(a / b for a, b in zip(times["round"], times["passes"], strict=True))
    return {
        "ratio": round(lower["round"] / lower["passes"], 4),
        "pairs": [round(pairs[len(pairs) // 4], 4), round(pairs[-len(pairs) // 4], 4)],
        "milliseconds": round(lower["round"] * 1e3, 2),
        "calls": calls(other),
    }


def table(found: dict[str, Any]) -> str:
    """The figures in Markdown."""
    lines = [
        "| recipe | round / passes | middle half of pairs | at most 1.05 | ms a round | calls a round |",
        "|---|---|---|---|---|---|",
    ]
    for recipe, row in found.items():
        low, high = row["pairs"]
        made = ", ".join(f"{name} {count}" for name, count in row["calls"].items())
        met = "yes" if row["ratio"] <= GOAL else "no"
        figures = f"{row['ratio']:.3f} | {low:.3f} to {high:.3f} | {met} | {row['milliseconds']:.0f}"
        lines.append(f"| `{recipe}` | {figures} | {made} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(recipes.RECIPES), default=[])
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if options.table:
        text = PAGE.read_text()
        before, rest = text.split(MARKS[0])
        write_file(PAGE, f"{before}{MARKS[0]}\n\n{table(found)}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}".encode())
        return
    for recipe in options.only or [name for name in recipes.RECIPES if name not in found]:
        try:
            found[recipe] = measure(recipe)
        except SteadyganError as error:
            print(f"{recipe}: {error}", flush=True)
            continue
        write_file(RESULTS, (json.dumps(found, indent=1) + "\n").encode())
        print(recipe, found[recipe], flush=True)


if __name__ == "__main__":
    main()
