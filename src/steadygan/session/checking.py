"""What can be said about settings before the data are opened: a slip of the pen costs seconds, not minutes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.augmentation import resolve
from steadygan.errors import unknown
from steadygan.game.optimizers import OPTIMIZERS
from steadygan.networks import ACTIVATIONS, DISCRIMINATORS, GENERATORS, INITIALISATIONS, NORMALISATIONS
from steadygan.networks.sizes import stage_sizes
from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES
from steadygan.objectives.penalties import PENALTIES
from steadygan.objectives.weights import WEIGHT_PENALTIES
from steadygan.recipes.facts import DataFacts
from steadygan.runtime import devices
from steadygan.session import settings


def check_early(recipe: str, data: DataConfig, given: Iterable[str]) -> None:
    """Raise SteadyganError for a recipe, key, value or name that cannot be right whatever the data turn out to be."""
    height, width = data.image_size or (32, 32)
    facts = DataFacts(data.source, 10_000, (data.channels or 3, height, width), 10, data)
    config = settings.apply(recipes.build(recipe, facts), tuple(given))
    check_names(config)
    networks = [player.network.name for player in config.players.values()]
    if data.image_size and all(name in GENERATORS for name in networks):
        stage_sizes(height, width)


def check_names(config: RunConfig) -> None:
    """Raise SteadyganError for a name in no table, naming the nearest; ``module:function`` is looked up later."""
    devices.choose_device(config.device)
    _known("loss", [config.loss], ADVERSARIAL_LOSSES)
    _known("penalty", config.penalties, PENALTIES)
    resolve(config.augmentation.policy)
    for role, player in config.players.items():
        network = player.network
        _known(role, [network.name], GENERATORS if role == "generator" else DISCRIMINATORS)
        _known("activation", [network.activation], ACTIVATIONS)
        _known("normalisation", [network.normalisation], NORMALISATIONS)
        _known("initialisation", [network.initialisation], INITIALISATIONS)
        _known("optimizer", [player.optimizer.name], OPTIMIZERS)
        _known("weight penalty", player.weight_penalties, WEIGHT_PENALTIES)


def _known(kind: str, names: Iterable[str | None], table: Mapping[str, object]) -> None:
    for name in names:
        if name is not None and name not in table and ":" not in name:
            raise unknown(kind, name, table)
