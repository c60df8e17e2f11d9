"""What 8, 64 and 512 GPUs would give, on paper: from counted operations, calls and message sizes, and stated speeds.

    python benchmarks/estimate.py            counts what the results lack, and prints the table of docs/growth.md
    python benchmarks/estimate.py --share 0.45 --call 4e-6    other assumptions

Counted here, by playing rounds on the CPU: the operations of a round for an image, the calls of kernels in a round
(which do not depend on the batch), the values of all gradients, and the messages in which they travel. Assumed, and to
be replaced by measured figures where there are some: everything in ``Machine``.

    compute(b)  = max(b * operations / (peak * share), calls * call)
    exchange(K) = 2 (n - 1) / n * bytes / inside + 2 (m - 1) / m * bytes / (n * between)
                  + messages * (2 (n - 1) * delay_inside + 2 log2(m) * delay_between)
    round(b, K) = compute(b) + max(exchange(K) - backward * compute(b), exchange(K) / messages)

for b images on each of K GPUs: n of them, at most 8, on each of m = K / n machines. Within a machine gradients go round
a ring, between machines each GPU exchanges its n-th part. Gradients leave in buckets while the backward pass runs, so
what takes longer than that pass is waited for, and the last bucket in any case.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

from growth import counts, random_data

from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.dataset import DataSet
from steadygan.recipes.facts import DataFacts
from steadygan.session.planning import settle, with_capacity
from steadygan.session.wiring import prepare

RESULTS = Path(__file__).resolve().parent / "results" / "estimate.json"
SUBJECTS = {"r3, 64x64, capacity 64": ("r3", 64, 64), "r3, 128x128, capacity 64": ("r3", 128, 64)}
COUNTED_AT = 4
GPUS = (1, 8, 64, 512)
EACH = 64
"""Images on each GPU where the batch grows with them."""
TOGETHER = 4096
"""Images on all of them where it does not."""


@dataclass(frozen=True)
class Machine:
    """Speeds that are assumed: those of an H100 in machines of eight, as its maker states them, with a margin.

    Attributes:
        peak: operations a second in bf16.
        share: how much of it a round reaches.
        call: seconds that a kernel takes at least, its launch from Python included.
        inside: bytes a second between GPUs of a machine, each way.
        between: bytes a second of each GPU's own network card, each way.
        delay_inside: seconds of a step between GPUs of a machine.
        delay_between: seconds of a step between machines.
        backward: share of a round's compute behind which gradients travel.
        node: GPUs a machine.
    """

    peak: float = 989e12
    share: float = 0.3
    call: float = 8e-6
    inside: float = 300e9
    between: float = 40e9
    delay_inside: float = 5e-6
    delay_between: float = 15e-6
    backward: float = 0.5
    node: int = 8


@dataclass(frozen=True)
class Work:
    """What was counted of a round: operations an image, calls, gradient bytes and messages."""

    operations: float
    calls: float
    gradient_bytes: float
    messages: int


def compute(work: Work, images: float, machine: Machine) -> float:
    """Seconds of a round's own computing with this many images on a GPU."""
    return max(images * work.operations / (machine.peak * machine.share), work.calls * machine.call)


def exchange(work: Work, gpus: int, machine: Machine) -> float:
    """Seconds in which the gradients of a round are averaged over all GPUs, nothing of it hidden."""
    n = min(gpus, machine.node)
    m = gpus // n
    ring = 2 * (n - 1) / n * work.gradient_bytes / machine.inside
    net = 2 * (m - 1) / m * work.gradient_bytes / (n * machine.between)
    steps = 2 * (n - 1) * machine.delay_inside + 2 * math.log2(m) * machine.delay_between
    return ring + net + work.messages * steps


def round_seconds(work: Work, images: float, gpus: int, machine: Machine) -> float:
    """Seconds of a whole round on this many GPUs with ``images`` on each."""
    own, sent = compute(work, images, machine), exchange(work, gpus, machine)
    return own + max(sent - machine.backward * own, sent / work.messages)


def config_of(recipe: str, side: int, capacity: int) -> tuple[RunConfig, DataSet]:
    """The config that is counted, and random images for it."""
    data = random_data((3, side, side), 4 * COUNTED_AT)
    facts = DataFacts(data.name, len(data.train), data.shape, 0, DataConfig(source=data.name))
    config = with_capacity(recipes.build(recipe, facts), capacity)
    # what adapts reads held-out images now and then, which is no part of a round
    calm = config.augmentation.model_copy(update={"adaptive": False})
    update = {"threads": 1, "batch": COUNTED_AT, "augmentation": calm}
    return settle(prepare(config.model_copy(update=update), data)), data


def counted(name: str) -> dict[str, float]:
    """Operations, calls, values and messages of a subject's round."""
    config, data = config_of(*SUBJECTS[name])
    found = counts(config, data)
    return {
        "operations": found["operations"] / COUNTED_AT,
        "calls": found["calls"],
        "parameters": found["parameters"],
        "messages": found["messages"],
    }


def table(results: dict[str, dict[str, float]], machine: Machine) -> str:
    """The table of the docs."""
    lines = ["| networks | GPUs | images a GPU | compute | exchange | round | images/s | of K times one GPU |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name, one in results.items():
        work = Work(one["operations"], one["calls"], 4 * one["parameters"], int(one["messages"]))
        cases = [(gpus, EACH, EACH) for gpus in GPUS] + [(gpus, TOGETHER // gpus, TOGETHER) for gpus in GPUS]
        for gpus, images, alone in cases:
            took = round_seconds(work, images, gpus, machine)
            base = alone / round_seconds(work, alone, 1, machine)
            pace = gpus * images / took
            own, sent = compute(work, images, machine), exchange(work, gpus, machine)
            times = " | ".join(f"{1e3 * value:.1f} ms" for value in (own, sent, took))
            lines.append(f"| {name} | {gpus} | {images:,} | {times} | {pace:,.0f} | {pace / gpus / base:.0%} |")
    return "\n".join(lines)


def main() -> None:
    """Count what the results lack, and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for field in fields(Machine):
        options.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    chosen = options.parse_args()
    results: dict[str, dict[str, float]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in SUBJECTS:
        if name not in results:
            results[name] = counted(name)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for name, one in results.items():
        words = ", ".join(f"{key} {value:,.0f}" for key, value in one.items())
        print(f"{name}: {words}")
    print(table(results, Machine(**vars(chosen))))


if __name__ == "__main__":
    main()
