"""Illnesses that stand in the settings: a config and a parameter to the config of an ill run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from steadygan.config import NetworkConfig, PlayerConfig, RunConfig, ScheduleConfig, constant
from steadygan.errors import SteadyganError

HIGHEST_RATE = 10.0
"""No control of a learning rate goes above this."""


def generator_rate(config: RunConfig, factor: float) -> RunConfig:
    """The generator's learning rate times ``factor``."""
    return _rates(config, {"generator": factor})


def discriminator_rate(config: RunConfig, factor: float) -> RunConfig:
    """The discriminator's learning rate times ``factor``."""
    return _rates(config, {"discriminator": factor})


def momentum(config: RunConfig, factor: float) -> RunConfig:
    """Every player's learning rate times ``factor``, with much momentum: beta1 = 0.9."""
    config = _rates(config, dict.fromkeys(config.players, factor))
    for name, player in config.players.items():
        optimizer = player.optimizer.model_copy(update={"beta1": 0.9, "momentum": 0.9})
        config = _player(config, name, optimizer=optimizer)
    return config


def strong_discriminator(config: RunConfig, factor: float) -> RunConfig:
    """The generator's rate over ``factor``; penalties, which would hold the discriminator back, over it, too."""
    config = _rates(config, {"generator": 1 / factor, "discriminator": 1.0})
    return _penalties(config, 1 / factor)


def weak_discriminator(config: RunConfig, factor: float) -> RunConfig:
    """The discriminator's learning rate over ``factor`` and its width over the root of it."""
    config = _rates(config, {"discriminator": 1 / factor})
    network = _need(config, "discriminator").network
    return _network(config, "discriminator", **_narrower(network, factor**0.5))


def no_penalty(config: RunConfig, depth: float) -> RunConfig:
    """No penalty, clipping or normalisation at all in a discriminator of ``depth`` layers at each size."""
    network, layers = _need(config, "discriminator").network, max(1, round(depth))
    update: dict[str, Any] = {"spectral_norm": False, "normalisation": "none", "depth": layers}
    if network.hidden:
        update["hidden"] = (network.hidden[0],) * layers + network.hidden[1:]
    config = _network(config, "discriminator", **update)
    return config.model_copy(update={"penalties": {}, "weight_clip": constant(0.0)})


def tiny_batch(config: RunConfig, batch: float) -> RunConfig:
    """The same images in batches of ``batch``: so many more rounds."""
    size = max(2, round(batch)) * config.packing
    if size >= config.batch:
        raise SteadyganError(f"a batch of {size} is not small beside {config.batch}", "raise batch or the severity")
    return config.model_copy(update={"batch": size, "accumulate": 1})


def batch_norm(config: RunConfig, batch: float) -> RunConfig:
    """Batch normalisation in a discriminator whose gradient is penalised, on batches of ``batch``.

    A penalty is on the gradient of each sample's logit by that sample alone; batch normalisation mixes the samples, the
    more so the fewer they are.
    """
    name = _need(config, "discriminator").network.name
    if not config.penalties:
        raise SteadyganError(
            f"recipe {config.recipe!r} has no penalty that batch normalisation would spoil",
            "use 'batch-norm' with a recipe that has one, such as r3, digits or wgan-gp",
        )
    if ":" in name:
        raise SteadyganError(f"network {name!r} may not take a normalisation", "use 'batch-norm' with r3 or wgan-gp")
    return tiny_batch(_network(config, "discriminator", normalisation="batch", spectral_norm=False), batch)


def heavy_penalty(config: RunConfig, factor: float) -> RunConfig:
    """The weight of every gradient penalty times ``factor``."""
    if not config.penalties:
        raise SteadyganError(
            f"recipe {config.recipe!r} has no penalty", "use 'heavy-penalty' with a recipe that has one, such as r3"
        )
    return _penalties(config, factor)


def weight_clip(config: RunConfig, limit: float) -> RunConfig:
    """The discriminator's weights clipped to [-limit, limit]."""
    _need(config, "discriminator")
    return config.model_copy(update={"weight_clip": constant(limit)})


def rate_drift(config: RunConfig, factor: float) -> RunConfig:
    """Every player's learning rate rises over the run, in a line, to ``factor`` times what it should be."""
    for name, player in config.players.items():
        rate = player.optimizer.learning_rate
        end = min(HIGHEST_RATE, rate.value * factor)
        schedule = ScheduleConfig(kind="linear", value=rate.value, end=end, warm_up=rate.warm_up)
        config = _player(config, name, optimizer=player.optimizer.model_copy(update={"learning_rate": schedule}))
    return config


def top_k(config: RunConfig, share: float) -> RunConfig:
    """Only the ``share`` of the fakes that convince most teach the generator."""
    return config.model_copy(update={"top_k": constant(share)})


def _need(config: RunConfig, name: str) -> PlayerConfig:
    if name not in config.players:
        raise SteadyganError(
            f"recipe {config.recipe!r} has no player {name!r} to make ill",
            "choose a recipe that has one, such as dcgan or r3",
        )
    return config.players[name]


def _player(config: RunConfig, name: str, **update: Any) -> RunConfig:
    player = _need(config, name).model_copy(update=update)
    return config.model_copy(update={"players": {**config.players, name: player}})


def _network(config: RunConfig, name: str, **update: Any) -> RunConfig:
    return _player(config, name, network=_need(config, name).network.model_copy(update=update))


def _rates(config: RunConfig, factors: dict[str, float]) -> RunConfig:
    for name, factor in factors.items():
        optimizer = _need(config, name).optimizer
        rate = _times(optimizer.learning_rate, factor)
        config = _player(config, name, optimizer=optimizer.model_copy(update={"learning_rate": rate}))
    return config


def _times(schedule: ScheduleConfig, factor: float) -> ScheduleConfig:
    value, end = (min(HIGHEST_RATE, number * factor) for number in (schedule.value, schedule.end))
    return schedule.model_copy(update={"value": value, "end": end})


def _penalties(config: RunConfig, factor: float) -> RunConfig:
    changed = {}
    for name, penalty in config.penalties.items():
        update = {"value": penalty.weight.value * factor, "end": penalty.weight.end * factor}
        changed[name] = penalty.model_copy(update={"weight": penalty.weight.model_copy(update=update)})
    return config.model_copy(update={"penalties": changed})


def _narrower(network: NetworkConfig, factor: float) -> dict[str, Any]:
    def less(widths: Iterable[int]) -> tuple[int, ...]:
        return tuple(max(2, round(width / factor)) for width in widths)

    return {"capacity": less((network.capacity,))[0], "hidden": less(network.hidden) if network.hidden else None}
