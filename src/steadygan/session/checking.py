"""What can be said about settings before anything is opened or built: a slip of the pen costs seconds, not minutes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from steadygan.config import RunConfig
from steadygan.data.augmentation import resolve
from steadygan.errors import SteadyganError, unknown
from steadygan.evaluation.features import FEATURES
from steadygan.evaluation.metrics_table import choose
from steadygan.game.optimizers import OPTIMIZERS
from steadygan.networks import ACTIVATIONS, DISCRIMINATORS, GENERATORS, INITIALISATIONS, NORMALISATIONS
from steadygan.networks.sizes import stage_sizes
from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss
from steadygan.objectives.penalties import PENALTIES
from steadygan.objectives.weights import WEIGHT_PENALTIES
from steadygan.report import trackers
from steadygan.runtime import devices
from steadygan.session.families import check_players, family, lookup, options

LARGEST_RATE = 10.0
"""No learning rate above this has ever trained anything."""


def check(config: RunConfig) -> None:
    """Raise SteadyganError for a name in no table, naming the nearest, and for rates and sizes that cannot be used.

    What ``module:function`` points to is looked at when it is built.
    """
    devices.choose_device(config.device)
    for tracker in trackers.wanted(config):
        tracker.require()
    if not isinstance(lookup("loss", config.loss, ADVERSARIAL_LOSSES), AdversarialLoss):
        raise SteadyganError(f"{config.loss!r} is not an AdversarialLoss", "see the page on objectives")
    found = family(config)
    options(found, config)
    check_players(config, found)
    _known("penalty", config.penalties, PENALTIES)
    choose(config.evaluate_metrics)
    if (features := config.evaluate_features.partition(":")[0]) not in FEATURES:
        raise unknown("features", features, FEATURES)
    resolve(config.augmentation.policy)
    for role, player in config.players.items():
        network = player.network
        _known(role, [network.name], GENERATORS if role == "generator" else DISCRIMINATORS)
        _known("activation", [network.activation], ACTIVATIONS)
        _known("normalisation", [network.normalisation], NORMALISATIONS)
        _known("initialisation", [network.initialisation], INITIALISATIONS)
        _known("optimizer", [player.optimizer.name], OPTIMIZERS)
        if not 0 <= player.optimizer.learning_rate.value <= LARGEST_RATE:
            rate = f"{role}.optimizer.learning_rate is {player.optimizer.learning_rate.value:g}"
            raise SteadyganError(rate, f"choose a value from 0 to {LARGEST_RATE:g}, usual is 0.0002")
        _known("weight penalty", player.weight_penalties, WEIGHT_PENALTIES)

    networks = [player.network.name for player in config.players.values()]
    if config.data.image_size and all(name in GENERATORS for name in networks):
        stage_sizes(*config.data.image_size)


def _known(kind: str, names: Iterable[str | None], table: Mapping[str, object]) -> None:
    for name in names:
        if name is not None and name not in table and ":" not in name:
            raise unknown(kind, name, table)
