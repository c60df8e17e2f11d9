"""The tables of ``docs/peers.md``, from the results of ``peers.py``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import mode
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "peers.md"
MARKS = ("<!-- figures of benchmarks/peers.py -->", "<!-- end of peers.py -->")
SPEED_GOAL, SOONER_GOAL = 1.3, 2.0
OURS = ("default", "dcgan")
LADDER = (500, 200, 100, 50, 20, 10)
Row = Mapping[str, Any]


def write_page(rows: Mapping[str, Row], page: Path = PAGE) -> None:
    """Put the tables between the marks of the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    _, found, after = rest.partition(MARKS[1])
    if not found:
        raise SystemExit(f"{page} has not got both {MARKS[0]} and {MARKS[1]}")
    body = "\n\n".join(part for part in (speed(rows.values()), quality(rows.values())) if part)
    page.write_text(f"{before}{MARKS[0]}\n\n{body}\n\n{MARKS[1]}{after}", encoding="utf-8")


def table(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    heads = list(heads)
    rows = [heads, ["---"] * len(heads), *map(list, lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def speed(rows: Iterable[Row]) -> str:
    """Images a second at equal networks, by threads, and whether the goal is reached."""
    chosen = sorted((row for row in rows if row["kind"] == "speed"), key=lambda row: row["threads"])
    if not chosen:
        return ""
    heads = ["networks of", "threads", "parameters", "theirs, images/s", "ours, images/s"]
    heads += ["times faster: median (quartiles)", "times less processor", "memory above start, MiB: theirs / ours"]
    return "\n\n".join(["### Speed at equal networks", table(heads, map(speed_line, chosen)), *speed_words(chosen)])


def speed_line(row: Row) -> list[str]:
    """One row of the speeds."""
    faster, less, pace = row["times_faster"], row["times_less_cpu"], row["images_a_second"]
    memory = row["memory_mib"]
    return [
        f"`{row['player']}`, {'x'.join(map(str, (*row['shape'][1:], row['shape'][0])))}",
        str(row["threads"]),
        f"{row['parameters']['generator'] / 1e6:.2f} + {row['parameters']['discriminator'] / 1e6:.2f} M",
        f"{pace['peer']:.0f}",
        f"{pace['engine']:.0f}",
        f"{faster['median']:.2f} ({faster['lower_quartile']:.2f} to {faster['upper_quartile']:.2f})",
        f"{less['median']:.2f}",
        f"{memory['peer']['above_start']:.0f} / {memory['engine']['above_start']:.0f}",
    ]


def speed_words(rows: list[Row]) -> Iterator[str]:
    """What the goal says about them, and how they were made."""
    for threads in sorted({row["threads"] for row in rows}):
        found = {row["player"]: row["times_faster"]["median"] for row in rows if row["threads"] == threads}
        by_cpu = {row["player"]: row["times_less_cpu"]["median"] for row in rows if row["threads"] == threads}
        reached = sorted(name for name, times in found.items() if times >= SPEED_GOAL)
        least = min(found, key=lambda name: found[name])
        yield (
            f"With {number(threads, 'thread')}: at least {SPEED_GOAL} times faster on the networks of {len(reached)} "
            f"of {len(found)} peers{' (' + ', '.join(reached) + ')' if reached else ''}; least on those of {least}, "
            f"{found[least]:.2f} times. By the processor's seconds the medians lie between "
            f"{min(by_cpu.values()):.2f} and {max(by_cpu.values()):.2f}."
        )
    yield made(rows)


def number(count: int, word: str) -> str:
    """1 thread, 2 threads."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def made(rows: list[Row]) -> str:
    """Machine, load and command of some rows."""
    loads = [row["load_before"] for row in rows]
    threads = " ".join(map(str, sorted({row["threads"] for row in rows})))
    command = f"python benchmarks/peers.py --{rows[0]['kind']} --threads {threads}"
    if rows[0]["kind"] == "quality":
        command += f" --minutes {max(row['minutes'] for row in rows):g} --seeds {len({row['seed'] for row in rows})}"
    else:
        command += f" --pairs {mode(row['pairs'] for row in rows)}"
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    return (
        f"Made by `{command}` on {rows[0]['machine']} (load before a cell: {min(loads):.1f} to {max(loads):.1f}), "
        f"torch {rows[0]['torch']}, at {commits}."
    )


def quality(rows: Iterable[Row]) -> str:
    """Seconds to each distance that anybody reached, and how many times sooner ours is."""
    chosen = [row for row in rows if row["kind"] == "quality"]
    if not chosen:
        return ""
    order = {name: place for place, name in enumerate(OURS)}
    chosen.sort(key=lambda row: (row["threads"], order.get(row["player"], 9), row["player"], row["seed"]))
    steps = [step for step in LADDER if any(first(row, step) for row in chosen)]
    heads = ["player", "seed", "threads", "given", *(f"to {step}" for step in steps), "least distance"]
    lines = [quality_line(row, steps) for row in chosen]
    words = [text for threads in sorted({row["threads"] for row in chosen}) for text in sooner(chosen, threads, steps)]
    return "\n\n".join(["### Time to a distance", table(heads, lines), *words, made(chosen)])


def first(row: Row, step: float) -> Mapping[str, float] | None:
    """The first look at or below a distance."""
    looks: list[Mapping[str, float]] = row["looks"]
    return next((look for look in looks if look["frechet"] <= step), None)


def quality_line(row: Row, steps: list[int]) -> list[str]:
    """One row of the times: processor seconds, and the wall's."""
    times = [first(row, step) for step in steps]
    cells = [f"{look['cpu']:.0f} s ({look['wall']:.0f} s)" if look else "–" for look in times]
    last = row["looks"][-1]
    name = f"**`{row['player']}`**" if row["player"] in OURS else f"`{row['player']}`"
    given = f"{last['cpu']:.0f} s ({last['wall']:.0f} s)"
    return [name, str(row["seed"]), str(row["threads"]), given, *cells, f"{row['least']:.1f}"]


def sooner(rows: list[Row], threads: int, steps: list[int]) -> Iterator[str]:
    """The default against the peer that was first, at the smallest distance that a peer reached, and beyond."""
    rows = [row for row in rows if row["threads"] == threads]
    ours = [row for row in rows if row["player"] == "default"]
    theirs = [row for row in rows if row["player"] not in OURS]
    shared = [
        step for step in steps if any(first(row, step) for row in theirs) and any(first(row, step) for row in ours)
    ]
    if shared:
        step = min(shared)
        mine = [look for row in ours if (look := first(row, step))]
        found = [(row["player"], look) for row in theirs if (look := first(row, step))]
        name, best = min(found, key=lambda pair: pair[1]["cpu"])
        times = {clock: best[clock] / mean(look[clock] for look in mine) for clock in ("cpu", "wall")}
        yield (
            f"With {number(threads, 'thread')}, the smallest distance that a peer reached is {step}: {name} needed "
            f"{best['cpu']:.0f} s of the processor, the default {mean(look['cpu'] for look in mine):.0f} s, "
            f"{times['cpu']:.1f} times sooner ({times['wall']:.1f} by the wall; goal: {SOONER_GOAL:g})."
        )
    beyond = [step for step in steps if any(first(row, step) for row in ours) and step not in shared]
    if beyond and theirs:
        step = max(beyond)
        needed = mean(look["cpu"] for row in ours if (look := first(row, step)))
        given = min(row["looks"][-1]["cpu"] for row in theirs)
        yield (
            f"No peer reached {step} within what it was given, at least {given:.0f} s; the default needed "
            f"{needed:.0f} s, so it is more than {given / needed:.1f} times sooner there."
        )


def mean(values: Iterable[float]) -> float:
    """Their mean."""
    found = list(values)
    return sum(found) / len(found)
