"""Short seeded runs of every recipe, whose numbers are pinned: a change of any of them is meant, or a mistake.

    python tests/golden/make.py            the numbers of every recipe anew
    python tests/golden/make.py dcgan r3   of some

Twelve rounds on the digits with tiny networks, float64, one thread. After a change that is meant, make them anew and
say in the commit why they moved.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import torch

from steadygan import recipes
from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.game.loop import loop
from steadygan.recipes.facts import DataFacts
from steadygan.runtime.devices import computing
from steadygan.session import planning, settings
from steadygan.session.wiring import prepare, wire

HERE = Path(__file__).resolve().parent
ROUNDS = 12
TINY = (
    "batch=16", "images=100000", "threads=1", "precision=float64", "record_every=1", "latent.size=8",
)  # fmt: skip
NARROW = {
    "mlp": ("generator.network.hidden=[16,8]", "discriminator.network.hidden=[8,16]"),
}
PINNED = ("/loss", "/gradient_norm", "_logits", "/spread")


def trajectory(recipe: str) -> dict[str, list[float]]:
    """Losses, gradient norms, logits and spread of each round, by name."""
    data = open_data(DataConfig())
    facts = DataFacts(data.name, len(data.train), data.shape, data.classes, DataConfig())
    small = planning.with_capacity(recipes.build(recipe, facts), 4)
    config = settings.apply(small, [*TINY, *NARROW.get(recipe, ())])
    config = planning.settle(prepare(config, data))
    with computing(1, deterministic=True):
        wired = wire(config, data)
        lines = [record.line() for record in itertools.islice(loop(wired.state, wired.moves, wired.draw), ROUNDS)]
    names = [name for name in lines[0] if name.endswith(PINNED) or name.startswith("penalty/")]
    return {name: [line[name] for line in lines] for name in sorted(names)}


def main() -> None:
    """Write the files."""
    torch.set_num_threads(1)
    for recipe in sys.argv[1:] or recipes.RECIPES:
        (HERE / f"{recipe}.json").write_text(json.dumps(trajectory(recipe), indent=1) + "\n")
        print(recipe)


if __name__ == "__main__":
    main()
