"""Coupled pairs play with any shares of the domains: no pair is ever seen, so counts need not agree."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from steadygan import recipes
from steadygan.config import DataConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.game.loop import loop
from steadygan.recipes.facts import DataFacts
from steadygan.session import planning, settings
from steadygan.session.wiring import Wired, prepare, wire

SMALL = (
    "batch=16", "latent.size=6", "generator.network.capacity=4", "discriminator.network.capacity=4", "threads=1",
    "health.mode=off", "images=2000", "record_every=1",
)  # fmt: skip


def with_domains(few: int, domains: int) -> Wired:
    """A wired game on the digits, of which ``few`` are of the last domain and all others of the first ones in turn."""
    data = open_data(DataConfig())
    label = np.arange(len(data.images)) % max(1, domains - 1)
    label[data.train[:few]] = domains - 1
    uneven: DataSet = replace(data, labels=label, label_names=tuple(str(one) for one in range(domains)))
    facts = DataFacts("uneven", len(uneven.train), uneven.shape, uneven.classes, DataConfig())
    config = prepare(settings.apply(recipes.build("cogan", facts), SMALL), uneven)
    return wire(planning.settle(config), uneven)


@pytest.mark.usefixtures("_own_cache")
@pytest.mark.parametrize(("few", "domains"), [(1, 2), (40, 2), (5, 3)])
def test_domains_of_different_counts_are_played(few: int, domains: int) -> None:
    wired = with_domains(few, domains)
    records = list(itertools.islice(loop(wired.state, wired.moves, wired.draw), 6))
    for record in records:
        assert all(np.isfinite(float(value)) for value in record.signals.values())
    generator = wired.state.players["generator"]
    latent = torch.randn(4, 6)
    shown = [generator(latent, torch.full((4,), domain)) for domain in range(domains)]
    assert all(not torch.equal(one, other) for one, other in itertools.combinations(shown, 2))


@pytest.mark.usefixtures("_own_cache")
def test_a_single_domain_is_refused() -> None:
    with pytest.raises(SteadyganError, match="digits has one class only: set conditional=false, or sort images"):
        with_domains(0, 1)
